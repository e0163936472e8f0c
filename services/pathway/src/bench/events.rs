//! What is published: a stream of events that is the same for the same seed.
//!
//! Most are purchases; a few are refunds, incomes, corrections of an event before, and redeliveries, because a real log has them and they are what
//! makes the totals hard to get right. A correction follows what it corrects within one batch, so that the end does not depend on which of two
//! batches under way is accepted first. A few amounts are far above the others: they are what stands out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use pathway_finance::{CivilDate, DateError};
use serde_json::json;

/// The categories of the events.
pub(super) const CATEGORIES: [&str; 12] = [
    "rent",
    "groceries",
    "transport",
    "entertainment",
    "savings",
    "emergency_fund",
    "utilities",
    "healthcare",
    "education",
    "dining",
    "shopping",
    "other",
];
/// Those with a budget, and its limit in minor units.
pub(super) const BUDGETS: [(&str, i64); 2] = [("dining", 40_000), ("groceries", 80_000)];
/// The currency of everything, with two digits.
pub(super) const CURRENCY: &str = "USD";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spend {
    /// Its number, which names the line.
    pub(super) id: u64,
    pub(super) user: u32,
    /// An index into [`CATEGORIES`].
    pub(super) category: usize,
    /// Negative for a refund.
    pub(super) minor: i64,
    pub(super) date: CivilDate,
    pub(super) is_income: bool,
}

/// A stream of events.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    random: fastrand::Rng,
    users: u32,
    today: CivilDate,
    /// How many days back they reach.
    days: i64,
    /// How many lines bring it from the first of these days to the last; none where each line lies on any of them.
    advances: Option<i64>,
    next_id: u64,
    /// Some of the latest lines of earlier batches, as they stand.
    settled: VecDeque<Spend>,
}

/// The sums of a category of a user's: gross, refunds, how many lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) gross: i64,
    pub(super) refunds: i64,
    pub(super) count: i64,
}

/// The sums that a stream comes to, by user and category.
pub(super) type Expected = BTreeMap<(u32, &'static str), Sums>;

/// How many lines are remembered for redeliveries.
const REMEMBERED: usize = 1_024;
/// The seed of every run.
const SEED: u64 = 20_260_101;

// === impl Spend ===

impl Spend {
    /// The user's name.
    pub(super) fn user(&self) -> String {
        user(self.user)
    }

    /// The event as it is published.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let (sign, minor) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        let amount = format!("{sign}{}.{:02}", minor / 100, minor % 100);
        let event = json!({
            "id": format!("e{}", self.id),
            "user_id": self.user(),
            "amount": amount,
            "category": CATEGORIES[self.category],
            "transaction_date": self.date.to_string(),
            "merchant": format!("Merchant {}", self.id % 97),
            "kind": if self.is_income { "income" } else { "expense" },
        });
        event.to_string().into_bytes()
    }
}

/// A user's name.
pub(super) fn user(number: u32) -> String {
    format!("bench-{number}")
}

// === impl Stream ===

impl Stream {
    /// A stream that begins anew: events of `users` users, on any of the last `days` days.
    pub(super) fn new(users: u32, today: CivilDate, days: i64) -> Self {
        let random = fastrand::Rng::with_seed(SEED);
        Self { random, users, today, days, advances: None, next_id: 0, settled: VecDeque::new() }
    }

    /// The same stream as a history is written: its days advance, so that line number `lines` lies on the last of them.
    pub(super) fn advancing(mut self, lines: u64) -> Self {
        self.advances = i64::try_from(lines).ok();
        self
    }

    /// The days that its events lie on: the first, and the one after the last.
    pub(super) fn span(&self) -> Result<(CivilDate, CivilDate), DateError> {
        Ok((self.today.add_days(1 - self.days)?, self.today.add_days(1)?))
    }

    /// The next events, which are to be published in this order, together.
    pub(super) fn batch(&mut self, count: usize) -> Result<Vec<Spend>, DateError> {
        let mut batch: Vec<Spend> = Vec::with_capacity(count);
        // Where each line of this batch stands: a correction may be corrected.
        let mut lines: Vec<Spend> = Vec::new();
        for _ in 0..count {
            let event = match self.random.u32(0..100) {
                0..=1 if !self.settled.is_empty() => {
                    let which = self.random.usize(0..self.settled.len());
                    self.settled[which].clone()
                }
                2..=4 if !lines.is_empty() => {
                    let which = self.random.usize(0..lines.len());
                    let line = &mut lines[which];
                    line.minor = amount(&mut self.random);
                    line.category = self.random.usize(0..CATEGORIES.len());
                    line.clone()
                }
                kind => {
                    let line = self.line(kind)?;
                    lines.push(line.clone());
                    line
                }
            };
            batch.push(event);
        }
        self.settled.extend(lines);
        let forgotten = self.settled.len().saturating_sub(REMEMBERED);
        self.settled.drain(..forgotten);
        Ok(batch)
    }

    fn line(&mut self, kind: u32) -> Result<Spend, DateError> {
        let id = self.next_id;
        self.next_id += 1;
        let minor = amount(&mut self.random);
        Ok(Spend {
            id,
            user: self.random.u32(0..self.users),
            category: self.random.usize(0..CATEGORIES.len()),
            minor: if matches!(kind, 5 | 6) { -minor } else { minor },
            date: self.today.add_days(-self.days_back(id))?,
            is_income: matches!(kind, 7..=9),
        })
    }

    fn days_back(&mut self, id: u64) -> i64 {
        let Some(lines) = self.advances else { return self.random.i64(0..self.days) };
        let reached = i128::from(id) * i128::from(self.days) / i128::from(lines.max(1));
        (self.days - 1 - i64::try_from(reached).unwrap_or(self.days)).max(0)
    }
}

/// Cents to 50.00, and once in a hundred times far more.
fn amount(random: &mut fastrand::Rng) -> i64 {
    let usual = random.i64(1..=5_000);
    if random.u32(0..100) == 0 { usual + 100_000 } else { usual }
}

/// Adds what a batch comes to: its lines as its last events leave them. What was published by an earlier batch is in already, unchanged.
pub(super) fn expect(expected: &mut Expected, batch: &[Spend], known_before: u64) {
    let own = batch.iter().filter(|event| event.id >= known_before);
    let last: HashMap<u64, &Spend> = own.map(|event| (event.id, event)).collect();
    for event in last.into_values().filter(|event| !event.is_income) {
        let sums = expected.entry((event.user, CATEGORIES[event.category])).or_default();
        sums.gross += event.minor.max(0);
        sums.refunds += (-event.minor).max(0);
        sums.count += 1;
    }
}

/// The sums that a whole stream comes to, published in batches of these sizes. The stream is generated anew, so nothing of it has to be kept.
pub(super) fn recompute(mut stream: Stream, sizes: &[usize]) -> Result<Expected, DateError> {
    let mut expected = Expected::new();
    for &size in sizes {
        let known_before = stream.next_id;
        expect(&mut expected, &stream.batch(size)?, known_before);
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(3, CivilDate::new(2026, 3, 1).unwrap(), 28)
    }

    #[test]
    fn a_stream_is_the_same_again_and_its_ids_are_consecutive() {
        let (mut a, mut b) = (stream(), stream());
        let (first, second) = (a.batch(300).unwrap(), a.batch(300).unwrap());
        assert_eq!(first, b.batch(300).unwrap());
        assert_eq!(second, b.batch(300).unwrap());
        let (start, end) = a.span().unwrap();
        assert!(first.iter().all(|event| event.date >= start && event.date < end));
        assert!(second.iter().any(|event| event.id < 250), "something comes again");
        assert!(first.iter().any(|event| event.minor < 0) && first.iter().any(|event| event.is_income));
    }

    #[test]
    fn a_history_advances_from_its_first_day_to_its_last() {
        let mut history = stream().advancing(400);
        let (start, end) = history.span().unwrap();
        let lines = history.batch(400).unwrap();
        let (first, last) = (lines[0].date, lines.iter().max_by_key(|line| line.id).unwrap().date);
        assert_eq!(first, start);
        assert!(last > start.add_days(20).unwrap() && last < end);
        let beyond = history.batch(400).unwrap();
        assert!(beyond.iter().all(|line| line.date < end), "and stays there");
    }

    #[test]
    fn the_sums_are_those_of_the_last_state_of_each_line() {
        let sizes = [200, 1, 300];
        let mut again = stream();
        let mut standing: HashMap<u64, Spend> = HashMap::new();
        for size in sizes {
            standing.extend(again.batch(size).unwrap().into_iter().map(|event| (event.id, event)));
        }
        let spending = standing.values().filter(|event| !event.is_income);
        let (gross, count) =
            spending.fold((0, 0), |(sum, count), event| (sum + event.minor.max(0), count + 1));
        let sums = recompute(stream(), &sizes).unwrap();
        assert_eq!(sums.values().map(|sums| sums.gross).sum::<i64>(), gross);
        assert_eq!(sums.values().map(|sums| sums.count).sum::<i64>(), count);
    }
}
