//! The service under test.

use api::analytics_service_client::AnalyticsServiceClient;
use api::apply_change_result::Result as Item;
use pathway_analytics::{Analytics, Config, Deps};
use pathway_finance::{CivilDate, Money};
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_proto::google::r#type::Date;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Channel, Target, from_money, memory, to_date, to_money};
use pathway_runtime::Env;
use pathway_testkit::Running;
use tempfile::TempDir;

pub(crate) type Client = AnalyticsServiceClient<Channel>;

/// A running service over a data directory.
pub(crate) struct Service {
    pub(crate) client: Client,
    running: Running,
}

/// 2026-11-24, noon in UTC.
pub(crate) const NOW: i64 = 1_795_521_600_000_000;

// === impl Service ===

impl Service {
    /// Starts it over a data directory, with a way to datasync.
    pub(crate) async fn start(directory: &TempDir, datasync: Target) -> Self {
        Self::start_at(directory, datasync, &ManualClock::at(NOW)).await
    }

    /// Starts it by a clock, where nobody answers.
    pub(crate) async fn at(directory: &TempDir, clock: &ManualClock) -> Self {
        let (nowhere, _) = memory();
        Self::start_at(directory, Target::Memory(nowhere), clock).await
    }

    async fn start_at(directory: &TempDir, datasync: Target, clock: &ManualClock) -> Self {
        let (nowhere, _) = memory();
        let env = Env { clock: Clock::manual(clock), rng: Rng::seeded(1), ..Env::system() };
        let set = |config: &mut Config| {
            config.data_dir = directory.path().to_owned();
            config.recurring.every_ms = 20;
        };
        let running = Running::start::<Analytics>(
            set,
            Deps { env, datasync: Some(datasync), notifications: Some(Target::Memory(nowhere)) },
        )
        .await;
        Self { client: AnalyticsServiceClient::new(running.channel()), running }
    }

    /// Starts it where datasync never answers.
    pub(crate) async fn alone(directory: &TempDir) -> Self {
        let (nowhere, _) = memory();
        Self::start(directory, Target::Memory(nowhere)).await
    }

    /// Ends it and waits until it has drained.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// An amount in dollars.
pub(crate) fn usd(amount: &str) -> Money {
    Money::parse(amount, pathway_finance::Currency::parse("USD").unwrap()).unwrap()
}

/// A day.
pub(crate) fn date(text: &str) -> Date {
    to_date(CivilDate::parse(text).unwrap())
}

/// A new line of `user` for dining, dated 2026-11-20.
pub(crate) fn change(user: &str, record: u128, amount: &str, origin: types::Origin) -> types::RecordChange {
    let record = types::Record {
        record_id: uuid::Uuid::from_u128(record).to_string(),
        user_id: user.to_owned(),
        version: 1,
        kind: types::LineKind::Expense.into(),
        amount: Some(to_money(usd(amount))),
        category: "Dining".to_owned(),
        date: Some(date("2026-11-20")),
        ..types::Record::default()
    };
    types::RecordChange { after: Some(record), origin: origin.into(), ..types::RecordChange::default() }
}

/// Applies changes and answers the results.
pub(crate) async fn apply(client: &Client, changes: Vec<types::RecordChange>) -> Vec<Item> {
    let answer = client.clone().apply_changes(api::ApplyChangesRequest { changes }).await.unwrap();
    answer.into_inner().results.into_iter().map(|result| result.result.unwrap()).collect()
}

/// The types of what follows from one change.
pub(crate) fn told(item: &Item) -> Vec<&str> {
    match item {
        Item::Outcome(outcome) => outcome.insights.iter().map(|notice| notice.r#type.as_str()).collect(),
        Item::Error(status) => panic!("refused: {}", status.message),
    }
}

/// Sets a monthly limit for dining.
pub(crate) async fn set_budget(client: &Client, user: &str, limit: &str) -> api::Budget {
    let limit = Some(to_money(usd(limit)));
    let limits =
        vec![api::BudgetLimit { category: "dining".to_owned(), limit, ..api::BudgetLimit::default() }];
    let request =
        api::SetBudgetsRequest { user_id: user.to_owned(), limits, ..api::SetBudgetsRequest::default() };
    let answer = client.clone().set_budgets(request).await.unwrap().into_inner();
    match answer.results.into_iter().next().unwrap().result.unwrap() {
        api::set_budget_result::Result::Budget(budget) => budget,
        api::set_budget_result::Result::Error(status) => panic!("refused: {}", status.message),
    }
}

/// A user's spending in November 2026.
pub(crate) async fn spending(client: &Client, user: &str) -> api::GetSpendingResponse {
    let request = api::GetSpendingRequest {
        user_id: user.to_owned(),
        start: Some(date("2026-11-01")),
        end: Some(date("2026-12-01")),
        ..api::GetSpendingRequest::default()
    };
    client.clone().get_spending(request).await.unwrap().into_inner()
}

/// The net of some sums, with how many lines it is of.
pub(crate) fn net(totals: Option<&api::Totals>) -> (String, i64) {
    let totals = totals.unwrap();
    (from_money(totals.net.as_ref()).unwrap().to_decimal_string(), totals.count)
}
