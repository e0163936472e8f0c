//! `analytics.record`: what another system says about a user's limits, goals and figures.
//!
//! A transaction goes on to the nodes that write one: the answer has it as the topic `transactions` would. The rest is analytics' to take.

use pathway_engine::{Answer, ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem, ToolResult};
use pathway_kernel::{Fault, Violation};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_item_status};
use serde_json::{Value, json};

use super::stated::{self, Stated};
use super::{Reader, from_peer, in_calls, no_answer, request, text};

/// Takes what is said.
#[derive(Debug)]
pub(crate) struct AnalyticsRecord {
    client: AnalyticsServiceClient<Channel>,
    reader: Reader,
}

// === impl AnalyticsRecord ===

impl AnalyticsRecord {
    pub(crate) fn new(channel: Channel, reader: Reader) -> Self {
        Self {
            client: AnalyticsServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            reader,
        }
    }

    async fn record(&self, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
        let (mut places, mut events) = (Vec::new(), Vec::new());
        let mut answers: Vec<Result<Value, Fault>> = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            answers.push(match stated::read(&self.reader, &item.args["event"]) {
                Err(violations) => Err(Fault::invalid(violations)),
                Ok(Stated::Transaction(transaction)) => Ok(json!({"transaction": transaction})),
                Ok(Stated::Event(event)) => {
                    let user_id = text(&item.args["event"], "user_id");
                    places.push(place);
                    events.push(Ok(api::AnalyticsEvent { user_id, event: Some(event) }));
                    // Replaced below.
                    Err(no_answer())
                }
            });
        }
        let answered = in_calls(events, |events| {
            let (mut client, message) =
                (self.client.clone(), request(api::RecordEventsRequest { events }, context));
            async move { Ok(client.record_events(message).await.map_err(from_peer)?.into_inner().results) }
        });
        let answer = |result: api::RecordEventResult| match result.result {
            None => Err(no_answer()),
            Some(api::record_event_result::Result::Error(error)) => Err(from_item_status(error)),
            Some(api::record_event_result::Result::Outcome(done)) => Ok(stated::answer(done.recorded)),
        };
        for (place, result) in places.into_iter().zip(answered.await?) {
            answers[place] = result.and_then(answer);
        }
        Ok(answers)
    }
}

impl Tool for AnalyticsRecord {
    fn name(&self) -> &'static str {
        "analytics.record"
    }

    fn answer(&self) -> Answer {
        Answer::Any
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("event", Kind::Object)] }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        stated::read(&self.reader, &args["event"]).err().unwrap_or_default()
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.record(context, items))
    }
}
