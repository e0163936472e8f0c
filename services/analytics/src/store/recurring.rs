//! Series and what is told about them.
//!
//! A scan reads a user's lines of the last years in one snapshot, and stores what they come to where nothing of the user has changed since; else it
//! is made again later. So the writer is never held up by it.

use std::collections::HashMap;

use pathway_finance::{Cadence, CivilDate, LineKind, Money};
use pathway_store::{Row, Tx, Val};
use uuid::Uuid;

use super::{Store, rows, told};
use crate::error::AnalyticsError;
use crate::insight::Insight;
use crate::recurring::{RecurringSeries, Scanned, SeriesKey, SeriesLine};

/// What a scan looks at.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The owner's transaction that it is as of.
    pub(crate) sequence: i64,
    pub(crate) today: CivilDate,
    /// Oldest first.
    pub(crate) lines: Vec<SeriesLine>,
    pub(crate) known: HashMap<SeriesKey, RecurringSeries>,
}

/// Which series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesQuestion {
    pub(crate) user_id: String,
    /// Where the page before ended.
    pub(crate) after: Option<SeriesPlace>,
    pub(crate) limit: i64,
}

/// A place among series, by when the next line is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesPlace {
    pub(crate) next_day: i64,
    pub(crate) key: SeriesKey,
}

/// How far back lines are looked at: three that come once a year, the last of them late.
const DAYS: i64 = 800;
const DAY_US: i64 = 86_400_000_000;

const UNSCANNED: &str =
    "SELECT user_id FROM owners WHERE unscanned = 1 ORDER BY scanned_at_us, user_id LIMIT $1";
const LATE: &str = "SELECT user_id FROM recurring WHERE is_settled = 0 AND late_until < $1
     GROUP BY user_id ORDER BY MIN(late_until), user_id LIMIT $2";
const OWNER: &str = "SELECT sequence, time_zone FROM owners WHERE user_id = $1";
const NEXT_CURRENCY: &str = "SELECT currency FROM facts WHERE user_id = $1 AND currency > $2 AND deleted = 0 ORDER BY currency LIMIT 1";
/// Kinds 1 and 2 are expenses and income; an amount that is not positive is a refund. Ten lines a day of [`DAYS`] are all looked at; whoever has
/// more is looked at less far back, for memory must not follow the history.
const LINES_LOOKED_AT: usize = 8192;
/// As many rows are read at once: a row takes more room than the line that is kept of it.
const PAGE: usize = 1024;
const LINES: &str =
    "SELECT record_id, live, kind, minor, currency, category, day, merchant, account FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND deleted = 0 AND kind IN (1, 2) AND minor > 0
     AND (day, record_id) < ($4, $5) ORDER BY day DESC, record_id DESC LIMIT $6";
const CLAIM: &str =
    "UPDATE owners SET unscanned = 0, scanned_at_us = $3 WHERE user_id = $1 AND sequence = $2";
const FORGET: &str = "DELETE FROM recurring WHERE user_id = $1";
const PUT: &str = "INSERT INTO recurring
     (user_id, currency, kind, payee, merchant, category, cadence, minor, is_fixed, last_day, next_day, late_until, is_settled, lines)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// What [`series`] reads.
macro_rules! columns {
    () => {
        "SELECT currency, kind, payee, merchant, category, cadence, minor, is_fixed, last_day, next_day, late_until, is_settled, lines
         FROM recurring WHERE user_id = $1"
    };
}
const KNOWN: &str = columns!();
const LIST: &str = concat!(
    columns!(),
    " AND (next_day, currency, kind, payee) > ($2, $3, $4, $5) ORDER BY next_day, currency, kind, payee LIMIT $6"
);

// === impl Store ===

impl Store {
    /// Whose lines to look for series in.
    pub(crate) async fn to_scan(&self, now_us: i64, most: i64) -> Result<Vec<String>, AnalyticsError> {
        self.db.read(move |tx| to_scan(tx, now_us, most)).await
    }

    /// What to look for series in. None where there is no such user.
    pub(crate) async fn load_scan(
        &self,
        user_id: String,
        now_us: i64,
    ) -> Result<Option<Scan>, AnalyticsError> {
        self.db.read(move |tx| load(tx, &user_id, now_us)).await
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
        self.db.write_locking(move |tx| store(tx, &user_id, sequence, &scanned, now_us)).await
    }

    /// A user's series, by when the next line is expected.
    pub(crate) async fn recurring(
        &self,
        question: SeriesQuestion,
    ) -> Result<Vec<RecurringSeries>, AnalyticsError> {
        self.db.read(move |tx| list(tx, &question)).await
    }
}

/// Whose lines to scan: those with a line that may be late, then those with changes, whom nobody has looked at for longest first.
fn to_scan(tx: &mut Tx<'_>, now_us: i64, most: i64) -> Result<Vec<String>, AnalyticsError> {
    // Somewhere it is tomorrow already.
    let tomorrow = now_us.div_euclid(DAY_US) + 1;
    let mut users = Vec::new();
    for row in tx.query(LATE, &[tomorrow.into(), most.into()])? {
        users.push(row.text(0)?.to_owned());
    }
    for row in tx.query(UNSCANNED, &[most.into()])? {
        let user = row.text(0)?;
        if !users.iter().any(|known| known == user) {
            users.push(user.to_owned());
        }
    }
    Ok(users)
}

/// What a scan of a user looks at. None where there is no such user.
fn load(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<Option<Scan>, AnalyticsError> {
    let owner = tx.query(OWNER, &[user_id.into()])?;
    let Some(owner) = owner.first() else { return Ok(None) };
    let today = CivilDate::from_instant_us(now_us, &rows::zone(owner.text(1)?)?)?;
    let since = today.epoch_days() - DAYS;
    let (mut lines, mut currency) = (Vec::new(), String::new());
    while let Some(row) = tx.query(NEXT_CURRENCY, &[user_id.into(), (&currency).into()])?.first() {
        row.text(0)?.clone_into(&mut currency);
        lines.append(&mut latest(tx, user_id, &currency, since)?);
    }
    let known = tx.query(KNOWN, &[user_id.into()])?.iter().map(series).collect::<Result<Vec<_>, _>>()?;
    let known = known.into_iter().map(|series| (series.key.clone(), series)).collect();
    Ok(Some(Scan { sequence: owner.i64(0)?, today, lines, known }))
}

/// The owner's latest lines of a currency from a day on, oldest first.
fn latest(
    tx: &mut Tx<'_>,
    user_id: &str,
    currency: &str,
    since: i64,
) -> Result<Vec<SeriesLine>, AnalyticsError> {
    let mut lines: Vec<SeriesLine> = Vec::new();
    while lines.len() < LINES_LOOKED_AT {
        let (day, record) =
            lines.last().map_or((i64::MAX, Uuid::max()), |line| (line.day.epoch_days(), line.record_id));
        let page = tx.query(
            LINES,
            &[
                user_id.into(),
                currency.into(),
                since.into(),
                day.into(),
                record.into_bytes().into(),
                i64::try_from(PAGE).unwrap_or(i64::MAX).into(),
            ],
        )?;
        for row in &page {
            lines.push(line(row)?);
        }
        if page.len() < PAGE {
            break;
        }
    }
    lines.reverse();
    Ok(lines)
}

/// Stores what a scan came to, and answers how many notices there are to deliver. None where something of the user has changed meanwhile.
fn store(
    tx: &mut Tx<'_>,
    user_id: &str,
    sequence: i64,
    scanned: &Scanned,
    now_us: i64,
) -> Result<Option<usize>, AnalyticsError> {
    if tx.execute(CLAIM, &[user_id.into(), sequence.into(), now_us.into()])? == 0 {
        return Ok(None);
    }
    tx.execute(FORGET, &[user_id.into()])?;
    let rows = scanned.series.iter().map(|series| vals(user_id, series)).collect::<Result<Vec<_>, _>>()?;
    if !rows.is_empty() {
        tx.execute_many(PUT, &rows)?;
    }
    let insights: Vec<&Insight> = scanned.insights.iter().collect();
    Ok(Some(told::announce(tx, &insights, now_us)?))
}

/// A user's series, by when the next line is expected.
fn list(tx: &mut Tx<'_>, question: &SeriesQuestion) -> Result<Vec<RecurringSeries>, AnalyticsError> {
    let first = SeriesPlace {
        next_day: i64::MIN,
        key: SeriesKey { currency: String::new(), kind: 0, payee: String::new() },
    };
    let after = question.after.clone().unwrap_or(first);
    let key: [Val; 6] = [
        (&question.user_id).into(),
        after.next_day.into(),
        after.key.currency.into(),
        after.key.kind.into(),
        after.key.payee.into(),
        question.limit.into(),
    ];
    tx.query(LIST, &key)?.iter().map(series).collect()
}

fn line(row: &Row) -> Result<SeriesLine, AnalyticsError> {
    let line = rows::line(row, 2)?;
    Ok(SeriesLine {
        record_id: Uuid::from_bytes(row.id(0)?),
        kind: line.kind,
        amount: line.amount,
        day: line.day,
        merchant: line.merchant,
        category: line.category,
        is_live: row.bool(1)?,
    })
}

fn series(row: &Row) -> Result<RecurringSeries, AnalyticsError> {
    let key =
        SeriesKey { currency: row.text(0)?.to_owned(), kind: row.i64(1)?, payee: row.text(2)?.to_owned() };
    LineKind::from_code(key.kind).ok_or(AnalyticsError::Corrupt("kind of a line"))?;
    let corrupt = |_| AnalyticsError::Corrupt("lines of a series");
    Ok(RecurringSeries {
        merchant: row.text(3)?.to_owned(),
        category: row.text(4)?.to_owned(),
        cadence: Cadence::from_name(row.text(5)?).ok_or(AnalyticsError::Corrupt("cadence"))?,
        amount: Money::new(row.i64(6)?, rows::currency(&key.currency)?),
        is_fixed: row.bool(7)?,
        last: rows::day(row.i64(8)?)?,
        next: rows::day(row.i64(9)?)?,
        late_until: rows::day(row.i64(10)?)?,
        is_settled: row.bool(11)?,
        lines: serde_json::from_str(row.text(12)?).map_err(corrupt)?,
        key,
    })
}

fn vals(user_id: &str, series: &RecurringSeries) -> Result<Vec<Val>, AnalyticsError> {
    let lines =
        serde_json::to_string(&series.lines).map_err(|_| AnalyticsError::Corrupt("lines of a series"))?;
    Ok(vec![
        user_id.into(),
        (&series.key.currency).into(),
        series.key.kind.into(),
        (&series.key.payee).into(),
        (&series.merchant).into(),
        (&series.category).into(),
        series.cadence.name().into(),
        series.amount.minor().into(),
        series.is_fixed.into(),
        series.last.epoch_days().into(),
        series.next.epoch_days().into(),
        series.late_until.epoch_days().into(),
        series.is_settled.into(),
        lines.into(),
    ])
}
