//! The figures in a database, in the domain's words. Each subject has its file, with its types, its statements and its part of [`Store`].

mod batch;
mod breakdown;
mod budgets;
mod closing;
mod contributions;
mod explain;
mod goals;
mod periods;
mod purchases;
mod rates;
mod rebuild;
mod recurring;
mod reported;
mod rows;
mod spending;
mod told;
mod touched;

use pathway_store::{Db, Migration, Pages, StoreConfig, StoreError};
use pathway_telemetry::Telemetry;
use tracing::Span;

use crate::error::AnalyticsError;
use crate::fact::Change;
use crate::ledger::Applied;
use crate::messenger::Outgoing;

pub(crate) use breakdown::{Breakdown, By, Part};
pub(crate) use budgets::{Budget, NewBudgets, NewLimit, RulesPatch};
pub(crate) use closing::{ClosedPeriod, ClosedQuestion};
pub(crate) use contributions::ContributionQuestion;
pub(crate) use explain::{ExplainedLine, Explanation, Place, Question};
pub(crate) use goals::GoalQuestion;
pub(crate) use rates::{RatePlace, RatesQuestion, RatesSet};
pub(crate) use rebuild::{Read, Rebuild, RebuildState};
pub(crate) use recurring::{SeriesPlace, SeriesQuestion};
pub(crate) use spending::{Scope, Spending};
pub(crate) use told::{InsightFilter, Seen, Told};

const MIGRATIONS: [Migration; 12] = [
    Migration { number: 1, name: "figures", sql: include_str!("../migrations/0001_figures.sql") },
    Migration { number: 2, name: "purchases", sql: include_str!("../migrations/0002_purchases.sql") },
    Migration { number: 3, name: "locality", sql: include_str!("../migrations/0003_locality.sql") },
    Migration { number: 4, name: "places", sql: include_str!("../migrations/0004_places.sql") },
    Migration { number: 10, name: "periods", sql: include_str!("../migrations/0010_periods.sql") },
    Migration { number: 30, name: "told", sql: include_str!("../migrations/0030_told.sql") },
    Migration { number: 31, name: "recurring", sql: include_str!("../migrations/0031_recurring.sql") },
    Migration { number: 32, name: "touched", sql: include_str!("../migrations/0032_touched.sql") },
    Migration { number: 33, name: "scan_in_turn", sql: include_str!("../migrations/0033_scan_in_turn.sql") },
    Migration { number: 34, name: "goals", sql: include_str!("../migrations/0034_goals.sql") },
    Migration { number: 50, name: "rates", sql: include_str!("../migrations/0050_rates.sql") },
    Migration { number: 51, name: "rebuild", sql: include_str!("../migrations/0051_rebuild.sql") },
];

/// The figures of all users; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
    outgoing: Outgoing,
}

/// The feed of imported history.
const HISTORY: &str = "datasync.history";

const CURSOR: &str = "SELECT sequence FROM cursors WHERE feed = $1";
const MOVE_CURSOR: &str = "INSERT INTO cursors (feed, sequence) VALUES ($1, $2)
     ON CONFLICT (feed) DO UPDATE SET sequence = excluded.sequence WHERE cursors.sequence < excluded.sequence";

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let db = Db::open_with(config, Pages::Small, MIGRATIONS.to_vec()).await?;
        Ok(Self { db, outgoing: Outgoing::default() })
    }

    /// From now on, tells `telemetry` how it goes.
    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        self.db.tell(telemetry);
    }

    /// Says when something was put into the outbox.
    pub(crate) const fn news(&self) -> &Outgoing {
        &self.outgoing
    }

    /// What was written, once whoever delivers the outbox knows how much was put into it.
    fn post<T>(&self, (written, announced): (T, usize)) -> T {
        if announced > 0 {
            self.outgoing.wake();
        }
        written
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await
    }

    /// Applies a batch in one transaction, in order, and answers for each change what became of it.
    pub(crate) async fn apply(
        &self,
        changes: Vec<Change>,
        now_us: i64,
    ) -> Result<Vec<Applied>, AnalyticsError> {
        let trace_id = pathway_telemetry::trace_id(&Span::current());
        let written = self
            .db
            .write_locking(move |tx| {
                let (applied, announced) = batch::apply(tx, &changes, now_us)?;
                let insights: Vec<_> = applied.iter().flatten().flatten().collect();
                told::keep(tx, &insights, &trace_id, now_us)?;
                Ok((applied, announced))
            })
            .await;
        written.map(|written| self.post(written))
    }

    /// Applies a run of imported history, and moves the cursor with it.
    pub(crate) async fn follow(
        &self,
        changes: Vec<Change>,
        next: i64,
        now_us: i64,
    ) -> Result<Vec<Applied>, AnalyticsError> {
        self.db
            .write_locking(move |tx| {
                // History tells nothing, so nothing is announced.
                let (applied, _) = batch::apply(tx, &changes, now_us)?;
                tx.execute(MOVE_CURSOR, &[HISTORY.into(), next.into()])?;
                Ok(applied)
            })
            .await
    }

    /// How far imported history has been followed.
    pub(crate) async fn followed(&self) -> Result<i64, AnalyticsError> {
        let rows = self.db.query(CURSOR, vec![HISTORY.into()]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.i64(0))?)
    }

    /// Whether other processes may write too.
    pub(crate) const fn is_shared(&self) -> bool {
        self.db.is_shared()
    }
}

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod goals_tests;
#[cfg(test)]
mod tests;
