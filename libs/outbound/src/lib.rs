//! HTTP calls to the outside, which cannot be led to the inside.
//!
//! - [`Client`] sends a [`Request`] and reads a bounded [`Response`].
//! - [`Guard`] says which addresses it may speak to, and [`Hosts`] which hosts are not asked because they have failed.
//! - [`OutboundError`] tells a call that was never sent from one of which nobody knows.
//!
//! # Why not any HTTP client
//! Whoever chooses a URL (the author of a definition, an event's data, a user with a webhook) chooses where *our* process connects to, from inside the network that it
//! stands in: the cloud's metadata service, the database, a neighbour's admin port. That is server-side request forgery. Looking at the URL does not
//! help, for a name is only a promise: it may resolve to a private address, or to a public one when it is looked at and a private one when it is connected to.
//!
//! So the check is made where nothing comes after it: the resolver of the client hands out only addresses that the [`Guard`] admits, and the client
//! connects to exactly those. A literal address, which no resolver sees, is checked before. Redirects are not followed, proxies of the environment not used, and
//! a URL with a user's name or password is refused, because URLs end up in logs.
//!
//! Private networks can be admitted one by one, for calls to a neighbour that are meant.

mod client;
mod error;
mod guard;
mod hosts;
mod resolver;

pub use client::{Client, ClientConfig, Request, Response};
pub use error::OutboundError;
pub use guard::{Guard, Network};
pub use hosts::{HostConfig, Hosts, HostsConfig};
