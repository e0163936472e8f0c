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
use super::{MOST_ITEMS, Reader, from_peer, no_answer, request, text};

/// Takes what is said.
#[derive(Debug)]
pub(crate) struct AnalyticsRecord {
    client: AnalyticsServiceClient<Channel>,
    reader: Reader,
}

/// What an item is: answered already, or one for analytics.
enum Read {
    Answered(Result<Value, Fault>),
    Sent,
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
        let mut events = Vec::new();
        let mut read = |item: &ToolItem| match stated::read(&self.reader, &item.args["event"]) {
            Err(violations) => Read::Answered(Err(Fault::invalid(violations))),
            Ok(Stated::Transaction(transaction)) => Read::Answered(Ok(json!({"transaction": transaction}))),
            Ok(Stated::Event(event)) => {
                let user_id = text(&item.args["event"], "user_id");
                events.push(api::AnalyticsEvent { user_id, event: Some(event) });
                Read::Sent
            }
        };
        let read: Vec<Read> = items.iter().map(&mut read).collect();
        let mut results = Vec::with_capacity(events.len());
        for chunk in events.chunks(MOST_ITEMS) {
            let message = api::RecordEventsRequest { events: chunk.to_vec() };
            let answer =
                self.client.clone().record_events(request(message, context)).await.map_err(from_peer)?;
            results.extend(answer.into_inner().results);
        }
        let mut results = results.into_iter();
        let answer = |read: Read| match read {
            Read::Answered(answer) => answer,
            Read::Sent => match results.next().and_then(|result| result.result) {
                None => Err(no_answer()),
                Some(api::record_event_result::Result::Error(error)) => Err(from_item_status(error)),
                Some(api::record_event_result::Result::Outcome(done)) => Ok(stated::answer(done.recorded)),
            },
        };
        Ok(read.into_iter().map(answer).collect())
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
