//! The latest purchases of a category, which a new one is compared with (G26).
//!
//! # Why they are kept apart
//! Fifty rows of an index for each purchase were the largest part of its cost, and the index itself took a page for each, because a category's rows lie
//! between those of all others. What the comparison needs is fifty days and amounts. So these are kept for each category, and the next purchase moves them
//! on: it is put in the place of its day, and the last one falls out. Among those of the same day it comes first, because ids are time-ordered: a new
//! record's is greater than all before.
//!
//! Where it is not, or where one of them is taken back, these alone cannot tell which place is meant. Then the facts are asked, as they are where
//! nothing is kept. Both ways answer the same, so what is kept is never more than a shorter way.

use std::collections::{BTreeMap, HashMap, HashSet};

use pathway_finance::CivilDate;
use uuid::Uuid;

use super::{Series, series};
use crate::fact::{Change, Fact, Line};

/// How many purchases an amount is compared with.
pub(crate) const COMPARED: usize = 50;

/// A place among the purchases of a series.
pub(crate) type PurchasePlace = (CivilDate, Uuid);

/// The latest purchases of a series, as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recent {
    /// None of them is of a later day.
    pub(crate) last_day: CivilDate,
    /// None of them has a greater one.
    pub(crate) greatest: Uuid,
    /// Their days and amounts, newest first; fewer than [`COMPARED`] only where there are no more.
    pub(crate) latest: Vec<(CivilDate, i64)>,
}

/// The latest purchases of a series while a batch is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purchases {
    placed: BTreeMap<PurchasePlace, i64>,
    /// Further ones, newest first, whose records are not known, and less than those of the placed.
    earlier: Vec<(CivilDate, i64)>,
    /// The last day and the greatest record.
    bounds: Option<(CivilDate, Uuid)>,
    is_moved: bool,
}

/// What a batch will do to the purchases of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moves {
    /// How many of the latest have to be known where they are read from the facts: each that is taken back leaves one fewer.
    pub(crate) count: usize,
    /// The least record that is added.
    least: Option<Uuid>,
    takes_back: bool,
}

// === impl Recent ===

impl Recent {
    /// Whether what is kept is enough for these moves: they add records that were made after it.
    pub(crate) fn serves(&self, moves: &Moves) -> bool {
        !moves.takes_back && moves.least.is_some_and(|least| least > self.greatest)
    }
}

// === impl Purchases ===

impl Purchases {
    /// The purchases of facts: as many of the latest as are needed.
    pub(crate) fn of_facts(placed: BTreeMap<PurchasePlace, i64>) -> Self {
        let last_day = placed.keys().map(|(day, _)| *day).max();
        let bounds = last_day.zip(placed.keys().map(|(_, id)| *id).max());
        Self { placed, earlier: Vec::new(), bounds, is_moved: false }
    }

    /// The purchases that are kept.
    pub(crate) fn of_recent(recent: Recent) -> Self {
        Self {
            placed: BTreeMap::new(),
            earlier: recent.latest,
            bounds: Some((recent.last_day, recent.greatest)),
            is_moved: false,
        }
    }

    pub(super) fn insert(&mut self, place: PurchasePlace, minor: i64) {
        let (day, id) = place;
        let (last_day, greatest) = self.bounds.unwrap_or(place);
        self.placed.insert(place, minor);
        self.bounds = Some((last_day.max(day), greatest.max(id)));
        self.is_moved = true;
    }

    pub(super) fn remove(&mut self, place: PurchasePlace) {
        self.is_moved |= self.placed.remove(&place).is_some();
    }

    /// The days and amounts that a purchase is compared with, newest first.
    pub(super) fn latest(&self) -> Vec<(CivilDate, i64)> {
        let mut placed = self.placed.iter().rev().map(|((day, _), minor)| (*day, *minor)).peekable();
        let mut earlier = self.earlier.iter().copied().peekable();
        let next = || match (placed.peek(), earlier.peek()) {
            // Of one day, those that are placed are newer.
            (Some((day, _)), Some((other, _))) if day < other => earlier.next(),
            (Some(_), _) => placed.next(),
            (None, _) => earlier.next(),
        };
        std::iter::from_fn(next).take(COMPARED).collect()
    }

    /// What to keep, where that differs from what was known.
    pub(super) fn to_keep(&self) -> Option<Recent> {
        let (last_day, greatest) = self.bounds.filter(|_| self.is_moved)?;
        Some(Recent { last_day, greatest, latest: self.latest() })
    }
}

/// What changes will do to the purchases of each series. One that is known already, or leaves a purchase as it was, does nothing.
pub(super) fn moves(changes: &[Change], facts: &HashMap<Uuid, Fact>) -> HashMap<Series, Moves> {
    let mut moves: HashMap<Series, Moves> = HashMap::new();
    for change in changes {
        let known = facts.get(&change.record_id);
        if known.is_some_and(|known| known.version >= change.fact.version) {
            continue;
        }
        let (before, after) = (known.and_then(Fact::purchase), change.fact.purchase());
        if before.is_some_and(|before| is_same(before, after)) {
            continue;
        }
        if let Some(before) = before {
            let moves = moves.entry(series(&change.fact.user_id, before)).or_default();
            moves.count += 1;
            moves.takes_back = true;
        }
        if let Some(after) = after {
            let moves = moves.entry(series(&change.fact.user_id, after)).or_default();
            moves.count += 1;
            moves.least = Some(moves.least.map_or(change.record_id, |least| least.min(change.record_id)));
        }
    }
    moves.values_mut().for_each(|moves| moves.count += COMPARED + 1);
    moves
}

/// The series of which what is kept no longer holds after changes that nothing is compared for.
pub(super) fn outdated(changes: &[Change], facts: &HashMap<Uuid, Fact>) -> HashSet<Series> {
    moves(changes, facts).into_keys().collect()
}

/// Whether a purchase stays what it is among the others.
pub(super) fn is_same(before: &Line, after: Option<&Line>) -> bool {
    after.is_some_and(|after| {
        (before.day, before.amount, &before.category) == (after.day, after.amount, &after.category)
    })
}
