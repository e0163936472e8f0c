//! One period beside others: trends, summaries, and where a budget stands.
//!
//! Everything here follows from figures that are read; nothing is stored.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{
    CivilDate, Currency, Money, Overflow, Period, Totals, change_percent, days, passed, projected,
};

use crate::error::AnalyticsError;
use crate::ledger::Standing;
use crate::store::{Scope, Spending};

/// Which trends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrendQuestion {
    pub(crate) scope: Scope,
    /// In order, without a gap; they cover the scope's period.
    pub(crate) buckets: Vec<Period>,
    pub(crate) wanted: Wanted,
}

/// Which lines of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The total alone.
    Total,
    /// These categories.
    Categories(BTreeSet<String>),
    /// The total, and each category with lines in the range.
    All,
}

/// Trends: as many points each as there are buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trends {
    pub(crate) currency: Currency,
    /// Of the total: spending and income. None where it was not asked for.
    pub(crate) total: Option<(Vec<Totals>, Vec<i64>)>,
    pub(crate) categories: BTreeMap<String, Vec<Totals>>,
}

/// The figures of one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeriodFigures {
    pub(crate) period: Period,
    pub(crate) spending: Spending,
    /// In minor units.
    pub(crate) income: i64,
}

/// A period beside the one before it and the budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) current: PeriodFigures,
    pub(crate) previous: PeriodFigures,
    /// The limits whose period is this one, by category.
    pub(crate) limits: BTreeMap<String, Money>,
}

/// One category of a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CategoryLine {
    pub(crate) category: String,
    pub(crate) spending: Totals,
    pub(crate) previous: i64,
    pub(crate) limit: Option<Money>,
}

/// How much of a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Below the threshold of a warning.
    Good,
    /// At or above it.
    Warning,
    /// The limit is reached.
    Over,
}

/// Where a budget stands today, and where it will at its period's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BudgetStatus {
    pub(crate) level: Level,
    pub(crate) remaining: Money,
    pub(crate) projected: Money,
    pub(crate) projected_level: Level,
    pub(crate) daily_allowance: Money,
    pub(crate) days_elapsed: i64,
    pub(crate) days_total: i64,
}

// === impl TrendQuestion ===

impl TrendQuestion {
    /// The bucket of a day, by its place.
    pub(crate) fn bucket_of(&self, day: CivilDate) -> Option<usize> {
        let at = self.buckets.partition_point(|bucket| bucket.end() <= day);
        self.buckets.get(at).filter(|bucket| bucket.contains(day)).map(|_| at)
    }

    /// Whether the total was asked for.
    pub(crate) fn wants_total(&self) -> bool {
        !matches!(self.wanted, Wanted::Categories(_))
    }

    /// Whether a category was asked for.
    pub(crate) fn wants(&self, category: &str) -> bool {
        match &self.wanted {
            Wanted::Total => false,
            Wanted::Categories(categories) => categories.contains(category),
            Wanted::All => true,
        }
    }
}

// === impl Trends ===

impl Trends {
    /// Trends without a line. Every category that was named has one, also where nothing was spent.
    pub(crate) fn empty(question: &TrendQuestion, currency: Currency) -> Self {
        let points = || vec![Totals::default(); question.buckets.len()];
        let named = match &question.wanted {
            Wanted::Categories(categories) => categories.clone(),
            Wanted::Total | Wanted::All => BTreeSet::new(),
        };
        Self {
            currency,
            total: question.wants_total().then(|| (points(), vec![0; question.buckets.len()])),
            categories: named.into_iter().map(|category| (category, points())).collect(),
        }
    }

    /// Adds a day's sums of a category.
    pub(crate) fn add(
        &mut self,
        question: &TrendQuestion,
        day: CivilDate,
        category: &str,
        totals: Totals,
    ) -> Result<(), Overflow> {
        let Some(at) = question.bucket_of(day) else { return Ok(()) };
        if let Some((points, _)) = &mut self.total {
            points[at] = points[at].checked_add(totals)?;
        }
        if question.wants(category) && !totals.is_empty() {
            let points = self
                .categories
                .entry(category.to_owned())
                .or_insert_with(|| vec![Totals::default(); question.buckets.len()]);
            points[at] = points[at].checked_add(totals)?;
        }
        Ok(())
    }

    /// Adds a day's income.
    pub(crate) fn add_income(
        &mut self,
        question: &TrendQuestion,
        day: CivilDate,
        minor: i64,
    ) -> Result<(), Overflow> {
        if let (Some((_, income)), Some(at)) = (&mut self.total, question.bucket_of(day)) {
            income[at] = income[at].checked_add(minor).ok_or(Overflow)?;
        }
        Ok(())
    }
}

// === impl PeriodFigures ===

impl PeriodFigures {
    /// Income less net spending.
    pub(crate) fn net(&self) -> Result<i64, Overflow> {
        self.income.checked_sub(self.spending.total.net()).ok_or(Overflow)
    }

    /// What of the income was not spent, in whole per cent, rounded down. None without an income.
    pub(crate) fn savings_percent(&self) -> Option<i64> {
        let net = i128::from(self.income) - i128::from(self.spending.total.net());
        let percent = (self.income > 0).then(|| (net * 100).div_euclid(i128::from(self.income)));
        percent.and_then(|percent| i64::try_from(percent).ok())
    }
}

// === impl Summary ===

impl Summary {
    /// By how many per cent spending changed.
    pub(crate) fn change_percent(&self) -> Option<i64> {
        change_percent(self.current.spending.total.net(), self.previous.spending.total.net())
    }

    /// The categories of both periods and of the budgets: by net, largest first, then by name.
    pub(crate) fn categories(&self) -> Vec<CategoryLine> {
        let sums = |spending: &Spending| -> BTreeMap<String, Totals> {
            spending.categories.iter().cloned().collect()
        };
        let (now, before) = (sums(&self.current.spending), sums(&self.previous.spending));
        let names: BTreeSet<&String> = now.keys().chain(before.keys()).chain(self.limits.keys()).collect();
        let line = |category: &String| CategoryLine {
            category: category.clone(),
            spending: now.get(category).copied().unwrap_or_default(),
            previous: before.get(category).map_or(0, |totals| totals.net()),
            limit: self.limits.get(category).copied(),
        };
        let mut lines: Vec<CategoryLine> = names.into_iter().map(line).collect();
        lines.sort_by(|a, b| {
            b.spending.net().cmp(&a.spending.net()).then_with(|| a.category.cmp(&b.category))
        });
        lines
    }
}

/// The threshold that is the limit itself, in per cent.
const WHOLE: i64 = 100;

// === impl Level ===

impl Level {
    /// Over at the limit itself, whatever the budget alerts at; a warning from the lowest of its thresholds on.
    fn of(spent: i64, limit: i64, thresholds: &[i64]) -> Self {
        let is_warned = |limit| thresholds.iter().any(|threshold| passed(spent, limit, *threshold));
        match limit {
            _ if passed(spent, limit, WHOLE) => Self::Over,
            1.. if is_warned(limit) => Self::Warning,
            _ => Self::Good,
        }
    }
}

// === impl BudgetStatus ===

impl BudgetStatus {
    /// Where a budget stands on its owner's day.
    pub(crate) fn of(standing: &Standing) -> Result<Self, AnalyticsError> {
        let (spent, limit) = (standing.net().minor(), standing.limit.minor());
        let days_total = days(standing.period);
        let since = standing.today.epoch_days() - standing.period.start().epoch_days();
        let days_elapsed = (since + 1).clamp(1, days_total);
        let remaining = limit.checked_sub(spent).ok_or(Overflow)?;
        let expected = projected(spent, days_elapsed, days_total);
        // Today is one of the days that are left.
        let allowance = remaining.max(0) / (days_total - days_elapsed + 1);
        let money = |minor| Money::new(minor, standing.limit.currency());
        Ok(Self {
            level: Level::of(spent, limit, &standing.thresholds),
            remaining: money(remaining),
            projected: money(expected),
            projected_level: Level::of(expected, limit, &standing.thresholds),
            daily_allowance: money(allowance),
            days_elapsed,
            days_total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(spent: i64, limit: i64, today: &str) -> Standing {
        let usd = Currency::parse("USD").unwrap();
        Standing {
            period: Period::parse("2026-11").unwrap(),
            limit: Money::new(limit, usd),
            today: CivilDate::parse(today).unwrap(),
            spent: Totals::from_parts(spent.max(0), (-spent).max(0), 1),
            fired: Vec::new(),
            told: Vec::new(),
            base: Money::new(limit, usd),
            carried: 0,
            members: vec!["dining".to_owned()],
            thresholds: vec![80, 100],
            has_pace: false,
        }
    }

    fn status(spent: i64, limit: i64, today: &str) -> BudgetStatus {
        BudgetStatus::of(&standing(spent, limit, today)).unwrap()
    }

    #[test]
    fn g22_a_budget_is_good_warning_or_over_in_integers() {
        assert_eq!(status(7999, 10_000, "2026-11-30").level, Level::Good);
        assert_eq!(status(8000, 10_000, "2026-11-30").level, Level::Warning);
        assert_eq!(status(9999, 10_000, "2026-11-30").level, Level::Warning);
        assert_eq!(status(10_000, 10_000, "2026-11-30").level, Level::Over);
        assert_eq!(status(0, 0, "2026-11-30").level, Level::Good, "nothing of nothing");
        assert_eq!(status(1, 0, "2026-11-30").level, Level::Over);
    }

    #[test]
    fn a_budget_with_thresholds_of_its_own_warns_from_the_lowest_on() {
        let level = |spent| {
            let standing =
                Standing { thresholds: vec![50, 90, 120], ..standing(spent, 10_000, "2026-11-30") };
            BudgetStatus::of(&standing).unwrap().level
        };
        assert_eq!(
            [4999, 5000, 9999, 10_000].map(level),
            [Level::Good, Level::Warning, Level::Warning, Level::Over]
        );
    }

    #[test]
    fn a_budget_says_what_is_left_and_what_will_be_spent() {
        let status = status(6000, 10_000, "2026-11-10");
        assert_eq!((status.days_elapsed, status.days_total), (10, 30));
        assert_eq!((status.remaining.minor(), status.projected.minor()), (4000, 18_000));
        assert_eq!((status.level, status.projected_level), (Level::Good, Level::Over));
        assert_eq!(status.daily_allowance.minor(), 190, "40.00 on 21 days");
    }

    #[test]
    fn g06_refunds_leave_more_than_the_limit() {
        let refunded = status(-500, 10_000, "2026-11-10");
        assert_eq!((refunded.remaining.minor(), refunded.projected.minor()), (10_500, -500));
        let over = status(12_000, 10_000, "2026-11-10");
        assert_eq!((over.remaining.minor(), over.daily_allowance.minor()), (-2000, 0));
    }

    #[test]
    fn savings_are_what_of_the_income_was_not_spent() {
        let usd = Currency::parse("USD").unwrap();
        let figures = |income, spent| PeriodFigures {
            period: Period::parse("2026-11").unwrap(),
            spending: Spending {
                currency: usd,
                total: Totals::from_parts(spent, 0, 1),
                categories: Vec::new(),
                others: Vec::new(),
            },
            income,
        };
        assert_eq!(figures(3000, 2000).savings_percent(), Some(33));
        assert_eq!(figures(3000, 4000).savings_percent(), Some(-34));
        assert_eq!(figures(0, 4000).savings_percent(), None);
    }
}
