//! Savings goals (G28).
//!
//! What is saved is an initial value, what comes into an account, and what was contributed by hand. None of it is spending: a goal reads lines, and changes
//! nothing about how they count.

use crate::LineKind;

/// The shares of its target, in percent, at which a goal is told of unless it says otherwise.
pub const DEFAULT_MILESTONES: [i64; 4] = [25, 50, 75, 100];

/// Which lines of its account a goal counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GoalSource {
    /// None: contributions by hand are all that there is.
    Given,
    /// Transfers into the account and out of it.
    Transfers,
    /// Every line of the account: its balance since the goal's first day.
    Balance,
}

// === impl GoalSource ===

impl GoalSource {
    /// How it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Given => 1,
            Self::Transfers => 2,
            Self::Balance => 3,
        }
    }

    /// What was stored.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Given),
            2 => Some(Self::Transfers),
            3 => Some(Self::Balance),
            _ => None,
        }
    }

    /// What a line of the goal's account adds to it, in minor units; negative where it takes money out. None where it does not count, and for an amount that
    /// has no opposite.
    #[must_use]
    pub fn contribution(self, kind: LineKind, minor: i64) -> Option<i64> {
        let counts = match self {
            Self::Given => false,
            Self::Transfers => kind == LineKind::Transfer,
            Self::Balance => true,
        };
        if counts { kind.inflow(minor) } else { None }
    }
}

/// What comes to be saved each month where the rest is to be there by a day: what is missing by the months that are left, the one under way included,
/// rounded up. Nothing where nothing is missing.
#[must_use]
pub fn monthly_need(missing: i64, months_left: i64) -> i64 {
    let (missing, months) = (i128::from(missing.max(0)), i128::from(months_left.max(1)));
    i64::try_from((missing + months - 1) / months).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Totals, crossing};

    #[test]
    fn g28_progress_comes_from_transfers_or_a_balance() {
        let transfers = GoalSource::Transfers;
        assert_eq!(transfers.contribution(LineKind::Transfer, -5_000), Some(5_000), "it comes in");
        assert_eq!(transfers.contribution(LineKind::Transfer, 2_000), Some(-2_000), "it is taken out");
        assert_eq!(transfers.contribution(LineKind::Income, 5_000), None);
        let balance = GoalSource::Balance;
        let lines = [
            (LineKind::Adjustment, 10_000),
            (LineKind::Income, 300),
            (LineKind::Transfer, -5_000),
            (LineKind::Expense, 1_200),
            (LineKind::Expense, -200),
        ];
        let saved: i64 = lines.iter().filter_map(|(kind, minor)| balance.contribution(*kind, *minor)).sum();
        assert_eq!(saved, 14_300);
        assert_eq!(balance.contribution(LineKind::Expense, i64::MIN), None);
        assert_eq!(GoalSource::Given.contribution(LineKind::Transfer, -1), None);
    }

    #[test]
    fn g28_a_contribution_is_no_expense() {
        let mut spent = Totals::default();
        spent.add(LineKind::Transfer, -5_000).unwrap();
        assert!(spent.is_empty());
    }

    #[test]
    fn g28_a_milestone_is_reached_once() {
        let first = crossing(5_100, 10_000, &DEFAULT_MILESTONES, &[]);
        assert_eq!((first.notify, first.fired.as_slice()), (Some(50), &[25, 50][..]), "the highest is told");
        assert_eq!(crossing(4_900, 10_000, &DEFAULT_MILESTONES, &first.fired).fired, [0_i64; 0]);
        assert_eq!(crossing(5_200, 10_000, &DEFAULT_MILESTONES, &first.fired).notify, None);
    }

    #[test]
    fn what_is_missing_is_spread_over_the_months_that_are_left() {
        assert_eq!(monthly_need(10_000, 3), 3_334);
        assert_eq!(monthly_need(10_000, 0), 10_000);
        assert_eq!(monthly_need(-5, 3), 0);
    }

    #[test]
    fn sources_are_stored_and_read() {
        for source in [GoalSource::Given, GoalSource::Transfers, GoalSource::Balance] {
            assert_eq!(GoalSource::from_code(source.code()), Some(source));
        }
        assert_eq!(GoalSource::from_code(0), None);
    }
}
