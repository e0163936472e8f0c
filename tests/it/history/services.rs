//! Datasync and analytics in the test's own process, over stores in a directory.

use std::collections::{BTreeMap, BTreeSet};

use analytics::analytics_service_client::AnalyticsServiceClient;
use analytics::apply_change_result::Result as Applied;
use datasync::datasync_service_client::DatasyncServiceClient;
use datasync::write_record_result::Result as Written;
use pathway_analytics::{Analytics, Deps};
use pathway_datasync::Datasync;
use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::{Clock, Code, ManualClock, Rng};
use pathway_proto::google::r#type::Date;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::types::v1::{Notice, Origin, Record, RecordChange};
use pathway_rpc::{Channel, from_date, from_money, to_date, to_money};
use pathway_runtime::Env;
use pathway_testkit::Running;
use tempfile::TempDir;

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;

pub(super) struct Services {
    directory: TempDir,
    clock: ManualClock,
    running: Option<(Running, Running)>,
    records: DatasyncServiceClient<Channel>,
    figures: AnalyticsServiceClient<Channel>,
}

// === impl Services ===

impl Services {
    pub(super) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(NOW);
        let (running, records, figures) = start(&directory, &clock).await;
        Self { directory, clock, running: Some(running), records, figures }
    }

    /// Sets the clock of both.
    pub(super) fn set_clock(&self, now_us: i64) {
        self.clock.set(now_us);
    }

    /// Ends both and starts them over the same stores.
    pub(super) async fn restart(&mut self) {
        if let Some((datasync, analytics)) = self.running.take() {
            analytics.stop().await;
            datasync.stop().await;
        }
        let (running, records, figures) = start(&self.directory, &self.clock).await;
        (self.running, self.records, self.figures) = (Some(running), records, figures);
    }

    pub(super) async fn write(&self, writes: Vec<datasync::RecordWrite>) -> Vec<datasync::WriteOutcome> {
        let answer =
            self.records.clone().write_records(datasync::WriteRecordsRequest { writes }).await.unwrap();
        let outcome = |result: datasync::WriteRecordResult| match result.result.unwrap() {
            Written::Outcome(outcome) => Ok(outcome),
            Written::Error(error) => Err(error),
        };
        answer.into_inner().results.into_iter().map(|result| outcome(result).unwrap()).collect()
    }

    /// Splits a line into parts of so many minor units, category and currency; answers whether that can be done.
    pub(super) async fn split(&self, user_id: &str, record_id: String, parts: &[(i64, &str, &str)]) -> bool {
        let part = |(minor, category, currency): &(i64, &str, &str)| datasync::SplitPart {
            amount: Some(to_money(Money::new(*minor, Currency::parse(currency).unwrap()))),
            category: (*category).to_owned(),
            description: String::new(),
        };
        let parts = parts.iter().map(part).collect();
        let request = datasync::SplitRecordRequest { user_id: user_id.to_owned(), record_id, parts };
        can_be_done(self.records.clone().split_record(request).await)
    }

    /// Has all transfers paired; answers the names of the legs.
    pub(super) async fn pair(&self, user_id: &str) -> BTreeSet<(String, String)> {
        let (start, end) = (Some(date("2026-10-01")), Some(date("2027-01-01")));
        let request = datasync::PairTransfersRequest { user_id: user_id.to_owned(), start, end };
        let answer = self.records.clone().pair_transfers(request).await.unwrap().into_inner();
        let name = |leg: Option<Record>| leg.unwrap().identity.unwrap().key;
        answer.pairs.into_iter().map(|pair| (name(pair.from), name(pair.to))).collect()
    }

    /// Takes a pair apart; answers whether it was one.
    pub(super) async fn unpair(&self, user_id: &str, record_id: String) -> bool {
        let request = datasync::UnpairRecordRequest { user_id: user_id.to_owned(), record_id };
        can_be_done(self.records.clone().unpair_record(request).await)
    }

    /// Applies changes; answers what the user is told because of each.
    pub(super) async fn apply(&self, changes: Vec<RecordChange>) -> Vec<Vec<Notice>> {
        let answer =
            self.figures.clone().apply_changes(analytics::ApplyChangesRequest { changes }).await.unwrap();
        let told = |result: analytics::ApplyChangeResult| match result.result.unwrap() {
            Applied::Outcome(outcome) => Ok(outcome.insights),
            Applied::Error(error) => Err(error),
        };
        answer.into_inner().results.into_iter().map(|result| told(result).unwrap()).collect()
    }

    /// Waits until analytics has followed all imported history.
    pub(super) async fn follow_history(&self) {
        let (mut after, mut last) = (0, 0);
        loop {
            let request = datasync::ListChangesRequest {
                after_sequence: after,
                origin: Some(Origin::History.into()),
                ..datasync::ListChangesRequest::default()
            };
            let page = self.records.clone().list_changes(request).await.unwrap().into_inner();
            last = page.changes.last().map_or(last, |change| change.sequence);
            if page.next_sequence <= after || page.changes.is_empty() {
                break;
            }
            after = page.next_sequence;
        }
        self.figures.clone().await_changes(analytics::AwaitChangesRequest { sequence: last }).await.unwrap();
    }

    /// Sets a monthly limit of 20.00 for dining.
    pub(super) async fn set_budget(&self, user_id: &str) {
        let limit = to_money(Money::new(2_000, Currency::parse("USD").unwrap()));
        let dining = analytics::BudgetLimit {
            category: "dining".to_owned(),
            limit: Some(limit),
            ..analytics::BudgetLimit::default()
        };
        self.set_budgets(user_id, analytics::PeriodKind::Month, vec![dining]).await;
    }

    /// Sets limits for periods of a kind.
    pub(super) async fn set_budgets(
        &self,
        user_id: &str,
        kind: analytics::PeriodKind,
        limits: Vec<analytics::BudgetLimit>,
    ) {
        let request = analytics::SetBudgetsRequest {
            user_id: user_id.to_owned(),
            limits,
            period_kind: kind.into(),
            ..analytics::SetBudgetsRequest::default()
        };
        let answer = self.figures.clone().set_budgets(request).await.unwrap().into_inner();
        for result in answer.results {
            assert!(matches!(result.result, Some(analytics::set_budget_result::Result::Budget(_))));
        }
    }

    /// Changes when a user's days end, or on which day the user's months begin.
    pub(super) async fn cut(&self, user_id: &str, time_zone: &str, start_day: i32) {
        let request = analytics::SetBudgetsRequest {
            user_id: user_id.to_owned(),
            period_kind: analytics::PeriodKind::Month.into(),
            time_zone: time_zone.to_owned(),
            start_day,
            ..analytics::SetBudgetsRequest::default()
        };
        self.figures.clone().set_budgets(request).await.unwrap();
    }

    /// What the closed periods of a budget came to, newest first.
    pub(super) async fn summaries(&self, user_id: &str, budget: &str) -> Vec<analytics::ClosedPeriod> {
        let request = analytics::ListClosedPeriodsRequest {
            user_id: user_id.to_owned(),
            category: Some(budget.to_owned()),
            start: Some(date("2025-01-01")),
            end: Some(date("2028-01-01")),
            page_size: 1000,
        };
        self.figures.clone().list_closed_periods(request).await.unwrap().into_inner().periods
    }

    /// Waits until every period of a budget that ended by a day is closed. Some have ended already.
    pub(super) async fn until_closed(&self, user_id: &str, budget: &str, day: CivilDate) {
        let request = analytics::ListBudgetsRequest { user_id: user_id.to_owned() };
        let budgets = self.figures.clone().list_budgets(request).await.unwrap().into_inner().budgets;
        let under_way = budgets.into_iter().find(|found| found.category == budget).unwrap().period_start;
        loop {
            let last = self.summaries(user_id, budget).await.into_iter().next().unwrap().period_end;
            assert!(from_date(last.as_ref()).unwrap() <= day, "none is closed before its end");
            if last == under_way {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// All records of a user that stand.
    pub(super) async fn all_records(&self, user_id: &str) -> Vec<Record> {
        let mut request = datasync::ListRecordsRequest {
            user_id: user_id.to_owned(),
            page_size: 1000,
            ..datasync::ListRecordsRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let page = self.records.clone().list_records(request.clone()).await.unwrap().into_inner();
            all.extend(page.records);
            if page.next_page_token.is_empty() {
                return all;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// What is spent of the budget, in minor units.
    pub(super) async fn spent_of_budget(&self, user_id: &str) -> i64 {
        let request = analytics::ListBudgetsRequest { user_id: user_id.to_owned() };
        let budgets = self.figures.clone().list_budgets(request).await.unwrap().into_inner().budgets;
        from_money(budgets[0].spent.as_ref()).unwrap().minor()
    }

    /// A user's records that stand.
    pub(super) async fn records(&self, user_id: &str) -> Vec<Record> {
        let request = datasync::ListRecordsRequest {
            user_id: user_id.to_owned(),
            page_size: 1000,
            ..datasync::ListRecordsRequest::default()
        };
        self.records.clone().list_records(request).await.unwrap().into_inner().records
    }

    pub(super) async fn spending(
        &self,
        user_id: &str,
        start: &str,
        end: &str,
        currency: &str,
    ) -> analytics::GetSpendingResponse {
        let request = analytics::GetSpendingRequest {
            user_id: user_id.to_owned(),
            start: Some(date(start)),
            end: Some(date(end)),
            currency_code: currency.to_owned(),
            ..analytics::GetSpendingRequest::default()
        };
        self.figures.clone().get_spending(request).await.unwrap().into_inner()
    }

    /// What each account comes to in a period: gross, refunds, income.
    pub(super) async fn by_account(
        &self,
        user_id: &str,
        start: &str,
        end: &str,
        currency: &str,
    ) -> BTreeMap<String, (i64, i64, i64)> {
        let request = analytics::GetBreakdownRequest {
            user_id: user_id.to_owned(),
            start: Some(date(start)),
            end: Some(date(end)),
            currency_code: currency.to_owned(),
            by: analytics::BreakdownBy::Account.into(),
        };
        let parts = self.figures.clone().get_breakdown(request).await.unwrap().into_inner().parts;
        let minor = |money: Option<&pathway_proto::google::r#type::Money>| from_money(money).unwrap().minor();
        let part = |part: analytics::BreakdownPart| {
            let spending = part.spending.unwrap();
            let (gross, refunds) = (minor(spending.gross.as_ref()), minor(spending.refunds.as_ref()));
            (part.key, (gross, refunds, minor(part.income.as_ref())))
        };
        parts.into_iter().map(part).collect()
    }

    pub(super) async fn explain(
        &self,
        user_id: &str,
        start: &str,
        end: &str,
        currency: &str,
    ) -> analytics::ExplainResponse {
        let request = analytics::ExplainRequest {
            user_id: user_id.to_owned(),
            start: Some(date(start)),
            end: Some(date(end)),
            currency_code: currency.to_owned(),
            page_size: 1000,
            ..analytics::ExplainRequest::default()
        };
        self.figures.clone().explain(request).await.unwrap().into_inner()
    }
}

type Started = ((Running, Running), DatasyncServiceClient<Channel>, AnalyticsServiceClient<Channel>);

async fn start(directory: &TempDir, clock: &ManualClock) -> Started {
    let env = || Env { clock: Clock::manual(clock), rng: Rng::seeded(1), ..Env::system() };
    let path = || directory.path().to_owned();
    let datasync =
        Running::start::<Datasync>(|config: &mut pathway_datasync::Config| config.data_dir = path(), env())
            .await;
    let deps = Deps { datasync: Some(datasync.target()), ..env().into() };
    let analytics =
        Running::start::<Analytics>(|config: &mut pathway_analytics::Config| config.data_dir = path(), deps)
            .await;
    let records = DatasyncServiceClient::new(datasync.channel());
    let figures = AnalyticsServiceClient::new(analytics.channel());
    ((datasync, analytics), records, figures)
}

fn can_be_done<T>(answer: Result<T, tonic::Status>) -> bool {
    match answer {
        Ok(_) => true,
        Err(status) => {
            assert_eq!(pathway_rpc::from_status(status).code(), Code::FailedPrecondition);
            false
        }
    }
}

fn date(text: &str) -> Date {
    to_date(CivilDate::parse(text).unwrap())
}
