//! The generated gRPC contract of the four services.
//!
//! The source is `proto/` at the top of the repository; the code is checked in, so that a build needs no protoc, and `tests/fresh.rs`
//! proves it fresh (`make proto` writes it anew). One module per package, under the package's own path:
//! [`pathway::types::v1`], [`pathway::processor::v1`], [`pathway::datasync::v1`], [`pathway::analytics::v1`],
//! [`pathway::notifications::v1`], [`pathway::operations::v1`], and the vendored [`google`] types. [`DESCRIPTORS`] is what reflection serves.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    clippy::use_self,
    clippy::match_same_arms,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    reason = "written by the generator"
)]
mod generated;

pub use generated::{google, pathway};

/// The serialised `FileDescriptorSet` of all packages, comments included.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
