//! `datasync.write`: an event becomes a record; the answer is the change that it made.

use pathway_engine::{Answer, ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem, ToolResult};
use pathway_kernel::{Fault, Violation};
use pathway_proto::pathway::datasync::v1 as api;
use pathway_proto::pathway::datasync::v1::datasync_service_client::DatasyncServiceClient;
use pathway_proto::pathway::types::v1::{Origin, RecordChange};
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES, from_item_status};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Reader, from_peer, in_calls, no_answer, request};

/// Writes records.
#[derive(Debug)]
pub(crate) struct DatasyncWrite {
    client: DatasyncServiceClient<Channel>,
    reader: Reader,
}

// === impl DatasyncWrite ===

impl DatasyncWrite {
    pub(crate) fn new(channel: Channel, reader: Reader) -> Self {
        Self {
            client: DatasyncServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            reader,
        }
    }

    async fn write(&self, context: &CallContext, items: Vec<ToolItem>) -> ToolResult {
        let read = items.iter().map(|item| self.read(item)).collect();
        let answered = in_calls(read, |writes| {
            let (mut client, message) =
                (self.client.clone(), request(api::WriteRecordsRequest { writes }, context));
            async move { Ok(client.write_records(message).await.map_err(from_peer)?.into_inner().results) }
        });
        let answer = |result: api::WriteRecordResult| result.result.map_or_else(|| Err(no_answer()), outcome);
        Ok(answered.await?.into_iter().map(|result| result.and_then(answer)).collect())
    }

    fn read(&self, item: &ToolItem) -> Result<api::RecordWrite, Fault> {
        let record = self.reader.read(&item.args["record"]).map_err(Fault::invalid)?;
        let position = api::Position {
            epoch: item.position.epoch.to_string(),
            partition: item.position.partition,
            offset: item.position.offset,
        };
        let replaces = Reader::replaces(&item.args["record"]);
        let origin = Origin::Live.into();
        Ok(api::RecordWrite { record: Some(record), position: Some(position), origin, replaces })
    }
}

impl Tool for DatasyncWrite {
    fn name(&self) -> &'static str {
        "datasync.write"
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("change", Kind::Any)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("record", Kind::Object)] }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        self.reader.read(&args["record"]).err().unwrap_or_default()
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.write(context, items))
    }
}

/// The change travels to the next node as it came: its bytes, in hexadecimal. No node looks into it, so nothing is gained by taking it apart.
///
/// Where nothing changed, the record as it stands travels on. Whoever has seen that version answers as before; but if an earlier event with this
/// content failed further down, this one heals what it left undone.
fn outcome(result: api::write_record_result::Result) -> Result<Value, Fault> {
    match result {
        api::write_record_result::Result::Outcome(outcome) => {
            let standing = |record| RecordChange {
                after: Some(record),
                origin: Origin::Live.into(),
                ..RecordChange::default()
            };
            let change = outcome.change.or_else(|| outcome.record.map(standing));
            let change = change.map(|change| hex(&change.encode_to_vec()));
            Ok(json!({"change": change}))
        }
        api::write_record_result::Result::Error(error) => Err(from_item_status(error)),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}
