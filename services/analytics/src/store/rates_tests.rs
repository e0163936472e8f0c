//! Rates and figures by them, on both databases.

use std::collections::BTreeMap;

use pathway_finance::{CivilDate, DayRates, LineKind, Money, Period};
use pathway_store::testing::Scratch;
use uuid::Uuid;

use super::super::{Scope, Store};
use super::*;
use crate::fact::{Change, Fact, Line};

pathway_store::suite!(
    rates_are_kept_corrected_and_listed_in_pages,
    g12_reported_figures_equal_a_plain_recompute,
);

const NOW: i64 = 1_795_521_600_000_000;
const CODES: [&str; 4] = ["EUR", "INR", "JPY", "USD"];

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn rate(day: i64, base: &str, quote: &str, rate: &str) -> DatedRate {
    let pair = RatePair { base: currency(base), quote: currency(quote) };
    let day = CivilDate::parse("2026-11-01").unwrap().add_days(day).unwrap();
    DatedRate { day, pair, rate: Rate::parse(rate).unwrap(), source: "ECB".to_owned() }
}

fn everything() -> RatesQuestion {
    RatesQuestion { base: None, quote: None, first: None, end: None, after: None, limit: 2 }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

async fn rates_are_kept_corrected_and_listed_in_pages(scratch: &Scratch) {
    let store = open(scratch).await;
    let rates =
        vec![rate(0, "EUR", "USD", "1.25"), rate(1, "EUR", "USD", "1.3"), rate(1, "EUR", "JPY", "160")];
    let set = store.set_rates(rates.clone(), NOW).await.unwrap();
    assert_eq!(set, RatesSet { added: 3, corrected: 0, unchanged: 0 });
    let again = vec![rate(0, "EUR", "USD", "1.250"), rate(1, "EUR", "USD", "1.31")];
    let set = store.set_rates(again, NOW + 1).await.unwrap();
    assert_eq!(set, RatesSet { added: 0, corrected: 1, unchanged: 1 });

    let first = store.rates(everything()).await.unwrap();
    assert_eq!(first, [rates[2].clone(), rate(1, "EUR", "USD", "1.31")]);
    let last = &first[1];
    let after = RatePlace { day: last.day.epoch_days(), base: "EUR".to_owned(), quote: "USD".to_owned() };
    let next = store.rates(RatesQuestion { after: Some(after), ..everything() }).await.unwrap();
    assert_eq!(next, rates[..1]);
    let yen = RatesQuestion { quote: Some(currency("JPY")), first: Some(rates[1].day), ..everything() };
    assert_eq!(store.rates(yen).await.unwrap(), rates[2..]);
}

/// Lines of four currencies on days of which some have rates, beside a sum of each line's own conversion.
async fn g12_reported_figures_equal_a_plain_recompute(scratch: &Scratch) {
    let store = open(scratch).await;
    let rates = [
        (0, "USD", "1.0845"),
        (0, "JPY", "161.37"),
        (2, "USD", "1.0911"),
        (2, "INR", "91.205"),
        (3, "INR", "90"),
    ];
    let rates: Vec<DatedRate> =
        rates.into_iter().map(|(day, quote, value)| rate(day, "EUR", quote, value)).collect();
    store.set_rates(rates.clone(), NOW).await.unwrap();
    let mut by_day: BTreeMap<CivilDate, DayRates> = BTreeMap::new();
    for DatedRate { day, pair, rate, .. } in &rates {
        by_day.entry(*day).or_default().insert(*pair, *rate);
    }
    let mut random = drawn_lines();
    let (mut changes, mut expected, mut left) = (Vec::new(), [0_i64; 2], 0);
    for number in 0..200_u128 {
        let (code, day, minor, is_income) = random();
        let day = rates[0].day.add_days(day).unwrap();
        let amount = Money::new(minor, currency(code));
        let conversion =
            by_day.get(&day).cloned().unwrap_or_default().conversion(amount.currency(), currency("USD"));
        match conversion {
            Some(conversion) => {
                expected[usize::from(is_income)] += conversion.convert(minor).unwrap().minor();
            }
            None => left += 1,
        }
        let kind = if is_income { LineKind::Income } else { LineKind::Expense };
        let (category, merchant) = ("dining".to_owned(), "Shop".to_owned());
        let line = Line { kind, amount, category, day, merchant, account: String::new() };
        let fact = Fact { user_id: "u".to_owned(), version: 1, line: Some(line) };
        changes.push(Change { record_id: Uuid::from_u128(number), fact, is_live: false });
    }
    store.apply(changes, NOW).await.unwrap();
    let period = Period::parse("2026-11").unwrap();
    let scope = Scope { user_id: "u".to_owned(), period, currency: None };
    let (spending, reporting) = store.reported_spending(scope, currency("USD")).await.unwrap();
    assert_eq!(spending.total.net(), expected[0]);
    let apart: i64 = reporting.unconverted.values().map(|part| part.own.count).sum();
    assert_eq!(apart, left);
    assert!(left > 20, "some days have no rate: {left}");
    let (summary, _) =
        store.reported_summary("u".to_owned(), Some(period), currency("USD"), NOW).await.unwrap();
    assert_eq!((summary.current.income, summary.current.spending), (expected[1], spending));
}

/// Lines by chance, the same each time: a currency, a day of the first five, an amount, and whether it is an income.
fn drawn_lines() -> impl FnMut() -> (&'static str, i64, i64, bool) {
    let mut state = 7_u64;
    move || {
        // The constants of Knuth's generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = i64::try_from(state >> 33).unwrap();
        let code = CODES[usize::try_from(drawn % 4).unwrap()];
        (code, drawn / 4 % 5, 1 + drawn / 20 % 99_999 - 20_000, drawn / 2_000_000 % 5 == 0)
    }
}
