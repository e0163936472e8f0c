//! The gRPC mesh: server, channel, faults and in-memory transport.
//!
//! - [`Server`] serves a service's [`Routes`] on a [`Listener`], with health, reflection, gRPC-Web, deadlines, a span and a duration for
//!   each call, `GET /metrics`, and a graceful drain.
//! - [`Channel`] calls a peer through deadline, retry, hedge, breaker, bulkhead and timeout, over all of its addresses, and carries the trace context. It connects
//!   when it is first used and again when the peer comes back.
//! - [`Dialer`] makes a process's channels, over the breakers of which an operator is told by `pathway.operations.v1`, which every server serves.
//! - [`to_status`] and [`from_status`] are the one table between [`Fault`](pathway_kernel::Fault) and gRPC; a status is built nowhere else.
//! - [`to_money`], [`from_date`] and their like are the one place where wire values become the domain's.
//! - [`Pages`] makes and reads the tokens of pages; [`Mask`] leaves out of an answer what nobody asked for.
//! - [`Guard`] asks callers for a token and knows which role may call what; [`own`] lets a handler's caller speak for itself alone; [`Credentials`] are what
//!   a client shows.
//! - [`ServerTls`] and [`ClientTls`] prove who the two ends are, with certificates that are renewed while they serve; [`Readiness`] is what a service's health
//!   follows.
//! - [`memory`] is a transport within the process: what the all-in-one and the tests use, with the same code on both ends.

mod accept;
mod auth;
mod balance;
mod breakers;
mod channel;
mod connections;
mod details;
mod dialer;
mod endpoints;
mod exposition;
mod health;
mod limits;
mod lingering;
mod listener;
mod mask;
mod methods;
mod name;
mod operations;
mod page;
mod peer;
mod readiness;
mod resolver;
mod server;
mod settings;
mod shed;
mod status;
mod tls;
mod trace;
mod transport;
mod unreached;
mod values;

pub use auth::{
    Access, AuthConfig, AuthError, Authenticator, Credentials, Guard, Identity, Jwks, JwksTimes,
    MOST_TOKEN_BYTES, Position, Role, Secret, access, examine, examine_keys, expiring, own,
};
pub use balance::ChannelError;
pub use breakers::tell_breakers;
pub use channel::{Channel, ChannelConfig, RetryConfig, Target};
pub use dialer::Dialer;
pub use endpoints::BalanceConfig;
pub use limits::Limits;
pub use listener::{Connector, Listener, memory};
pub use mask::Mask;
pub use methods::is_unserved;
pub use page::Pages;
pub use peer::PeerSettings;
pub use readiness::{LIVE, Readiness};
pub use resolver::{Resolve, Resolver, Resolving};
pub use server::{Routes, Server, ServerConfig};
pub use settings::{ResilienceSettings, ServerSettings};
pub use status::{from_item_status, from_status, ok_item_status, status, to_item_status, to_status};
pub use tls::{ClientTls, Pair, ServerTls, examine_pem};
pub use unreached::Unreached;
pub use values::{from_date, from_money, to_date, to_money};

pub use pathway_resilience::{BreakerAction, BreakerConfig, Breakers, WindowConfig};

/// The largest message that a server or a client of the mesh takes, in bytes. Generated clients and servers are told so one by one.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
