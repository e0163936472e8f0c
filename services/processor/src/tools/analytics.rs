//! `analytics.apply`: a change moves the figures; the answer is what the user should be told because of it.

use std::collections::BTreeMap;

use pathway_engine::{Answer, ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem, ToolResult};
use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_proto::pathway::types::v1::{Notice, NoticeAction, RecordChange};
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_item_status};
use prost::Message as _;
use serde_json::{Value, json};

use super::{from_peer, in_calls, no_answer, request};

/// Applies changes.
#[derive(Debug)]
pub(crate) struct AnalyticsApply {
    client: AnalyticsServiceClient<Channel>,
}

// === impl AnalyticsApply ===

impl AnalyticsApply {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { client: AnalyticsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES) }
    }

    async fn apply(&self, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
        let count = items.len();
        let (mut places, mut read) = (Vec::with_capacity(count), Vec::with_capacity(count));
        // Where nothing has changed, nothing follows, and nobody is asked.
        let mut answers: Vec<Result<Value, Fault>> =
            (0..count).map(|_| Ok(json!({"insights": []}))).collect();
        for (place, item) in items.iter().enumerate() {
            if let Some(change) = change(&item.args).transpose() {
                places.push(place);
                read.push(change);
            }
        }
        let answered = in_calls(read, |changes| {
            let (mut client, message) =
                (self.client.clone(), request(api::ApplyChangesRequest { changes }, context));
            async move { Ok(client.apply_changes(message).await.map_err(from_peer)?.into_inner().results) }
        });
        let answer = |result: api::ApplyChangeResult| result.result.map_or_else(|| Err(no_answer()), outcome);
        for (place, result) in places.into_iter().zip(answered.await?) {
            answers[place] = result.and_then(answer);
        }
        Ok(answers)
    }
}

impl Tool for AnalyticsApply {
    fn name(&self) -> &'static str {
        "analytics.apply"
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("insights", Kind::List)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("change", Kind::Any)] }
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.apply(context, items))
    }
}

fn change(args: &Value) -> Result<Option<RecordChange>, Fault> {
    let Some(hex) = args["change"].as_str() else { return Ok(None) };
    let wrong = || Fault::internal("a change that does not come from datasync.write");
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(wrong)?;
    RecordChange::decode(&*bytes).map(Some).map_err(Fault::internal)
}

fn outcome(result: api::apply_change_result::Result) -> Result<Value, Fault> {
    match result {
        api::apply_change_result::Result::Outcome(outcome) => {
            Ok(json!({"insights": outcome.insights.into_iter().map(insight).collect::<Vec<_>>()}))
        }
        api::apply_change_result::Result::Error(error) => Err(from_item_status(error)),
    }
}

fn insight(notice: Notice) -> Value {
    let action = match notice.action() {
        NoticeAction::Resolve => "resolve",
        NoticeAction::Withdraw => "withdraw",
        NoticeAction::Unspecified | NoticeAction::Tell => "tell",
    };
    json!({
        "user_id": notice.user_id,
        "dedup_key": notice.dedup_key,
        "type": notice.r#type,
        "title": notice.title,
        "message": notice.message,
        "metadata": notice.metadata.into_iter().collect::<BTreeMap<_, _>>(),
        "about": notice.about,
        "action": action,
    })
}
