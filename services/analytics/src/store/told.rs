//! What users were told, and what they made of it.
//!
//! An insight is kept in the transaction that gave rise to it, once: what was told before stays as it is, with what the user said about it, however
//! often its change is delivered, replayed or rebuilt.

use std::collections::{BTreeSet, HashSet};

use pathway_finance::Period;
use pathway_store::{Row, Tx, Val};
use uuid::Uuid;

use super::Store;
use crate::error::AnalyticsError;
use crate::insight::Insight;
use crate::ledger::Applied;
use crate::subject::State;

/// Something that a user was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) insight: Insight,
    /// The day that it is about, in days since the epoch.
    pub(crate) day: i64,
    pub(crate) created_at_us: i64,
    pub(crate) state: State,
    pub(crate) trace_id: String,
}

/// Which insights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InsightFilter {
    pub(crate) user_id: String,
    pub(crate) kind: Option<String>,
    pub(crate) days: Option<Period>,
    pub(crate) state: Option<State>,
    /// Where the page before ended.
    pub(crate) after: Option<Seen>,
    pub(crate) limit: i64,
}

/// A place among insights, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) created_at_us: i64,
    pub(crate) key: String,
}

const KEEP: &str = "INSERT INTO told
     (user_id, insight_key, kind, day, created_at_us, state, likeness, minor, trace_id, content)
     VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9) ON CONFLICT (user_id, insight_key) DO NOTHING";
const EXPECTED: &str = "SELECT minor FROM told WHERE user_id = $1 AND likeness = $2 AND state = 2";
const SET_STATE: &str = "UPDATE told SET state = $3 WHERE user_id = $1 AND insight_key = $2";

const POST: &str = "INSERT INTO outbox (user_id, insight_key, created_at_us, content)
     VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, insight_key) DO NOTHING";
const OUTGOING: &str = "SELECT content FROM outbox ORDER BY created_at_us, user_id, insight_key LIMIT $1";
const DELIVERED: &str = "DELETE FROM outbox WHERE user_id = $1 AND insight_key = $2";

/// What [`told`] reads.
macro_rules! columns {
    () => {
        "SELECT content, day, created_at_us, state, trace_id FROM told WHERE user_id = $1"
    };
}
const FIND: &str = concat!(columns!(), " AND insight_key = $2");
const LIST: &str = concat!(
    columns!(),
    " AND (created_at_us, insight_key) < ($2, $3) AND day >= $4 AND day < $5 AND (kind = $6 OR $7 = 1)",
    " AND (state = $8 OR $9 = 1) ORDER BY created_at_us DESC, insight_key DESC LIMIT $10"
);

// === impl Store ===

impl Store {
    /// What waits in the outbox, the longest first.
    pub(crate) async fn outgoing(&self, most: i64) -> Result<Vec<Insight>, AnalyticsError> {
        self.db.read(move |tx| outgoing(tx, most)).await
    }

    /// Takes out of the outbox what notifications has: users and keys.
    pub(crate) async fn delivered(&self, done: Vec<(String, String)>) -> Result<(), AnalyticsError> {
        self.db.write_locking(move |tx| delivered(tx, &done)).await
    }

    /// What a user was told, newest first.
    pub(crate) async fn insights(&self, filter: InsightFilter) -> Result<Vec<Told>, AnalyticsError> {
        self.db.read(move |tx| list(tx, &filter)).await
    }

    /// One thing that a user was told.
    pub(crate) async fn insight(&self, user_id: String, key: String) -> Result<Option<Told>, AnalyticsError> {
        self.db.read(move |tx| find(tx, &user_id, &key)).await
    }

    /// Sets what has become of an insight, and answers it. None where the user has no such.
    pub(crate) async fn set_state(
        &self,
        user_id: String,
        key: String,
        state: State,
    ) -> Result<Option<Told>, AnalyticsError> {
        self.db.write_locking(move |tx| set_state(tx, &user_id, &key, state)).await
    }
}

/// Keeps what users are told. What they were told before stays as it is.
pub(super) fn keep(
    tx: &mut Tx<'_>,
    insights: &[&Insight],
    trace_id: &str,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    let mut rows: Vec<Vec<Val>> = Vec::new();
    for insight in insights.iter().filter(|insight| !insight.resolves) {
        let (likeness, minor) = insight.subject.likeness().unwrap_or_default();
        let content = serde_json::to_string(insight).map_err(|_| AnalyticsError::Corrupt("insight"))?;
        // What is about no day is about the one on which it was found.
        let day = insight.subject.day().unwrap_or_else(|| now_us.div_euclid(86_400_000_000));
        rows.push(vec![
            (&insight.user_id).into(),
            (&insight.dedup_key).into(),
            (&insight.kind).into(),
            day.into(),
            now_us.into(),
            likeness.into(),
            minor.into(),
            trace_id.into(),
            content.into(),
        ]);
    }
    if !rows.is_empty() {
        tx.execute_many(KEEP, &rows)?;
    }
    Ok(())
}

/// Keeps what users are told and puts it into the outbox, but for what they expect and what they were told before. Answers how much there is to deliver.
pub(super) fn announce(tx: &mut Tx<'_>, insights: &[&Insight], now_us: i64) -> Result<usize, AnalyticsError> {
    if insights.is_empty() {
        return Ok(0);
    }
    let expected = expected(tx, insights)?;
    let mut new: Vec<&Insight> = Vec::new();
    for insight in insights {
        let is_expected = expected.contains(&(insight.user_id.clone(), insight.dedup_key.clone()));
        if !is_expected && find(tx, &insight.user_id, &insight.dedup_key)?.is_none() {
            new.push(insight);
        }
    }
    keep(tx, &new, "", now_us)?;
    let mut rows: Vec<[Val; 4]> = Vec::with_capacity(new.len());
    for insight in &new {
        let content = serde_json::to_string(insight).map_err(|_| AnalyticsError::Corrupt("insight"))?;
        rows.push([(&insight.user_id).into(), (&insight.dedup_key).into(), now_us.into(), content.into()]);
    }
    if !rows.is_empty() {
        tx.execute_many(POST, &rows)?;
    }
    Ok(new.len())
}

/// What waits in the outbox, the longest first.
fn outgoing(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Insight>, AnalyticsError> {
    let insight =
        |row: &Row| serde_json::from_str(row.text(0)?).map_err(|_| AnalyticsError::Corrupt("insight"));
    tx.query(OUTGOING, &[most.into()])?.iter().map(insight).collect()
}

/// Takes what is delivered out of the outbox.
fn delivered(tx: &mut Tx<'_>, done: &[(String, String)]) -> Result<(), AnalyticsError> {
    let keys: Vec<[Val; 2]> = done.iter().map(|(user_id, key)| [user_id.into(), key.into()]).collect();
    if !keys.is_empty() {
        tx.execute_many(DELIVERED, &keys)?;
    }
    Ok(())
}

/// Drops from what a batch found what its users expect. Looks only where something was found that can be expected.
pub(super) fn drop_expected(
    tx: &mut Tx<'_>,
    found: &mut Vec<(Uuid, i64, Vec<Insight>)>,
    applied: &mut [Applied],
) -> Result<(), AnalyticsError> {
    let insights: Vec<&Insight> = found.iter().flat_map(|(_, _, insights)| insights).collect();
    let dropped = expected(tx, &insights)?;
    if dropped.is_empty() {
        return Ok(());
    }
    let is_told =
        |insight: &Insight| !dropped.contains(&(insight.user_id.clone(), insight.dedup_key.clone()));
    found.iter_mut().for_each(|(_, _, insights)| insights.retain(is_told));
    found.retain(|(_, _, insights)| !insights.is_empty());
    applied.iter_mut().flatten().for_each(|insights| insights.retain(is_told));
    Ok(())
}

/// Which insights their users expect: users and keys.
pub(super) fn expected(
    tx: &mut Tx<'_>,
    insights: &[&Insight],
) -> Result<HashSet<(String, String)>, AnalyticsError> {
    let alike: Vec<(&Insight, String)> =
        insights.iter().filter_map(|insight| Some((*insight, insight.subject.likeness()?.0))).collect();
    let likenesses: BTreeSet<(&str, &str)> =
        alike.iter().map(|(insight, likeness)| (insight.user_id.as_str(), likeness.as_str())).collect();
    let keys: Vec<[Val; 2]> =
        likenesses.iter().map(|(user_id, likeness)| [(*user_id).into(), (*likeness).into()]).collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = tx.query_many(EXPECTED, &keys)?;
    let mut expected = HashSet::new();
    for ((user_id, likeness), rows) in likenesses.into_iter().zip(&rows) {
        for row in rows {
            let minor = row.i64(0)?;
            let fits = |(insight, like): &&(&Insight, String)| {
                (insight.user_id.as_str(), like.as_str()) == (user_id, likeness)
                    && insight.subject.is_expected_at(minor)
            };
            expected.extend(
                alike
                    .iter()
                    .filter(fits)
                    .map(|(insight, _)| (insight.user_id.clone(), insight.dedup_key.clone())),
            );
        }
    }
    Ok(expected)
}

/// What a user was told, newest first.
fn list(tx: &mut Tx<'_>, filter: &InsightFilter) -> Result<Vec<Told>, AnalyticsError> {
    let after = filter.after.clone().unwrap_or(Seen { created_at_us: i64::MAX, key: String::new() });
    let (first, end) =
        filter.days.map_or((i64::MIN, i64::MAX), |days| (days.start().epoch_days(), days.end().epoch_days()));
    let key: [Val; 10] = [
        (&filter.user_id).into(),
        after.created_at_us.into(),
        after.key.into(),
        first.into(),
        end.into(),
        filter.kind.as_deref().unwrap_or_default().into(),
        filter.kind.is_none().into(),
        filter.state.map_or(0, State::code).into(),
        filter.state.is_none().into(),
        filter.limit.into(),
    ];
    tx.query(LIST, &key)?.iter().map(told).collect()
}

/// One thing that a user was told.
fn find(tx: &mut Tx<'_>, user_id: &str, key: &str) -> Result<Option<Told>, AnalyticsError> {
    tx.query(FIND, &[user_id.into(), key.into()])?.first().map(told).transpose()
}

/// Sets what has become of an insight.
fn set_state(
    tx: &mut Tx<'_>,
    user_id: &str,
    key: &str,
    state: State,
) -> Result<Option<Told>, AnalyticsError> {
    tx.execute(SET_STATE, &[user_id.into(), key.into(), state.code().into()])?;
    find(tx, user_id, key)
}

fn told(row: &Row) -> Result<Told, AnalyticsError> {
    Ok(Told {
        insight: serde_json::from_str(row.text(0)?).map_err(|_| AnalyticsError::Corrupt("insight"))?,
        day: row.i64(1)?,
        created_at_us: row.i64(2)?,
        state: State::from_code(row.i64(3)?).ok_or(AnalyticsError::Corrupt("state of an insight"))?,
        trace_id: row.text(4)?.to_owned(),
    })
}
