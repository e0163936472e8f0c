//! The conventions that every RPC of every service keeps, asked of the services as they run: `docs/api.md` promises them.
//!
//! Which services, methods and fields there are is read from the descriptor set, so an RPC that is added is asked as well.

mod grpcurl;
mod health;
mod hostile;
mod masks;
mod once;
mod refusals;
mod services;
mod walk;
mod web;
