//! Where a budget stands in a period.

use std::collections::BTreeMap;

use pathway_finance::{CivilDate, DateError, Money, Period, Revision, Totals, UNCATEGORIZED, in_force};

use crate::fact::Line;

/// A budget's period: what crossings are counted in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BudgetPeriod {
    pub(crate) user_id: String,
    pub(crate) category: String,
    pub(crate) revision: i64,
    pub(crate) start: CivilDate,
}

/// What is spent of a budget in a period, and which thresholds have fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) period: Period,
    pub(crate) limit: Money,
    /// The owner's day, which says whether the period has ended.
    pub(crate) today: CivilDate,
    pub(crate) spent: Totals,
    pub(crate) fired: Vec<i64>,
}

/// A user's budgets: the revisions of each category, in order, with the owner's day as each of them sees it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Budgets {
    revisions: BTreeMap<String, Vec<Revision>>,
    now_us: i64,
}

// === impl Standing ===

impl Standing {
    /// A revision's period in which a day lies, with nothing spent yet.
    pub(crate) fn of(revision: &Revision, day: CivilDate, now_us: i64) -> Result<Self, DateError> {
        Ok(Self {
            period: revision.period_of(day)?,
            limit: revision.terms.limit,
            today: revision.today(now_us)?,
            spent: Totals::default(),
            fired: Vec::new(),
        })
    }

    /// Net spending, in the limit's currency.
    pub(crate) fn net(&self) -> Money {
        Money::new(self.spent.net(), self.limit.currency())
    }
}

// === impl Budgets ===

impl Budgets {
    pub(crate) fn new(revisions: BTreeMap<String, Vec<Revision>>, now_us: i64) -> Self {
        Self { revisions, now_us }
    }

    /// The revisions of a category's budget.
    pub(crate) fn of(&self, category: &str) -> &[Revision] {
        self.revisions.get(category).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, by category.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Vec<Revision>)> {
        self.revisions.iter()
    }

    /// Adds a category's next revision.
    pub(crate) fn push(&mut self, category: &str, revision: Revision) {
        self.revisions.entry(category.to_owned()).or_default().push(revision);
    }

    /// The period that a line counts in, with nothing spent yet. None where there is no budget for it, also where it has no category (G11) or
    /// another currency, or lies where the calendar ends.
    pub(super) fn standing_of(&self, user_id: &str, line: &Line) -> Option<(BudgetPeriod, Standing)> {
        let revision = in_force(self.of(&line.category), line.day)?;
        let fits =
            line.category != UNCATEGORIZED && revision.terms.limit.currency() == line.amount.currency();
        let standing = Standing::of(revision, line.day, self.now_us).ok().filter(|_| fits)?;
        let key = BudgetPeriod {
            user_id: user_id.to_owned(),
            category: line.category.clone(),
            revision: revision.number,
            start: standing.period.start(),
        };
        Some((key, standing))
    }
}
