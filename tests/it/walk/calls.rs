//! Calling any method by its descriptor.

use std::time::Duration;

use bytes::Bytes;
use pathway_kernel::Fault;
use pathway_rpc::{Channel, from_status};
use pathway_testkit::Raw;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, Value};
use tonic::Request;

/// How long something is looked for that should not come.
const LOOK_FOR: Duration = Duration::from_millis(1500);

/// What came of a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) messages: Vec<DynamicMessage>,
    pub(super) refused: Option<Fault>,
}

/// Every method of every service of ours.
pub(super) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(pathway_proto::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|service| service.full_name().starts_with("pathway."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Who serves it: `processor` serves `pathway.processor.v1.ProcessorService`, and what all serve.
pub(super) fn service(method: &MethodDescriptor) -> String {
    let service = method.parent_service();
    let name = service.full_name().split('.').nth(1).unwrap();
    if name == "operations" { "processor".to_owned() } else { name.to_owned() }
}

/// Whether the message has this text.
pub(super) fn has(message: &MessageDescriptor, field: &str) -> bool {
    message.get_field_by_name(field).is_some_and(|field| field.kind() == Kind::String)
}

/// Whether a message inside the message says whose it is.
pub(super) fn has_inside(message: &MessageDescriptor, depth: u32) -> bool {
    let inside = message.fields().filter_map(|field| field.kind().as_message().cloned());
    depth < 8 && inside.into_iter().any(|message| has(&message, "user_id") || has_inside(&message, depth + 1))
}

/// Whether the message names something by an id, besides its user.
pub(super) fn names_things(message: &MessageDescriptor) -> bool {
    message.fields().any(|field| is_thing(field.name()))
}

/// A `request_id` names the call itself.
fn is_thing(field: &str) -> bool {
    !["user_id", "request_id"].contains(&field)
        && ["id", "ids", "key", "keys", "target"].iter().any(|end| field.ends_with(end))
}

/// A request of one user, which names these things and no others.
pub(super) fn request(
    message: &MessageDescriptor,
    user_id: &str,
    thing: &str,
    token: &str,
) -> DynamicMessage {
    let mut request = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| field.kind() == Kind::String) {
        let text = match field.name() {
            "user_id" => user_id,
            "page_token" => token,
            name if is_thing(name) => thing,
            _ => continue,
        };
        let value = Value::String(text.to_owned());
        request.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    request
}

/// Calls a method and reads the answer; of a stream its beginning, as long as something comes.
pub(super) async fn call(channel: Channel, method: &MethodDescriptor, request: &DynamicMessage) -> Answer {
    let mut answer = Answer { messages: Vec::new(), refused: None };
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let sent = Request::new(Bytes::from(request.encode_to_vec()));
    let opened = client.server_streaming(sent, path(method).parse().unwrap(), Raw).await;
    let mut stream = match opened {
        Ok(response) => response.into_inner(),
        Err(status) => {
            answer.refused = Some(from_status(status));
            return answer;
        }
    };
    loop {
        let next = stream.message();
        let next = if method.is_server_streaming() {
            match tokio::time::timeout(LOOK_FOR, next).await {
                Ok(next) => next,
                Err(_) => return answer,
            }
        } else {
            next.await
        };
        match next {
            Ok(Some(bytes)) => answer.messages.push(DynamicMessage::decode(method.output(), bytes).unwrap()),
            Ok(None) => return answer,
            Err(status) => {
                answer.refused = Some(from_status(status));
                return answer;
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// All of it, as a text to be searched and compared.
    pub(super) fn text(&self) -> String {
        let refused = self
            .refused
            .as_ref()
            .map(|fault| (fault.code(), fault.reason(), fault.message(), fault.violations()));
        format!("{:?} {refused:?}", self.messages)
    }

    pub(super) fn reason(&self) -> &str {
        self.refused.as_ref().map_or("", Fault::reason)
    }
}
