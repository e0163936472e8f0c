use pathway_finance::{CivilDate, Currency, LineKind, Money};

use super::super::{Effect, Known, Origin, Replayed};
use super::*;

fn identity(key: &str) -> Arc<Identity> {
    let [user_id, source, account, key] = ["u", "bank", "checking", key].map(str::to_owned);
    Arc::new(Identity { user_id, source, account, key })
}

fn write(key: &str, minor: i64, category: &str, replaces: Option<&str>) -> Write {
    let content = Content {
        kind: LineKind::Expense,
        amount: Money::new(minor, Currency::parse("USD").unwrap()),
        category: category.to_owned(),
        date: CivilDate::parse("2026-11-03").unwrap(),
        merchant: String::new(),
        description: String::new(),
        occurred_at_us: 0,
        account: "checking".to_owned(),
        pending: key == "p1",
    };
    let replaces = replaces.map(identity);
    Write { identity: identity(key), content: Some(content), position: None, origin: Origin::Live, replaces }
}

fn ledger(known: Vec<Known>, naming: Naming) -> Ledger {
    Ledger::new(known, naming, Replayed::default(), 1_000_000)
}

#[test]
fn g17_posting_is_the_next_version_of_the_pending_line() {
    let mut ledger = ledger(Vec::new(), Naming::default());
    ledger.apply(&write("p1", 100, "dining", None));
    assert!(matches!(ledger.apply(&write("posted", 120, "fast_food", Some("p1"))), Effect::Made(1)));
    let settled = ledger.finish();
    let change = &settled.made[1].change;
    let (before, after) = (change.before.as_ref().unwrap(), &change.after);
    assert_eq!((before.id, before.version, after.version), (after.id, 1, 2));
    assert_eq!((before.content.amount.minor(), after.content.amount.minor()), (100, 120));
    assert_eq!((after.content.category.as_str(), after.content.pending), ("dining", false));
    assert_eq!(settled.inserted.len(), 1);
    assert!(settled.inserted[0].retired);
    let alias = Alias { record_id: after.id, is_retired: false };
    assert_eq!(settled.aliases, [(identity("posted"), alias)]);
}

#[test]
fn g16_both_names_survive_and_the_pending_one_says_no_more() {
    let mut ledger = ledger(Vec::new(), Naming::default());
    ledger.apply(&write("p1", 100, "dining", None));
    ledger.apply(&write("posted", 120, "", Some("p1")));
    let gone = Write { content: None, ..write("p1", 0, "", None) };
    assert!(matches!(ledger.apply(&gone), Effect::Nothing(Some(_))), "its bank takes the pending line away");
    assert!(matches!(ledger.apply(&write("p1", 100, "dining", None)), Effect::Nothing(Some(_))));
    assert!(matches!(ledger.apply(&write("posted", 120, "x", Some("p1"))), Effect::Nothing(Some(_))));
    assert!(matches!(ledger.apply(&write("posted", 130, "dining", None)), Effect::Made(2)));
    assert!(matches!(
        ledger.apply(&Write { content: None, ..write("posted", 0, "", None) }),
        Effect::Made(3)
    ));
}

#[test]
fn g17_what_was_posted_first_is_not_counted_again_as_pending() {
    let mut ledger = ledger(Vec::new(), Naming::default());
    ledger.apply(&write("posted", 120, "dining", Some("p1")));
    assert!(matches!(ledger.apply(&write("p1", 100, "", None)), Effect::Nothing(Some(_))));
    let settled = ledger.finish();
    assert_eq!((settled.made.len(), settled.inserted.len()), (1, 1));
    let record_id = settled.inserted[0].record.id;
    assert_eq!(settled.aliases, [(identity("p1"), Alias { record_id, is_retired: true })]);
}

#[test]
fn a_line_that_is_not_pending_is_not_replaced() {
    let mut ledger = ledger(Vec::new(), Naming::default());
    ledger.apply(&write("a", 100, "dining", None));
    ledger.apply(&write("b", 100, "dining", Some("a")));
    assert_eq!(ledger.finish().inserted.len(), 2);
}
