//! What a notice may be, and what marks do to it.

use super::*;

fn notice(kind: &str) -> Notice {
    Notice { user_id: "u".into(), dedup_key: "k".into(), kind: kind.into(), ..Notice::default() }
}

fn stored() -> Stored {
    Stored {
        id: Uuid::nil(),
        sequence: 1,
        notice: notice("reminder"),
        state: State::Open,
        is_read: false,
        is_archived: false,
        created_at_us: 0,
        change: 1,
        change_kind: ChangeKind::Created,
        changed_at_us: 0,
    }
}

#[test]
fn every_violation_is_named() {
    let wrong = Notice {
        user_id: String::new(),
        dedup_key: String::new(),
        channel: "pigeon".into(),
        ..notice("Budget Warning")
    };
    let fields: Vec<String> = wrong.check().into_iter().map(|violation| violation.field).collect();
    assert_eq!(fields, ["user_id", "dedup_key", "type", "channel"]);
    let long = Notice { message: "x".repeat(LONGEST_TEXT + 1), ..notice("reminder") };
    assert_eq!(long.check()[0].field, "message");
    let endless = Notice { action: Action::End(State::Resolved), ..notice("") };
    assert_eq!(endless.check()[0].field, "about");
}

#[test]
fn a_type_has_a_title_and_an_unknown_one_too() {
    assert_eq!(default_title("budget_exceeded"), "Budget exceeded");
    assert_eq!(default_title("sync_failed"), "Sync failed");
    assert_eq!(default_title("moon_phase"), "Notification");
    assert!(notice("moon_phase").check().is_empty());
}

#[test]
fn a_mark_that_changes_nothing_is_no_change() {
    let mut stored = stored();
    assert!(!stored.mark(Mark::Read(false)) && !stored.mark(Mark::Archived(false)));
    assert!(stored.mark(Mark::Read(true)) && !stored.mark(Mark::Read(true)));
    assert!(stored.mark(Mark::Read(false)));
    assert_eq!((stored.is_read, stored.change_kind), (false, ChangeKind::Unread));
}

#[test]
fn what_is_put_away_or_has_ended_is_read_and_stays_so() {
    let mut away = stored();
    assert!(away.mark(Mark::Archived(true)));
    assert!(away.is_read && !away.mark(Mark::Read(false)));
    assert!(away.mark(Mark::Archived(false)));
    assert_eq!((away.is_read, away.change_kind), (true, ChangeKind::Restored));
    assert!(away.mark(Mark::Read(false)));
    let mut over = stored();
    over.end(State::Resolved);
    assert_eq!((over.is_read, over.change_kind), (true, ChangeKind::Resolved));
    assert!(!over.mark(Mark::Read(false)));
}

#[test]
fn names_come_back_as_they_went() {
    for (state, _) in State::NAMES {
        assert_eq!(State::parse(state.name()), Some(state));
    }
    for (kind, _) in ChangeKind::NAMES {
        assert_eq!(ChangeKind::parse(kind.name()), Some(kind));
    }
}
