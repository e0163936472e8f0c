//! The figures in a database, in the domain's words.

mod batch;
mod budgets;
mod closing;
mod periods;
mod purchases;
mod recurring;
mod rows;
mod told;
mod touched;

use pathway_finance::{
    BudgetTerms, CivilDate, Currency, Money, Period, PeriodKind, Rollover, TimeZone, Totals,
};
use pathway_store::{Db, Migration, Pages, StoreConfig, StoreError, Tx, Val};
use pathway_telemetry::Telemetry;
use tracing::Span;
use uuid::Uuid;

use crate::error::AnalyticsError;
use crate::fact::{Change, Line};
use crate::insight::Insight;
use crate::ledger::{Applied, Standing};
use crate::recurring::{RecurringSeries, Scanned};
use crate::subject::{Purchase, State};
use crate::summary::{Summary, TrendQuestion, Trends};
use crate::watch::Look;

pub(crate) use closing::{ClosedPeriod, ClosedQuestion};
pub(crate) use recurring::{Scan, SeriesPlace, SeriesQuestion};
pub(crate) use told::{InsightFilter, Seen, Told};

const MIGRATIONS: [Migration; 9] = [
    Migration { number: 1, name: "figures", sql: include_str!("../migrations/0001_figures.sql") },
    Migration { number: 2, name: "purchases", sql: include_str!("../migrations/0002_purchases.sql") },
    Migration { number: 3, name: "locality", sql: include_str!("../migrations/0003_locality.sql") },
    Migration { number: 4, name: "places", sql: include_str!("../migrations/0004_places.sql") },
    Migration { number: 10, name: "periods", sql: include_str!("../migrations/0010_periods.sql") },
    Migration { number: 30, name: "told", sql: include_str!("../migrations/0030_told.sql") },
    Migration { number: 31, name: "recurring", sql: include_str!("../migrations/0031_recurring.sql") },
    Migration { number: 32, name: "touched", sql: include_str!("../migrations/0032_touched.sql") },
    Migration { number: 33, name: "scan_in_turn", sql: include_str!("../migrations/0033_scan_in_turn.sql") },
];

/// The figures of all users; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
}

/// Limits to set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewBudgets {
    pub(crate) user_id: String,
    pub(crate) limits: Vec<NewLimit>,
    pub(crate) kind: PeriodKind,
    /// Whether the day on which a period begins was named; else it is that of the owner's other budgets.
    pub(crate) has_start: bool,
    /// None to keep the owner's.
    pub(crate) zone: Option<TimeZone>,
}

/// A limit to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewLimit {
    /// The budget's name: a category's key, or that of a group.
    pub(crate) name: String,
    pub(crate) limit: Money,
    pub(crate) rules: RulesPatch,
}

/// What of a budget's rules is to be other than it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RulesPatch {
    pub(crate) thresholds: Option<Vec<i64>>,
    pub(crate) rollover: Option<Rollover>,
    pub(crate) pace: Option<bool>,
    pub(crate) members: Option<Vec<String>>,
}

/// A budget and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Budget {
    pub(crate) category: String,
    pub(crate) revision: i64,
    pub(crate) standing: Standing,
    pub(crate) terms: BudgetTerms,
    /// The first day under other terms that are known already.
    pub(crate) changes_on: Option<CivilDate>,
}

/// Which lines a figure is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) user_id: String,
    pub(crate) period: Period,
    /// None for the user's own.
    pub(crate) currency: Option<Currency>,
}

/// A user's spending in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spending {
    pub(crate) currency: Currency,
    pub(crate) total: Totals,
    /// By net, largest first, then by name.
    pub(crate) categories: Vec<(String, Totals)>,
    /// Other currencies with lines in the period.
    pub(crate) others: Vec<String>,
}

/// Which number to explain, and which of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) scope: Scope,
    /// A category's key, or several with commas between them, which no key has; none for all.
    pub(crate) category: Option<String>,
    /// Where the page before ended.
    pub(crate) after: Option<Place>,
    pub(crate) limit: i64,
}

/// A place among lines, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) day: i64,
    pub(crate) record_id: Uuid,
}

/// The lines behind a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) currency: Currency,
    pub(crate) totals: Totals,
    pub(crate) lines: Vec<ExplainedLine>,
}

/// A line behind a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedLine {
    pub(crate) record_id: Uuid,
    pub(crate) version: i64,
    pub(crate) line: Line,
}

/// The feed of imported history.
const HISTORY: &str = "datasync.history";

const CURSOR: &str = "SELECT sequence FROM cursors WHERE feed = $1";
const MOVE_CURSOR: &str = "INSERT INTO cursors (feed, sequence) VALUES ($1, $2)
     ON CONFLICT (feed) DO UPDATE SET sequence = excluded.sequence WHERE cursors.sequence < excluded.sequence";
const BUDGET_CURRENCY: &str = "SELECT currency FROM owners WHERE user_id = $1 AND currency IS NOT NULL";
const USUAL_CURRENCY: &str = "SELECT currency FROM lifetime_totals WHERE user_id = $1 AND count > 0 ORDER BY count DESC, currency LIMIT 1";
const CATEGORIES: &str = "SELECT category, CAST(SUM(gross) AS BIGINT), CAST(SUM(refunds) AS BIGINT),
     CAST(SUM(count) AS BIGINT)
     FROM day_totals WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4
     GROUP BY category HAVING SUM(count) > 0";
const CURRENCIES: &str = "SELECT l.currency FROM lifetime_totals l WHERE l.user_id = $1 AND EXISTS (
         SELECT 1 FROM day_totals d WHERE d.user_id = l.user_id AND d.currency = l.currency
         AND d.day >= $2 AND d.day < $3 AND d.count > 0)
     ORDER BY l.currency";

/// The lines of a scope, of a category or of all; kind 1 is an expense.
macro_rules! lines_of {
    () => {
        "FROM facts WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4 AND deleted = 0 AND kind = 1"
    };
}
const LINES_TOTALS: &str = concat!(
    "SELECT CAST(COALESCE(SUM(CASE WHEN minor > 0 THEN minor ELSE 0 END), 0) AS BIGINT), ",
    "CAST(COALESCE(SUM(CASE WHEN minor < 0 THEN -minor ELSE 0 END), 0) AS BIGINT), COUNT(*) ",
    lines_of!(),
    " AND ($6 = 1 OR REPLACE(',' || $5 || ',', ',' || category || ',', '') <> ',' || $5 || ',')"
);
const LINES: &str = concat!(
    "SELECT record_id, version, kind, minor, currency, category, day, merchant, account ",
    lines_of!(),
    " AND ($6 = 1 OR REPLACE(',' || $5 || ',', ',' || category || ',', '') <> ',' || $5 || ',') AND (day, record_id) < ($7, $8) ORDER BY day DESC, record_id DESC LIMIT $9"
);

// === impl Store ===

impl Store {
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Ok(Self { db: Db::open_with(config, Pages::Small, MIGRATIONS.to_vec()).await? })
    }

    /// From now on, tells `telemetry` how it goes.
    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        self.db.tell(telemetry);
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
        self.db
            .write_locking(move |tx| {
                let applied = batch::apply(tx, &changes, now_us)?;
                let insights: Vec<_> = applied.iter().flatten().flatten().collect();
                told::keep(tx, &insights, &trace_id, now_us)?;
                Ok(applied)
            })
            .await
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
                let applied = batch::apply(tx, &changes, now_us)?;
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

    /// Sets limits and answers the budgets as they were set.
    pub(crate) async fn set_budgets(
        &self,
        new: NewBudgets,
        now_us: i64,
    ) -> Result<Vec<Budget>, AnalyticsError> {
        self.db.write_locking(move |tx| budgets::set(tx, &new, now_us)).await
    }

    /// A user's budgets that are in force, by category.
    pub(crate) async fn budgets(&self, user_id: String, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
        self.db.read(move |tx| budgets::list(tx, &user_id, now_us)).await
    }

    /// Closes what has ended of some users' budgets, those longest due first; answers how many users that were.
    pub(crate) async fn close_due(&self, most: i64, now_us: i64) -> Result<usize, AnalyticsError> {
        let due = self.db.read(move |tx| closing::due(tx, now_us, most)).await?;
        for user_id in &due {
            let user_id = user_id.clone();
            let locked = move |tx: &mut Tx<'_>| batch::lock_owner(tx, &user_id, now_us).map(|_| ());
            self.db.write_locking(locked).await?;
        }
        Ok(due.len())
    }

    /// What periods of a user's budgets came to, newest first.
    pub(crate) async fn closed(&self, question: ClosedQuestion) -> Result<Vec<ClosedPeriod>, AnalyticsError> {
        self.db.read(move |tx| closing::list(tx, &question)).await
    }

    /// A user's spending in a period.
    pub(crate) async fn spending(&self, scope: Scope, default: Currency) -> Result<Spending, AnalyticsError> {
        self.db.read(move |tx| spending(tx, &scope, default)).await
    }

    /// Trends over a range.
    pub(crate) async fn trends(
        &self,
        question: TrendQuestion,
        default: Currency,
    ) -> Result<Trends, AnalyticsError> {
        self.db.read(move |tx| periods::trends(tx, &question, default)).await
    }

    /// A period, without one the month that it is for the user, beside the one before it and the budgets.
    pub(crate) async fn summary(
        &self,
        user_id: String,
        period: Option<Period>,
        currency: Option<Currency>,
        default: Currency,
        now_us: i64,
    ) -> Result<Summary, AnalyticsError> {
        self.db.read(move |tx| periods::summary(tx, &user_id, period, currency, default, now_us)).await
    }

    /// Whose lines to look for series in.
    pub(crate) async fn to_scan(&self, now_us: i64, most: i64) -> Result<Vec<String>, AnalyticsError> {
        self.db.read(move |tx| recurring::to_scan(tx, now_us, most)).await
    }

    /// What to look for series in. None where there is no such user.
    pub(crate) async fn load_scan(
        &self,
        user_id: String,
        now_us: i64,
    ) -> Result<Option<Scan>, AnalyticsError> {
        self.db.read(move |tx| recurring::load(tx, &user_id, now_us)).await
    }

    /// Stores the series of a user, and puts what there is to tell into the outbox: answers how much. None, and nothing is stored, where something of
    /// the user has changed since they were looked for.
    pub(crate) async fn store_scan(
        &self,
        user_id: String,
        sequence: i64,
        scanned: Scanned,
        now_us: i64,
    ) -> Result<Option<usize>, AnalyticsError> {
        self.db.write_locking(move |tx| recurring::store(tx, &user_id, sequence, &scanned, now_us)).await
    }

    /// A user's series, by when the next line is expected.
    pub(crate) async fn recurring(
        &self,
        question: SeriesQuestion,
    ) -> Result<Vec<RecurringSeries>, AnalyticsError> {
        self.db.read(move |tx| recurring::list(tx, &question)).await
    }

    /// What waits in the outbox, the longest first.
    pub(crate) async fn outgoing(&self, most: i64) -> Result<Vec<Insight>, AnalyticsError> {
        self.db.read(move |tx| told::outgoing(tx, most)).await
    }

    /// Takes out of the outbox what notifications has: users and keys.
    pub(crate) async fn delivered(&self, done: Vec<(String, String)>) -> Result<(), AnalyticsError> {
        self.db.write_locking(move |tx| told::delivered(tx, &done)).await
    }

    /// What there is after a mark, from one snapshot, with the mark that it is as of; everything, without one.
    pub(crate) async fn look(
        &self,
        scope: Scope,
        after: Option<i64>,
        default: Currency,
        now_us: i64,
    ) -> Result<(i64, Look), AnalyticsError> {
        self.db.read(move |tx| touched::look(tx, &scope, after, default, now_us)).await
    }

    /// Has what is touched of a user kept until an instant.
    pub(crate) async fn attend(&self, user_id: String, until_us: i64) -> Result<(), AnalyticsError> {
        self.db.write_locking(move |tx| touched::attend(tx, &user_id, until_us)).await
    }

    /// Whether other processes may write too.
    pub(crate) const fn is_shared(&self) -> bool {
        self.db.is_shared()
    }

    /// What a user was told, newest first.
    pub(crate) async fn insights(&self, filter: InsightFilter) -> Result<Vec<Told>, AnalyticsError> {
        self.db.read(move |tx| told::list(tx, &filter)).await
    }

    /// One thing that a user was told.
    pub(crate) async fn insight(&self, user_id: String, key: String) -> Result<Option<Told>, AnalyticsError> {
        self.db.read(move |tx| told::find(tx, &user_id, &key)).await
    }

    /// Sets what has become of an insight, and answers it. None where the user has no such.
    pub(crate) async fn set_state(
        &self,
        user_id: String,
        key: String,
        state: State,
    ) -> Result<Option<Told>, AnalyticsError> {
        self.db.write_locking(move |tx| told::set_state(tx, &user_id, &key, state)).await
    }

    /// A user's lines by their records, in the order of these; without those that count no more.
    pub(crate) async fn lines(
        &self,
        user_id: String,
        record_ids: Vec<Uuid>,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.db.read(move |tx| batch::lines(tx, &user_id, &record_ids)).await
    }

    /// A purchase that stands out, then the lines that it was compared with, newest first; without those that are no more what they were.
    pub(crate) async fn compared(
        &self,
        user_id: String,
        purchase: Purchase,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.db
            .read(move |tx| {
                let mut lines = batch::lines(tx, &user_id, &[purchase.record_id])?;
                lines.extend(batch::compared(tx, &user_id, &purchase)?);
                Ok(lines)
            })
            .await
    }

    /// The lines behind a number.
    pub(crate) async fn explain(
        &self,
        question: Question,
        default: Currency,
    ) -> Result<Explanation, AnalyticsError> {
        self.db.read(move |tx| explain(tx, &question, default)).await
    }
}

/// The currency of an answer: the one that was asked for, else that of the user's budget, else that of most lines.
fn choose_currency(tx: &mut Tx<'_>, scope: &Scope, default: Currency) -> Result<Currency, AnalyticsError> {
    if let Some(currency) = scope.currency {
        return Ok(currency);
    }
    for sql in [BUDGET_CURRENCY, USUAL_CURRENCY] {
        if let Some(row) = tx.query(sql, &[(&scope.user_id).into()])?.first() {
            return rows::currency(row.text(0)?);
        }
    }
    Ok(default)
}

fn span_vals(scope: &Scope) -> [Val; 2] {
    [scope.period.start().epoch_days().into(), scope.period.end().epoch_days().into()]
}

fn spending(tx: &mut Tx<'_>, scope: &Scope, default: Currency) -> Result<Spending, AnalyticsError> {
    let currency = choose_currency(tx, scope, default)?;
    let [start, end] = span_vals(scope);
    let key = [(&scope.user_id).into(), currency.code().into(), start.clone(), end.clone()];
    let mut categories: Vec<(String, Totals)> = Vec::new();
    for row in tx.query(CATEGORIES, &key)? {
        categories.push((row.text(0)?.to_owned(), rows::totals(&row, 1)?));
    }
    categories.sort_by(|(a, x), (b, y)| y.net().cmp(&x.net()).then_with(|| a.cmp(b)));
    let total = categories.iter().try_fold(Totals::default(), |sum, (_, totals)| sum.checked_add(*totals))?;
    let mut others = Vec::new();
    for row in tx.query(CURRENCIES, &[(&scope.user_id).into(), start, end])? {
        others.push(row.text(0)?.to_owned());
    }
    others.retain(|code| code != currency.code());
    Ok(Spending { currency, total, categories, others })
}

fn explain(tx: &mut Tx<'_>, question: &Question, default: Currency) -> Result<Explanation, AnalyticsError> {
    let currency = choose_currency(tx, &question.scope, default)?;
    let [start, end] = span_vals(&question.scope);
    let category = question.category.as_deref();
    let mut key: Vec<Val> = vec![
        (&question.scope.user_id).into(),
        currency.code().into(),
        start,
        end,
        category.unwrap_or_default().into(),
        category.is_none().into(),
    ];
    let sums = tx.query(LINES_TOTALS, &key)?;
    let totals = rows::totals(sums.first().ok_or(AnalyticsError::Corrupt("sum"))?, 0)?;
    let after = question.after.unwrap_or(Place { day: i64::MAX, record_id: Uuid::max() });
    key.extend([Val::from(after.day), after.record_id.into_bytes().into(), question.limit.into()]);
    let mut lines = Vec::new();
    for row in tx.query(LINES, &key)? {
        lines.push(ExplainedLine {
            record_id: Uuid::from_bytes(row.id(0)?),
            version: row.i64(1)?,
            line: rows::line(&row, 2)?,
        });
    }
    Ok(Explanation { currency, totals, lines })
}

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod tests;
