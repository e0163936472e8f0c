//! The service under test.

use pathway_datasync::{Config, Datasync};
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_proto::google::r#type::{Date, Money};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Channel, MAX_MESSAGE_BYTES};
use pathway_runtime::Env;
use pathway_testkit::Running;
use pb::datasync_service_client::DatasyncServiceClient;
use tempfile::TempDir;

pub(crate) type Client = DatasyncServiceClient<Channel>;

/// A running service with a data directory of its own.
pub(crate) struct Service {
    pub(crate) client: Client,
    running: Running,
}

// === impl Service ===

impl Service {
    /// Starts it over a data directory, with changes made to its default configuration.
    pub(crate) async fn start(directory: &TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::manual(&ManualClock::at(1_790_000_000_000_000));
        let set = |config: &mut Config| {
            config.data_dir = directory.path().to_owned();
            change(config);
        };
        let running =
            Running::start::<Datasync>(set, Env { clock, rng: Rng::seeded(1), ..Env::system() }).await;
        let client = DatasyncServiceClient::new(running.channel())
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { client, running }
    }

    /// Ends it and waits until it has drained.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// The event `key` of user `u`: an expense for dining on 2026-11-03, or the delete of it.
pub(crate) fn event(key: &str, cents: Option<i64>, offset: i64) -> pb::RecordWrite {
    let record = types::Record {
        user_id: "u".to_owned(),
        identity: Some(types::RecordIdentity {
            source: "event".to_owned(),
            account: String::new(),
            key: key.to_owned(),
        }),
        amount: cents.map(|cents| Money {
            currency_code: "USD".to_owned(),
            units: cents / 100,
            nanos: i32::try_from(cents % 100).unwrap() * 10_000_000,
        }),
        category: "Dining".to_owned(),
        date: Some(Date { year: 2026, month: 11, day: 3 }),
        deleted: cents.is_none(),
        ..types::Record::default()
    };
    let position = pb::Position { epoch: "log".to_owned(), partition: 1, offset };
    let origin = types::Origin::Live.into();
    pb::RecordWrite { record: Some(record), position: Some(position), origin, replaces: None }
}

/// Writes a batch and answers the results.
pub(crate) async fn write(
    client: &Client,
    writes: Vec<pb::RecordWrite>,
) -> Vec<pb::write_record_result::Result> {
    let response = client.clone().write_records(pb::WriteRecordsRequest { writes }).await.unwrap();
    response.into_inner().results.into_iter().map(|result| result.result.unwrap()).collect()
}

/// Imports a statement of user `u` and account `a`.
pub(crate) async fn import(
    client: &Client,
    content: impl Into<Vec<u8>>,
) -> Result<pb::ImportStatementResponse, tonic::Status> {
    let request = pb::ImportStatementRequest {
        user_id: "u".to_owned(),
        account: "a".to_owned(),
        content: content.into(),
        ..pb::ImportStatementRequest::default()
    };
    client.clone().import_statement(request).await.map(tonic::Response::into_inner)
}

/// All records of user `u`, by pages of 7.
pub(crate) async fn records(client: &Client) -> Vec<types::Record> {
    let mut all = Vec::new();
    let mut request =
        pb::ListRecordsRequest { user_id: "u".to_owned(), page_size: 7, ..pb::ListRecordsRequest::default() };
    loop {
        let page = client.clone().list_records(request.clone()).await.unwrap().into_inner();
        all.extend(page.records);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}
