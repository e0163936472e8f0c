//! Applying a batch of changes.
//!
//! A ledger holds what the store knows of everything that a batch touches, takes the changes in their order, and answers what there is to
//! store. So a batch costs a handful of statements, whatever its size, and the rules can be tested without a database.
//!
//! A change is applied against the fact that is known for its record: what the fact had added is taken back, what the record is now is added
//! (G19). The sums over all of a user's lines are moved first, because they bound every other sum: where they fit, nothing after them can
//! overflow, and where they do not, nothing has moved.

mod goals;
mod purchases;
mod standing;

use std::collections::{HashMap, HashSet};

use pathway_finance::{
    Anomaly, CivilDate, Currency, LineKind, Overflow, PeriodKind, TimeZone, Totals, crossing, may_alert,
    outpaces, passed, robust, z_score,
};
use uuid::Uuid;

use crate::error::AnalyticsError;
use crate::fact::{Change, Fact, Line};
use crate::goal::{Goal, Reached};
use crate::insight::{Crossed, Insight};

pub(crate) use purchases::{COMPARED, Moves, PurchasePlace, Purchases, Recent};
pub(crate) use standing::{BudgetPeriod, Budgets, PACE, Standing};

/// What a user's lines of one category and currency are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Series {
    pub(crate) user_id: String,
    pub(crate) currency: Currency,
    pub(crate) category: String,
}

/// A day of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Cell {
    pub(crate) series: Series,
    pub(crate) day: CivilDate,
}

/// What all of a user's lines of one currency are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Purse {
    pub(crate) user_id: String,
    pub(crate) currency: Currency,
}

/// A user, as far as figures go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owner {
    pub(crate) zone: TimeZone,
    /// The day that it is for the user.
    pub(crate) today: CivilDate,
    pub(crate) budgets: Budgets,
    pub(crate) goals: Vec<Goal>,
}

/// What is known of everything that a batch touches.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) owners: HashMap<String, Owner>,
    pub(crate) facts: HashMap<Uuid, Fact>,
    /// What versions gave rise to when they were applied first.
    pub(crate) answered: HashMap<(Uuid, i64), Vec<Insight>>,
    pub(crate) purses: HashMap<Purse, Totals>,
    pub(crate) cells: HashMap<Cell, Totals>,
    pub(crate) standings: HashMap<BudgetPeriod, Standing>,
    /// The latest purchases of each series that may have to be compared with.
    pub(crate) purchases: HashMap<Series, Purchases>,
}

/// What has to be known beyond owners and facts.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) purses: HashSet<Purse>,
    pub(crate) cells: HashSet<Cell>,
    pub(crate) standings: HashMap<BudgetPeriod, Standing>,
    /// What happens to the purchases that something is compared with.
    pub(crate) purchases: HashMap<Series, Moves>,
    /// Of which what is kept no longer holds, because nothing is compared.
    pub(crate) outdated: HashSet<Series>,
}

/// A batch being applied.
#[derive(Debug)]
pub(crate) struct Ledger {
    known: Known,
    settled: Settled,
}

/// What there is to store.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) facts: HashMap<Uuid, Fact>,
    /// Those of the facts that have just happened.
    pub(crate) live: HashSet<Uuid>,
    pub(crate) purses: HashMap<Purse, Totals>,
    pub(crate) cells: HashMap<Cell, Totals>,
    pub(crate) fired: Vec<Fired>,
    /// What is spent in periods that had ended (G20).
    pub(crate) late: HashMap<BudgetPeriod, Totals>,
    pub(crate) insights: Vec<(Uuid, i64, Vec<Insight>)>,
    pub(crate) recent: Vec<(Series, Recent)>,
    /// What lines come to, of goals that they count towards: users and goals.
    pub(crate) goals: HashMap<(String, String), i64>,
    /// The milestones that users' goals have reached.
    pub(crate) reached: Vec<(String, Goal, Reached)>,
    /// What users are told of them.
    pub(crate) milestones: Vec<Insight>,
}

/// A threshold that has fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) budget: BudgetPeriod,
    pub(crate) threshold: i64,
    /// False where the user is not told: history, a closed period, a lower one than another that fires with it.
    pub(crate) notified: bool,
}

/// What became of one change: what the user should be told because of it, or why it was refused.
pub(crate) type Applied = Result<Vec<Insight>, AnalyticsError>;

// === impl Known ===

impl Known {
    /// What else a batch will look at. Answers more than enough: what its changes take back and what they add.
    pub(crate) fn needs(&self, changes: &[Change]) -> Needs {
        let mut needs = Needs::default();
        if changes.iter().any(|change| change.is_live) {
            needs.purchases = purchases::moves(changes, &self.facts);
        } else {
            needs.outdated = purchases::outdated(changes, &self.facts);
        }
        for change in changes {
            let known = self.facts.get(&change.record_id).and_then(Fact::spending);
            for line in known.into_iter().chain(change.fact.spending()) {
                needs.purses.insert(purse(&change.fact.user_id, line));
                needs.cells.insert(Cell { series: series(&change.fact.user_id, line), day: line.day });
                needs.standings.extend(self.standings_of(&change.fact.user_id, line));
            }
        }
        needs
    }

    /// The budgets' periods that a line counts in, with nothing spent yet.
    fn standings_of(&self, user_id: &str, line: &Line) -> Vec<(BudgetPeriod, Standing)> {
        let owner = self.owners.get(user_id);
        owner.map(|owner| owner.budgets.standings_of(user_id, line)).unwrap_or_default()
    }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger over what is known of everything that its changes will touch.
    pub(crate) fn new(known: Known) -> Self {
        Self { known, settled: Settled::default() }
    }

    /// Takes the next change. The outer error is a defect and ends the batch; the inner one refuses this change alone.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<Applied, AnalyticsError> {
        let fact = &change.fact;
        let known = self.known.facts.get(&change.record_id);
        if known.is_some_and(|known| known.user_id != fact.user_id) {
            return Ok(Err(AnalyticsError::invalid("user_id", "is not the owner of this record")));
        }
        if known.is_some_and(|known| known.version >= fact.version) {
            let answered = self.known.answered.get(&(change.record_id, fact.version));
            return Ok(Ok(answered.cloned().unwrap_or_default()));
        }
        let before = known.and_then(Fact::spending).cloned();
        let after = fact.spending();
        let line_before = known.and_then(|known| known.line.as_ref());
        let moved = match self.known.moved_goals(&fact.user_id, line_before, fact.line.as_ref()) {
            Ok(moved) => moved,
            Err(overflow) => return Ok(Err(overflow.into())),
        };
        if let Err(overflow) = self.move_purses(&fact.user_id, before.as_ref(), after) {
            return Ok(Err(overflow.into()));
        }
        if let Some(line) = &before {
            self.move_line(change, line, Totals::remove)?;
        }
        if let Some(line) = after {
            self.move_line(change, line, Totals::add)?;
        }
        self.move_goals(change, moved)?;
        let mut insights = self.crossings(change, before.as_ref(), after)?;
        insights.extend(self.anomaly(change, before.as_ref(), after)?);
        self.record(change, &insights);
        Ok(Ok(insights))
    }

    /// What there is to store.
    pub(crate) fn finish(mut self) -> Settled {
        let known = self.known.purchases.into_iter();
        self.settled.recent =
            known.filter_map(|(series, purchases)| Some((series, purchases.to_keep()?))).collect();
        self.settled
    }

    /// Moves the sums over all lines: both, or none.
    fn move_purses(
        &mut self,
        user_id: &str,
        before: Option<&Line>,
        after: Option<&Line>,
    ) -> Result<(), Overflow> {
        let mut moved: HashMap<Purse, Totals> = HashMap::new();
        let lines = [(before, false), (after, true)];
        for (line, is_added) in lines.into_iter().filter_map(|(line, is_added)| Some((line?, is_added))) {
            let key = purse(user_id, line);
            let known = self.known.purses.get(&key).copied().unwrap_or_default();
            let totals = moved.entry(key).or_insert(known);
            let minor = line.amount.minor();
            if is_added { totals.add(line.kind, minor)? } else { totals.remove(line.kind, minor)? }
        }
        self.known.purses.extend(moved.clone());
        self.settled.purses.extend(moved);
        Ok(())
    }

    /// Moves the sums that a line is in.
    fn move_line(
        &mut self,
        change: &Change,
        line: &Line,
        apply: fn(&mut Totals, LineKind, i64) -> Result<(), Overflow>,
    ) -> Result<(), AnalyticsError> {
        let key = Cell { series: series(&change.fact.user_id, line), day: line.day };
        let cell = self.known.cells.get_mut(&key).ok_or(AnalyticsError::Corrupt("sum of a day"))?;
        let beyond = |_| AnalyticsError::Corrupt("sum: it exceeds the sum over all lines");
        apply(cell, line.kind, line.amount.minor()).map_err(beyond)?;
        self.settled.cells.insert(key, *cell);
        for (key, _) in self.known.standings_of(&change.fact.user_id, line) {
            let standing =
                self.known.standings.get_mut(&key).ok_or(AnalyticsError::Corrupt("sum of a budget"))?;
            apply(&mut standing.spent, line.kind, line.amount.minor()).map_err(beyond)?;
            if standing.has_ended() {
                self.settled.late.insert(key, standing.spent);
            }
        }
        Ok(())
    }

    /// The thresholds that a change crosses (G21, G22), in the periods that it takes a line out of and puts one into.
    fn crossings(
        &mut self,
        change: &Change,
        before: Option<&Line>,
        after: Option<&Line>,
    ) -> Result<Vec<Insight>, AnalyticsError> {
        let user_id = &change.fact.user_id;
        let touched = before.into_iter().chain(after);
        let mut keys: Vec<BudgetPeriod> = Vec::new();
        for (key, _) in touched.flat_map(|line| self.known.standings_of(user_id, line)) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut insights = Vec::new();
        for budget in keys {
            let standing =
                self.known.standings.get_mut(&budget).ok_or(AnalyticsError::Corrupt("sum of a budget"))?;
            let (spent, limit) = (standing.spent.net(), standing.limit.minor());
            let crossing = crossing(spent, limit, &standing.thresholds, &standing.fired);
            let told = crossing.notify.filter(|_| may_alert(change.is_live, standing.period, standing.today));
            insights.extend(told.map(|threshold| {
                Insight::crossed(&Crossed {
                    user_id,
                    category: &budget.category,
                    members: &standing.members,
                    revision: budget.revision,
                    period: standing.period,
                    threshold,
                    spent: standing.net(),
                    limit: standing.limit,
                })
            }));
            // Whoever is told of a threshold need not be told of the pace as well.
            let ahead = outpaces(spent, limit, standing.period, standing.today).filter(|_| {
                standing.has_pace && change.is_live && told.is_none() && !standing.fired.contains(&PACE)
            });
            if let Some(projected) = ahead {
                insights.push(Insight::outpaced(user_id, &budget, standing, projected));
                standing.fired.push(PACE);
                let (budget, threshold) = (budget.clone(), PACE);
                self.settled.fired.push(Fired { budget, threshold, notified: true });
            }
            // What the owner was told of is over: a refund, a deletion, a line that was moved (G7). It fires no more (G23).
            let live = may_alert(change.is_live, standing.period, standing.today);
            let (over, told_still): (Vec<i64>, Vec<i64>) = standing
                .told
                .iter()
                .copied()
                .partition(|threshold| live && !passed(spent, limit, *threshold));
            standing.told = told_still;
            standing.told.extend(told);
            for threshold in over {
                insights.push(Insight::resolved(user_id, &budget, standing.period, threshold));
                let (budget, threshold) = (budget.clone(), -threshold);
                self.settled.fired.push(Fired { budget, threshold, notified: true });
            }
            standing.fired.extend(&crossing.fired);
            self.settled.fired.extend(crossing.fired.into_iter().map(|threshold| Fired {
                budget: budget.clone(),
                threshold,
                notified: told == Some(threshold),
            }));
        }
        Ok(insights)
    }

    /// Whether a purchase stands out (G26). It is compared where its amount, or what it is compared with, is new.
    fn anomaly(
        &mut self,
        change: &Change,
        before: Option<&Line>,
        after: Option<&Line>,
    ) -> Result<Option<Insight>, AnalyticsError> {
        let user_id = &change.fact.user_id;
        let is_purchase = |line: &&Line| line.is_purchase();
        let (before, after) = (before.filter(is_purchase), after.filter(is_purchase));
        if before.is_some_and(|before| purchases::is_same(before, after)) {
            return Ok(None);
        }
        if let Some(line) = before
            && let Some(purchases) = self.known.purchases.get_mut(&series(user_id, line))
        {
            purchases.remove((line.day, change.record_id));
        }
        let Some(line) = after else { return Ok(None) };
        let Some(purchases) = self.known.purchases.get_mut(&series(user_id, line)) else { return Ok(None) };
        let is_same = |before: &Line| (before.amount, &before.category) == (line.amount, &line.category);
        let owner = self.known.owners.get(user_id).ok_or(AnalyticsError::Corrupt("owner"))?;
        // The month is the period of a purchase as such; one that reaches out of the calendar is not compared.
        let may_tell = PeriodKind::MONTH
            .period_of(line.day)
            .is_ok_and(|month| may_alert(change.is_live, month, owner.today));
        let unusual = if may_tell && !before.is_some_and(is_same) {
            unusual(user_id, change.record_id, line, &purchases.latest())
        } else {
            None
        };
        purchases.insert((line.day, change.record_id), line.amount.minor());
        Ok(unusual)
    }

    fn record(&mut self, change: &Change, insights: &[Insight]) {
        let (id, fact) = (change.record_id, &change.fact);
        self.known.facts.insert(id, fact.clone());
        self.settled.facts.insert(id, fact.clone());
        if change.is_live {
            self.settled.live.insert(id)
        } else {
            self.settled.live.remove(&id)
        };
        if !insights.is_empty() {
            self.known.answered.insert((id, fact.version), insights.to_vec());
            self.settled.insights.push((id, fact.version, insights.to_vec()));
        }
    }
}

/// Compares a purchase with the latest ones of its series, newest first, by both detectors (G26).
fn unusual(user_id: &str, record_id: Uuid, line: &Line, latest: &[(CivilDate, i64)]) -> Option<Insight> {
    let amounts: Vec<i64> = latest.iter().map(|(_, minor)| *minor).collect();
    let minor = line.amount.minor();
    let found: Vec<Anomaly> = z_score(minor, &amounts).into_iter().chain(robust(minor, latest)).collect();
    Insight::unusual(user_id, record_id, line, &found, latest)
}

fn series(user_id: &str, line: &Line) -> Series {
    Series { user_id: user_id.to_owned(), currency: line.amount.currency(), category: line.category.clone() }
}

fn purse(user_id: &str, line: &Line) -> Purse {
    Purse { user_id: user_id.to_owned(), currency: line.amount.currency() }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
