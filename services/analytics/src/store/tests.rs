//! The store's promises, on both databases.

use std::collections::{BTreeMap, HashMap};

use pathway_finance::{CivilDate, LineKind};
use pathway_store::testing::Scratch;

use super::*;
use crate::fact::Fact;

pathway_store::suite!(
    a_budget_alerts_once_whatever_comes_again,
    g23_thresholds_passed_under_a_new_revision_are_silent,
    g19_figures_equal_a_recompute_after_many_batches,
    concurrent_batches_of_one_user_lose_nothing,
    spending_is_sorted_and_names_other_currencies,
    an_explanation_adds_up_to_its_number,
    a_cursor_moves_with_what_was_read,
    g04_a_zone_is_for_all_budgets_and_holds_from_the_next_boundary,
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
    let limits =
        pairs.iter().map(|(category, minor)| ((*category).to_owned(), Money::new(*minor, currency("USD"))));
    NewBudgets {
        user_id: "u".to_owned(),
        limits: limits.collect(),
        kind: PeriodKind::MONTH,
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
