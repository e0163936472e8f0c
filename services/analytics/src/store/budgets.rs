//! Setting and showing budgets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pathway_finance::{
    BudgetTerms, CivilDate, Currency, Money, Period, PeriodKind, Revision, Rollover, Rules, TimeZone, Totals,
    in_force_at, outpaces, passed, revise,
};
use pathway_store::{Tx, Val};

use super::{Store, batch, closing, rows, touched};
use crate::error::AnalyticsError;
use crate::ledger::{BudgetPeriod, Budgets, PACE, Standing};

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

const PUT_REVISION: &str = "INSERT INTO budget_revisions
     (user_id, category, revision, effective_from, minor, currency, time_zone, period_kind, start_day, anchor, length_days,
     thresholds, rollover, pace, members, created_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
const SPENT_SINCE: &str = "SELECT day, gross, refunds, count FROM day_totals
     WHERE user_id = $1 AND currency = $2 AND category = $3 AND day >= $4";
const SET_OWNER: &str =
    "UPDATE owners SET time_zone = $2, currency = COALESCE($3, currency) WHERE user_id = $1";

// === impl Store ===

impl Store {
    /// Sets limits and answers the budgets as they were set.
    pub(crate) async fn set_budgets(
        &self,
        new: NewBudgets,
        now_us: i64,
    ) -> Result<Vec<Budget>, AnalyticsError> {
        self.db.write_locking(move |tx| set(tx, &new, now_us)).await
    }

    /// A user's budgets that are in force, by category.
    pub(crate) async fn budgets(&self, user_id: String, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
        self.db.read(move |tx| list(tx, &user_id, now_us)).await
    }
}

/// Sets limits and answers the budgets as they were set, in the order in which they were named.
fn set(tx: &mut Tx<'_>, new: &NewBudgets, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
    let (owner, sequence) = batch::lock_owner(tx, &new.user_id, now_us)?;
    touched::note_nothing(tx, &new.user_id, sequence)?;
    let (zone, mut budgets) = (new.zone.clone().unwrap_or(owner.zone), owner.budgets);
    let kind = if new.has_start { new.kind } else { as_others(new.kind, &budgets) };
    for limit in &new.limits {
        let rules = limit.rules.over(budgets.of(&limit.name).last().map(|last| &last.terms.rules));
        let terms = BudgetTerms { limit: limit.limit, kind, zone: zone.clone(), rules };
        change(tx, &new.user_id, &mut budgets, &limit.name, &terms, now_us)?;
    }
    // A day ends in the owner's zone, and a month or a week begins on the owner's day, for all of the owner's budgets (G4).
    let stale = budgets.iter().filter_map(|(category, revisions)| {
        let terms = &revisions.last()?.terms;
        let kind = if new.has_start && is_alike(terms.kind, kind) { kind } else { terms.kind };
        let wanted = BudgetTerms { kind, zone: zone.clone(), ..terms.clone() };
        (*terms != wanted).then(|| (category.clone(), wanted))
    });
    for (category, terms) in stale.collect::<Vec<_>>() {
        change(tx, &new.user_id, &mut budgets, &category, &terms, now_us)?;
    }
    // Also notes when the next period ends.
    closing::close(tx, &new.user_id, &mut budgets, now_us)?;
    let currency: Option<Currency> = new.limits.last().map(|limit| limit.limit.currency());
    let currency = currency.map(Currency::code);
    tx.execute(SET_OWNER, &[(&new.user_id).into(), zone.name().into(), currency.into()])?;

    let named: BTreeSet<&str> = new.limits.iter().map(|limit| limit.name.as_str()).collect();
    let known = budgets.iter().filter(|(category, _)| named.contains(category.as_str()));
    let mut shown = show(tx, &new.user_id, &budgets, known, now_us)?;
    let place = |category: &str| new.limits.iter().position(|limit| limit.name == category);
    shown.sort_by_key(|budget| place(&budget.category));
    Ok(shown)
}

/// A user's budgets that are in force, by category.
pub(super) fn list(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<Vec<Budget>, AnalyticsError> {
    let budgets = batch::load_budgets(tx, user_id, now_us)?;
    show(tx, user_id, &budgets, budgets.iter(), now_us)
}

/// Whether two kinds of period differ at most in the day on which one begins.
const fn is_alike(one: PeriodKind, other: PeriodKind) -> bool {
    matches!(
        (one, other),
        (PeriodKind::Month { .. }, PeriodKind::Month { .. })
            | (PeriodKind::Week { .. }, PeriodKind::Week { .. })
    )
}

/// A kind with the day on which the owner's other budgets of it begin.
fn as_others(kind: PeriodKind, budgets: &Budgets) -> PeriodKind {
    let mut kinds = budgets.iter().filter_map(|(_, revisions)| Some(revisions.last()?.terms.kind));
    kinds.find(|other| is_alike(*other, kind)).unwrap_or(kind)
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
        budgets.push(category, revision.clone());
        open(tx, user_id, budgets, category, &revision, now_us)?;
    }
    Ok(())
}

/// Opens a revision. Thresholds that are passed under it already count as fired (G23).
fn open(
    tx: &mut Tx<'_>,
    user_id: &str,
    budgets: &Budgets,
    category: &str,
    revision: &Revision,
    now_us: i64,
) -> Result<(), AnalyticsError> {
    tx.execute(PUT_REVISION, &rows::revision_vals(user_id, category, revision, now_us))?;
    let mut fired = Vec::new();
    for (period, spent) in spent_by_period(tx, user_id, category, revision)? {
        let standing = budgets.standing(category, revision, period.start())?;
        let budget = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: category.to_owned(),
            revision: revision.number,
            start: period.start(),
        };
        let (spent, limit) = (spent.net(), standing.limit.minor());
        let outpaced = outpaces(spent, limit, period, standing.today).filter(|_| standing.has_pace);
        let passed = standing.thresholds.iter().copied().filter(|threshold| passed(spent, limit, *threshold));
        let passed = passed.chain(outpaced.map(|_| PACE));
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
    let first: CivilDate = revision.period_of(revision.effective_from)?.start();
    let standing = Standing::of(category, revision, first, 0)?;
    let key = |category: &String| -> [Val; 4] {
        let code = revision.terms.limit.currency().code();
        [user_id.into(), code.into(), category.into(), first.epoch_days().into()]
    };
    let keys: Vec<[Val; 4]> = standing.members.iter().map(key).collect();
    let mut periods: BTreeMap<Period, Totals> = BTreeMap::new();
    for row in tx.query_many(SPENT_SINCE, &keys)?.into_iter().flatten() {
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
    budgets: &Budgets,
    shown: impl Iterator<Item = (&'a String, &'a Vec<Revision>)>,
    now_us: i64,
) -> Result<Vec<Budget>, AnalyticsError> {
    let (mut keys, mut standings) = (Vec::new(), HashMap::new());
    for (category, revisions) in shown {
        let Some((revision, today)) = in_force_at(revisions, now_us)? else { continue };
        let standing = budgets.standing(category, revision, today)?;
        let key = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: category.clone(),
            revision: revision.number,
            start: standing.period.start(),
        };
        let later = revisions.last().filter(|last| last.effective_from > today);
        standings.insert(key.clone(), standing);
        keys.push((key, revision.terms.clone(), later.map(|last| last.effective_from)));
    }
    let mut standings = batch::load_standings(tx, standings)?;
    let budget = |(key, terms, changes_on): (BudgetPeriod, BudgetTerms, Option<CivilDate>)| {
        let standing = standings.remove(&key).ok_or(AnalyticsError::Corrupt("sum of a budget"))?;
        Ok(Budget { category: key.category, revision: key.revision, standing, terms, changes_on })
    };
    keys.into_iter().map(budget).collect()
}

// === impl RulesPatch ===

impl RulesPatch {
    /// The rules that it makes of those in force.
    fn over(&self, known: Option<&Rules>) -> Rules {
        let mut rules = known.cloned().unwrap_or_default();
        if let Some(thresholds) = &self.thresholds {
            rules.thresholds.clone_from(thresholds);
        }
        if let Some(members) = &self.members {
            rules.members.clone_from(members);
        }
        rules.rollover = self.rollover.unwrap_or(rules.rollover);
        rules.pace = self.pace.unwrap_or(rules.pace);
        rules
    }
}
