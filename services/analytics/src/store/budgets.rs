//! Setting and showing budgets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pathway_finance::{
    BudgetTerms, Currency, DEFAULT_THRESHOLDS, Period, Revision, Totals, in_force_at, passed, revise,
};
use pathway_store::{Tx, Val};

use super::{Budget, NewBudgets, batch, rows, touched};
use crate::error::AnalyticsError;
use crate::ledger::{BudgetPeriod, Budgets, Standing};

const PUT_REVISION: &str = "INSERT INTO budget_revisions
     (user_id, category, revision, effective_from, minor, currency, period_kind, time_zone, created_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const SPENT_SINCE: &str = "SELECT day, gross, refunds, count FROM day_totals
     WHERE user_id = $1 AND currency = $2 AND category = $3 AND day >= $4";
const SET_OWNER: &str =
    "UPDATE owners SET time_zone = $2, currency = COALESCE($3, currency) WHERE user_id = $1";

/// Sets limits and answers the budgets as they were set, in the order in which they were named.
pub(super) fn set(tx: &mut Tx<'_>, new: &NewBudgets, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
    let (owner, sequence) = batch::lock_owner(tx, &new.user_id, now_us)?;
    let followed = sequence.map(|sequence| (new.user_id.clone(), sequence));
    touched::note(tx, &followed.into_iter().collect(), &[])?;
    let (zone, mut budgets) = (new.zone.clone().unwrap_or(owner.zone), owner.budgets);
    for (category, limit) in &new.limits {
        let terms = BudgetTerms { limit: *limit, kind: new.kind, zone: zone.clone() };
        change(tx, &new.user_id, &mut budgets, category, &terms, now_us)?;
    }
    // A day ends in the owner's zone, for all of the owner's budgets (G4).
    let stale = budgets.iter().filter_map(|(category, revisions)| {
        let terms = &revisions.last()?.terms;
        (terms.zone != zone).then(|| (category.clone(), BudgetTerms { zone: zone.clone(), ..terms.clone() }))
    });
    for (category, terms) in stale.collect::<Vec<_>>() {
        change(tx, &new.user_id, &mut budgets, &category, &terms, now_us)?;
    }
    let currency: Option<Currency> = new.limits.last().map(|(_, limit)| limit.currency());
    let currency = currency.map(Currency::code);
    tx.execute(SET_OWNER, &[(&new.user_id).into(), zone.name().into(), currency.into()])?;

    let named: BTreeSet<&str> = new.limits.iter().map(|(category, _)| category.as_str()).collect();
    let known = budgets.iter().filter(|(category, _)| named.contains(category.as_str()));
    let mut shown = show(tx, &new.user_id, known, now_us)?;
    let place = |category: &str| new.limits.iter().position(|(named, _)| named == category);
    shown.sort_by_key(|budget| place(&budget.category));
    Ok(shown)
}

/// A user's budgets that are in force, by category.
pub(super) fn list(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
    let budgets = batch::load_budgets(tx, user_id, now_us)?;
    show(tx, user_id, budgets.iter(), now_us)
}

/// Opens the revisions that terms make.
fn change(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: &mut Budgets,
    category: &str,
    terms: &BudgetTerms,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    for revision in revise(budgets.of(category), terms, now_us)? {
        open(tx, user_id, category, &revision, now_us)?;
        budgets.push(category, revision);
    }
    Ok(())
}

/// Opens a revision. Thresholds that are passed under it already count as fired (G23).
fn open(
    tx: &mut Tx<'_>,
    user_id: &str,
    category: &str,
    revision: &Revision,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    tx.execute(PUT_REVISION, &rows::revision_vals(user_id, category, revision, now_us)?)?;
    let mut fired = Vec::new();
    for (period, spent) in spent_by_period(tx, user_id, category, revision)? {
        let budget = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: category.to_owned(),
            revision: revision.number,
            start: period.start(),
        };
        let limit = revision.terms.limit.minor();
        let passed =
            DEFAULT_THRESHOLDS.into_iter().filter(|threshold| passed(spent.net(), limit, *threshold));
        fired.extend(passed.map(|threshold| batch::fired_vals(&budget, threshold, false, now_us)));
    }
    batch::put_fired(tx, &fired)
}

/// What is spent in each period that a revision may hold for: that under way, and later ones where lines are dated ahead.
fn spent_by_period(
    tx: &mut Tx<'_>,
    user_id: &str,
    category: &str,
    revision: &Revision,
) -> Result<BTreeMap<Period, Totals>, AnalyticsError> {
    let first = revision.period_of(revision.effective_from)?;
    let key: [Val; 4] = [
        user_id.into(),
        revision.terms.limit.currency().code().into(),
        category.into(),
        first.start().epoch_days().into(),
    ];
    let mut periods: BTreeMap<Period, Totals> = BTreeMap::new();
    for row in tx.query(SPENT_SINCE, &key)? {
        // A line where the calendar ends lies in no period.
        let Ok(period) = revision.period_of(rows::day(row.i64(0)?)?) else { continue };
        let spent = periods.entry(period).or_default();
        *spent = spent.checked_add(rows::totals(&row, 1)?)?;
    }
    Ok(periods)
}

/// Budgets in force, with what is spent of them.
fn show<'a>(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: impl Iterator<Item = (&'a String, &'a Vec<Revision>)>,
    now_us: i64,
) -> Result<Vec<Budget>, AnalyticsError> {
    let (mut shown, mut standings) = (Vec::new(), HashMap::new());
    for (category, revisions) in budgets {
        let Some((revision, today)) = in_force_at(revisions, now_us)? else { continue };
        let standing = Standing::of(revision, today, now_us)?;
        let key = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: category.clone(),
            revision: revision.number,
            start: standing.period.start(),
        };
        let later = revisions.last().filter(|last| last.effective_from > today);
        standings.insert(key.clone(), standing);
        shown.push((key, later.map(|last| last.effective_from)));
    }
    let mut standings = batch::load_standings(tx, standings)?;
    let budget = |(key, changes_on)| {
        let standing = standings.remove(&key).ok_or(AnalyticsError::Corrupt("sum of a budget"))?;
        Ok(Budget { category: key.category, revision: key.revision, standing, changes_on })
    };
    shown.into_iter().map(budget).collect()
}
