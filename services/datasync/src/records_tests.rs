use pathway_finance::Currency;
use proptest::prelude::*;

use super::*;

fn content(minor: i64) -> Content {
    Content {
        kind: LineKind::Expense,
        amount: Money::new(minor, Currency::parse("USD").unwrap()),
        category: "dining".to_owned(),
        date: CivilDate::parse("2026-11-03").unwrap(),
        merchant: String::new(),
        description: String::new(),
        occurred_at_us: 0,
        account: String::new(),
        pending: false,
    }
}

fn identity() -> Arc<Identity> {
    let [user_id, source, account, key] = ["u", "event", "", "e1"].map(str::to_owned);
    Arc::new(Identity { user_id, source, account, key })
}

fn at(offset: i64) -> Option<Position> {
    Some(Position { epoch: "a".to_owned(), partition: 0, offset })
}

fn live(content: Option<Content>, position: Option<Position>) -> Write {
    Write { identity: identity(), content, position, origin: Origin::Live, replaces: None }
}

/// Applies writes to a record that the store does not know.
fn applied(writes: &[Write]) -> (Vec<Effect>, Settled) {
    let mut ledger = Ledger::new(Vec::new(), Naming::default(), Replayed::default(), 1_000_000);
    let effects = writes.iter().map(|write| ledger.apply(write)).collect();
    (effects, ledger.finish())
}

#[test]
fn writes_of_one_record_in_a_batch_see_each_other() {
    let (effects, settled) = applied(&[
        live(Some(content(100)), at(1)),
        live(Some(content(150)), at(2)),
        live(Some(content(150)), at(3)),
        live(None, at(4)),
    ]);
    assert!(matches!(
        effects[..],
        [Effect::Made(0), Effect::Made(1), Effect::Nothing(Some(_)), Effect::Made(2)]
    ));
    let versions: Vec<i64> = settled.made.iter().map(|made| made.change.after.version).collect();
    assert_eq!(versions, [1, 2, 3]);
    assert_eq!(settled.made[1].change.before.as_ref().unwrap().content.amount.minor(), 100);
    assert_eq!((settled.inserted.len(), settled.updated.len()), (1, 0));
    assert_eq!(settled.inserted[0].last, at(4));
}

#[test]
fn an_event_that_comes_twice_in_a_batch_is_answered_with_its_change() {
    let (effects, _) = applied(&[
        live(Some(content(100)), at(1)),
        live(Some(content(150)), at(2)),
        live(Some(content(100)), at(1)),
    ]);
    assert!(matches!(effects[..], [Effect::Made(0), Effect::Made(1), Effect::Made(0)]));
}

#[test]
fn an_older_event_does_not_undo_a_newer_one() {
    let (effects, settled) = applied(&[live(Some(content(150)), at(5)), live(Some(content(100)), at(4))]);
    assert!(matches!(effects[..], [Effect::Made(0), Effect::Nothing(Some(_))]));
    assert_eq!(settled.inserted[0].record.content.amount.minor(), 150);
}

#[test]
fn a_new_log_is_not_taken_for_a_replay() {
    let other = Some(Position { epoch: "b".to_owned(), partition: 0, offset: 0 });
    let (effects, _) = applied(&[live(Some(content(100)), at(9)), live(Some(content(150)), other)]);
    assert!(matches!(effects[..], [Effect::Made(0), Effect::Made(1)]));
}

#[test]
fn the_delete_of_what_never_was_is_accepted() {
    let (effects, settled) = applied(&[live(None, at(1))]);
    assert!(matches!(effects[..], [Effect::Nothing(None)]));
    assert!(settled.made.is_empty() && settled.inserted.is_empty());
}

#[test]
fn g16_a_tombstone_survives_a_sync_and_a_new_event_revives_it() {
    let history = Write { origin: Origin::History, ..live(Some(content(100)), None) };
    let (effects, settled) = applied(&[
        live(Some(content(100)), None),
        live(None, None),
        history,
        live(None, None),
        live(Some(content(100)), None),
    ]);
    assert!(matches!(
        effects[..],
        [
            Effect::Made(0),
            Effect::Made(1),
            Effect::Nothing(Some(_)),
            Effect::Nothing(Some(_)),
            Effect::Made(2)
        ]
    ));
    let revived = &settled.made[2].change;
    assert!(revived.before.as_ref().unwrap().deleted && !revived.after.deleted);
}

proptest! {
    /// Whatever is delivered again, and however often, the record ends as if everything had come once.
    #[test]
    fn redelivery_changes_nothing(
        amounts in prop::collection::vec(prop::option::of(1_i64..4), 1..8),
        from in 0_usize..8,
        times in 0_usize..3,
    ) {
        let writes: Vec<Write> = (1..).zip(&amounts).map(|(offset, minor)| live(minor.map(content), at(offset))).collect();
        // A record that is there makes every event leave its position, a leading delete included.
        let first = live(Some(content(9)), at(0));
        let once: Vec<Write> = std::iter::once(first.clone()).chain(writes.clone()).collect();
        let again: Vec<Write> = writes.iter().skip(from).cloned().collect();
        let many: Vec<Write> = once.iter().cloned().chain(std::iter::repeat_n(again, times).flatten()).collect();
        let ((_, once), (_, many)) = (applied(&once), applied(&many));
        prop_assert_eq!(once.made.len(), many.made.len());
        prop_assert_eq!(&once.inserted[0].record.content, &many.inserted[0].record.content);
        prop_assert_eq!(once.inserted[0].record.deleted, many.inserted[0].record.deleted);
    }
}
