//! Series of a user's lines that come again and again, and what there is to tell about them.
//!
//! A series is found anew from the lines, so it follows every edit. What has been told about it does not follow from them: each expected date is
//! settled once, told or silently. A date that had passed before the series was known is settled silently, and so is another price that history
//! brings (G24): an import of old statements tells nothing.

use std::collections::{BTreeMap, HashMap};

use pathway_finance::{
    Cadence, CivilDate, Currency, LineKind, Money, Occurrence, PriceChange, change_percent, payee_key,
    recurring,
};
use uuid::Uuid;

use crate::insight::{Insight, facts};
use crate::subject::{About, Series, Subject};

/// What makes lines a series: the owner's lines of one currency, kind and payee.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesKey {
    pub(crate) currency: String,
    /// A line kind's code.
    pub(crate) kind: i64,
    pub(crate) payee: String,
}

/// A line that may be one of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesLine {
    pub(crate) record_id: Uuid,
    pub(crate) kind: LineKind,
    pub(crate) amount: Money,
    pub(crate) day: CivilDate,
    pub(crate) merchant: String,
    pub(crate) category: String,
    /// Whether it has just happened, and is not history.
    pub(crate) is_live: bool,
}

/// A series as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecurringSeries {
    pub(crate) key: SeriesKey,
    pub(crate) merchant: String,
    pub(crate) category: String,
    pub(crate) cadence: Cadence,
    /// The latest amount.
    pub(crate) amount: Money,
    pub(crate) is_fixed: bool,
    pub(crate) last: CivilDate,
    pub(crate) next: CivilDate,
    pub(crate) late_until: CivilDate,
    /// Whether that the next line is late has been told, or is not to be.
    pub(crate) is_settled: bool,
    /// Oldest first.
    pub(crate) lines: Vec<Uuid>,
}

/// A series that was found, with the price that its latest line changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    series: RecurringSeries,
    change: Option<PriceChange>,
    is_live: bool,
}

/// What a user's lines come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scanned {
    pub(crate) series: Vec<RecurringSeries>,
    pub(crate) insights: Vec<Insight>,
}

/// How old a line may be whose other price is told, in days.
const NEWS: i64 = 45;

/// Finds the series of a user's lines, which come oldest first, and what there is to tell on the owner's day. `known` is what was found before.
pub(crate) fn scan(
    user_id: &str,
    lines: Vec<SeriesLine>,
    known: &HashMap<SeriesKey, RecurringSeries>,
    today: CivilDate,
) -> Scanned {
    let mut payees: BTreeMap<SeriesKey, Vec<SeriesLine>> = BTreeMap::new();
    for line in lines {
        let payee = payee_key(&line.merchant);
        if !payee.is_empty() {
            let currency = line.amount.currency().code().to_owned();
            payees.entry(SeriesKey { currency, kind: line.kind.code(), payee }).or_default().push(line);
        }
    }
    let mut scanned = Scanned::default();
    for (key, lines) in payees {
        let Some(Found { mut series, change, is_live }) = find(key, &lines) else { continue };
        if today > series.late_until {
            let before = known.get(&series.key).filter(|before| before.next == series.next);
            if before.is_some_and(|before| !before.is_settled) {
                scanned.insights.push(Insight::missed(user_id, &series));
            }
            series.is_settled = true;
        }
        let is_news = is_live && today.epoch_days() - series.last.epoch_days() <= NEWS;
        if let Some(change) = change.filter(|_| is_news && series.key.kind == LineKind::Expense.code()) {
            scanned.insights.extend(Insight::price_changed(user_id, &series, change));
        }
        scanned.series.push(series);
    }
    scanned
}

fn find(key: SeriesKey, lines: &[SeriesLine]) -> Option<Found> {
    let occurrences: Vec<Occurrence> =
        lines.iter().map(|line| Occurrence { day: line.day, minor: line.amount.minor() }).collect();
    let found = recurring(&occurrences)?;
    let last = lines.get(*found.lines.last()?)?;
    let series = RecurringSeries {
        key,
        merchant: last.merchant.clone(),
        category: last.category.clone(),
        cadence: found.cadence,
        amount: last.amount,
        is_fixed: found.is_fixed,
        last: last.day,
        next: found.next,
        late_until: found.late_until,
        is_settled: false,
        lines: found.lines.iter().filter_map(|at| lines.get(*at)).map(|line| line.record_id).collect(),
    };
    Some(Found { series, change: found.change, is_live: last.is_live })
}

// === impl Insight ===

impl Insight {
    /// A payment that was expected and has not come: once for each expected date.
    fn missed(user_id: &str, series: &RecurringSeries) -> Self {
        let RecurringSeries { key, merchant, amount, next, late_until, .. } = series;
        let (text, code) = (amount.to_decimal_string(), amount.currency().code());
        let to = if key.kind == LineKind::Income.code() { "from" } else { "to" };
        let about = if series.is_fixed { "" } else { "about " };
        let count = series.lines.len();
        Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("recurring_missed:{}:{}:{}:{next}", key.currency, key.kind, key.payee),
            kind: "recurring_missed".to_owned(),
            title: format!("No payment {to} {merchant}"),
            message: format!(
                "A payment of {about}{text} {code} {to} {merchant} was expected on {next}, after {count} at this distance, and had not come by {late_until}."
            ),
            metadata: facts([
                ("payee", key.payee.clone()),
                ("merchant", merchant.clone()),
                ("amount", text),
                ("currency", code.to_owned()),
                ("cadence", series.cadence.name().to_owned()),
                ("expected", next.to_string()),
                ("count", count.to_string()),
            ]),
            subject: subject(series, About::Missed, *next),
            resolves: false,
        }
    }

    /// Another price: once for the line that brought it.
    fn price_changed(user_id: &str, series: &RecurringSeries, change: PriceChange) -> Option<Self> {
        let RecurringSeries { key, merchant, amount, last, .. } = series;
        let currency: Currency = amount.currency();
        let text = |minor| Money::new(minor, currency).to_decimal_string();
        let (from, to, code) = (text(change.from_minor), text(change.to_minor), currency.code());
        let percent = change_percent(change.to_minor, change.from_minor)?;
        let record_id = series.lines.last()?;
        Some(Self {
            user_id: user_id.to_owned(),
            dedup_key: format!("price_changed:{}:{}:{record_id}", key.currency, key.payee),
            kind: "price_changed".to_owned(),
            title: format!("{merchant} changed its price"),
            message: format!(
                "{merchant} took {to} {code} on {last}; before it was {from} {code} ({percent:+}%)."
            ),
            metadata: facts([
                ("payee", key.payee.clone()),
                ("merchant", merchant.clone()),
                ("before", from),
                ("amount", to),
                ("currency", code.to_owned()),
                ("percent", percent.to_string()),
                ("cadence", series.cadence.name().to_owned()),
                ("date", last.to_string()),
                ("record_id", record_id.to_string()),
                ("count", series.lines.len().to_string()),
            ]),
            subject: subject(series, About::Price, *last),
            resolves: false,
        })
    }
}

fn subject(series: &RecurringSeries, about: About, day: CivilDate) -> Subject {
    Subject::Series(Series {
        about,
        payee: series.key.payee.clone(),
        currency: series.key.currency.clone(),
        kind: series.key.kind,
        day: day.epoch_days(),
        minor: series.amount.minor(),
        // The latest first: it is the one that an insight is about.
        lines: series.lines.iter().rev().copied().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    fn line(record: u128, date: &str, minor: i64, is_live: bool) -> SeriesLine {
        SeriesLine {
            record_id: Uuid::from_u128(record),
            kind: LineKind::Expense,
            amount: Money::new(minor, Currency::parse("USD").unwrap()),
            day: day(date),
            merchant: format!("Netflix {record}"),
            category: "entertainment".to_owned(),
            is_live,
        }
    }

    fn three(last_minor: i64, is_live: bool) -> Vec<SeriesLine> {
        vec![
            line(1, "2026-08-12", 999, false),
            line(2, "2026-09-12", 999, false),
            line(3, "2026-10-12", last_minor, is_live),
        ]
    }

    fn known(scanned: &Scanned) -> HashMap<SeriesKey, RecurringSeries> {
        scanned.series.iter().map(|series| (series.key.clone(), series.clone())).collect()
    }

    fn kinds(scanned: &Scanned) -> Vec<&str> {
        scanned.insights.iter().map(|insight| insight.kind.as_str()).collect()
    }

    #[test]
    fn a_missed_payment_is_told_once_for_each_expected_date_after_its_grace() {
        let first = scan("u", three(999, true), &HashMap::new(), day("2026-10-12"));
        assert!(first.insights.is_empty() && !first.series[0].is_settled);
        assert_eq!(first.series[0].next, day("2026-11-12"));
        let late = scan("u", three(999, true), &known(&first), first.series[0].late_until);
        assert!(late.insights.is_empty(), "within the grace");
        let missed = scan("u", three(999, true), &known(&late), day("2026-11-19"));
        assert_eq!(kinds(&missed), ["recurring_missed"]);
        assert_eq!(missed.insights[0].dedup_key, "recurring_missed:USD:1:netflix:2026-11-12");
        assert!(missed.insights[0].message.contains("9.99 USD to Netflix 3 was expected on 2026-11-12"));
        let again = scan("u", three(999, true), &known(&missed), day("2026-11-20"));
        assert!(again.insights.is_empty(), "once");
    }

    #[test]
    fn g24_what_was_late_before_it_was_known_is_settled_silently() {
        let found = scan("u", three(999, false), &HashMap::new(), day("2027-06-01"));
        assert!(found.insights.is_empty() && found.series[0].is_settled);
    }

    #[test]
    fn another_price_is_told_with_both_amounts() {
        let found = scan("u", three(1299, true), &HashMap::new(), day("2026-10-12"));
        assert_eq!(kinds(&found), ["price_changed"]);
        let insight = &found.insights[0];
        assert_eq!(
            (insight.metadata["before"].as_str(), insight.metadata["percent"].as_str()),
            ("9.99", "30")
        );
        assert!(!insight.title.contains("12"), "no amount on a lock screen (G29)");
    }

    #[test]
    fn g24_history_and_old_lines_change_no_price_aloud() {
        let found = scan("u", three(1299, false), &HashMap::new(), day("2026-10-12"));
        assert!(found.insights.is_empty());
        let found = scan("u", three(1299, true), &HashMap::new(), day("2026-12-12"));
        assert!(found.insights.is_empty());
    }
}
