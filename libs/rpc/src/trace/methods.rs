//! The methods that there are.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// What is known of a method.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// `package.Service/Method`.
    pub(super) name: String,
    /// It answers a stream.
    pub(super) streams: bool,
    /// It is asked so often that a span for each would hide the others.
    pub(super) is_probe: bool,
}

/// Those of the mesh, of health and of reflection, by their names. What is in it is constant, so every server and channel shares it.
static KNOWN: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let sets = [
        pathway_proto::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().filter_map(|set| FileDescriptorSet::decode(set).ok());
    let mut known = HashMap::new();
    for file in files.flat_map(|set| set.file) {
        let package = file.package().to_owned();
        for service in file.service {
            let is_probe = package == "grpc.health.v1";
            for method in &service.method {
                let name = format!("{package}.{}/{}", service.name(), method.name());
                let streams = method.server_streaming();
                known.insert(name.clone(), Method { name, streams, is_probe });
            }
        }
    }
    known
});

static OTHER: LazyLock<Method> =
    LazyLock::new(|| Method { name: "_OTHER".to_owned(), streams: false, is_probe: false });

/// The method of a request's path.
pub(super) fn of(path: &str) -> &'static Method {
    path.strip_prefix('/').and_then(|name| KNOWN.get(name)).unwrap_or(&OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn described_methods_have_their_names_and_others_have_one() {
        let publish = of("/pathway.processor.v1.ProcessorService/Publish");
        assert_eq!(publish.name, "pathway.processor.v1.ProcessorService/Publish");
        assert!(!publish.streams && !publish.is_probe);
        assert!(of("/pathway.notifications.v1.NotificationsService/WatchNotices").streams);
        assert!(of("/grpc.health.v1.Health/Check").is_probe);
        assert_eq!(
            of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").name,
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        );
        for path in ["/pathway.processor.v1.ProcessorService/Steal", "/", "", "/../etc/passwd"] {
            assert_eq!(of(path).name, "_OTHER", "{path}");
        }
    }
}
