//! What is known of a server's methods: what it says itself, or what a file says.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream;
use http::uri::PathAndQuery;
use pathway_engine::CallContext;
use pathway_kernel::{Code, Fault, Violation};
use pathway_rpc::{Channel, from_status};
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::{Code as GrpcCode, Status};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::super::request;

/// The methods of one server.
#[derive(Debug)]
pub(super) enum Methods {
    /// As a file has them.
    File(DescriptorPool),
    /// As it tells them itself.
    Server(Reflection),
}

/// What one server has told.
#[derive(Debug)]
pub(super) struct Reflection {
    channel: Channel,
    /// By service, with the moment from which on they are asked for again.
    services: Mutex<HashMap<String, (DescriptorPool, Instant)>>,
}

/// How long an answer is believed.
const FRESH: Duration = Duration::from_secs(300);
/// The most files that a service may be made of.
const MOST_FILES: usize = 1_000;
/// Where a server answers. The second has the same messages; servers that are older than the first have it alone.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

// === impl Methods ===

impl Methods {
    pub(super) fn of_server(channel: Channel) -> Self {
        Self::Server(Reflection { channel, services: Mutex::default() })
    }

    /// Reads a descriptor set; `key` is where the configuration names the file.
    pub(super) fn of_file(file: &Path, key: &str) -> Result<Self, Fault> {
        let wrong = |problem: String| {
            let what = format!("{}: {problem}", file.display());
            Fault::invalid(vec![Violation::new(key, what)])
        };
        let bytes = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let pool = DescriptorPool::decode(bytes.as_slice()).map_err(|error| {
            wrong(format!("is no descriptor set with all that it imports (`--include_imports`): {error}"))
        })?;
        Ok(Self::File(pool))
    }

    pub(super) async fn find(
        &self,
        service: &str,
        method: &str,
        context: &CallContext,
    ) -> Result<MethodDescriptor, Fault> {
        let (pool, whose) = match self {
            Self::File(pool) => (pool.clone(), "descriptor set"),
            Self::Server(reflection) => (reflection.pool(service, context).await?, "server"),
        };
        let found = pool
            .get_service_by_name(service)
            .and_then(|service| service.methods().find(|known| known.name() == method));
        found.ok_or_else(|| unknown(format!("the {whose}'s `{service}` has no method `{method}`")))
    }
}

// === impl Reflection ===

impl Reflection {
    /// What a service is made of.
    async fn pool(&self, service: &str, context: &CallContext) -> Result<DescriptorPool, Fault> {
        let known = {
            let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            services.get(service).filter(|(_, until)| Instant::now() < *until).map(|(pool, _)| pool.clone())
        };
        if let Some(pool) = known {
            return Ok(pool);
        }
        let pool = self.ask(service, context).await.map_err(not_done)?;
        let fresh = (pool.clone(), Instant::now() + FRESH);
        self.services.lock().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), fresh);
        Ok(pool)
    }

    /// A service's file with all that it imports, as the server tells them.
    async fn ask(&self, service: &str, context: &CallContext) -> Result<DescriptorPool, Fault> {
        let first = MessageRequest::FileContainingSymbol(service.to_owned());
        let mut files: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
        add(&mut files, self.files(first, context).await?)?;
        // A server may tell the file alone, or with some of its imports, or with all.
        while let Some(missing) = first_missing(&files) {
            if files.len() > MOST_FILES {
                return Err(unusable(format!("`{service}` is made of more than {MOST_FILES} files")));
            }
            let told = self.files(MessageRequest::FileByFilename(missing.clone()), context).await?;
            add(&mut files, told)?;
            if !files.contains_key(&missing) {
                return Err(unusable(format!("the server does not tell the file `{missing}`")));
            }
        }
        let mut pool = DescriptorPool::new();
        let added = pool.add_file_descriptor_protos(files.into_values());
        added.map_err(|error| unusable(format!("`{service}` makes no sense: {error}")))?;
        Ok(pool)
    }

    async fn files(&self, ask: MessageRequest, context: &CallContext) -> Result<Vec<Vec<u8>>, Fault> {
        let mut last = None;
        for path in PATHS {
            match self.ask_at(path, &ask, context).await {
                Ok(response) => return told(response),
                Err(status) if status.code() == GrpcCode::Unimplemented => last = Some(status),
                Err(status) if status.code() == GrpcCode::NotFound => {
                    return Err(unknown(format!("the server says: {}", status.message())));
                }
                Err(status) => return Err(from_status(status)),
            }
        }
        let message = "the server has no reflection: switch it on there, or name its descriptor set in [outbound.descriptors]";
        Err(unusable(message.to_owned()).with_source(last.unwrap_or_else(|| Status::unimplemented(""))))
    }

    async fn ask_at(
        &self,
        path: &'static str,
        ask: &MessageRequest,
        context: &CallContext,
    ) -> Result<Option<ServerReflectionResponse>, Status> {
        let message = ServerReflectionRequest { host: String::new(), message_request: Some(ask.clone()) };
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec: ProstCodec<ServerReflectionRequest, ServerReflectionResponse> = ProstCodec::default();
        let asked = request(stream::iter([message]), context);
        let answer = grpc.streaming(asked, PathAndQuery::from_static(path), codec).await?;
        answer.into_inner().message().await
    }
}

fn told(response: Option<ServerReflectionResponse>) -> Result<Vec<Vec<u8>>, Fault> {
    match response.and_then(|response| response.message_response) {
        Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
        Some(MessageResponse::ErrorResponse(error)) => {
            Err(unknown(format!("the server says: {}", error.error_message)))
        }
        _ => Err(unusable("the server's reflection did not answer what it was asked".to_owned())),
    }
}

fn add(files: &mut BTreeMap<String, FileDescriptorProto>, told: Vec<Vec<u8>>) -> Result<(), Fault> {
    for bytes in told {
        let file = FileDescriptorProto::decode(&*bytes)
            .map_err(|error| unusable(format!("the server's reflection makes no sense: {error}")))?;
        files.insert(file.name().to_owned(), file);
    }
    Ok(())
}

fn first_missing(files: &BTreeMap<String, FileDescriptorProto>) -> Option<String> {
    files.values().flat_map(|file| &file.dependency).find(|name| !files.contains_key(*name)).cloned()
}

/// Nothing has been called yet, whatever went wrong: a code that leaves that open would be wrong here.
fn not_done(fault: Fault) -> Fault {
    if matches!(fault.code(), Code::DeadlineExceeded | Code::Cancelled | Code::Internal) {
        let message = "the server did not tell its methods";
        return Fault::new(Code::Unavailable, "NO_REFLECTION", message).with_source(fault);
    }
    fault
}

fn unknown(message: String) -> Fault {
    Fault::new(Code::NotFound, "UNKNOWN_METHOD", message)
}

fn unusable(message: String) -> Fault {
    Fault::new(Code::FailedPrecondition, "NO_REFLECTION", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_descriptor_set_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (key, file) = ("outbound.descriptors.ledger", directory.path().join("ledger.binpb"));
        for content in [None, Some("service Ledger {}")] {
            content.into_iter().for_each(|content| std::fs::write(&file, content).unwrap());
            let fault = Methods::of_file(&file, key).unwrap_err();
            let violation = &fault.violations()[0];
            assert_eq!(violation.field, key);
            assert!(violation.description.contains("ledger.binpb"), "{violation:?}");
        }
        std::fs::write(&file, pathway_proto::DESCRIPTORS).unwrap();
        assert!(Methods::of_file(&file, key).is_ok());
    }
}
