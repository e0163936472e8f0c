use pathway_finance::{CivilDate, Currency, LineKind};

use super::super::{Naming, Replayed, Write};
use super::*;

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("USD").unwrap())
}

fn content(kind: LineKind, minor: i64, account: &str) -> Content {
    Content {
        kind,
        amount: usd(minor),
        category: "shopping".to_owned(),
        date: CivilDate::parse("2026-11-03").unwrap(),
        merchant: "Market".to_owned(),
        description: String::new(),
        occurred_at_us: 0,
        account: account.to_owned(),
        pending: false,
    }
}

fn write(key: &str, content: Option<Content>) -> Write {
    let [user_id, source, account, key] = ["u", "bank", "", key].map(str::to_owned);
    let identity = Arc::new(Identity { user_id, source, account, key });
    Write { identity, content, position: None, origin: Origin::Live, replaces: None }
}

fn expense(key: &str, minor: i64) -> Write {
    write(key, Some(content(LineKind::Expense, minor, "checking")))
}

/// A ledger after writes, with the ids of their records.
fn ledger(writes: &[Write]) -> (Ledger, Vec<Uuid>) {
    let mut ledger = Ledger::new(Vec::new(), Naming::default(), Replayed::default(), 1_000_000);
    for write in writes {
        ledger.apply(write);
    }
    let ids = writes.iter().map(|write| ledger.find(&write.identity).unwrap().id).collect();
    (ledger, ids)
}

fn part(minor: i64, category: &str) -> Part {
    Part { amount: usd(minor), category: category.to_owned(), description: String::new() }
}

fn standing(ledger: &Ledger, line: Uuid) -> Vec<(i64, String)> {
    let parts = ledger.parts_of(line).into_iter().map(|id| ledger.by_id(id).unwrap());
    parts.map(|part| (part.content.amount.minor(), part.content.category.clone())).collect()
}

#[test]
fn g10_parts_sum_exactly_to_their_line_which_has_no_category() {
    let (mut ledger, ids) = ledger(&[expense("a", 100)]);
    for parts in [vec![part(60, "x"), part(41, "y")], vec![part(60, "x"), part(39, "y")]] {
        assert_eq!(ledger.split(ids[0], &parts), Err(LinkError::NotTheSum));
    }
    ledger.split(ids[0], &[part(60, "groceries"), part(40, "")]).unwrap();
    assert_eq!(standing(&ledger, ids[0]), [(60, "groceries".to_owned()), (40, String::new())]);
    let line = ledger.by_id(ids[0]).unwrap();
    assert!(line.links.is_split && line.content.category.is_empty());
    let origins: Vec<Origin> = ledger.finish().made.iter().map(|made| made.change.origin).collect();
    assert_eq!(origins, [Origin::Live, Origin::History, Origin::History, Origin::History]);
}

#[test]
fn g10_a_split_may_be_made_anew_and_undone() {
    let (mut ledger, ids) = ledger(&[expense("a", 100)]);
    ledger.split(ids[0], &[part(50, "x"), part(25, "y"), part(25, "z")]).unwrap();
    ledger.split(ids[0], &[part(10, "x"), part(90, "w")]).unwrap();
    assert_eq!(standing(&ledger, ids[0]), [(10, "x".to_owned()), (90, "w".to_owned())]);
    let made = ledger.made.len();
    ledger.split(ids[0], &[part(10, "x"), part(90, "w")]).unwrap();
    assert_eq!(ledger.made.len(), made, "the same again changes nothing");
    ledger.split(ids[0], &[]).unwrap();
    assert!(standing(&ledger, ids[0]).is_empty() && !ledger.by_id(ids[0]).unwrap().links.is_split);
}

#[test]
fn g10_parts_follow_their_line_and_end_with_its_money() {
    let (mut ledger, ids) = ledger(&[expense("a", 100)]);
    let parts = ledger.split(ids[0], &[part(50, "x"), part(50, "y")]).unwrap();
    let mut moved = content(LineKind::Expense, 100, "card");
    moved.date = CivilDate::parse("2026-12-01").unwrap();
    ledger.apply(&write("a", Some(moved.clone())));
    let first = ledger.by_id(parts[0]).unwrap();
    assert_eq!((first.content.date, first.content.account.as_str()), (moved.date, "card"));
    assert_eq!(first.content.category, "x");
    ledger.apply(&write("a", Some(Content { amount: usd(120), ..moved })));
    assert!(standing(&ledger, ids[0]).is_empty(), "no part is left of what the line no longer is");
    assert!(!ledger.by_id(ids[0]).unwrap().links.is_split);
}

#[test]
fn g10_parts_are_deleted_with_their_line() {
    let (mut ledger, ids) = ledger(&[expense("a", 100)]);
    ledger.split(ids[0], &[part(50, "x"), part(50, "y")]).unwrap();
    ledger.apply(&write("a", None));
    assert!(standing(&ledger, ids[0]).is_empty());
    assert_eq!(ledger.split(ids[0], &[]), Err(LinkError::Deleted));
}

#[test]
fn g09_legs_name_each_other_until_the_money_of_one_changes() {
    let income = write("b", Some(content(LineKind::Income, 100, "savings")));
    let (mut ledger, ids) = ledger(&[expense("a", 100), income, expense("c", 100)]);
    assert_eq!(ledger.pair(ids[0], ids[2]), Err(LinkError::NotOpposite));
    ledger.pair(ids[0], ids[1]).unwrap();
    assert_eq!(ledger.pair(ids[0], ids[1]), Err(LinkError::IsPaired));
    assert_eq!(ledger.split(ids[0], &[part(50, "x"), part(50, "y")]), Err(LinkError::IsPaired));
    let other = |ledger: &Ledger, id: Uuid| ledger.by_id(id).unwrap().links.paired_with;
    assert_eq!((other(&ledger, ids[0]), other(&ledger, ids[1])), (Some(ids[1]), Some(ids[0])));
    ledger.apply(&expense("a", 99));
    assert_eq!((other(&ledger, ids[0]), other(&ledger, ids[1])), (None, None));
}

#[test]
fn g09_a_pair_ends_with_either_leg() {
    let income = write("b", Some(content(LineKind::Income, 100, "savings")));
    let (mut ledger, ids) = ledger(&[expense("a", 100), income]);
    ledger.pair(ids[0], ids[1]).unwrap();
    ledger.apply(&write("b", None));
    assert_eq!(ledger.by_id(ids[0]).unwrap().links.paired_with, None);
    assert_eq!(ledger.unpair(ids[0]), Err(LinkError::NotPaired));
}
