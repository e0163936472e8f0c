//! Closing periods, and correcting those that are closed.
//!
//! A period is over when its owner's day says so, whether or not anything happens then. What it came to is written down once, by whoever comes first:
//! the task that looks for owners whose time has come, or the next batch of one of them, before it counts anything. Both hold the owner's row, and
//! a period is written only if it is the one after the last, so closing twice writes nothing and a crash leaves either all of it or none.
//!
//! A line that comes late changes what is written (G20): the summary's revision is raised, what it carries on is reckoned anew, and so on
//! to the last that is written. Nobody is alerted. That costs as many rows as there are periods since, not as many as there ever were.

use std::collections::HashMap;

use pathway_finance::{CivilDate, Currency, Money, Period, Rollover, Totals, in_force};
use pathway_store::{Row, Tx, Val};

use super::{Store, batch, rows, touched};
use crate::error::AnalyticsError;
use crate::ledger::{BudgetPeriod, Budgets};

/// What a budget's period came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosedPeriod {
    pub(crate) name: String,
    pub(crate) period: Period,
    pub(crate) budget_revision: i64,
    pub(crate) limit: Money,
    pub(crate) rollover: Rollover,
    /// What the period before carried on to it, and it to the next, in minor units.
    pub(crate) carried_in: i64,
    pub(crate) carried_out: i64,
    pub(crate) spent: Totals,
    /// Counts from 1, one higher with each correction.
    pub(crate) revision: i64,
    pub(crate) corrected_at_us: Option<i64>,
}

/// Which summaries to list: those of periods that begin in a span, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosedQuestion {
    pub(crate) user_id: String,
    /// A budget's name; none for all.
    pub(crate) name: Option<String>,
    pub(crate) span: Period,
    pub(crate) limit: i64,
}

/// The most periods of a budget that are closed in one transaction: the rest is due at once.
const MOST_AT_ONCE: usize = 400;

macro_rules! summaries {
    ($rest:literal) => {
        concat!(
            "SELECT category, period_start, period_end, budget_revision, currency, minor, rollover, carried_in, carried_out,",
            " gross, refunds, count, revision, corrected_at_us FROM period_summaries ",
            $rest
        )
    };
}
const LAST: &str = summaries!("WHERE user_id = $1 AND category = $2 ORDER BY period_start DESC LIMIT 1");
const SINCE: &str =
    summaries!("WHERE user_id = $1 AND category = $2 AND period_start >= $3 ORDER BY period_start");
const IN_SPAN: &str = summaries!(
    "WHERE user_id = $1 AND period_start >= $2 AND period_start < $3 AND (category = $4 OR $5 = 1)
     ORDER BY period_start DESC, category LIMIT $6"
);
const PUT: &str = "INSERT INTO period_summaries (user_id, category, period_start, period_end, budget_revision, currency, minor,
     rollover, carried_in, carried_out, gross, refunds, count, revision, closed_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING";
const CORRECT: &str = "UPDATE period_summaries SET carried_in = $4, carried_out = $5, gross = $6, refunds = $7, count = $8,
     revision = revision + 1, corrected_at_us = $9 WHERE user_id = $1 AND category = $2 AND period_start = $3";
const SET_DUE: &str = "UPDATE owners SET due_at_us = $2 WHERE user_id = $1";
const DUE: &str = "SELECT user_id FROM owners WHERE due_at_us <= $1 ORDER BY due_at_us LIMIT $2";

// === impl Store ===

impl Store {
    /// Closes what has ended of some users' budgets, those longest due first; answers whose.
    pub(crate) async fn close_due(&self, most: i64, now_us: i64) -> Result<Vec<String>, AnalyticsError> {
        let due = self.db.read(move |tx| due(tx, now_us, most)).await?;
        for user_id in &due {
            let user_id = user_id.clone();
            self.db
                .write_locking(move |tx| {
                    let (_, sequence) = batch::lock_owner(tx, &user_id, now_us)?;
                    touched::note_nothing(tx, &user_id, sequence)
                })
                .await?;
        }
        Ok(due)
    }

    /// What periods of a user's budgets came to, newest first.
    pub(crate) async fn closed(&self, question: ClosedQuestion) -> Result<Vec<ClosedPeriod>, AnalyticsError> {
        self.db.read(move |tx| list(tx, &question)).await
    }
}

/// Users with a period that has ended, longest ago first.
fn due(tx: &mut Tx<'_>, now_us: i64, limit: i64) -> Result<Vec<String>, AnalyticsError> {
    let found = tx.query(DUE, &[now_us.into(), limit.into()])?;
    found.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
}

/// Closes what has ended of a user's budgets, whose row is locked, and notes when the next period ends.
pub(super) fn close(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: &mut Budgets,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    let names: Vec<String> = budgets.iter().map(|(name, _)| name.clone()).collect();
    let mut due_at_us: Option<i64> = None;
    for name in names {
        let next = close_budget(tx, user_id, budgets, &name, now_us)?;
        due_at_us = match (due_at_us, next) {
            (Some(due), Some(next)) => Some(due.min(next)),
            (due, next) => due.or(next),
        };
    }
    tx.execute(SET_DUE, &[user_id.into(), due_at_us.into()])?;
    Ok(())
}

/// Closes what has ended of one budget; answers when its next period ends.
fn close_budget(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: &mut Budgets,
    name: &str,
    now_us: i64,
) -> Result<Option<i64>, AnalyticsError> {
    let last = tx.query(LAST, &[user_id.into(), name.into()])?;
    let last = last.first().map(summary).transpose()?;
    let (mut day, mut carried) = match &last {
        Some(last) => (last.period.end(), last.carried_out),
        None => match budgets.of(name).first() {
            Some(first) => (first.effective_from, 0),
            None => return Ok(None),
        },
    };
    let mut closed = Vec::new();
    let next = loop {
        let Some(revision) = in_force(budgets.of(name), day) else { break None };
        let revision = revision.clone();
        // What lies where the calendar ends never does.
        let Ok(standing) = budgets.standing(name, &revision, day) else { break None };
        budgets.carry(name, standing.period.start(), carried);
        if !standing.has_ended() {
            break standing.period.end().begins_at_us(&revision.terms.zone).ok();
        }
        if closed.len() == MOST_AT_ONCE {
            break Some(now_us);
        }
        let key = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: name.to_owned(),
            revision: revision.number,
            start: standing.period.start(),
        };
        let spent = batch::load_spent(tx, &[(&key, &standing)])?.pop().unwrap_or_default();
        let rollover = revision.terms.rules.rollover;
        let carried_in = if rollover == Rollover::Off { 0 } else { carried };
        let carried_out = rollover.carry(standing.base.minor(), carried_in, spent.net())?;
        closed.push(put_vals(
            user_id,
            &ClosedPeriod {
                name: name.to_owned(),
                period: standing.period,
                budget_revision: revision.number,
                limit: standing.base,
                rollover,
                carried_in,
                carried_out,
                spent,
                revision: 1,
                corrected_at_us: None,
            },
            now_us,
        ));
        (day, carried) = (standing.period.end(), carried_out);
    };
    tx.execute_many(PUT, &closed)?;
    Ok(next)
}

/// Corrects what is closed by what lines that came late made of it (G20).
pub(super) fn correct(
    tx: &mut Tx<'_>,
    late: &HashMap<BudgetPeriod, Totals>,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    let mut first: HashMap<(&str, &str), CivilDate> = HashMap::new();
    for key in late.keys() {
        let start = first.entry((&key.user_id, &key.category)).or_insert(key.start);
        *start = (*start).min(key.start);
    }
    let mut corrected = Vec::new();
    for ((user_id, name), start) in first {
        let key: [Val; 3] = [user_id.into(), name.into(), start.epoch_days().into()];
        let mut carried: Option<i64> = None;
        for row in tx.query(SINCE, &key)? {
            let before = summary(&row)?;
            let place = BudgetPeriod {
                user_id: user_id.to_owned(),
                category: name.to_owned(),
                revision: before.budget_revision,
                start: before.period.start(),
            };
            let spent = late.get(&place).copied().unwrap_or(before.spent);
            let carries = before.rollover != Rollover::Off;
            let carried_in = carried.filter(|_| carries).unwrap_or(before.carried_in);
            let carried_out = before.rollover.carry(before.limit.minor(), carried_in, spent.net())?;
            carried = Some(carried_out);
            if (spent, carried_in, carried_out) != (before.spent, before.carried_in, before.carried_out) {
                let mut vals: Vec<Val> = vec![
                    user_id.into(),
                    name.into(),
                    place.start.epoch_days().into(),
                    carried_in.into(),
                    carried_out.into(),
                ];
                vals.extend(rows::totals_vals(spent));
                vals.push(now_us.into());
                corrected.push(vals);
            }
        }
    }
    tx.execute_many(CORRECT, &corrected)?;
    Ok(())
}

/// Corrects all that is closed of a user, whose row is locked, by the sums that there are.
pub(super) fn recheck(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<(), AnalyticsError> {
    let budgets = batch::load_budgets(tx, user_id, now_us)?;
    let mut all: HashMap<BudgetPeriod, Totals> = HashMap::new();
    for (name, revisions) in budgets.iter() {
        for row in tx.query(SINCE, &[user_id.into(), name.into(), i64::MIN.into()])? {
            let closed = summary(&row)?;
            let found = revisions.iter().find(|revision| revision.number == closed.budget_revision);
            let Some(Ok(standing)) =
                found.map(|revision| budgets.standing(name, revision, closed.period.start()))
            else {
                continue;
            };
            let key = BudgetPeriod {
                user_id: user_id.to_owned(),
                category: name.clone(),
                revision: closed.budget_revision,
                start: closed.period.start(),
            };
            let spent = batch::load_spent(tx, &[(&key, &standing)])?.pop().unwrap_or_default();
            all.insert(key, spent);
        }
    }
    correct(tx, &all, now_us)
}

/// What a user's periods came to.
fn list(tx: &mut Tx<'_>, question: &ClosedQuestion) -> Result<Vec<ClosedPeriod>, AnalyticsError> {
    let name = question.name.as_deref();
    let key: [Val; 6] = [
        (&question.user_id).into(),
        question.span.start().epoch_days().into(),
        question.span.end().epoch_days().into(),
        name.unwrap_or_default().into(),
        name.is_none().into(),
        question.limit.into(),
    ];
    tx.query(IN_SPAN, &key)?.iter().map(summary).collect()
}

/// What was carried on to the period under way: what the last closed one of each budget carried on.
pub(super) fn load_carried(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: &mut Budgets,
) -> Result<(), AnalyticsError> {
    let names: Vec<String> = budgets.iter().map(|(name, _)| name.clone()).collect();
    let carrying: Vec<String> = names.into_iter().filter(|name| budgets.carries(name)).collect();
    let keys: Vec<[Val; 2]> = carrying.iter().map(|name| [user_id.into(), name.into()]).collect();
    for (name, found) in carrying.iter().zip(tx.query_many(LAST, &keys)?) {
        if let Some(row) = found.first() {
            let last = summary(row)?;
            let next = in_force(budgets.of(name), last.period.end()).cloned();
            let next = next.and_then(|next| next.period_of(last.period.end()).ok());
            if let Some(next) = next {
                budgets.carry(name, next.start(), last.carried_out);
            }
        }
    }
    Ok(())
}

fn summary(row: &Row) -> Result<ClosedPeriod, AnalyticsError> {
    let period = Period::new(rows::day(row.i64(1)?)?, rows::day(row.i64(2)?)?);
    let currency: Currency = rows::currency(row.text(4)?)?;
    Ok(ClosedPeriod {
        name: row.text(0)?.to_owned(),
        period: period.map_err(|_| AnalyticsError::Corrupt("period"))?,
        budget_revision: row.i64(3)?,
        limit: Money::new(row.i64(5)?, currency),
        rollover: rows::rollover(row.i64(6)?)?,
        carried_in: row.i64(7)?,
        carried_out: row.i64(8)?,
        spent: rows::totals(row, 9)?,
        revision: row.i64(12)?,
        corrected_at_us: row.opt_i64(13)?,
    })
}

fn put_vals(user_id: &str, summary: &ClosedPeriod, now_us: i64) -> Vec<Val> {
    let mut vals: Vec<Val> = vec![
        user_id.into(),
        (&summary.name).into(),
        summary.period.start().epoch_days().into(),
        summary.period.end().epoch_days().into(),
        summary.budget_revision.into(),
        summary.limit.currency().code().into(),
        summary.limit.minor().into(),
        summary.rollover.code().into(),
        summary.carried_in.into(),
        summary.carried_out.into(),
    ];
    vals.extend(rows::totals_vals(summary.spent));
    vals.extend([summary.revision.into(), now_us.into()]);
    vals
}
