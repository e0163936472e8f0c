//! Notices, read state and the live stream.
//!
//! Notifications owns what each user has been told. It promises three things:
//!
//! - **A notice is stored once.** The user and the dedup key are unique in the store, so a second send, of whatever replica or replay, answers the
//!   first one's id and changes nothing.
//! - **The feed has no gaps.** Each user's notices count from 1. A number is taken in the transaction that stores the notice, so whoever has read up
//!   to a number has read all before it, and a stream that was cut goes on after the last number without gap or repeat.
//! - **Read state is the server's.** It and the unread count change in one transaction, under a number that only grows; every device that follows
//!   the changes comes to see the same.
//!
//! # The parts
//! - [`Notifications`] is the service; [`Config`] is what it takes, with `default.toml` as the commented default.
//! - `notice` says what a notice may be, what its type is called, and what can happen to it. It is pure.
//! - `notices` is what the service does for its callers, `watch` what streams tell, `feeds` the way from a commit to the streams of its user.
//! - `preferences`, `quiet` and `plan` say what goes out, by which channel and when; `templates` in which words, `tokens` what a link in an e-mail
//!   says. They are pure.
//! - `courier` takes messages from the outbox, `delivery` says what can become of one, and `channels` has a way out for each channel.
//! - `keeping` removes what is kept no longer.
//! - `store` is the queries, in these words. `grpc` is the only part that knows the generated types.

mod channels;
mod config;
mod courier;
mod delivery;
mod endpoint;
mod error;
mod feeds;
mod grpc;
mod keeping;
mod notice;
mod notices;
mod others;
mod plan;
mod preferences;
mod quiet;
mod service;
mod signature;
mod store;
mod templates;
mod tokens;
mod watch;
mod webhooks;

pub use config::{Config, DeliveryConfig, EmailConfig, PushConfig, RetentionConfig, WatchConfig};
pub use error::NotificationsError;
pub use service::Notifications;
