//! What comes again and again: subscriptions, bills, pay.
//!
//! A series is the lines of one payee in one currency. It is *recurring* where its latest lines keep one distance: a window of days for each
//! [`Cadence`], because banks book on working days and months differ. Three lines are the fewest that show a habit (two gaps of one kind); one
//! line may have been skipped on the way. What does not keep its distance as a whole may still hold a subscription beside other purchases of the
//! same payee, so the lines of about one amount are tried by themselves.
//!
//! Frequent purchases of any amount, a supermarket's, often come a week apart. So a weekly or fortnightly series must keep its amount as well; a
//! monthly bill may vary.

use crate::period::month_after;
use crate::{CivilDate, DateError};

/// How often something comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cadence {
    /// Every seven days.
    Week,
    /// Every fourteen days.
    TwoWeeks,
    /// Every month.
    Month,
    /// Every three months.
    Quarter,
    /// Every year.
    Year,
}

/// One line of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it counts.
    pub day: CivilDate,
    /// How much, in minor units; positive.
    pub minor: i64,
}

/// A series that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurring {
    /// How often.
    pub cadence: Cadence,
    /// Its lines, oldest first: indices of what was given.
    pub lines: Vec<usize>,
    /// The latest line.
    pub last: Occurrence,
    /// When the next one is expected.
    pub next: CivilDate,
    /// The last day on which it is merely late.
    pub late_until: CivilDate,
    /// Whether its amounts are a price: equal but for changes.
    pub is_fixed: bool,
    /// What the latest line changed, where the price was another one before.
    pub change: Option<PriceChange>,
}

/// Another price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceChange {
    /// What it was, in minor units.
    pub from_minor: i64,
    /// What it is.
    pub to_minor: i64,
}

/// How a cadence is recognised.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// The fewest and the most days between two lines.
    gap: (i64, i64),
    /// How many days after the expected one a line is merely late.
    grace: i64,
}

// === impl Cadence ===

impl Cadence {
    /// All of them, shortest first.
    pub const ALL: [Self; 5] = [Self::Week, Self::TwoWeeks, Self::Month, Self::Quarter, Self::Year];

    /// Its name: `week`, `two_weeks`, `month`, `quarter`, `year`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::TwoWeeks => "two_weeks",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// A cadence by its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cadence| cadence.name() == name)
    }

    const fn shape(self) -> Shape {
        match self {
            Self::Week => Shape { gap: (5, 9), grace: 2 },
            Self::TwoWeeks => Shape { gap: (12, 17), grace: 3 },
            Self::Month => Shape { gap: (25, 37), grace: 6 },
            Self::Quarter => Shape { gap: (80, 102), grace: 10 },
            Self::Year => Shape { gap: (350, 380), grace: 15 },
        }
    }

    /// Whether only what keeps its amount counts: a habit of shopping has this rhythm too.
    const fn needs_price(self) -> bool {
        matches!(self, Self::Week | Self::TwoWeeks)
    }

    /// The day on which the next line is expected. `on_day` is the day of the month that the series keeps.
    ///
    /// # Errors
    /// Where it is out of range.
    pub fn after(self, last: CivilDate, on_day: i8) -> Result<CivilDate, DateError> {
        match self {
            Self::Week => last.add_days(7),
            Self::TwoWeeks => last.add_days(14),
            Self::Month => month_after(last, 1, on_day),
            Self::Quarter => month_after(last, 3, on_day),
            Self::Year => month_after(last, 12, on_day),
        }
    }
}

/// A payee's key: its name's words in lower case, without those that hold a digit, which are numbers of stores, orders and telephones.
/// `NETFLIX.COM 866-579-7172` -> `netflix com`. The whole name where nothing else is left; empty where it has neither letters nor digits.
#[must_use]
pub fn payee_key(name: &str) -> String {
    let name = name.to_lowercase();
    let words = || name.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    let named: Vec<&str> =
        words().filter(|word| !word.chars().any(|character| character.is_ascii_digit())).collect();
    if named.is_empty() { words().collect::<Vec<_>>().join(" ") } else { named.join(" ") }
}

/// What of a payee's lines, oldest first, comes again and again. None where nothing does.
#[must_use]
pub fn recurring(lines: &[Occurrence]) -> Option<Recurring> {
    let all: Vec<usize> = (0..lines.len()).collect();
    series(lines, &all).or_else(|| {
        // Among many lines some lie a month apart by chance: beside others, only what keeps its price is a series.
        let found = by_amount(lines).into_iter().filter_map(|cluster| series(lines, &cluster));
        let found = found.filter(|found| found.is_fixed);
        found.max_by_key(|found| (found.lines.len(), found.last.day))
    })
}

/// Lines of about one amount: each within a tenth of the one before it.
fn by_amount(lines: &[Occurrence]) -> Vec<Vec<usize>> {
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let fits = |cluster: &&mut Vec<usize>| {
            cluster.last().is_some_and(|last| differs_by(lines[*last].minor, line.minor) <= 10)
        };
        match clusters.iter_mut().find(fits) {
            Some(cluster) => cluster.push(at),
            None => clusters.push(vec![at]),
        }
    }
    clusters
}

fn series(lines: &[Occurrence], chosen: &[usize]) -> Option<Recurring> {
    Cadence::ALL.into_iter().find_map(|cadence| {
        let run = run(lines, chosen, cadence)?;
        let amounts: Vec<i64> = run.iter().map(|at| lines[*at].minor).collect();
        let is_fixed = is_fixed(&amounts);
        if (cadence.needs_price() && !is_fixed) || !is_alike(&amounts) {
            return None;
        }
        let last = lines[*run.last()?];
        let next = cadence.after(last.day, kept_day(lines, &run, last.day)).ok()?;
        let late_until = next.add_days(cadence.shape().grace).ok()?;
        let change = is_fixed.then(|| price_change(&amounts)).flatten();
        Some(Recurring { cadence, lines: run, last, next, late_until, is_fixed, change })
    })
}

/// The latest lines that keep a cadence's distance, oldest first; none where there are not two such gaps.
fn run(lines: &[Occurrence], chosen: &[usize], cadence: Cadence) -> Option<Vec<usize>> {
    let (fewest, most) = cadence.shape().gap;
    let (mut run, mut direct, mut skipped) = (Vec::new(), 0, 0);
    for at in chosen.iter().rev() {
        if let Some(later) = run.last().map(|later: &usize| lines[*later].day) {
            let gap = later.epoch_days() - lines[*at].day.epoch_days();
            if (fewest..=most).contains(&gap) {
                direct += 1;
            } else if skipped == 0 && (fewest * 2..=most * 2).contains(&gap) {
                skipped += 1;
            } else {
                break;
            }
        }
        run.push(*at);
    }
    run.reverse();
    (direct >= 2).then_some(run)
}

/// The day of the month that a series keeps. What is clamped to a month's last day was meant for a later one.
fn kept_day(lines: &[Occurrence], run: &[usize], last: CivilDate) -> i8 {
    if last.day() < last.days_in_month() {
        return last.day();
    }
    run.iter().map(|at| lines[*at].day.day()).max().unwrap_or_else(|| last.day())
}

/// Whether amounts are a price: at most one step in four, and at least one, is to another amount.
fn is_fixed(amounts: &[i64]) -> bool {
    let steps = amounts.windows(2).filter(|pair| differs_by(pair[0], pair[1]) >= 1).count();
    steps <= (amounts.len() / 4).max(1)
}

/// Whether amounts are of one kind: none is more than twice the one before it, nor less than half.
fn is_alike(amounts: &[i64]) -> bool {
    let double = |less: i64, more: i64| i128::from(more) > i128::from(less) * 2;
    amounts.windows(2).all(|pair| !double(pair[0], pair[1]) && !double(pair[1], pair[0]))
}

/// Another price than that of the two lines before.
fn price_change(amounts: &[i64]) -> Option<PriceChange> {
    let [.., earlier, before, last] = *amounts else { return None };
    (differs_by(earlier, before) == 0 && differs_by(before, last) >= 1)
        .then_some(PriceChange { from_minor: before, to_minor: last })
}

/// By how many whole per cent of the first two amounts differ: what a bank rounds is no other price.
fn differs_by(one: i64, other: i64) -> i128 {
    let (one, other) = (i128::from(one), i128::from(other));
    ((one - other).abs() * 100).checked_div(one.abs()).unwrap_or(i128::MAX)
}

#[cfg(test)]
#[path = "recurring_tests.rs"]
mod tests;
