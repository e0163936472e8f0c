//! `grpc.call`: one unary method of any gRPC server, JSON in and JSON out.
//!
//! # Why by name
//! A definition names a server of the configuration, not an address. A gRPC server is a neighbour, mostly on a private network, and what protects it is that an operator has
//! listed it; a definition cannot lead this process anywhere else.
//!
//! # Why without our token
//! Whoever is shown a token can use it: a service's own is good for every user's data. So a server gets it, and our certificate, only where the operator says that it is one of ours.
//!
//! # Why by reflection
//! A method's types are asked of the server itself, so nothing has to be generated or registered for a new one. They are kept for a while, and asked
//! for again after that, so a server that was given a new field is understood without a restart of this one. A server that does not serve reflection has a file
//! with its descriptor set beside its URL in the configuration.
//!
//! # What may be done twice
//! A method says nothing about itself that can be relied on, so a call goes through the journal unless the definition says `idempotent: true`.

mod codec;
mod reflection;

use std::collections::BTreeMap;
use std::error::Error as _;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use http::uri::PathAndQuery;
use pathway_engine::{ArgSpec, CallContext, Effect, Kind, Tool, ToolFuture, ToolItem};
use pathway_kernel::{Check, Code, Fault, Violation, stable_id};
use pathway_rpc::{Channel, Dialer, PeerSettings, ResilienceSettings, Target, from_status, is_unserved};
use pathway_runtime::Security;
use prost_reflect::{DynamicMessage, MethodDescriptor, SerializeOptions};
use serde_json::{Number, Value};
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};

use super::{request, text};
use crate::config::OutboundConfig;
use codec::DynamicCodec;
use reflection::Methods;

/// Calls gRPC servers.
#[derive(Debug)]
pub(crate) struct GrpcCall {
    servers: BTreeMap<String, Server>,
}

#[derive(Debug)]
struct Server {
    channel: Channel,
    methods: Methods,
}

/// How many calls of a batch are under way at once.
const SIDE_BY_SIDE: usize = 32;

// === impl GrpcCall ===

impl GrpcCall {
    /// Calls the servers that an operator has listed, by name.
    pub(crate) fn new(
        dialer: &Dialer,
        security: &Security,
        outbound: &OutboundConfig,
        resilience: &ResilienceSettings,
    ) -> Result<Self, Fault> {
        let OutboundConfig { grpc: servers, descriptors, .. } = outbound;
        let mut check = Check::default();
        for name in descriptors.keys().filter(|name| !servers.contains_key(*name)) {
            let problem = "is no server of [outbound.grpc]: give its URL there";
            check.note(&format!("outbound.descriptors.{name}"), Some(problem));
        }
        check.done().map_err(Fault::invalid)?;
        let server = |(name, server): (&String, &PeerSettings)| {
            let own = format!("outbound.grpc.{name}.resilience");
            let config = resilience.of(&server.resilience, &own)?;
            let (breaker, target) = (format!("grpc/{name}"), Target::parse(&server.url)?);
            let channel = if server.is_ours {
                security.channel(dialer, &breaker, target, config)
            } else {
                dialer.channel(&breaker, target, config)
            };
            let methods = match descriptors.get(name) {
                Some(file) => Methods::of_file(file, &format!("outbound.descriptors.{name}"))?,
                None => Methods::of_server(channel.clone()),
            };
            Ok((name.clone(), Server { methods, channel }))
        };
        Ok(Self { servers: servers.iter().map(server).collect::<Result<_, Fault>>()? })
    }

    async fn send(&self, context: &CallContext, item: ToolItem) -> Result<Value, Fault> {
        let args = &item.args;
        let (service, method) = method(args).map_err(|problem| invalid("method", problem))?;
        let server = self.server(args)?;
        let found = server.methods.find(service, method, context).await?;
        if found.is_client_streaming() || found.is_server_streaming() {
            return Err(invalid("method", "streams; a step asks once and is answered once".to_owned()));
        }
        let message = message(&found, args)?;
        let mut request = request(message, context);
        add_metadata(&mut request, args, &item.key)?;
        let answer = call(server.channel.clone(), &found, request).await?;
        let options = SerializeOptions::new().skip_default_fields(false);
        answer.serialize_with_options(serde_json::value::Serializer, &options).map_err(Fault::internal)
    }

    fn server(&self, args: &Value) -> Result<&Server, Fault> {
        let name = text(args, "server");
        self.servers.get(&name).ok_or_else(|| {
            let known: Vec<&str> = self.servers.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            invalid(
                "server",
                format!("`{name}` is not in [outbound.grpc] of the configuration; known: {known}"),
            )
        })
    }
}

impl Tool for GrpcCall {
    fn name(&self) -> &'static str {
        "grpc.call"
    }

    fn effect(&self, args: &Value) -> Effect {
        if args.get("idempotent") == Some(&Value::Bool(true)) { Effect::Idempotent } else { Effect::Once }
    }

    fn args(&self) -> &'static [ArgSpec] {
        const {
            &[
                ArgSpec::required("server", Kind::Text),
                ArgSpec::required("method", Kind::Text),
                ArgSpec::optional("message", Kind::Object),
                ArgSpec::optional("metadata", Kind::Object),
                ArgSpec::optional("idempotent", Kind::Boolean),
            ]
        }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        let mut check = Check::default();
        check.take("method", method(args));
        check.done().err().unwrap_or_default()
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(async move {
            let calls = items.into_iter().map(|item| self.send(context, item));
            Ok(iter(calls).buffered(SIDE_BY_SIDE).collect().await)
        })
    }
}

async fn call(
    channel: Channel,
    method: &MethodDescriptor,
    request: Request<DynamicMessage>,
) -> Result<DynamicMessage, Fault> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = PathAndQuery::try_from(path).map_err(Fault::internal)?;
    let mut grpc = Grpc::new(channel);
    // A channel over HTTP/2 is ready at once.
    grpc.ready().await.map_err(|error| from_status(Status::from_error(error.into())))?;
    let answer = grpc.unary(request, path, DynamicCodec::new(method.output())).await;
    answer.map(tonic::Response::into_inner).map_err(fault)
}

/// The failure, told so that the journal can rely on it: what is UNAVAILABLE was not done.
fn fault(status: Status) -> Fault {
    let broke_off = status.source().is_some_and(|source| !is_unserved(source));
    match status.code() {
        _ if broke_off && status.code() != tonic::Code::DeadlineExceeded => {
            let message = "the connection broke before the answer was there";
            Fault::new(Code::Cancelled, "CONNECTION_BROKEN", message).with_source(status)
        }
        // What most servers answer when their handler fails in a way of its own.
        tonic::Code::Unknown => {
            let message = format!("the server failed: {}", status.message());
            Fault::new(Code::Internal, "SERVER_FAILED", message)
        }
        _ => from_status(status),
    }
}

/// The service and the method of `package.Service/Method`.
fn method(args: &Value) -> Result<(&str, &str), String> {
    let given = args.get("method").and_then(Value::as_str).unwrap_or_default();
    let parts = given.trim_start_matches('/').split_once('/');
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    };
    let found = parts.filter(|(service, method)| is_name(service) && is_name(method));
    found.ok_or_else(|| format!("`{given}` is no method: give package.Service/Method"))
}

fn message(method: &MethodDescriptor, args: &Value) -> Result<DynamicMessage, Fault> {
    let given = match args.get("message") {
        None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
        Some(message) => plain_numbers(message.clone()),
    };
    DynamicMessage::deserialize(method.input(), given)
        .map_err(|error| invalid("message", format!("is no {}: {error}", method.input().full_name())))
}

/// The same with numbers that a protobuf can hold. Ours keep their decimal text, such as 1.50; in a `double` that is lost by the field's own type, and an amount
/// belongs into a text or a `google.type.Money`.
fn plain_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_i64().is_none() && number.as_u64().is_none() => {
            let plain = number.as_f64().and_then(Number::from_f64);
            Value::Number(plain.unwrap_or(number))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(plain_numbers).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, plain_numbers(value))).collect())
        }
        other => other,
    }
}

fn add_metadata(request: &mut Request<DynamicMessage>, args: &Value, key: &str) -> Result<(), Fault> {
    let mut check = Check::default();
    let mut metadata = MetadataMap::new();
    for (name, value) in args.get("metadata").and_then(Value::as_object).into_iter().flatten() {
        let field = format!("metadata.{name}");
        let wrong = "is no name of metadata, or no text for a value";
        let name = AsciiMetadataKey::from_bytes(name.as_bytes()).map_err(|_| wrong);
        let value = AsciiMetadataValue::try_from(value.as_str().unwrap_or_default()).map_err(|_| wrong);
        if let (Some(name), Some(value)) = (check.take(&field, name), check.take(&field, value)) {
            metadata.insert(name, value);
        }
    }
    check.done().map_err(Fault::invalid)?;
    let key = stable_id(0, &[key]).to_string();
    metadata.insert("idempotency-key", key.parse().map_err(Fault::internal)?);
    for entry in metadata.iter() {
        if let tonic::metadata::KeyAndValueRef::Ascii(name, value) = entry {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

fn invalid(field: &str, problem: String) -> Fault {
    Fault::invalid(vec![Violation::new(field, problem)])
}
