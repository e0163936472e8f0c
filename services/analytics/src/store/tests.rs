//! The store's promises, on both databases.

use std::collections::{BTreeMap, HashMap};

use pathway_finance::{CivilDate, Currency, LineKind, Money, Period, PeriodKind, Rollover, TimeZone, Totals};
use pathway_store::Val;
use pathway_store::testing::Scratch;

use uuid::Uuid;

use super::*;
use crate::fact::{Fact, Line};

pathway_store::suite!(
    a_budget_alerts_once_whatever_comes_again,
    g23_thresholds_passed_under_a_new_revision_are_silent,
    g19_figures_equal_a_recompute_after_many_batches,
    concurrent_batches_of_one_user_lose_nothing,
    spending_is_sorted_and_names_other_currencies,
    an_explanation_adds_up_to_its_number,
    a_cursor_moves_with_what_was_read,
    g04_a_zone_is_for_all_budgets_and_holds_from_the_next_boundary,
    g03_every_kind_of_period_is_kept,
    g04_a_start_day_is_for_all_budgets_of_its_kind,
    g20_a_period_closes_by_time_and_a_late_line_corrects_it,
    g23_what_is_left_rolls_over_and_a_late_line_moves_it,
    a_group_counts_its_categories_together,
    g26_an_amount_is_compared_with_those_of_earlier_batches,
    figures_of_an_older_schema_are_kept,
);

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn day(text: &str) -> CivilDate {
    CivilDate::parse(text).unwrap()
}

fn line(minor: i64, code: &str, category: &str, date: &str) -> Line {
    Line {
        kind: LineKind::Expense,
        amount: Money::new(minor, currency(code)),
        category: category.to_owned(),
        day: day(date),
        merchant: "Shop".to_owned(),
        account: "checking".to_owned(),
    }
}

fn change(user: &str, record: u128, version: i64, line: Option<Line>) -> Change {
    let fact = Fact { user_id: user.to_owned(), version, line };
    Change { record_id: Uuid::from_u128(record), fact, is_live: true }
}

fn dining(record: u128, minor: i64) -> Change {
    change("u", record, 1, Some(line(minor, "USD", "dining", "2026-11-20")))
}

fn november(user: &str) -> Scope {
    Scope { user_id: user.to_owned(), period: Period::parse("2026-11").unwrap(), currency: None }
}

fn limits(pairs: &[(&str, i64)], zone: Option<&str>) -> NewBudgets {
    let limits = pairs.iter().map(|(category, minor)| NewLimit {
        name: (*category).to_owned(),
        limit: Money::new(*minor, currency("USD")),
        rules: RulesPatch::default(),
    });
    NewBudgets {
        user_id: "u".to_owned(),
        limits: limits.collect(),
        kind: PeriodKind::MONTH,
        has_start: false,
        zone: zone.map(|name| TimeZone::parse(name).unwrap()),
    }
}

async fn open(scratch: &Scratch) -> Store {
    Store::open(&scratch.config()).await.unwrap()
}

/// The kinds of what follows from a batch.
async fn told(store: &Store, changes: Vec<Change>) -> Vec<Vec<String>> {
    let applied = store.apply(changes, NOW).await.unwrap();
    applied
        .into_iter()
        .map(|insights| insights.unwrap().into_iter().map(|insight| insight.kind).collect())
        .collect()
}

async fn a_budget_alerts_once_whatever_comes_again(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_budgets(limits(&[("dining", 10_000)], None), NOW).await.unwrap();
    let batch = vec![dining(1, 7999), dining(2, 1), dining(3, 500), dining(2, 1), dining(4, 3000)];
    let first = store.apply(batch.clone(), NOW).await.unwrap();
    let first: Vec<_> = first.into_iter().map(Result::unwrap).collect();
    let kinds: Vec<usize> = first.iter().map(Vec::len).collect();
    assert_eq!(kinds, [0, 1, 0, 1, 1]);
    assert_eq!(first[1], first[3], "the same version, the same answer");

    // After a restart the whole batch comes again.
    let store = open(scratch).await;
    let again = store.apply(batch, NOW).await.unwrap();
    assert_eq!(again.into_iter().map(Result::unwrap).collect::<Vec<_>>(), first);
    let spending = store.spending(november("u"), currency("INR")).await.unwrap();
    assert_eq!((spending.total.net(), spending.total.count()), (11_500, 4));
    let budgets = store.budgets("u".to_owned(), NOW).await.unwrap();
    assert_eq!((budgets[0].standing.net().minor(), budgets[0].revision), (11_500, 1));
}

async fn g23_thresholds_passed_under_a_new_revision_are_silent(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_budgets(limits(&[("dining", 10_000)], None), NOW).await.unwrap();
    assert_eq!(told(&store, vec![dining(1, 9000)]).await, [["budget_warning"]]);
    let set = store.set_budgets(limits(&[("dining", 10_500)], None), NOW).await.unwrap();
    assert_eq!(set[0].revision, 2);
    assert_eq!(
        told(&store, vec![dining(2, 100)]).await,
        [Vec::<String>::new()],
        "86 % of 105.00 counts as fired"
    );
    assert_eq!(told(&store, vec![dining(3, 2000)]).await, [["budget_exceeded"]]);
    let same = store.set_budgets(limits(&[("dining", 10_500)], None), NOW).await.unwrap();
    assert_eq!(same[0].revision, 2);
    let raised = store.set_budgets(limits(&[("dining", 20_000)], None), NOW).await.unwrap();
    assert_eq!(raised[0].revision, 3);
    assert_eq!(
        told(&store, vec![dining(4, 5000)]).await,
        [["budget_warning"]],
        "a new revision, crossed anew"
    );
}

async fn g19_figures_equal_a_recompute_after_many_batches(scratch: &Scratch) {
    let (store, mut seed) = (open(scratch).await, 7_u64);
    // Knuth's MMIX generator: the same history in every run.
    let mut pick = |most: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 33).unwrap() % most
    };
    let mut latest: HashMap<u128, Fact> = HashMap::new();
    for _ in 0..30 {
        let mut batch = Vec::new();
        for _ in 0..pick(40) {
            let record = u128::from(pick(60).unsigned_abs());
            let version = latest.get(&record).map_or(1, |fact| fact.version + 1);
            let category = ["dining", "travel", "rent"][usize::try_from(pick(3)).unwrap()];
            let date = day("2026-10-25").add_days(pick(20)).unwrap().to_string();
            let line = (pick(10) > 1).then(|| line(pick(5000) - 1000, "USD", category, &date));
            let next = change("u", record, version, line);
            latest.insert(record, next.fact.clone());
            // Some come twice, some after a newer one.
            if pick(5) == 0 {
                batch.push(next.clone());
            }
            batch.push(next);
        }
        store.apply(batch, NOW).await.unwrap();
    }
    for month in ["2026-10", "2026-11"] {
        let scope = Scope { period: Period::parse(month).unwrap(), ..november("u") };
        let spending = store.spending(scope.clone(), currency("USD")).await.unwrap();
        let mut expected: BTreeMap<String, Totals> = BTreeMap::new();
        for line in latest.values().filter_map(Fact::spending).filter(|line| scope.period.contains(line.day))
        {
            expected.entry(line.category.clone()).or_default().add(line.kind, line.amount.minor()).unwrap();
        }
        assert_eq!(spending.categories.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
        let question = Question { scope, category: None, after: None, limit: 1 };
        let explanation = store.explain(question, currency("USD")).await.unwrap();
        assert_eq!(explanation.totals, spending.total);
    }
}

async fn concurrent_batches_of_one_user_lose_nothing(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_budgets(limits(&[("dining", 10_000)], None), NOW).await.unwrap();
    let writers = (0..4_u128).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut kinds = Vec::new();
            for round in 0..10_u128 {
                let record = writer * 100 + round;
                let other = change("v", 1000 + record, 1, Some(line(1, "USD", "dining", "2026-11-20")));
                kinds.extend(told(&store, vec![dining(record, 300), other]).await.into_iter().flatten());
            }
            kinds
        })
    });
    let mut kinds = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        kinds.extend(writer.await.unwrap());
    }
    kinds.sort();
    assert_eq!(kinds, ["budget_exceeded", "budget_warning"]);
    let spending = store.spending(november("u"), currency("USD")).await.unwrap();
    assert_eq!((spending.total.net(), spending.total.count()), (12_000, 40));
}

async fn spending_is_sorted_and_names_other_currencies(scratch: &Scratch) {
    let store = open(scratch).await;
    let lines = [
        line(500, "INR", "rent", "2026-11-01"),
        line(900, "INR", "dining", "2026-11-30"),
        line(700, "INR", "dining", "2026-11-30"),
        line(-200, "INR", "dining", "2026-11-02"),
        line(500, "INR", "art", "2026-11-03"),
        line(9999, "INR", "art", "2026-12-01"),
        line(100, "USD", "travel", "2026-11-03"),
        line(100, "JPY", "travel", "2026-12-03"),
    ];
    let changes = lines.into_iter().zip(1..).map(|(line, record)| change("u", record, 1, Some(line)));
    store.apply(changes.collect(), NOW).await.unwrap();
    let spending = store.spending(november("u"), currency("USD")).await.unwrap();
    assert_eq!(spending.currency.code(), "INR", "that of most lines");
    let shown: Vec<(&str, i64)> =
        spending.categories.iter().map(|(category, totals)| (category.as_str(), totals.net())).collect();
    assert_eq!(shown, [("dining", 1400), ("art", 500), ("rent", 500)]);
    let dining = spending.categories[0].1;
    assert_eq!((dining.gross(), dining.refunds(), dining.count()), (1600, 200, 3));
    assert_eq!(spending.others, ["USD"]);

    store.set_budgets(limits(&[("travel", 100)], None), NOW).await.unwrap();
    let spending = store.spending(november("u"), currency("EUR")).await.unwrap();
    assert_eq!((spending.currency.code(), spending.total.net()), ("USD", 100), "that of the budget");
    let unknown = store.spending(november("nobody"), currency("EUR")).await.unwrap();
    assert_eq!(
        (unknown.currency.code(), unknown.total, unknown.categories.len()),
        ("EUR", Totals::default(), 0)
    );
}

async fn an_explanation_adds_up_to_its_number(scratch: &Scratch) {
    let store = open(scratch).await;
    let lines = (1..=25_u128).map(|record| {
        let minor = i64::try_from(record).unwrap() * 100 - 500;
        change(
            "u",
            record,
            1,
            Some(line(minor, "USD", if record % 2 == 0 { "even" } else { "odd" }, "2026-11-05")),
        )
    });
    store.apply(lines.collect(), NOW).await.unwrap();
    let spending = store.spending(november("u"), currency("USD")).await.unwrap();
    let (mut after, mut seen, mut sum) = (None, 0, 0);
    loop {
        let question = Question { scope: november("u"), category: None, after, limit: 10 };
        let page = store.explain(question, currency("USD")).await.unwrap();
        assert_eq!(page.totals, spending.total);
        let Some(last) = page.lines.last() else { break };
        after = Some(Place { day: last.line.day.epoch_days(), record_id: last.record_id });
        seen += page.lines.len();
        sum += page.lines.iter().map(|line| line.line.amount.minor()).sum::<i64>();
    }
    assert_eq!((seen, sum), (25, spending.total.net()));
    let odd = Question { scope: november("u"), category: Some("odd".to_owned()), after: None, limit: 100 };
    let odd = store.explain(odd, currency("USD")).await.unwrap();
    assert_eq!(odd.lines.len(), 13);
    let in_spending = spending.categories.iter().find(|(category, _)| category == "odd").unwrap().1;
    assert_eq!(odd.totals, in_spending);
}

async fn a_cursor_moves_with_what_was_read(scratch: &Scratch) {
    let store = open(scratch).await;
    assert_eq!(store.followed().await.unwrap(), 0);
    let history = Change { is_live: false, ..dining(1, 500) };
    let applied = store.follow(vec![history.clone()], 7, NOW).await.unwrap();
    assert!(applied[0].as_ref().unwrap().is_empty());
    assert_eq!(store.followed().await.unwrap(), 7);
    // A slower follower over the same store never moves it back.
    store.follow(vec![history], 5, NOW).await.unwrap();
    assert_eq!(store.followed().await.unwrap(), 7);
    let spending = store.spending(november("u"), currency("USD")).await.unwrap();
    assert_eq!(spending.total.count(), 1);
}

async fn g04_a_zone_is_for_all_budgets_and_holds_from_the_next_boundary(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_budgets(limits(&[("dining", 100), ("rent", 100)], Some("UTC")), NOW).await.unwrap();
    let set = store.set_budgets(limits(&[("travel", 100)], Some("Asia/Kolkata")), NOW).await.unwrap();
    assert_eq!(set[0].standing.period, Period::parse("2026-11").unwrap(), "a new budget holds at once");
    let in_force = store.budgets("u".to_owned(), NOW).await.unwrap();
    assert_eq!(in_force.iter().map(|budget| budget.revision).collect::<Vec<_>>(), [1, 1, 1]);
    // 2026-12-02, noon in UTC.
    let in_force = store.budgets("u".to_owned(), NOW + 8 * 86_400_000_000).await.unwrap();
    assert_eq!(in_force.iter().map(|budget| budget.revision).collect::<Vec<_>>(), [2, 2, 1]);
}

/// A day at noon in UTC.
fn noon(date: &str) -> i64 {
    day(date).begins_at_us(&TimeZone::utc()).unwrap() + 12 * 3_600_000_000
}

async fn summaries(store: &Store) -> Vec<ClosedPeriod> {
    let span = Period::new(day("2026-01-01"), day("2028-01-01")).unwrap();
    let question = ClosedQuestion { user_id: "u".to_owned(), name: None, span, limit: 100 };
    store.closed(question).await.unwrap()
}

async fn g03_every_kind_of_period_is_kept(scratch: &Scratch) {
    let store = open(scratch).await;
    let anchor = day("2026-11-18");
    let kinds = [
        (PeriodKind::Week { start_weekday: 7 }, "2026-11-22..2026-11-29"),
        (PeriodKind::TwoWeeks { anchor }, "2026-11-18..2026-12-02"),
        (PeriodKind::HalfMonth, "2026-11-16..2026-12-01"),
        (PeriodKind::Month { start_day: 31 }, "2026-10-31..2026-11-30"),
        (PeriodKind::Quarter, "2026-10-01..2027-01-01"),
        (PeriodKind::Year, "2026-01-01..2027-01-01"),
        (PeriodKind::Days { length: 10, anchor }, "2026-11-18..2026-11-28"),
    ];
    for (index, (kind, _)) in kinds.iter().enumerate() {
        let name = format!("b{index}");
        let new = NewBudgets { kind: *kind, has_start: true, ..limits(&[(&name, 100)], None) };
        store.set_budgets(new, NOW).await.unwrap();
    }
    let store = open(scratch).await;
    let shown = store.budgets("u".to_owned(), NOW).await.unwrap();
    let periods: Vec<String> = shown
        .iter()
        .map(|budget| format!("{}..{}", budget.standing.period.start(), budget.standing.period.end()))
        .collect();
    assert_eq!(periods, kinds.map(|(_, period)| period));
}

async fn g04_a_start_day_is_for_all_budgets_of_its_kind(scratch: &Scratch) {
    let store = open(scratch).await;
    store.set_budgets(limits(&[("dining", 100), ("rent", 100)], None), NOW).await.unwrap();
    let from_the_25th = PeriodKind::Month { start_day: 25 };
    let new = NewBudgets { kind: from_the_25th, has_start: true, ..limits(&[("dining", 100)], None) };
    let set = store.set_budgets(new, NOW).await.unwrap();
    assert_eq!(
        set[0].standing.period,
        Period::parse("2026-11").unwrap(),
        "what is under way ends as it was to"
    );
    assert_eq!(set[0].changes_on, Some(day("2026-12-01")));
    let later = store.budgets("u".to_owned(), noon("2026-12-26")).await.unwrap();
    let starts: Vec<CivilDate> = later.iter().map(|budget| budget.standing.period.start()).collect();
    assert_eq!(starts, [day("2026-12-25"), day("2026-12-25")]);
    let set = store.set_budgets(limits(&[("travel", 5)], None), noon("2026-12-26")).await.unwrap();
    assert_eq!(set[0].standing.period.start(), day("2026-12-25"), "a new one begins as the others do");
}

async fn g20_a_period_closes_by_time_and_a_late_line_corrects_it(scratch: &Scratch) {
    let store = open(scratch).await;
    let zone = Some("Asia/Kolkata");
    store.set_budgets(limits(&[("dining", 10_000)], zone), NOW).await.unwrap();
    told(&store, vec![dining(1, 7000)]).await;
    assert_eq!(store.close_due(10, noon("2026-11-30")).await.unwrap(), [""; 0]);
    // Midnight in Kolkata is 18:30 of the day before in UTC.
    let midnight =
        day("2026-11-30").begins_at_us(&TimeZone::utc()).unwrap() + 18 * 3_600_000_000 + 1_800_000_000;
    assert_eq!(store.close_due(10, midnight - 1).await.unwrap(), [""; 0]);
    assert_eq!(store.close_due(10, midnight).await.unwrap(), ["u"]);
    assert_eq!(store.close_due(10, midnight).await.unwrap(), [""; 0], "once");
    let closed = summaries(&store).await;
    assert_eq!(
        (closed.len(), closed[0].period, closed[0].spent.net()),
        (1, Period::parse("2026-11").unwrap(), 7000)
    );
    assert_eq!((closed[0].revision, closed[0].corrected_at_us), (1, None));

    let late = store.apply(vec![dining(2, 9000)], noon("2026-12-02")).await.unwrap();
    assert!(late[0].as_ref().unwrap().is_empty(), "nobody is alerted of what is over");
    let corrected = summaries(&store).await;
    assert_eq!((corrected[0].spent.net(), corrected[0].spent.count(), corrected[0].revision), (16_000, 2, 2));
    assert_eq!(corrected[0].corrected_at_us, Some(noon("2026-12-02")));
    store.apply(vec![dining(2, 9000)], noon("2026-12-03")).await.unwrap();
    let renamed = Line { merchant: "Cafe".to_owned(), ..line(9000, "USD", "dining", "2026-11-20") };
    store.apply(vec![change("u", 2, 2, Some(renamed))], noon("2026-12-03")).await.unwrap();
    assert_eq!(summaries(&store).await, corrected, "neither a redelivery nor another text corrects anything");

    // Whoever comes first after a long sleep closes all that has ended, before counting anything.
    store
        .apply(vec![change("u", 3, 1, Some(line(1, "USD", "rent", "2027-02-01")))], noon("2027-02-10"))
        .await
        .unwrap();
    let months: Vec<String> =
        summaries(&store).await.iter().map(|summary| summary.period.to_string()).collect();
    assert_eq!(months, ["2027-01", "2026-12", "2026-11"]);
}

async fn g23_what_is_left_rolls_over_and_a_late_line_moves_it(scratch: &Scratch) {
    let store = open(scratch).await;
    let mut new = limits(&[("dining", 10_000)], None);
    new.limits[0].rules.rollover = Some(Rollover::All);
    store.set_budgets(new, NOW).await.unwrap();
    told(&store, vec![dining(1, 7000)]).await;
    let in_december = noon("2026-12-05");
    let december = |record, minor| change("u", record, 1, Some(line(minor, "USD", "dining", "2026-12-05")));
    let kinds = |applied: Vec<Applied>| -> Vec<String> {
        applied.into_iter().flat_map(Result::unwrap).map(|insight| insight.kind).collect()
    };
    // 100.00 and the 30.00 that November left.
    let applied = store.apply(vec![december(2, 10_399)], in_december).await.unwrap();
    assert_eq!(kinds(applied), [""; 0]);
    assert_eq!(kinds(store.apply(vec![december(3, 1)], in_december).await.unwrap()), ["budget_warning"]);
    let shown = store.budgets("u".to_owned(), in_december).await.unwrap();
    assert_eq!((shown[0].standing.limit.minor(), shown[0].standing.carried), (13_000, 3_000));
    store.close_due(10, noon("2027-01-02")).await.unwrap();
    // A line that comes late for November takes from it what it carried on, and December after it.
    store.apply(vec![dining(4, 5000)], noon("2027-01-03")).await.unwrap();
    let carried: Vec<(i64, i64, i64)> = summaries(&store)
        .await
        .iter()
        .map(|summary| (summary.carried_in, summary.carried_out, summary.revision))
        .collect();
    assert_eq!(carried, [(-2_000, -2_400, 2), (0, -2_000, 2)]);
    let january = store.budgets("u".to_owned(), noon("2027-01-03")).await.unwrap();
    assert_eq!(january[0].standing.limit.minor(), 7_600);
}

async fn a_group_counts_its_categories_together(scratch: &Scratch) {
    let store = open(scratch).await;
    let mut new = limits(&[("fun", 10_000)], None);
    new.limits[0].rules.members = Some(vec!["dining".to_owned(), "travel".to_owned()]);
    new.limits[0].rules.thresholds = Some(vec![50]);
    store.set_budgets(new, NOW).await.unwrap();
    let travel = change("u", 9, 1, Some(line(3_000, "USD", "travel", "2026-11-20")));
    let alone = change("u", 8, 1, Some(line(90_000, "USD", "fun", "2026-11-20")));
    let kinds = told(&store, vec![dining(1, 2_500), alone, travel]).await;
    assert_eq!(kinds, [vec![], vec![], vec!["budget_warning".to_owned()]]);
    let shown = store.budgets("u".to_owned(), NOW).await.unwrap();
    assert_eq!((shown[0].standing.net().minor(), shown[0].standing.spent.count()), (5_500, 2));
    // Another limit keeps what else the budget says.
    let set = store.set_budgets(limits(&[("fun", 20_000)], None), NOW).await.unwrap();
    assert_eq!((set[0].standing.members.len(), set[0].standing.thresholds.as_slice()), (2, &[50][..]));
}

async fn g26_an_amount_is_compared_with_those_of_earlier_batches(scratch: &Scratch) {
    let store = open(scratch).await;
    let silent = [Vec::<String>::new()];
    for record in 1..=10 {
        let minor = 1000 + 10 * i64::try_from(record).unwrap();
        assert_eq!(told(&store, vec![dining(record, minor)]).await, silent);
    }
    assert_eq!(told(&store, vec![dining(11, 5000)]).await, [["transaction_alert"]]);
    assert_eq!(told(&store, vec![change("u", 11, 2, None)]).await, silent);
    let applied = store.apply(vec![dining(12, 5000)], NOW).await.unwrap().remove(0).unwrap();
    assert_eq!(applied[0].metadata["count"], "10", "what was taken back is not among them");
    let history = Change { is_live: false, ..dining(13, 1000) };
    store.follow(vec![history], 1, NOW).await.unwrap();
    let applied = store.apply(vec![dining(14, 50_000)], NOW).await.unwrap().remove(0).unwrap();
    assert_eq!(applied[0].metadata["count"], "12", "history is");
}

async fn figures_of_an_older_schema_are_kept(scratch: &Scratch) {
    let db = Db::open(&scratch.config(), MIGRATIONS[..2].to_vec()).await.unwrap();
    let rows = [("2026-11-02", "rent", 700_i64), ("2026-11-01", "dining", 300), ("2026-12-01", "dining", 50)];
    let rows = rows.map(|(date, category, minor)| {
        [Val::from("u"), "USD".into(), day(date).epoch_days().into(), category.into(), minor.into()]
    });
    let put = "INSERT INTO day_totals (user_id, currency, day, category, gross, refunds, count)
         VALUES ($1, $2, $3, $4, $5, 0, 1)";
    db.write(move |tx| tx.execute_many(put, &rows)).await.unwrap();
    db.close().await;
    let spending = open(scratch).await.spending(november("u"), currency("USD")).await.unwrap();
    assert_eq!((spending.total.net(), spending.categories.len()), (1000, 2));
}
