//! What counts as spending, and sums of it that can be taken back.

/// What a line of money is (G5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// Money spent; negative for a refund.
    Expense,
    /// Money earned.
    Income,
    /// Money moved between the owner's accounts: neither income nor expense (G8).
    Transfer,
    /// An opening balance or a reconciliation: counts in balances only.
    Adjustment,
}

/// Sums of a set of expense lines, in minor units of one currency. A refund lowers the net, is never income, and may take it below zero (G6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    gross: i64,
    refunds: i64,
    count: i64,
}

/// A sum left the range that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sum is out of range")]
pub struct Overflow;

// === impl LineKind ===

impl LineKind {
    /// How it is stored.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Expense => 1,
            Self::Income => 2,
            Self::Transfer => 3,
            Self::Adjustment => 4,
        }
    }

    /// What was stored.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Expense),
            2 => Some(Self::Income),
            3 => Some(Self::Transfer),
            4 => Some(Self::Adjustment),
            _ => None,
        }
    }

    /// What a line of this kind brings into its account, in minor units: negative where money leaves it. An amount is positive in its kind's direction (G6),
    /// which is out for an expense and a transfer, and in for the others. None for an amount that has no opposite.
    #[must_use]
    pub const fn inflow(self, minor: i64) -> Option<i64> {
        match self {
            Self::Expense | Self::Transfer => minor.checked_neg(),
            Self::Income | Self::Adjustment => Some(minor),
        }
    }

    /// Whether lines of this kind are spending.
    #[must_use]
    pub const fn is_spending(self) -> bool {
        matches!(self, Self::Expense)
    }
}

// === impl Totals ===

impl Totals {
    /// What was stored.
    #[must_use]
    pub const fn from_parts(gross: i64, refunds: i64, count: i64) -> Self {
        Self { gross, refunds, count }
    }

    /// Adds a line. Lines that are not spending change nothing.
    ///
    /// # Errors
    /// Where a sum would leave its range; nothing is changed then.
    pub fn add(&mut self, kind: LineKind, minor: i64) -> Result<(), Overflow> {
        self.apply(kind, minor, 1)
    }

    /// Takes a line back that was added (G19).
    ///
    /// # Errors
    /// Where a sum would leave its range; nothing is changed then.
    pub fn remove(&mut self, kind: LineKind, minor: i64) -> Result<(), Overflow> {
        self.apply(kind, minor, -1)
    }

    fn apply(&mut self, kind: LineKind, minor: i64, sign: i64) -> Result<(), Overflow> {
        if !kind.is_spending() {
            return Ok(());
        }
        let (gross, refund) = if minor < 0 { (0, minor.checked_neg().ok_or(Overflow)?) } else { (minor, 0) };
        let moved = Self {
            gross: self.gross.checked_add(gross * sign).ok_or(Overflow)?,
            refunds: self.refunds.checked_add(refund * sign).ok_or(Overflow)?,
            count: self.count.checked_add(sign).ok_or(Overflow)?,
        };
        *self = moved;
        Ok(())
    }

    /// The sums of both.
    ///
    /// # Errors
    /// Where one leaves its range.
    pub fn checked_add(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            gross: self.gross.checked_add(other.gross).ok_or(Overflow)?,
            refunds: self.refunds.checked_add(other.refunds).ok_or(Overflow)?,
            count: self.count.checked_add(other.count).ok_or(Overflow)?,
        })
    }

    /// The sum of purchases.
    #[must_use]
    pub const fn gross(self) -> i64 {
        self.gross
    }

    /// The sum of refunds, positive.
    #[must_use]
    pub const fn refunds(self) -> i64 {
        self.refunds
    }

    /// Gross less refunds. Both are positive, so the difference is always in range.
    #[must_use]
    pub const fn net(self) -> i64 {
        self.gross - self.refunds
    }

    /// How many lines, refunds included.
    #[must_use]
    pub const fn count(self) -> i64 {
        self.count
    }

    /// Whether no line is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn totals(lines: &[(LineKind, i64)]) -> Totals {
        let mut totals = Totals::default();
        lines.iter().for_each(|(kind, minor)| totals.add(*kind, *minor).unwrap());
        totals
    }

    #[test]
    fn g05_adjustments_and_income_are_no_spending() {
        let lines = [(LineKind::Adjustment, 100), (LineKind::Income, 200)];
        assert!(totals(&lines).is_empty());
    }

    #[test]
    fn g06_refund_lowers_spending() {
        let all = totals(&[(LineKind::Expense, 100), (LineKind::Expense, -30)]);
        assert_eq!((all.gross(), all.refunds(), all.net(), all.count()), (100, 30, 70, 2));
    }

    #[test]
    fn g06_refunds_may_take_spending_below_zero() {
        assert_eq!(totals(&[(LineKind::Expense, -30)]).net(), -30);
    }

    #[test]
    fn g08_transfers_are_neither_income_nor_expense() {
        assert!(totals(&[(LineKind::Transfer, 500)]).is_empty());
    }

    #[test]
    fn g01_a_sum_that_overflows_changes_nothing() {
        let mut all = totals(&[(LineKind::Expense, i64::MAX)]);
        let before = all;
        assert_eq!(all.add(LineKind::Expense, 1), Err(Overflow));
        assert_eq!(all.add(LineKind::Expense, i64::MIN), Err(Overflow));
        assert_eq!(all, before);
    }

    proptest! {
        #[test]
        fn g19_taking_back_and_adding_equals_a_recompute(
            lines in prop::collection::vec((1_i64..=4, -1_000_000_i64..1_000_000), 0..40),
            removed in prop::collection::vec(any::<bool>(), 40),
        ) {
            let lines: Vec<(LineKind, i64)> =
                lines.into_iter().map(|(kind, minor)| (LineKind::from_code(kind).unwrap(), minor)).collect();
            let mut incremental = totals(&lines);
            let mut kept = Vec::new();
            for (line, removed) in lines.iter().zip(removed) {
                if removed {
                    incremental.remove(line.0, line.1).unwrap();
                } else {
                    kept.insert(0, *line);
                }
            }
            prop_assert_eq!(incremental, totals(&kept));
        }
    }
}
