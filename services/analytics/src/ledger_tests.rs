//! The rules, over a store that is a few maps.

use std::collections::BTreeMap;

use pathway_finance::{BudgetTerms, Money, Rules, UNCATEGORIZED, revise};
use proptest::prelude::*;

use super::*;

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;
const TODAY: &str = "2026-11-24";

/// What the store would keep.
#[derive(Default)]
struct Book {
    budgets: Budgets,
    facts: HashMap<Uuid, Fact>,
    purses: HashMap<Purse, Totals>,
    cells: HashMap<Cell, Totals>,
    fired: Vec<Fired>,
    answered: HashMap<(Uuid, i64), Vec<Insight>>,
    recent: HashMap<Series, Recent>,
}

// === impl Book ===

impl Book {
    fn with_budget(category: &str, minor: i64) -> Self {
        Self::default().and_budget(category, minor, Rules::default())
    }

    fn and_budget(mut self, name: &str, minor: i64, rules: Rules) -> Self {
        if self.budgets == Budgets::default() {
            self.budgets = Budgets::new(BTreeMap::new(), NOW);
        }
        let terms = BudgetTerms { limit: usd(minor), kind: PeriodKind::MONTH, zone: TimeZone::utc(), rules };
        self.budgets.push(name, revise(&[], &terms, NOW).unwrap().remove(0));
        self
    }

    fn apply(&mut self, changes: &[Change]) -> Vec<Applied> {
        let owner = Owner {
            zone: TimeZone::utc(),
            today: day(TODAY),
            budgets: self.budgets.clone(),
            goals: Vec::new(),
        };
        let mut known = Known { owners: HashMap::from([("u".to_owned(), owner)]), ..Known::default() };
        known.facts = self.facts.clone();
        known.answered = self.answered.clone();
        let needs = known.needs(changes);
        known.purses = filled(needs.purses, &self.purses);
        known.cells = filled(needs.cells, &self.cells);
        for (key, mut standing) in needs.standings {
            let is_in = |cell: &Cell| {
                standing.members.contains(&cell.series.category) && standing.period.contains(cell.day)
            };
            let cells = self.cells.iter().filter(|(cell, _)| is_in(cell));
            standing.spent = cells.fold(Totals::default(), |sum, (_, cell)| sum.checked_add(*cell).unwrap());
            standing.fired = self.fired.iter().filter(|f| f.budget == key).map(|f| f.threshold).collect();
            let told = self.fired.iter().filter(|f| f.budget == key && f.notified && f.threshold > 0);
            standing.told = told.map(|f| f.threshold).collect();
            standing.told.retain(|threshold| !standing.fired.contains(&-threshold));
            known.standings.insert(key, standing);
        }
        self.recent.retain(|series, _| !needs.outdated.contains(series));
        for (series, moves) in needs.purchases {
            let purchases = match self.recent.get(&series).filter(|recent| recent.serves(&moves)) {
                Some(recent) => Purchases::of_recent(recent.clone()),
                None => Purchases::of_facts(self.purchases(&series).rev().take(moves.count).collect()),
            };
            known.purchases.insert(series, purchases);
        }
        let mut ledger = Ledger::new(known);
        let applied = changes.iter().map(|change| ledger.apply(change).unwrap()).collect();
        let settled = ledger.finish();
        self.facts.extend(settled.facts);
        self.purses.extend(settled.purses);
        self.cells.extend(settled.cells);
        self.fired.extend(settled.fired);
        self.answered.extend(settled.insights.into_iter().map(|(id, version, told)| ((id, version), told)));
        self.recent.extend(settled.recent);
        applied
    }

    /// The purchases of a series, as the facts have them.
    fn purchases(&self, series: &Series) -> std::collections::btree_map::IntoIter<PurchasePlace, i64> {
        let of_series = |(id, fact): (&Uuid, &Fact)| {
            let line = fact.purchase().filter(|line| super::series("u", line) == *series)?;
            Some(((line.day, *id), line.amount.minor()))
        };
        self.facts.iter().filter_map(of_series).collect::<BTreeMap<_, _>>().into_iter()
    }

    /// The kinds of what follows from one change.
    fn told(&mut self, change: Change) -> Vec<String> {
        let applied = self.apply(&[change]).remove(0).unwrap();
        applied.into_iter().map(|insight| insight.kind).collect()
    }

    /// Net spending over everything.
    fn net(&self) -> i64 {
        self.purses.values().map(|totals| totals.net()).sum()
    }
}

fn filled<K: std::hash::Hash + Eq>(keys: HashSet<K>, stored: &HashMap<K, Totals>) -> HashMap<K, Totals> {
    let totals = |key: &K| stored.get(key).copied().unwrap_or_default();
    keys.into_iter().map(|key| (totals(&key), key)).map(|(totals, key)| (key, totals)).collect()
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

fn day(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn line(minor: i64, category: &str, date: &str) -> Line {
    Line {
        kind: LineKind::Expense,
        amount: usd(minor),
        category: category.to_owned(),
        day: day(date),
        merchant: String::new(),
        account: String::new(),
    }
}

fn change(record: u128, version: i64, line: Option<Line>) -> Change {
    let fact = Fact { user_id: "u".to_owned(), version, line };
    Change { record_id: Uuid::from_u128(record), fact, is_live: true }
}

/// A new line for dining, dated today.
fn dining(record: u128, minor: i64) -> Change {
    change(record, 1, Some(line(minor, "dining", TODAY)))
}

fn history(change: Change) -> Change {
    Change { is_live: false, ..change }
}

#[test]
fn g21_each_threshold_alerts_once() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(dining(1, 7999)), Vec::<String>::new());
    assert_eq!(book.told(dining(2, 1)), ["budget_warning"]);
    assert_eq!(book.told(dining(3, 500)), Vec::<String>::new());
    assert_eq!(book.told(dining(4, 3000)), ["budget_exceeded"]);
    assert_eq!(book.told(dining(2, 1)), ["budget_warning"], "a redelivery gets the same answer");
    assert_eq!(book.net(), 11_500);
    assert_eq!(book.fired.len(), 2);
}

#[test]
fn g21_a_batch_answers_what_single_changes_would() {
    let changes: Vec<Change> =
        [7999, 1, 500, 3000].into_iter().zip(1..).map(|(m, id)| dining(id, m)).collect();
    let mut one_by_one = Book::with_budget("dining", 10_000);
    let single: Vec<Vec<Insight>> = changes
        .iter()
        .map(|change| one_by_one.apply(std::slice::from_ref(change)).remove(0).unwrap())
        .collect();
    let mut at_once = Book::with_budget("dining", 10_000);
    let batch: Vec<Vec<Insight>> = at_once.apply(&changes).into_iter().map(Result::unwrap).collect();
    assert_eq!(batch, single);
    assert_eq!(at_once.fired, one_by_one.fired);
}

#[test]
fn g22_one_change_over_both_thresholds_tells_of_the_highest() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(dining(1, 12_000)), ["budget_exceeded"]);
    let fired: Vec<(i64, bool)> = book.fired.iter().map(|fired| (fired.threshold, fired.notified)).collect();
    assert_eq!(fired, [(80, false), (100, true)]);
}

#[test]
fn g22_a_limit_of_zero_is_exceeded_by_the_first_spending_and_no_limit_never() {
    let mut book = Book::with_budget("dining", 0);
    assert_eq!(book.told(dining(1, 1)), ["budget_exceeded"]);
    let mut book = Book::default();
    assert_eq!(book.told(dining(1, 1_000_000)), Vec::<String>::new());
}

#[test]
fn g07_g23_a_refund_lowers_spending_and_crossing_again_is_silent() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(dining(1, 9000)), ["budget_warning"]);
    assert_eq!(book.told(dining(2, -3000)), ["budget_resolved"]);
    assert_eq!(book.net(), 6000);
    assert_eq!(book.told(dining(3, 2500)), Vec::<String>::new(), "85 % once more");
    assert_eq!(book.told(dining(4, -2500)), Vec::<String>::new(), "it is resolved already");
    let resolved = book.answered[&(Uuid::from_u128(2), 1)][0].clone();
    assert!(resolved.resolves && resolved.dedup_key == "budget:dining:1:2026-11-01:80");
}

#[test]
fn g19_taking_a_refund_back_can_cross() {
    let mut book = Book::with_budget("dining", 10_000);
    book.apply(&[dining(2, -3000), dining(1, 9000)]);
    assert_eq!(book.told(change(2, 2, None)), ["budget_warning"]);
}

#[test]
fn g19_an_edit_moves_a_line_between_categories_and_days() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(change(1, 1, Some(line(9000, "travel", "2026-10-03")))), Vec::<String>::new());
    assert_eq!(book.told(change(1, 2, Some(line(9000, "dining", TODAY)))), ["budget_warning"]);
    let cell = |category: &str, date: &str| {
        let series = series("u", &line(0, category, date));
        book.cells.get(&Cell { series, day: day(date) }).copied().unwrap_or_default()
    };
    assert!(cell("travel", "2026-10-03").is_empty());
    assert_eq!(cell("dining", TODAY).net(), 9000);
}

#[test]
fn g19_an_older_version_that_comes_late_changes_nothing() {
    let mut book = Book::with_budget("dining", 10_000);
    book.told(change(1, 3, Some(line(500, "dining", TODAY))));
    assert_eq!(book.told(change(1, 2, Some(line(9900, "dining", TODAY)))), Vec::<String>::new());
    assert_eq!(book.net(), 500);
}

#[test]
fn g16_a_tombstone_takes_its_line_back_and_stays() {
    let mut book = Book::default();
    book.told(dining(1, 500));
    book.told(change(1, 2, None));
    assert_eq!(book.net(), 0);
    book.told(dining(1, 500));
    assert_eq!(book.net(), 0, "an older version does not bring it back");
}

#[test]
fn g08_transfers_and_income_are_in_no_total() {
    let mut book = Book::with_budget("dining", 100);
    for (record, kind) in [(1, LineKind::Transfer), (2, LineKind::Income), (3, LineKind::Adjustment)] {
        let line = Line { kind, ..line(9000, "dining", TODAY) };
        assert_eq!(book.told(change(record, 1, Some(line))), Vec::<String>::new());
    }
    assert_eq!(book.net(), 0);
}

#[test]
fn g11_lines_without_a_category_are_in_the_total_and_in_no_budget() {
    let mut book = Book::with_budget(UNCATEGORIZED, 100);
    assert_eq!(book.told(change(1, 1, Some(line(9000, UNCATEGORIZED, TODAY)))), Vec::<String>::new());
    assert_eq!(book.net(), 9000);
}

#[test]
fn g24_history_fires_silently() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(history(dining(1, 8500))), Vec::<String>::new());
    assert_eq!(book.told(dining(2, 500)), Vec::<String>::new(), "80 % has fired");
    assert_eq!(book.told(dining(3, 2000)), ["budget_exceeded"]);
}

#[test]
fn g20_g24_a_late_change_to_a_closed_period_tells_nothing() {
    let mut book = Book::with_budget("dining", 10_000);
    assert_eq!(book.told(change(1, 1, Some(line(12_000, "dining", "2026-10-31")))), Vec::<String>::new());
    assert_eq!(
        book.told(change(2, 1, Some(line(12_000, "dining", "2026-12-01")))),
        ["budget_exceeded"],
        "dated ahead"
    );
}

#[test]
fn g22_a_budget_alerts_at_its_own_thresholds() {
    let rules = Rules { thresholds: vec![50, 90], ..Rules::default() };
    let mut book = Book::default().and_budget("dining", 10_000, rules);
    assert_eq!(book.told(dining(1, 5000)), ["budget_warning"]);
    assert_eq!(book.told(dining(2, 3000)), Vec::<String>::new(), "80 % is none of its own");
    assert_eq!(book.told(dining(3, 1000)), ["budget_warning"]);
    assert_eq!(book.told(dining(4, 5000)), Vec::<String>::new());
}

#[test]
fn g21_a_group_alerts_on_what_its_categories_come_to_together() {
    let members = vec!["dining".to_owned(), "travel".to_owned()];
    let rules = Rules { members, ..Rules::default() };
    let mut book = Book::with_budget("dining", 100_000).and_budget("fun", 10_000, rules);
    assert_eq!(book.told(dining(1, 4000)), Vec::<String>::new());
    let travel = change(2, 1, Some(line(4500, "travel", TODAY)));
    let told = book.apply(std::slice::from_ref(&travel)).remove(0).unwrap();
    assert_eq!(told[0].dedup_key, "budget:fun:1:2026-11-01:80");
    // A line that moves between two of them moves nothing of the group's.
    assert_eq!(book.told(change(2, 2, Some(line(4500, "dining", TODAY)))), Vec::<String>::new());
    assert_eq!(book.told(dining(3, 2000)), ["budget_exceeded"]);
}

#[test]
fn g21_a_pace_is_told_of_once_and_not_with_a_threshold() {
    let rules = Rules { pace: true, thresholds: vec![80, 100], ..Rules::default() };
    let mut book = Book::default().and_budget("dining", 10_000, rules);
    // The 24th of 30 days: 7100 comes to 8875 by the end, which is within the limit.
    assert_eq!(book.told(dining(1, 7100)), Vec::<String>::new());
    assert_eq!(book.told(dining(2, 1000)), ["budget_warning"], "80 %, which says it already");
    assert_eq!(book.told(dining(3, 700)), ["budget_warning"], "8800 comes to 11000");
    assert_eq!(book.told(dining(4, 100)), Vec::<String>::new());
    let last = book.answered[&(Uuid::from_u128(3), 1)][0].clone();
    assert_eq!(last.dedup_key, "budget:dining:1:2026-11-01:pace");
    assert_eq!(last.metadata["projected"], "110.00");
}

#[test]
fn g26_a_purchase_that_stands_out_is_told_with_its_baseline() {
    let mut book = Book::default();
    for record in 1..=10_u8 {
        let usual = line(1000 + 10 * i64::from(record), "dining", "2026-11-02");
        assert_eq!(book.told(change(record.into(), 1, Some(usual))), Vec::<String>::new());
    }
    let told = book.apply(&[dining(11, 5000)]).remove(0).unwrap();
    assert_eq!(told[0].kind, "transaction_alert");
    assert_eq!(told[0].dedup_key, format!("anomaly:{}", Uuid::from_u128(11)));
    for (key, value) in [
        ("detector", "z-score"),
        ("severity", "high"),
        ("count", "10"),
        ("baseline", "10.55"),
        ("factor", "4.7"),
    ] {
        assert_eq!(told[0].metadata[key], value, "{key}");
    }
    assert_eq!(
        book.told(change(11, 2, Some(Line { merchant: "Cafe".to_owned(), ..line(5000, "dining", TODAY) }))),
        Vec::<String>::new(),
        "the amount is the same"
    );
    assert_eq!(book.told(dining(12, -5000)), Vec::<String>::new(), "a refund");
    assert_eq!(book.told(history(dining(13, 5000))), Vec::<String>::new(), "history");
    assert_eq!(
        book.told(change(14, 1, Some(line(9000, "dining", "2026-10-02")))),
        Vec::<String>::new(),
        "a closed month"
    );
}

#[test]
fn g26_what_comes_last_is_compared_with_what_is_kept() {
    let mut book = Book::default();
    for record in 1..=60 {
        book.told(dining(record, 1000 + i64::try_from(record).unwrap()));
    }
    let kept = |book: &Book| {
        let latest = book.recent.values().next().map(|recent| recent.latest.clone());
        latest.unwrap().into_iter().map(|(_, minor)| minor).collect::<Vec<i64>>()
    };
    assert_eq!(kept(&book), (1011..=1060).rev().collect::<Vec<_>>());
    book.told(change(60, 2, None));
    assert_eq!(kept(&book), (1010..=1059).rev().collect::<Vec<_>>(), "one that had fallen out is back");
    book.told(history(dining(61, 7)));
    assert!(book.recent.is_empty(), "nothing was compared, so nothing was read");
    assert_eq!(book.told(dining(62, 90_000)), ["transaction_alert"]);
    assert_eq!(kept(&book)[..3], [90_000, 7, 1059]);
}

#[test]
fn g26_a_new_record_takes_the_place_of_its_day_without_a_look_at_the_facts() {
    let mut book = Book::default();
    let dated = |record, minor, date| change(record, 1, Some(line(minor, "dining", date)));
    book.told(dated(1, 1, TODAY));
    for new in [dated(2, 2, "2026-11-02"), dated(3, 3, "2026-11-10"), dated(4, 4, "2026-11-10")] {
        let moves = purchases::moves(std::slice::from_ref(&new), &book.facts);
        let (series, moves) = moves.into_iter().next().unwrap();
        assert!(book.recent[&series].serves(&moves));
        book.told(new);
    }
    let amounts: Vec<i64> =
        book.recent.values().flat_map(|recent| recent.latest.iter().map(|(_, minor)| *minor)).collect();
    assert_eq!(amounts, [1, 4, 3, 2]);
    let moves = purchases::moves(&[dated(4, 5, TODAY), change(3, 2, None)], &book.facts);
    assert!(moves.iter().all(|(series, moves)| !book.recent[series].serves(moves)), "one is taken back");
}

#[test]
fn g01_a_change_that_would_overflow_is_refused_alone() {
    let mut book = Book::default();
    let applied = book.apply(&[dining(1, i64::MAX), dining(2, 1), dining(3, -2), dining(4, i64::MIN)]);
    let is_refused: Vec<bool> = applied.iter().map(Result::is_err).collect();
    assert_eq!(is_refused, [false, true, false, true]);
    assert_eq!(book.net(), i64::MAX - 2);
    assert_eq!(book.facts.len(), 2);
}

#[test]
fn a_record_keeps_its_owner() {
    let mut book = Book::default();
    book.told(dining(1, 500));
    let mut stolen = change(1, 2, Some(line(1, "dining", TODAY)));
    stolen.fact.user_id = "thief".to_owned();
    assert!(book.apply(&[stolen])[0].is_err());
    assert_eq!(book.net(), 500);
}

/// The sums of the lines that stand in the end.
fn recomputed(changes: &[Change]) -> HashMap<Cell, Totals> {
    let mut latest: HashMap<Uuid, &Fact> = HashMap::new();
    for change in changes {
        let known = latest.entry(change.record_id).or_insert(&change.fact);
        if known.version < change.fact.version {
            *known = &change.fact;
        }
    }
    let mut cells: HashMap<Cell, Totals> = HashMap::new();
    for line in latest.values().filter_map(|fact| fact.spending()) {
        let cell = cells.entry(Cell { series: series("u", line), day: line.day }).or_default();
        cell.add(line.kind, line.amount.minor()).unwrap();
    }
    cells
}

fn any_line() -> impl Strategy<Value = Option<Line>> {
    let kind = prop_oneof![3 => Just(LineKind::Expense), 1 => Just(LineKind::Transfer)];
    let category = prop_oneof![Just("dining"), Just("travel"), Just(UNCATEGORIZED)];
    let date = prop_oneof![Just("2026-10-31"), Just("2026-11-01"), Just(TODAY)];
    prop::option::weighted(0.8, (kind, -500_i64..2000, category, date)).prop_map(|line_of| {
        line_of.map(|(kind, minor, category, date)| Line { kind, ..line(minor, category, date) })
    })
}

/// Versions of a few records, each twice, in any order. A version has one content, whenever it comes.
fn any_history() -> impl Strategy<Value = Vec<Change>> {
    let versions = prop::collection::btree_map((0_u128..5, 1_i64..5), (any_line(), any::<bool>()), 1..20);
    versions.prop_flat_map(|versions| {
        let changes = versions
            .into_iter()
            .map(|((record, version), (line, is_live))| Change { is_live, ..change(record, version, line) });
        let twice: Vec<Change> = changes.flat_map(|change| [change.clone(), change]).collect();
        Just(twice).prop_shuffle()
    })
}

proptest! {
    #[test]
    fn g19_any_history_in_any_order_with_duplicates_equals_a_recompute(
        changes in any_history(),
        batch in 1_usize..7,
    ) {
        let mut book = Book::with_budget("dining", 1500);
        for changes in changes.chunks(batch) {
            book.apply(changes);
        }
        let expected = recomputed(&changes);
        for (series, recent) in &book.recent {
            let purchases: Vec<_> = book.purchases(series).rev().collect();
            let latest = purchases.iter().take(COMPARED).map(|((day, _), minor)| (*day, *minor));
            prop_assert_eq!(&recent.latest, &latest.collect::<Vec<_>>());
            let is_bounded = |(day, id): PurchasePlace| day <= recent.last_day && id <= recent.greatest;
            prop_assert!(purchases.iter().take(COMPARED).all(|(place, _)| is_bounded(*place)));
        }
        book.cells.retain(|_, totals| !totals.is_empty());
        prop_assert_eq!(&book.cells, &expected);
        let net: i64 = expected.values().map(|totals| totals.net()).sum();
        prop_assert_eq!(book.net(), net);
        // A threshold of a budget's period fires once.
        let mut fired: Vec<_> = book.fired.iter().map(|fired| (fired.budget.clone(), fired.threshold)).collect();
        let count = fired.len();
        fired.sort();
        fired.dedup();
        prop_assert_eq!(fired.len(), count);
    }
}
