//! What the contract says of each method.
//!
//! A `.proto` file says of a method whether it streams, and with `idempotency_level` what doing it twice means. So a client need not be told by a list somewhere else, which the next
//! method would be missing from; a method that says nothing is never repeated unless it was not served.

use std::collections::HashMap;
use std::error::Error;
use std::sync::LazyLock;
use std::time::Duration;

use http::HeaderMap;
use pathway_resilience::{Contract, Safety};
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodOptions};
use tonic::Status;
use tonic_types::StatusExt as _;

/// The mesh's contract, for the layers of a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mesh;

#[derive(Debug, Clone, Copy)]
struct Method {
    safety: Safety,
    streams: bool,
}

/// By path. Made of what is compiled in, so it is a constant that takes a moment to read.
static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(read);

/// Whether a method answers a stream.
pub(crate) fn streams(path: &str) -> bool {
    // Of what is not ours nothing is known but that a watch goes on.
    METHODS.get(path).map_or_else(|| method(path).starts_with("Watch"), |method| method.streams)
}

/// A path's method, without its service.
pub(crate) fn method(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

// === impl Mesh ===

impl<E: Error + 'static> Contract<E> for Mesh {
    fn safety(&self, path: &str) -> Safety {
        METHODS.get(path).map_or(Safety::Unknown, |method| method.safety)
    }

    fn is_unserved(&self, error: &E) -> bool {
        is_unserved(error)
    }

    fn retry_info(&self, headers: &HeaderMap) -> Option<Duration> {
        Status::from_header_map(headers)?.get_details_retry_info()?.retry_delay
    }
}

/// Whether an error shows that the peer has not begun with a call: no connection was made, it was closed before the call was sent on it, or the peer has said so.
#[must_use]
pub fn is_unserved(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_canceled()
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            // A peer that goes away names the last call that it has taken; only those after it end so.
            let went_away =
                error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            if went_away || refused {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

fn read() -> HashMap<String, Method> {
    let files = FileDescriptorSet::decode(pathway_proto::DESCRIPTORS).unwrap_or_default().file;
    let mut methods = HashMap::new();
    for file in &files {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let level = method.options.as_ref().map(MethodOptions::idempotency_level);
                let safety = match level {
                    Some(IdempotencyLevel::NoSideEffects) => Safety::Read,
                    Some(IdempotencyLevel::Idempotent) => Safety::Idempotent,
                    Some(IdempotencyLevel::IdempotencyUnknown) | None => Safety::Unknown,
                };
                methods.insert(path, Method { safety, streams: method.server_streaming() });
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safety(path: &str) -> Safety {
        Contract::<std::io::Error>::safety(&Mesh, path)
    }

    #[test]
    fn the_contract_says_what_may_be_done_twice() {
        assert_eq!(safety("/pathway.datasync.v1.DatasyncService/WriteRecords"), Safety::Idempotent);
        assert_eq!(safety("/pathway.analytics.v1.AnalyticsService/GetSpending"), Safety::Read);
        assert_eq!(safety("/pathway.processor.v1.ProcessorService/Publish"), Safety::Unknown);
        assert_eq!(safety("/somebody.Else/Get"), Safety::Unknown);
    }

    #[test]
    fn the_contract_says_what_streams() {
        assert!(streams("/pathway.processor.v1.ProcessorService/Subscribe"));
        assert!(streams("/grpc.health.v1.Health/Watch"));
        assert!(!streams("/pathway.processor.v1.ProcessorService/Publish"));
    }

    #[test]
    fn every_listing_and_reading_method_is_declared_a_read() {
        for (path, found) in METHODS.iter() {
            let method = method(path);
            let reads = ["List", "Get", "Watch", "Await"].iter().any(|verb| method.starts_with(verb));
            assert!(
                !reads || found.safety == Safety::Read,
                "{path} should say idempotency_level = NO_SIDE_EFFECTS"
            );
        }
    }
}
