//! Where a budget stands in a period.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pathway_finance::{
    CivilDate, DateError, Money, Period, Revision, Rollover, Totals, UNCATEGORIZED, in_force,
};

use crate::fact::Line;

/// A budget's period: what crossings are counted in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BudgetPeriod {
    pub(crate) user_id: String,
    /// The budget's name: a category's key, or that of a group.
    pub(crate) category: String,
    pub(crate) revision: i64,
    pub(crate) start: CivilDate,
}

/// What is spent of a budget in a period, and which thresholds have fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) period: Period,
    /// What there is to spend: the limit with what the period before carried on, at least nothing.
    pub(crate) limit: Money,
    /// The limit by itself.
    pub(crate) base: Money,
    /// What the period before carried on, in minor units.
    pub(crate) carried: i64,
    /// The owner's day, which says whether the period has ended.
    pub(crate) today: CivilDate,
    /// The categories whose spending counts.
    pub(crate) members: Vec<String>,
    pub(crate) thresholds: Vec<i64>,
    /// Whether its pace is told of.
    pub(crate) has_pace: bool,
    pub(crate) spent: Totals,
    /// The thresholds that have fired, with [`PACE`] among them where the pace was told of.
    pub(crate) fired: Vec<i64>,
    /// Those that the owner was told of and that hold still, as far as the owner knows.
    pub(crate) told: Vec<i64>,
}

/// What is stored as fired where a period's pace was told of: no percentage.
pub(crate) const PACE: i64 = 0;

/// A user's budgets: the revisions of each, in order, with the owner's day as each of them sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Budgets {
    revisions: BTreeMap<String, Vec<Revision>>,
    /// The budgets that a category has ever counted in.
    of_category: BTreeMap<String, BTreeSet<String>>,
    /// What was carried on to the period that begins on a day.
    carried: HashMap<(String, CivilDate), i64>,
    now_us: i64,
}

// === impl Standing ===

impl Standing {
    /// A revision's period in which a day lies, with nothing spent yet and nothing carried.
    pub(crate) fn of(
        name: &str,
        revision: &Revision,
        day: CivilDate,
        now_us: i64,
    ) -> Result<Self, DateError> {
        let rules = &revision.terms.rules;
        Ok(Self {
            period: revision.period_of(day)?,
            limit: revision.terms.limit,
            base: revision.terms.limit,
            carried: 0,
            today: revision.today(now_us)?,
            members: members(name, revision),
            thresholds: rules.thresholds.clone(),
            has_pace: rules.pace,
            spent: Totals::default(),
            fired: Vec::new(),
            told: Vec::new(),
        })
    }

    /// The same, with what the period before carried on.
    pub(crate) fn carrying(self, carried: i64) -> Self {
        let available = self.base.minor().saturating_add(carried).max(0);
        Self { limit: Money::new(available, self.base.currency()), carried, ..self }
    }

    /// Net spending, in the limit's currency.
    pub(crate) fn net(&self) -> Money {
        Money::new(self.spent.net(), self.limit.currency())
    }

    /// Whether the period is over for its owner.
    pub(crate) fn has_ended(&self) -> bool {
        self.period.end() <= self.today
    }
}

/// The categories whose spending counts in a budget.
fn members(name: &str, revision: &Revision) -> Vec<String> {
    let members = &revision.terms.rules.members;
    if members.is_empty() { vec![name.to_owned()] } else { members.clone() }
}

// === impl Budgets ===

impl Budgets {
    pub(crate) fn new(revisions: BTreeMap<String, Vec<Revision>>, now_us: i64) -> Self {
        let mut budgets = Self { now_us, ..Self::default() };
        for (name, revisions) in revisions {
            for revision in revisions {
                budgets.push(&name, revision);
            }
        }
        budgets
    }

    /// The revisions of a budget.
    pub(crate) fn of(&self, name: &str) -> &[Revision] {
        self.revisions.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Vec<Revision>)> {
        self.revisions.iter()
    }

    /// Adds a budget's next revision.
    pub(crate) fn push(&mut self, name: &str, revision: Revision) {
        for member in members(name, &revision) {
            self.of_category.entry(member).or_default().insert(name.to_owned());
        }
        self.revisions.entry(name.to_owned()).or_default().push(revision);
    }

    /// Whether what is left of a budget's periods has ever been carried on.
    pub(crate) fn carries(&self, name: &str) -> bool {
        self.of(name).iter().any(|revision| revision.terms.rules.rollover != Rollover::Off)
    }

    /// Notes what was carried on to the period that begins on a day.
    pub(crate) fn carry(&mut self, name: &str, start: CivilDate, carried: i64) {
        self.carried.insert((name.to_owned(), start), carried);
    }

    /// A revision's period in which a day lies, with nothing spent yet.
    pub(crate) fn standing(
        &self,
        name: &str,
        revision: &Revision,
        day: CivilDate,
    ) -> Result<Standing, DateError> {
        let standing = Standing::of(name, revision, day, self.now_us)?;
        let carried = self.carried.get(&(name.to_owned(), standing.period.start())).copied();
        let carried = carried.filter(|_| revision.terms.rules.rollover != Rollover::Off);
        Ok(standing.carrying(carried.unwrap_or_default()))
    }

    /// The periods that a line counts in, with nothing spent yet: of its category's budget and of the groups that it is in. None where it has no
    /// category (G11), where the budget is in another currency, and where the calendar ends.
    pub(super) fn standings_of(&self, user_id: &str, line: &Line) -> Vec<(BudgetPeriod, Standing)> {
        let names = self.of_category.get(&line.category).filter(|_| line.category != UNCATEGORIZED);
        let standing = |name: &String| {
            let revision = in_force(self.of(name), line.day)?;
            let standing = self.standing(name, revision, line.day).ok()?;
            let fits = standing.members.contains(&line.category)
                && standing.base.currency() == line.amount.currency();
            let key = BudgetPeriod {
                user_id: user_id.to_owned(),
                category: name.clone(),
                revision: revision.number,
                start: standing.period.start(),
            };
            fits.then_some((key, standing))
        };
        names.into_iter().flatten().filter_map(standing).collect()
    }
}
