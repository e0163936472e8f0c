//! Series that come again, and those that only seem to.

use proptest::prelude::*;

use super::*;

fn day(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn lines(pairs: &[(&str, i64)]) -> Vec<Occurrence> {
    pairs.iter().map(|(date, minor)| Occurrence { day: day(date), minor: *minor }).collect()
}

/// The cadence of lines of one amount.
fn cadence(dates: &[&str]) -> Option<Cadence> {
    let lines: Vec<Occurrence> = dates.iter().map(|date| Occurrence { day: day(date), minor: 999 }).collect();
    recurring(&lines).map(|found| found.cadence)
}

#[test]
fn each_cadence_is_recognised_with_its_tolerance() {
    for (expected, dates) in [
        (Cadence::Week, ["2026-11-02", "2026-11-09", "2026-11-17"]),
        (Cadence::TwoWeeks, ["2026-10-30", "2026-11-13", "2026-11-27"]),
        (Cadence::Month, ["2026-01-31", "2026-02-28", "2026-03-31"]),
        (Cadence::Month, ["2026-09-01", "2026-10-03", "2026-11-02"]),
        (Cadence::Quarter, ["2026-01-15", "2026-04-15", "2026-07-16"]),
        (Cadence::Year, ["2024-02-29", "2025-02-28", "2026-03-01"]),
    ] {
        assert_eq!(cadence(&dates), Some(expected), "{dates:?}");
    }
}

#[test]
fn two_lines_or_an_irregular_distance_are_no_series() {
    assert_eq!(cadence(&["2026-10-01", "2026-11-01"]), None);
    assert_eq!(cadence(&["2026-10-01", "2026-10-20", "2026-11-29"]), None);
    assert_eq!(cadence(&[]), None);
}

#[test]
fn one_line_may_have_been_skipped() {
    assert_eq!(cadence(&["2026-06-05", "2026-07-05", "2026-09-05", "2026-10-05"]), Some(Cadence::Month));
    assert_eq!(cadence(&["2026-02-05", "2026-04-05", "2026-06-05", "2026-08-05"]), None, "every other month");
}

#[test]
fn the_next_line_is_expected_on_the_day_that_the_series_keeps() {
    let found = recurring(&lines(&[("2025-12-31", 999), ("2026-01-31", 999), ("2026-02-28", 999)])).unwrap();
    assert_eq!((found.next, found.late_until), (day("2026-03-31"), day("2026-04-06")));
    let found = recurring(&lines(&[("2026-08-12", 999), ("2026-09-12", 999), ("2026-10-12", 999)])).unwrap();
    assert_eq!(found.next, day("2026-11-12"));
}

#[test]
fn another_price_is_told_by_the_line_that_changes_it() {
    let same = [("2026-08-12", 999), ("2026-09-12", 999), ("2026-10-12", 999)];
    assert_eq!(recurring(&lines(&same)).unwrap().change, None);
    let raised = [("2026-08-12", 999), ("2026-09-12", 999), ("2026-10-12", 1299)];
    let change = PriceChange { from_minor: 999, to_minor: 1299 };
    assert_eq!(recurring(&lines(&raised)).unwrap().change, Some(change));
    let after = [("2026-08-12", 999), ("2026-09-12", 999), ("2026-10-12", 1299), ("2026-11-12", 1299)];
    assert_eq!(recurring(&lines(&after)).unwrap().change, None, "once");
    let rounded = [("2026-08-12", 9990), ("2026-09-12", 9990), ("2026-10-12", 9995)];
    assert_eq!(recurring(&lines(&rounded)).unwrap().change, None, "less than one per cent");
}

#[test]
fn a_bill_may_vary_and_has_no_price() {
    let bill = [("2026-07-03", 6200), ("2026-08-04", 7100), ("2026-09-03", 5400), ("2026-10-05", 4300)];
    let found = recurring(&lines(&bill)).unwrap();
    assert_eq!((found.cadence, found.is_fixed, found.change), (Cadence::Month, false, None));
}

#[test]
fn shopping_every_week_is_no_subscription() {
    let shop = [("2026-10-03", 6200), ("2026-10-10", 7100), ("2026-10-17", 5400), ("2026-10-24", 8300)];
    assert_eq!(recurring(&lines(&shop)), None);
}

#[test]
fn a_subscription_is_found_beside_other_purchases_of_its_payee() {
    let shop = [
        ("2026-07-12", 1499),
        ("2026-07-15", 23_000),
        ("2026-08-12", 1499),
        ("2026-08-30", 4100),
        ("2026-09-12", 1499),
        ("2026-09-13", 700),
        ("2026-10-12", 1499),
    ];
    let found = recurring(&lines(&shop)).unwrap();
    assert_eq!((found.cadence, found.lines), (Cadence::Month, vec![0, 2, 4, 6]));
}

#[test]
fn a_cafe_is_no_subscription_although_some_of_its_amounts_are_alike() {
    let visits = [
        ("2026-06-06", 2594),
        ("2026-06-16", 2240),
        ("2026-07-06", 1816),
        ("2026-07-16", 2210),
        ("2026-08-06", 2336),
        ("2026-08-16", 2360),
        ("2026-09-06", 1704),
        ("2026-09-16", 2077),
        ("2026-10-06", 2418),
        ("2026-10-16", 2053),
        ("2026-11-06", 1792),
        ("2026-11-16", 2210),
    ];
    assert_eq!(recurring(&lines(&visits)), None);
}

#[test]
fn payees_are_named_without_their_numbers() {
    for (name, key) in [
        ("NETFLIX.COM", "netflix com"),
        ("Netflix.com 866-579-7172", "netflix com"),
        ("SPOTIFY P1A2B3", "spotify"),
        ("7-Eleven", "eleven"),
        ("1234", "1234"),
        ("", ""),
        ("चाय घर", "चाय घर"),
    ] {
        assert_eq!(payee_key(name), key, "{name}");
    }
}

proptest! {
    #[test]
    fn a_steady_series_is_always_found_and_nothing_panics(
        days in 0_i64..20_000,
        count in 3_usize..20,
        jitter in prop::collection::vec(-1_i64..=1, 20),
        minor in 1_i64..=i64::MAX,
    ) {
        let first = CivilDate::from_epoch_days(days).unwrap();
        let mut lines = Vec::new();
        for (at, jitter) in jitter.into_iter().enumerate().take(count) {
            let months = i16::try_from(at).unwrap();
            let day = month_after(first, months, first.day()).unwrap().add_days(jitter).unwrap();
            lines.push(Occurrence { day, minor });
        }
        let found = recurring(&lines).unwrap();
        prop_assert_eq!(found.cadence, Cadence::Month);
        prop_assert_eq!(found.lines.len(), count);
        prop_assert!(found.next > found.last.day && found.late_until > found.next);
    }

    #[test]
    fn no_lines_panic(lines in prop::collection::vec((0_i64..4000, 1_i64..=i64::MAX), 0..40)) {
        let mut lines: Vec<Occurrence> = lines
            .into_iter()
            .map(|(days, minor)| Occurrence { day: CivilDate::from_epoch_days(days).unwrap(), minor })
            .collect();
        lines.sort_by_key(|line| line.day);
        let _ = recurring(&lines);
    }
}
