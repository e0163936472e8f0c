//! `notifications.send`: a notice for a user, once for its dedup key.

use pathway_engine::{ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem, ToolResult};
use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::types::v1::{Notice, NoticeAction};
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_item_status};
use serde_json::{Value, json};

use super::{from_peer, in_calls, no_answer, request, text};

/// Sends notices.
#[derive(Debug)]
pub(crate) struct NotificationsSend {
    client: NotificationsServiceClient<Channel>,
}

// === impl NotificationsSend ===

impl NotificationsSend {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { client: NotificationsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES) }
    }

    async fn send(&self, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
        let read = items.iter().map(|item| Ok(notice(item))).collect();
        let answered = in_calls(read, |notices| {
            let (mut client, message) =
                (self.client.clone(), request(api::SendNoticesRequest { notices }, context));
            async move { Ok(client.send_notices(message).await.map_err(from_peer)?.into_inner().results) }
        });
        let answer = |result: api::SendNoticeResult| result.result.map_or_else(|| Err(no_answer()), outcome);
        Ok(answered.await?.into_iter().map(|result| result.and_then(answer)).collect())
    }
}

impl Tool for NotificationsSend {
    fn name(&self) -> &'static str {
        "notifications.send"
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("notice", Kind::Object)] }
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.send(context, items))
    }
}

/// A notice without a dedup key of its own is unique for its event.
fn notice(item: &ToolItem) -> Notice {
    let notice = &item.args["notice"];
    let own = text(notice, "dedup_key");
    let action = match notice["action"].as_str() {
        Some("resolve") => NoticeAction::Resolve,
        Some("withdraw") => NoticeAction::Withdraw,
        _ => NoticeAction::Tell,
    };
    let metadata = notice["metadata"].as_object().into_iter().flatten();
    Notice {
        user_id: text(notice, "user_id"),
        dedup_key: if own.is_empty() { item.key.clone() } else { own },
        r#type: text(notice, "type"),
        title: text(notice, "title"),
        message: text(notice, "message"),
        metadata: metadata
            .map(|(key, value)| {
                (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect(),
        about: text(notice, "about"),
        critical: notice["critical"] == Value::Bool(true),
        channel: channel(&text(notice, "channel")).to_owned(),
        action: action.into(),
    }
}

/// The channel that is meant. Senders have called the feed many names, and one that nobody knows is no reason to tell nothing: then the user's
/// preferences say.
fn channel(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "in_app" | "in-app" | "inapp" | "app" | "realtime" => "in_app",
        "email" | "e-mail" | "mail" => "email",
        "push" | "web_push" | "webpush" => "push",
        "webhook" => "webhook",
        _ => "",
    }
}

fn outcome(result: api::send_notice_result::Result) -> Result<Value, Fault> {
    match result {
        api::send_notice_result::Result::Outcome(sent) => {
            let (id, sequence) = (sent.id, sent.sequence);
            Ok(json!({"id": id, "sequence": sequence, "duplicate": sent.duplicate, "ended": sent.ended}))
        }
        api::send_notice_result::Result::Error(error) => Err(from_item_status(error)),
    }
}
