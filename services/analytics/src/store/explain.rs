//! The lines behind a number, and behind what a user was told.

use pathway_finance::{Currency, Totals};
use pathway_store::{Row, Tx, Val};
use uuid::Uuid;

use super::batch::FIND_FACT;
use super::spending::{Scope, choose_currency, span_vals};
use super::{Store, rows};
use crate::error::AnalyticsError;
use crate::fact::{Fact, Line};
use crate::subject::Purchase;

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
pub(super) const LINES: &str = concat!(
    "SELECT record_id, version, kind, minor, currency, category, day, merchant, account ",
    lines_of!(),
    " AND ($6 = 1 OR REPLACE(',' || $5 || ',', ',' || category || ',', '') <> ',' || $5 || ',') AND (day, record_id) < ($7, $8) ORDER BY day DESC, record_id DESC LIMIT $9"
);
const COMPARED: &str = "SELECT record_id, version, kind, minor, currency, category, day, merchant, account FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day <= $4 AND category = $5 AND deleted = 0 AND kind = 1 AND minor > 0
     ORDER BY day DESC, record_id DESC";

// === impl Place ===

impl Place {
    /// Before all lines.
    pub(super) const FIRST: Self = Self { day: i64::MAX, record_id: Uuid::max() };
}

// === impl Store ===

impl Store {
    /// A user's lines by their records, in the order of these; without those that count no more.
    pub(crate) async fn lines(
        &self,
        user_id: String,
        record_ids: Vec<Uuid>,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.db.read(move |tx| lines(tx, &user_id, &record_ids)).await
    }

    /// A purchase that stands out, then the lines that it was compared with, newest first; without those that are no more what they were.
    pub(crate) async fn compared(
        &self,
        user_id: String,
        purchase: Purchase,
    ) -> Result<Vec<ExplainedLine>, AnalyticsError> {
        self.db
            .read(move |tx| {
                let mut lines = lines(tx, &user_id, &[purchase.record_id])?;
                lines.extend(compared(tx, &user_id, &purchase)?);
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
    let after = question.after.unwrap_or(Place::FIRST);
    key.extend([Val::from(after.day), after.record_id.into_bytes().into(), question.limit.into()]);
    let lines = tx.query(LINES, &key)?.iter().map(line).collect::<Result<_, _>>()?;
    Ok(Explanation { currency, totals, lines })
}

/// A row of [`LINES`].
pub(super) fn line(row: &Row) -> Result<ExplainedLine, AnalyticsError> {
    let (record_id, version) = (Uuid::from_bytes(row.id(0)?), row.i64(1)?);
    Ok(ExplainedLine { record_id, version, line: rows::line(row, 2)? })
}

/// A user's lines by their records, in the order of these; without those that count no more.
fn lines(tx: &mut Tx<'_>, user_id: &str, record_ids: &[Uuid]) -> Result<Vec<ExplainedLine>, AnalyticsError> {
    let keys: Vec<[Val; 1]> = record_ids.iter().map(|id| [id.into_bytes().into()]).collect();
    let mut lines = Vec::new();
    for (record_id, rows) in record_ids.iter().zip(tx.query_many(FIND_FACT, &keys)?) {
        let Some(row) = rows.first() else { continue };
        let Fact { user_id: owner, version, line } = rows::fact(row)?;
        let line = line.filter(|_| owner == user_id);
        lines.extend(line.map(|line| ExplainedLine { record_id: *record_id, version, line }));
    }
    Ok(lines)
}

/// The lines of a series that a purchase was compared with, newest first: those that still have the day and the amount that they had.
fn compared(
    tx: &mut Tx<'_>,
    user_id: &str,
    purchase: &Purchase,
) -> Result<Vec<ExplainedLine>, AnalyticsError> {
    let mut left: Vec<(i64, i64)> = purchase.baseline.clone();
    let days = || purchase.baseline.iter().map(|(day, _)| *day);
    let (Some(first), Some(last)) = (days().min(), days().max()) else { return Ok(Vec::new()) };
    let key: [Val; 5] =
        [user_id.into(), (&purchase.currency).into(), first.into(), last.into(), (&purchase.category).into()];
    let mut lines = Vec::with_capacity(left.len());
    for row in tx.query(COMPARED, &key)? {
        let (record_id, line) = (Uuid::from_bytes(row.id(0)?), rows::line(&row, 2)?);
        let place = (line.day.epoch_days(), line.amount.minor());
        let Some(at) = left.iter().position(|pair| *pair == place) else { continue };
        if record_id != purchase.record_id {
            left.swap_remove(at);
            lines.push(ExplainedLine { record_id, version: row.i64(1)?, line });
        }
    }
    Ok(lines)
}
