//! Layered configuration, signals and the life of a process.
//!
//! - [`Component`] is the one shape of a service: `Config -> build(deps) -> run(listener, shutdown)`. The separate binaries, the all-in-one and
//!   the tests run the same three steps.
//! - [`load`] layers the configuration: the embedded commented defaults, a file, the environment, the command line. The defaults name every
//!   key, so a key that they lack is a mistake and is refused with its path.
//! - [`Claim`] keeps two processes from one data directory.
//! - [`init_telemetry`] reads how a process's logs look and how much of its traces is kept.
//! - [`SecuritySettings`] is the section that all services have; [`Security`] is what it comes to: who may call, and the token for the peers.
//!   [`redacted`] is a configuration that may be shown.
//! - [`main`] is what a service's binary does: parse, telemetry, configuration, bind early, build, run, drain with a deadline.

mod claim;
mod component;
mod config;
mod process;
mod redact;
mod security;
mod telemetry;

pub use claim::{Claim, ClaimError};
pub use component::{Component, Env};
pub use config::{Arguments, ConfigError, environment, load, load_table};
pub use process::{check_exposure, listen, main, shutdown_signal};
pub use redact::redacted;
pub use security::{SECURITY_DEFAULTS, Security, SecuritySettings, TlsSettings};
pub use telemetry::init_telemetry;
