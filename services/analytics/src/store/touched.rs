//! What each transaction of a user touched, for those who follow.
//!
//! The owner's row counts the user's transactions, so a mark is one number and a gap cannot be overlooked: between two marks there is either a row for
//! each transaction, or the follower must begin anew. Rows are written only while somebody follows, in the transaction itself, and only the
//! latest are kept.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{Currency, Period};
use pathway_store::{Tx, Val};

use super::spending::{Scope, Spending, choose_currency, spending};
use super::{Budget, Store, budgets};
use crate::error::AnalyticsError;
use crate::ledger::Cell;
use crate::watch::Look;

/// How many transactions of a user are kept.
const KEPT: i64 = 512;

const PUT: &str = "INSERT INTO touched (user_id, sequence, cells) VALUES ($1, $2, $3)";
const TRIM: &str = "DELETE FROM touched WHERE user_id = $1 AND sequence <= $2";
const ATTEND: &str = "INSERT INTO owners (user_id, time_zone, watched_until_us) VALUES ($1, 'UTC', $2)
     ON CONFLICT (user_id) DO UPDATE SET watched_until_us = excluded.watched_until_us
     WHERE owners.watched_until_us < excluded.watched_until_us";
const SEQUENCE: &str = "SELECT sequence FROM owners WHERE user_id = $1";
const SINCE: &str = "SELECT cells FROM touched WHERE user_id = $1 AND sequence > $2 AND sequence <= $3";

/// A cell as it is kept: currency, category, day.
type Touched = (String, String, i64);

// === impl Store ===

impl Store {
    /// What there is after a mark, from one snapshot, with the mark that it is as of; everything, without one.
    pub(crate) async fn look(
        &self,
        scope: Scope,
        after: Option<i64>,
        default: Currency,
        now_us: i64,
    ) -> Result<(i64, Look), AnalyticsError> {
        self.db.read(move |tx| look(tx, &scope, after, default, now_us)).await
    }

    /// Has what is touched of a user kept until an instant.
    pub(crate) async fn attend(&self, user_id: String, until_us: i64) -> Result<(), AnalyticsError> {
        self.db.write_locking(move |tx| attend(tx, &user_id, until_us)).await
    }
}

/// Notes what a transaction touched, for each user who is followed: users with their transaction's number.
pub(super) fn note(
    tx: &mut Tx<'_>,
    followed: &BTreeMap<String, i64>,
    cells: &[&Cell],
) -> Result<(), AnalyticsError> {
    let (mut rows, mut old) = (Vec::new(), Vec::new());
    for (user_id, sequence) in followed {
        let touched: Vec<Touched> = cells
            .iter()
            .filter(|cell| cell.series.user_id == *user_id)
            .map(|cell| {
                let code = cell.series.currency.code().to_owned();
                (code, cell.series.category.clone(), cell.day.epoch_days())
            })
            .collect();
        let touched =
            serde_json::to_string(&touched).map_err(|_| AnalyticsError::Corrupt("what was touched"))?;
        rows.push([Val::from(user_id), (*sequence).into(), touched.into()]);
        old.push([Val::from(user_id), (*sequence - KEPT).into()]);
    }
    if !rows.is_empty() {
        tx.execute_many(PUT, &rows)?;
        tx.execute_many(TRIM, &old)?;
    }
    Ok(())
}

/// Notes a transaction of a user that touched no figure, where the user is followed: its number is given then.
pub(super) fn note_nothing(
    tx: &mut Tx<'_>,
    user_id: &str,
    sequence: Option<i64>,
) -> Result<(), AnalyticsError> {
    let followed = sequence.map(|sequence| (user_id.to_owned(), sequence));
    note(tx, &followed.into_iter().collect(), &[])
}

/// Keeps what is touched of a user until an instant.
fn attend(tx: &mut Tx<'_>, user_id: &str, until_us: i64) -> Result<(), AnalyticsError> {
    tx.execute(ATTEND, &[user_id.into(), until_us.into()])?;
    Ok(())
}

/// What there is after a mark, from one snapshot; everything, without one.
fn look(
    tx: &mut Tx<'_>,
    scope: &Scope,
    after: Option<i64>,
    default: Currency,
    now_us: i64,
) -> Result<(i64, Look), AnalyticsError> {
    let rows = tx.query(SEQUENCE, &[(&scope.user_id).into()])?;
    let mark = rows.first().map_or(Ok(0), |row| row.i64(0))?;
    let Some(after) = after else {
        let (spending, budgets) = figures(tx, scope, default, now_us)?;
        return Ok((mark, Look::Everything { spending, budgets }));
    };
    if after == mark {
        return Ok((mark, Look::Nothing));
    }
    let key = [(&scope.user_id).into(), after.into(), mark.into()];
    let rows = tx.query(SINCE, &key)?;
    if i64::try_from(rows.len()).ok() != Some(mark - after) {
        return Ok((mark, Look::Gone));
    }
    let currency = choose_currency(tx, scope, default)?;
    let mut categories: BTreeSet<String> = BTreeSet::new();
    for row in &rows {
        let cells: Vec<Touched> =
            serde_json::from_str(row.text(0)?).map_err(|_| AnalyticsError::Corrupt("what was touched"))?;
        let is_in = |cell: &Touched| cell.0 == currency.code() && contains(scope.period, cell.2);
        categories.extend(cells.into_iter().filter(is_in).map(|(_, category, _)| category));
    }
    let (spending, budgets) = figures(tx, scope, default, now_us)?;
    Ok((mark, Look::Changes { categories, spending, budgets }))
}

fn figures(
    tx: &mut Tx<'_>,
    scope: &Scope,
    default: Currency,
    now_us: i64,
) -> Result<(Spending, Vec<Budget>), AnalyticsError> {
    Ok((spending(tx, scope, default)?, budgets::list(tx, &scope.user_id, now_us)?))
}

fn contains(period: Period, day: i64) -> bool {
    period.start().epoch_days() <= day && day < period.end().epoch_days()
}
