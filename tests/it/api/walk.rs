//! Every RPC, with nothing and with all kinds of nonsense: whatever it answers, a program can tell what to do.

use std::error::Error;

use pathway_kernel::Fault;
use pathway_proto::google::rpc::Status as ItemStatus;
use pathway_rpc::from_item_status;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ReflectMessage as _, Value};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

use super::hostile::{PALETTES, leads_somewhere};
use super::services::Services;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_refuses_nonsense_in_words_that_a_program_understands() {
    let services = Services::start().await;
    let (mut problems, mut refusals) = (Vec::new(), 0);
    let methods = services.methods();
    assert!(methods.len() > 30, "the descriptors have {} methods", methods.len());
    for method in &methods {
        let mut requests = vec![("empty", Vec::new()), ("no message", vec![0xff; 3])];
        requests.extend(
            PALETTES.iter().map(|palette| (palette.name, palette.paint(&method.input()).encode_to_vec())),
        );
        for (name, request) in requests {
            let wrong = match services.call(&path(method), request).await {
                Ok(answer) => wrong_items(method, &answer),
                // The client itself has stopped waiting, for what never came.
                Err(status) if is_clients_own(&status) => Vec::new(),
                Err(status) => {
                    refusals += 1;
                    wrong_refusal(&method.input(), &status)
                }
            };
            problems.extend(wrong.into_iter().map(|wrong| format!("{}, {name}: {wrong}", path(method))));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    assert!(refusals > methods.len(), "only {refusals} refusals: the walk goes nowhere");
    services.stop().await;
}

pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// What is wrong with a refusal.
pub(super) fn wrong_refusal(request: &MessageDescriptor, status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let mut wrong = Vec::new();
    if matches!(status.code(), Code::Internal | Code::Unknown | Code::DataLoss) {
        wrong.push(format!("answers {status}"));
    }
    match details.error_info() {
        Some(info) if is_reason(&info.reason) && info.domain == "pathway" => {}
        other => wrong.push(format!("has the ErrorInfo {other:?}: {status}")),
    }
    if details.request_info().is_none_or(|info| info.request_id.is_empty()) {
        wrong.push(format!("has no RequestInfo: {status}"));
    }
    if status.message().is_empty() {
        wrong.push("has no message".to_owned());
    }
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    if status.code() == Code::InvalidArgument && violations.is_empty() {
        wrong.push(format!("names no violation: {status}"));
    }
    for violation in violations {
        // What is no message at all has no field that could be named.
        if !violation.field.is_empty() && !leads_somewhere(request, &violation.field) {
            wrong.push(format!("names the field `{}`, which the request has not", brief(&violation.field)));
        }
        if violation.description.is_empty() {
            wrong.push(format!("does not say what is wrong with `{}`", violation.field));
        }
    }
    wrong
}

/// What is wrong with the statuses of items, wherever they are in an answer.
fn wrong_items(method: &MethodDescriptor, answer: &[u8]) -> Vec<String> {
    let Ok(answer) = DynamicMessage::decode(method.output(), answer) else {
        return vec!["answers what is no answer".to_owned()];
    };
    let mut items = Vec::new();
    gather(&answer, &mut items);
    let wrong = |fault: &Fault| {
        let is_wrong = matches!(fault.code(), pathway_kernel::Code::Internal)
            || !is_reason(fault.reason())
            || fault.reason() == "UNKNOWN"
            || (fault.code() == pathway_kernel::Code::InvalidArgument && fault.violations().is_empty());
        is_wrong.then(|| {
            format!("has an item with {:?} {} {:?}", fault.code(), fault.reason(), brief(fault.message()))
        })
    };
    let mut wrong: Vec<String> = items.iter().filter_map(wrong).collect();
    wrong.dedup();
    wrong
}

fn is_clients_own(status: &Status) -> bool {
    status.source().and_then(Error::source).is_some_and(<dyn Error>::is::<TimeoutExpired>)
}

fn gather(message: &DynamicMessage, items: &mut Vec<Fault>) {
    if message.descriptor().full_name() == "google.rpc.Status" {
        let status: ItemStatus = message.transcode_to().unwrap();
        if status.code != 0 {
            items.push(from_item_status(status));
        }
        return;
    }
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => gather(inner, items),
            Value::List(values) => {
                values.iter().filter_map(Value::as_message).for_each(|inner| gather(inner, items));
            }
            _ => {}
        }
    }
}

fn is_reason(reason: &str) -> bool {
    !reason.is_empty() && reason.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn brief(text: &str) -> String {
    text.chars().take(120).collect()
}
