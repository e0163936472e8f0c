//! A year of one user, with every kind of edit, compared line by line with a plain recompute of the records as they stand.
//!
//! Each day some lines come, and some of before are moved between categories, dates, accounts and amounts, deleted, refunded, split, posted or paired,
//! also in months that are closed by then. The clock goes from day to day, so periods close by themselves. The recompute knows the records that datasync
//! lists and the rules in `docs/analytics.md`, and nothing of analytics.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{CivilDate, Currency, Money, Period, PeriodKind, TimeZone};
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1::{Position, RecordWrite};
use pathway_proto::pathway::types::v1::{LineKind, Notice, Origin, Record, RecordChange, RecordIdentity};
use pathway_rpc::{from_date, from_money, to_date, to_money};

use super::services::Services;
use crate::from_environment;

const USER: &str = "maya";
const DAYS: i64 = 365;
/// The categories of the group `fun`, which has a weekly budget.
const FUN: [&str; 2] = ["dining", "travel"];

struct Year {
    services: Services,
    rng: fastrand::Rng,
    /// What was written last under each key.
    lines: Vec<Record>,
    pending: Vec<(i64, usize)>,
    offset: i64,
    told: Vec<Notice>,
}

/// A line that counts as spending, as the recompute has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    record_id: String,
    version: i64,
    date: CivilDate,
    category: String,
    minor: i64,
    currency: String,
}

/// The days on which the user sets another limit for dining, moves to another time zone, and has months begin on the 10th.
const OTHER_LIMIT: i64 = 100;
const OTHER_ZONE: i64 = 150;
const OTHER_START: i64 = 200;
/// What dining may cost a month at first, and from the month of the other limit on.
const LIMITS: [i64; 2] = [40_000, 30_000];

fn day(number: i64) -> CivilDate {
    CivilDate::parse("2026-01-01").unwrap().add_days(number).unwrap()
}

fn usd(minor: i64) -> Option<pathway_proto::google::r#type::Money> {
    Some(to_money(Money::new(minor, Currency::parse("USD").unwrap())))
}

fn minor(money: Option<&pathway_proto::google::r#type::Money>) -> i64 {
    from_money(money).unwrap().minor()
}

fn key(record: &Record) -> &str {
    &record.identity.as_ref().unwrap().key
}

// === impl Year ===

impl Year {
    fn line(&mut self, key: String, kind: LineKind, minor: i64, category: &str, date: CivilDate) -> Record {
        let account = ["checking", "card"][self.rng.usize(..2)].to_owned();
        let identity = RecordIdentity { source: "event".to_owned(), account: String::new(), key };
        Record {
            user_id: USER.to_owned(),
            identity: Some(identity),
            kind: kind.into(),
            amount: usd(minor),
            category: category.to_owned(),
            date: Some(to_date(date)),
            account,
            ..Record::default()
        }
    }

    fn category(&mut self) -> &'static str {
        ["Dining", "Groceries", "Travel", "Shopping", ""][self.rng.usize(..5)]
    }

    /// What comes on a day: new lines, and changes of old ones.
    fn events(&mut self, today: i64) -> Vec<(Record, Option<String>)> {
        let mut events = Vec::new();
        for n in 0..self.rng.i64(1..4) {
            let refund = self.rng.u8(..10) == 0;
            let size = self.rng.i64(100..9_000);
            let back = if self.rng.u8(..12) == 0 { self.rng.i64(0..70).min(today) } else { 0 };
            let category = self.category();
            let minor = if refund { -size } else { size };
            let mut line =
                self.line(format!("d{today}-{n}"), LineKind::Expense, minor, category, day(today - back));
            if self.rng.u8(..8) == 0 {
                line.amount = Some(to_money(Money::new(minor, Currency::parse("JPY").unwrap())));
            }
            line.pending = self.rng.u8(..5) == 0;
            if line.pending {
                self.pending.push((today + 2, self.lines.len()));
            }
            self.lines.push(line.clone());
            events.push((line, None));
        }
        let date = day(today);
        if date.day() == 1 {
            events.push((self.line(format!("pay{today}"), LineKind::Income, 450_000, "Salary", date), None));
        }
        // Two legs of a transfer that their banks call an expense and an income.
        if date.day() == 5 {
            let size = 20_000 + today;
            let mut out = self.line(format!("out{today}"), LineKind::Expense, size, "Savings", date);
            let mut into = self.line(format!("in{today}"), LineKind::Income, size, "", day(today + 1));
            (out.account, into.account) = ("checking".to_owned(), "savings".to_owned());
            events.extend([(out, None), (into, None)]);
        }
        let (due, waiting): (Vec<_>, Vec<_>) = self.pending.iter().partition(|(when, _)| *when <= today);
        self.pending = waiting;
        for (_, index) in due {
            let before = self.lines[index].clone();
            let minor = minor(before.amount.as_ref()) + self.rng.i64(-50..300);
            let posted = format!("posted-{}", key(&before));
            let line = self.line(posted, LineKind::Expense, minor, "Elsewhere", day(today));
            events.push((line, Some(key(&before).to_owned())));
        }
        for _ in 0..self.rng.usize(..3) {
            let index = self.rng.usize(..self.lines.len());
            let mut line = self.lines[index].clone();
            match self.rng.u8(..6) {
                0 => line.deleted = !line.deleted,
                1 => line.date = Some(to_date(day(self.rng.i64(0..=today)))),
                2 => line.amount = usd(self.rng.i64(-3_000..9_000)),
                3 => line.account = "savings".to_owned(),
                4 => line.kind = LineKind::Adjustment.into(),
                _ => line.category = self.category().to_owned(),
            }
            self.lines[index] = line.clone();
            events.push((line, None));
        }
        events
    }

    /// Lives a day: writes what comes, and has analytics apply what it changed, some of it twice.
    async fn live(&mut self, today: i64) {
        self.services.set_clock(day(today).begins_at_us(&TimeZone::utc()).unwrap() + 43_200_000_000);
        let events = self.events(today);
        let writes = events.into_iter().map(|(record, replaced)| {
            self.offset += 1;
            let position = Position { epoch: "year".to_owned(), partition: 0, offset: self.offset };
            let replaces = replaced.map(|key| RecordIdentity {
                source: "event".to_owned(),
                account: String::new(),
                key,
            });
            RecordWrite {
                record: Some(record),
                position: Some(position),
                origin: Origin::Live.into(),
                replaces,
            }
        });
        let outcomes = self.services.write(writes.collect()).await;
        let mut changes: Vec<RecordChange> =
            outcomes.into_iter().filter_map(|outcome| outcome.change).collect();
        if today % 3 == 0 {
            changes.extend(changes.clone());
        }
        let told = self.services.apply(changes).await;
        // What comes twice is answered twice and told once, by its key.
        self.told.extend(told.into_iter().flatten());
        if today % 7 == 3 {
            self.split().await;
        }
        if day(today).day() == 20 {
            self.services.pair(USER).await;
        }
    }

    /// Splits a line that stands, whatever it is by now; a leg of a transfer cannot be.
    async fn split(&mut self) {
        let records = self.services.all_records(USER).await;
        let whole: Vec<&Record> = records.iter().filter(|record| record.split_of.is_empty()).collect();
        let line = whole[self.rng.usize(..whole.len())];
        let (minor, cut) = (minor(line.amount.as_ref()), self.rng.i64(1..90));
        let code = line.amount.as_ref().unwrap().currency_code.as_str();
        let parts = [(cut, "Dining", code), (minor - cut, "Groceries", code)];
        let parts = if line.is_split && self.rng.bool() { &parts[..0] } else { &parts[..] };
        self.services.split(USER, line.record_id.clone(), parts).await;
    }

    /// Compares every line, sum and closed period with the recompute.
    async fn check(&self, until: i64) {
        self.services.follow_history().await;
        let records = self.services.all_records(USER).await;
        let lines: BTreeSet<Counted> = records.iter().filter_map(counted).collect();
        let months = 1..=u8::try_from(day(until).month()).unwrap();
        for (month, currency) in months.flat_map(|month| [(month, "USD"), (month, "JPY")]) {
            let period = Period::parse(&format!("2026-{month:02}")).unwrap();
            let (start, end) = (period.start().to_string(), period.end().to_string());
            let counts = |line: &&Counted| period.contains(line.date) && line.currency == currency;
            let expected: BTreeSet<Counted> = lines.iter().filter(counts).cloned().collect();
            let explained = self.services.explain(USER, &start, &end, currency).await;
            let shown = explained.lines.into_iter().map(|line| Counted {
                record_id: line.record_id,
                version: line.version,
                date: from_date(line.date.as_ref()).unwrap(),
                category: line.category,
                minor: minor(line.amount.as_ref()),
                currency: line.amount.unwrap().currency_code,
            });
            assert_eq!(shown.collect::<BTreeSet<_>>(), expected, "the lines of {period}, {currency}");
            let mut categories: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
            for line in expected {
                let sums = categories.entry(line.category).or_default();
                *sums = (sums.0 + line.minor.max(0), sums.1 - line.minor.min(0), sums.2 + 1);
            }
            let spending = self.services.spending(USER, &start, &end, currency).await;
            let shown = spending.categories.into_iter().map(|part| {
                let totals = part.totals.unwrap();
                let sums = (minor(totals.gross.as_ref()), minor(totals.refunds.as_ref()), totals.count);
                (part.category, sums)
            });
            assert_eq!(shown.collect::<BTreeMap<_, _>>(), categories, "the sums of {period}, {currency}");
        }
        self.check_periods(&lines, until).await;
    }

    /// What closed periods came to, and what each carried on to the next.
    async fn check_periods(&self, lines: &BTreeSet<Counted>, until: i64) {
        let budgets = [
            ("dining", PeriodKind::MONTH, &["dining"][..], true),
            ("fun", PeriodKind::Week { start_weekday: 1 }, &FUN[..], false),
        ];
        // The cut of the calendar that is asked for in July holds from August on, and its first period is short.
        let (august, tenth) = (day(OTHER_START).month() + 1, PeriodKind::Month { start_day: 10 });
        let august = CivilDate::new(2026, august, 1).unwrap();
        let period_of = |kind: PeriodKind, start: CivilDate| match kind {
            PeriodKind::Month { .. } if start >= august => {
                Period::new(start, tenth.period_of(start).unwrap().end()).unwrap()
            }
            kind => kind.period_of(start).unwrap(),
        };
        let other_limit = PeriodKind::MONTH.period_of(day(OTHER_LIMIT)).unwrap().start();
        for (name, kind, members, carries) in budgets {
            let mut summaries = self.services.summaries(USER, name).await;
            summaries.reverse();
            let (mut period, mut carried) = (kind.period_of(day(0)).unwrap(), 0);
            for summary in &summaries {
                let counts = |line: &&Counted| {
                    members.contains(&&*line.category) && period.contains(line.date) && line.currency == "USD"
                };
                let limit = match name {
                    "dining" => LIMITS[usize::from(period.start() >= other_limit)],
                    _ => 9_000,
                };
                assert_eq!(minor(summary.limit.as_ref()), limit, "{name}, {period}");
                let net: i64 = lines.iter().filter(counts).map(|line| line.minor).sum();
                assert_eq!(from_date(summary.period_start.as_ref()), Ok(period.start()), "{name}");
                assert_eq!(minor(summary.totals.as_ref().unwrap().net.as_ref()), net, "{name}, {period}");
                assert_eq!(minor(summary.carried_in.as_ref()), carried, "{name}, {period}");
                carried = if carries { limit + carried - net } else { 0 };
                assert_eq!(minor(summary.carried_out.as_ref()), carried, "{name}, {period}");
                period = period_of(kind, period.end());
            }
            assert!(period.contains(day(until)), "all that have ended are closed: {name}");
        }
    }
}

/// A record as it counts, by the rules alone.
fn counted(record: &Record) -> Option<Counted> {
    let counts = record.kind() == LineKind::Expense && !record.is_split && record.paired_with.is_empty();
    let category = if record.category.is_empty() { "uncategorized" } else { &record.category };
    counts.then(|| Counted {
        record_id: record.record_id.clone(),
        version: record.version,
        date: from_date(record.date.as_ref()).unwrap(),
        category: category.to_owned(),
        minor: minor(record.amount.as_ref()),
        currency: record.amount.as_ref().unwrap().currency_code.clone(),
    })
}

#[tokio::test]
async fn g19_a_year_of_every_kind_of_edit_comes_to_the_recompute_line_by_line() {
    let seed = from_environment("PATHWAY_SEED", fastrand::u64(..));
    eprintln!("PATHWAY_SEED={seed}");
    let services = Services::start().await;
    services.set_clock(day(0).begins_at_us(&TimeZone::utc()).unwrap());
    let limit =
        |category: &str, minor, rollover: analytics::Rollover, members: &[&str]| analytics::BudgetLimit {
            category: category.to_owned(),
            limit: usd(minor),
            rollover: rollover.into(),
            categories: members.iter().map(|name| (*name).to_owned()).collect(),
            ..analytics::BudgetLimit::default()
        };
    let month = vec![limit("dining", LIMITS[0], analytics::Rollover::All, &[])];
    services.set_budgets(USER, analytics::PeriodKind::Month, month).await;
    let week = vec![limit("fun", 9_000, analytics::Rollover::Off, &FUN)];
    services.set_budgets(USER, analytics::PeriodKind::Week, week).await;
    let mut year = Year {
        services,
        rng: fastrand::Rng::with_seed(seed),
        lines: Vec::new(),
        pending: Vec::new(),
        offset: 0,
        told: Vec::new(),
    };
    for today in 0..DAYS {
        year.live(today).await;
        match today {
            OTHER_LIMIT => {
                let less = vec![limit("dining", LIMITS[1], analytics::Rollover::All, &[])];
                year.services.set_budgets(USER, analytics::PeriodKind::Month, less).await;
            }
            OTHER_ZONE => year.services.cut(USER, "Asia/Kolkata", 0).await,
            OTHER_START => year.services.cut(USER, "", 10).await,
            _ => {}
        }
        if today % 91 == 90 || today == DAYS - 1 {
            // Whoever reads closes nothing, so somebody has to have come by: the task does, by the clock.
            year.services.until_closed(USER, "fun", day(today)).await;
            year.services.until_closed(USER, "dining", day(today)).await;
            year.check(today).await;
        }
    }
    // The same key always says the same, and some were told.
    let mut texts: BTreeMap<&str, &Notice> = BTreeMap::new();
    for notice in year.told.iter().filter(|notice| notice.dedup_key.starts_with("budget:")) {
        assert_eq!(*texts.entry(&notice.dedup_key).or_insert(notice), notice);
    }
    let budgets = texts.len();
    assert!(budgets > 10, "{budgets} alerts of budgets in a year");
}
