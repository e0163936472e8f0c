//! Savings goals: what counts towards one, and when it is told of (G28).
//!
//! A goal's progress is its initial value, what the lines of its account come to, and what was contributed by hand. The sum over the lines moves with each change,
//! as all figures do: what the record had added is taken back, what it is now is added. So nothing is read again but when the goal itself changes, and users
//! without goals pay nothing.

use pathway_finance::{CivilDate, GoalSource, Money, Overflow, crossing, percent};
use uuid::Uuid;

use crate::fact::Line;

/// A goal and what is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goal {
    /// The key of its title.
    pub(crate) name: String,
    /// Counts those that had this name.
    pub(crate) generation: i64,
    pub(crate) terms: GoalTerms,
    /// What the lines of the account come to, in minor units.
    pub(crate) linked: i64,
    /// What was contributed by hand.
    pub(crate) given: i64,
    /// The milestones that were reached under this target.
    pub(crate) reached: Vec<i64>,
}

/// What a goal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoalTerms {
    pub(crate) title: String,
    pub(crate) target: Money,
    /// What was saved before anything is counted, in minor units.
    pub(crate) opening: i64,
    pub(crate) source: GoalSource,
    /// Empty where no line counts.
    pub(crate) account: String,
    pub(crate) start: CivilDate,
    pub(crate) deadline: Option<CivilDate>,
    /// Percentages, ascending.
    pub(crate) milestones: Vec<i64>,
}

/// A goal to set: what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewGoal {
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) target: Money,
    pub(crate) opening: Option<i64>,
    /// How much is saved in all, where somebody else counts that.
    pub(crate) saved: Option<i64>,
    pub(crate) source: Option<GoalSource>,
    pub(crate) account: Option<String>,
    pub(crate) start: Option<CivilDate>,
    pub(crate) deadline: Option<CivilDate>,
    pub(crate) milestones: Option<Vec<i64>>,
}

/// A goal as somebody sees it on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoalView {
    pub(crate) goal: Goal,
    /// The day that it is for the user.
    pub(crate) today: CivilDate,
}

/// What adds to a goal: a line, or what was contributed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) id: Uuid,
    pub(crate) is_line: bool,
    pub(crate) day: CivilDate,
    pub(crate) minor: i64,
    pub(crate) text: String,
}

/// What to contribute by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewContribution {
    pub(crate) user_id: String,
    pub(crate) goal: String,
    pub(crate) id: Uuid,
    pub(crate) amount: Money,
    pub(crate) day: Option<CivilDate>,
    pub(crate) note: String,
}

/// Milestones that a goal has just reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reached {
    /// All of them.
    pub(crate) milestones: Vec<i64>,
    /// The one to tell of.
    pub(crate) notify: Option<i64>,
}

// === impl Goal ===

impl Goal {
    /// What is saved, in minor units.
    pub(crate) fn saved(&self) -> Result<i64, Overflow> {
        self.sum(self.linked, self.given)
    }

    fn sum(&self, linked: i64, given: i64) -> Result<i64, Overflow> {
        self.terms.opening.checked_add(linked).and_then(|sum| sum.checked_add(given)).ok_or(Overflow)
    }

    /// What is saved, in percent of the target, rounded down.
    pub(crate) fn percent(&self) -> Result<i64, Overflow> {
        percent(self.saved()?, self.terms.target.minor()).ok_or(Overflow)
    }

    /// What a line adds; nothing where it does not count.
    pub(crate) fn contribution(&self, line: &Line) -> i64 {
        let terms = &self.terms;
        let counts = line.account == terms.account
            && !terms.account.is_empty()
            && line.amount.currency() == terms.target.currency()
            && line.day >= terms.start;
        if counts { terms.source.contribution(line.kind, line.amount.minor()).unwrap_or(0) } else { 0 }
    }

    /// What the lines come to once one of them has become another. None where that is the same.
    pub(crate) fn moved(&self, before: Option<&Line>, after: Option<&Line>) -> Result<Option<i64>, Overflow> {
        let part = |line: Option<&Line>| line.map_or(0, |line| self.contribution(line));
        let difference = part(after).checked_sub(part(before)).ok_or(Overflow)?;
        let linked = self.linked.checked_add(difference).ok_or(Overflow)?;
        self.sum(linked, self.given)?;
        Ok((difference != 0).then_some(linked))
    }

    /// The milestones that are reached now and were not before; from now on they were. One is told of where `tells`.
    pub(crate) fn reach(&mut self, tells: bool) -> Result<Reached, Overflow> {
        let saved = self.saved()?;
        let crossing = crossing(saved, self.terms.target.minor(), &self.terms.milestones, &self.reached);
        self.reached.extend(&crossing.fired);
        Ok(Reached { milestones: crossing.fired, notify: crossing.notify.filter(|_| tells) })
    }
}

// === impl NewGoal ===

impl NewGoal {
    /// The terms that it makes of those that there are. None of its own are needed where there are none.
    pub(crate) fn over(&self, known: Option<&GoalTerms>, today: CivilDate) -> GoalTerms {
        let account = self.account.clone().or_else(|| known.map(|known| known.account.clone()));
        let account = account.unwrap_or_default();
        let at_first = if account.is_empty() { GoalSource::Given } else { GoalSource::Transfers };
        let source = self.source.or_else(|| known.map(|known| known.source)).unwrap_or(at_first);
        // An account that is named where nothing counted is one that counts.
        let source = if self.source.is_none() && self.account.is_some() && source == GoalSource::Given {
            at_first
        } else {
            source
        };
        let is_given = source == GoalSource::Given;
        GoalTerms {
            title: self.title.clone(),
            target: self.target,
            opening: self.opening.or_else(|| known.map(|known| known.opening)).unwrap_or_default(),
            source,
            account: if is_given { String::new() } else { account },
            start: self.start.or_else(|| known.map(|known| known.start)).unwrap_or(today),
            deadline: self.deadline.or_else(|| known.and_then(|known| known.deadline)),
            milestones: self
                .milestones
                .clone()
                .or_else(|| known.map(|known| known.milestones.clone()))
                .unwrap_or_else(|| pathway_finance::DEFAULT_MILESTONES.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use pathway_finance::{Currency, LineKind};

    use super::*;

    fn day(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::parse("USD").unwrap())
    }

    fn line(kind: LineKind, minor: i64, account: &str, date: &str) -> Line {
        Line {
            kind,
            amount: usd(minor),
            category: "savings".to_owned(),
            day: day(date),
            merchant: String::new(),
            account: account.to_owned(),
        }
    }

    fn goal(source: GoalSource) -> Goal {
        let terms = GoalTerms {
            title: "Goa".to_owned(),
            target: usd(100_000),
            opening: 10_000,
            source,
            account: "pot".to_owned(),
            start: day("2026-11-01"),
            deadline: None,
            milestones: vec![25, 50, 75, 100],
        };
        Goal { name: "goa".to_owned(), generation: 1, terms, linked: 0, given: 0, reached: Vec::new() }
    }

    #[test]
    fn g28_a_line_counts_in_its_account_from_the_first_day() {
        let goal = goal(GoalSource::Transfers);
        let comes = |account, date| line(LineKind::Transfer, -5_000, account, date);
        assert_eq!(goal.contribution(&comes("pot", "2026-11-01")), 5_000);
        assert_eq!(goal.contribution(&comes("pot", "2026-10-31")), 0);
        assert_eq!(goal.contribution(&comes("checking", "2026-11-01")), 0);
        assert_eq!(goal.contribution(&line(LineKind::Expense, 5_000, "pot", "2026-11-01")), 0);
        let mut yen = comes("pot", "2026-11-01");
        yen.amount = Money::new(-5_000, Currency::parse("JPY").unwrap());
        assert_eq!(goal.contribution(&yen), 0);
    }

    #[test]
    fn g28_a_change_takes_back_and_adds() {
        let mut goal = goal(GoalSource::Transfers);
        let (one, other) = (
            line(LineKind::Transfer, -5_000, "pot", "2026-11-02"),
            line(LineKind::Transfer, -7_000, "pot", "2026-11-02"),
        );
        goal.linked = goal.moved(None, Some(&one)).unwrap().unwrap();
        goal.linked = goal.moved(Some(&one), Some(&other)).unwrap().unwrap();
        assert_eq!((goal.linked, goal.saved()), (7_000, Ok(17_000)));
        assert_eq!(goal.moved(Some(&other), Some(&other)), Ok(None));
        assert_eq!(goal.moved(Some(&other), None), Ok(Some(0)));
        goal.given = i64::MAX - 17_000;
        assert_eq!(goal.moved(None, Some(&one)), Err(Overflow));
    }

    #[test]
    fn g28_a_milestone_is_told_once_and_the_highest_alone() {
        let mut goal = goal(GoalSource::Given);
        goal.given = 45_000;
        let reached = goal.reach(true).unwrap();
        assert_eq!((reached.milestones, reached.notify), (vec![25, 50], Some(50)));
        goal.given = 0;
        assert_eq!(goal.reach(true), Ok(Reached::default()));
        goal.given = 45_000;
        assert_eq!(goal.reach(true), Ok(Reached::default()), "falling below and reaching again is silent");
        goal.given = 90_000;
        let reached = goal.reach(false).unwrap();
        assert_eq!((reached.milestones, reached.notify), (vec![75, 100], None), "history tells nothing");
    }

    #[test]
    fn what_is_left_out_stays_as_it_is() {
        let known = goal(GoalSource::Balance).terms;
        let new = NewGoal {
            user_id: "u".to_owned(),
            name: "goa".to_owned(),
            title: "Goa!".to_owned(),
            target: usd(200_000),
            opening: None,
            saved: None,
            source: None,
            account: None,
            start: None,
            deadline: None,
            milestones: None,
        };
        let over = new.over(Some(&known), day("2026-12-01"));
        assert_eq!(over, GoalTerms { title: "Goa!".to_owned(), target: usd(200_000), ..known.clone() });
        let first = new.over(None, day("2026-12-01"));
        assert_eq!((first.source, first.start), (GoalSource::Given, day("2026-12-01")));
        let linked = NewGoal { account: Some("pot".to_owned()), ..new }.over(None, day("2026-12-01"));
        assert_eq!((linked.source, linked.account.as_str()), (GoalSource::Transfers, "pot"));
    }
}
