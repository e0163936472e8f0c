//! What a batch of writes changes.
//!
//! # One pass in memory, not a statement for each write
//! The store loads every record that a batch touches, [`Ledger::apply`] takes the writes in order, and what came of them is stored in a few
//! statements. A later write of a batch sees what an earlier one made, because both go through the same ledger.
//!
//! # Why positions as well as contents
//! Equal content alone cannot tell a redelivery from a correction: after A, B, a redelivered A would undo B. So a record remembers the
//! position of the last event that touched it. An event at or before it has been here already and is answered with the change that it
//! made then, so that the caller can go on with its next step as it would have the first time.
//!
//! # Lines that hang together
//! `links` has what ties a line to others: its parts, the transfer's other leg. What a write does to a line that is tied changes the others in
//! the same transaction. `names` has the second name that a line gets when what was pending is posted.

mod links;
mod names;

use std::collections::HashMap;
use std::sync::Arc;

use pathway_finance::{CivilDate, LineKind, Money};
use uuid::Uuid;

pub use links::LinkError;
pub(crate) use links::{Links, Part};
pub(crate) use names::{Alias, Naming};

/// What names a line for good, within its user: never made of anything that a user can edit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The owner.
    pub user_id: String,
    /// Where the line comes from: `event`, `csv`, `ofx`, or the name of a connection.
    pub source: String,
    /// The account in that source; empty for events.
    pub account: String,
    /// The provider's id of the line, an event's id, or a fingerprint with its occurrence number.
    pub key: String,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) kind: LineKind,
    /// Positive in the direction of the kind.
    pub(crate) amount: Money,
    /// A category's key, or empty.
    pub(crate) category: String,
    pub(crate) date: CivilDate,
    pub(crate) merchant: String,
    pub(crate) description: String,
    /// 0 where the source gave a date only.
    pub(crate) occurred_at_us: i64,
    /// The account that it is of by now; empty where that is not known.
    pub(crate) account: String,
    /// Whether it is still to be posted.
    pub(crate) pending: bool,
}

/// A line at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    pub(crate) identity: Arc<Identity>,
    pub(crate) version: i64,
    /// A tombstone keeps its last content.
    pub(crate) content: Content,
    /// What ties it to others; no write of its content says so.
    pub(crate) links: Links,
    pub(crate) deleted: bool,
}

/// A place in a topic's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    pub(crate) epoch: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Where a change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Live,
    History,
}

/// A record to write: its content, or none to delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) identity: Arc<Identity>,
    pub(crate) content: Option<Content>,
    pub(crate) position: Option<Position>,
    pub(crate) origin: Origin,
    /// The pending line that it posts.
    pub(crate) replaces: Option<Arc<Identity>>,
}

/// One effective write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) sequence: i64,
    pub(crate) before: Option<Arc<Record>>,
    pub(crate) after: Arc<Record>,
    pub(crate) origin: Origin,
    pub(crate) changed_at_us: i64,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// None where the content was the same already.
    pub(crate) change: Option<Change>,
    /// None only for the delete of a record that never was.
    pub(crate) record: Option<Arc<Record>>,
}

/// A record as the store knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) record: Arc<Record>,
    /// The position of the last event that touched it.
    pub(crate) last: Option<Position>,
    /// Whether the name that it began with was that of a pending line which has been posted under another.
    pub(crate) retired: bool,
}

/// The records that a batch touches, and what it does to them.
#[derive(Debug)]
pub(crate) struct Ledger {
    known: HashMap<Arc<Identity>, Entry>,
    names: HashMap<Uuid, Arc<Identity>>,
    naming: Naming,
    replayed: Replayed,
    made: Vec<Made>,
    now_us: i64,
}

/// What redelivered events came to when they came first, by record and position.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The changes that they made.
    pub(crate) changes: HashMap<(Uuid, Position), Change>,
    /// For those that made none, the record as it stood then; none where it was not there yet.
    pub(crate) standing: HashMap<(Uuid, Position), Option<Arc<Record>>>,
}

/// A change that still lacks its sequence.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) change: Change,
    pub(crate) position: Option<Position>,
}

/// What became of one write, before changes have their sequences.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The change at this index of what the batch made.
    Made(usize),
    /// The change that the same event made before.
    Replayed(Change),
    /// Nothing; the record as it stands, if there is one.
    Nothing(Option<Arc<Record>>),
}

/// What there is to store.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) made: Vec<Made>,
    /// Records that the store does not have.
    pub(crate) inserted: Vec<Known>,
    /// Records whose state or position moved.
    pub(crate) updated: Vec<Known>,
    /// Further names of records.
    pub(crate) aliases: Vec<(Arc<Identity>, Alias)>,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    stored: bool,
    touched: bool,
}

// === impl Content ===

impl Content {
    /// The money that comes in with this line, in minor units; negative where it goes out. Does not depend on what kind of line somebody
    /// takes it to be.
    pub(crate) fn inflow(&self) -> i128 {
        let minor = i128::from(self.amount.minor());
        if is_positive_in(self.kind) { minor } else { -minor }
    }
}

/// Whether what comes in is positive for this kind: for an income and an adjustment. For an expense and a transfer it is what goes out, so the
/// two legs of a transfer are exactly opposite.
pub(crate) const fn is_positive_in(kind: LineKind) -> bool {
    matches!(kind, LineKind::Income | LineKind::Adjustment)
}

// === impl Known ===

impl Known {
    /// Whether an event at `position` is one that this record has seen.
    fn has_seen(&self, position: &Position) -> bool {
        self.last.as_ref().is_some_and(|last| {
            last.epoch == position.epoch
                && last.partition == position.partition
                && position.offset <= last.offset
        })
    }

    /// Whether the change that an event at `position` made may be among the stored ones. Past the last position of the same log it cannot be.
    pub(crate) fn may_have_seen(&self, position: &Position) -> bool {
        self.last.as_ref().is_none_or(|last| {
            last.epoch != position.epoch
                || last.partition != position.partition
                || position.offset <= last.offset
        })
    }
}

// === impl Ledger ===

impl Ledger {
    /// A ledger over what the store knows, with the changes that redelivered events made before.
    pub(crate) fn new(known: Vec<Known>, naming: Naming, replayed: Replayed, now_us: i64) -> Self {
        let names = known.iter().map(|known| (known.record.id, Arc::clone(&known.record.identity))).collect();
        let entry = |known: Known| {
            (Arc::clone(&known.record.identity), Entry { known, stored: true, touched: false })
        };
        let known = known.into_iter().map(entry).collect();
        Self { known, names, naming, replayed, made: Vec::new(), now_us }
    }

    /// Takes the next write.
    pub(crate) fn apply(&mut self, write: &Write) -> Effect {
        let Some(named) = self.named(write) else {
            // A record that never was cannot be deleted.
            let Some(content) = &write.content else { return Effect::Nothing(None) };
            return self.create(write, content);
        };
        let is_posting = self.is_posting(write, &named);
        let Some(entry) = self.known.get_mut(&named.identity) else { return Effect::Nothing(None) };
        let record = Arc::clone(&entry.known.record);
        if let Some(position) = &write.position {
            let earlier = self.replayed.changes.get(&(record.id, position.clone()));
            if earlier.is_some() || entry.known.has_seen(position) {
                let earlier = earlier.cloned().map(Effect::Replayed);
                // One that had changed nothing is answered the record of then: a later one is for a later event to tell of.
                let standing = self.replayed.standing.get(&(record.id, position.clone()));
                let standing = standing.cloned().map(Effect::Nothing);
                return earlier.or(standing).unwrap_or_else(|| self.made_at(&record, position));
            }
            entry.known.last = Some(position.clone());
            entry.touched = true;
        }
        // The pending line's name stands for what was posted; what its source still says of it is over.
        if named.is_retired {
            return Effect::Nothing(Some(record));
        }
        let content = write.content.as_ref().map(|content| record.settle(content, is_posting));
        match content {
            None if record.deleted => Effect::Nothing(Some(record)),
            None => {
                let content = record.content.clone();
                self.change(write, &record, content, true)
            }
            // A tombstone survives later syncs; only a new event brings the line back.
            Some(_) if record.deleted && write.origin == Origin::History => Effect::Nothing(Some(record)),
            Some(content) if !record.deleted && content == record.content => Effect::Nothing(Some(record)),
            Some(content) => self.change(write, &record, content, false),
        }
    }

    /// The record that this identity names by now.
    pub(crate) fn find(&self, identity: &Identity) -> Option<&Arc<Record>> {
        let primary = self.naming.find(identity).and_then(|alias| self.names.get(&alias.record_id));
        self.known.get(primary.map_or(identity, |primary| primary)).map(|entry| &entry.known.record)
    }

    /// What there is to store.
    pub(crate) fn finish(self) -> Settled {
        let mut result = Settled { made: self.made, aliases: self.naming.into_made(), ..Settled::default() };
        for entry in self.known.into_values() {
            match (entry.stored, entry.touched) {
                (false, _) => result.inserted.push(entry.known),
                (true, true) => result.updated.push(entry.known),
                (true, false) => {}
            }
        }
        // In the order of their making, which keeps an index on the ids growing at one end.
        result.inserted.sort_by_key(|known| known.record.id);
        result
    }

    fn create(&mut self, write: &Write, content: &Content) -> Effect {
        let record = Arc::new(Record {
            id: pathway_kernel::new_id(self.now_us),
            identity: Arc::clone(&write.identity),
            version: 1,
            content: content.clone(),
            links: Links::default(),
            deleted: false,
        });
        self.naming.created(write, record.id);
        self.insert(&record, write.position.clone());
        self.made(write, None, record)
    }

    fn insert(&mut self, record: &Arc<Record>, last: Option<Position>) {
        let known = Known { record: Arc::clone(record), last, retired: false };
        self.names.insert(record.id, Arc::clone(&record.identity));
        self.known.insert(Arc::clone(&record.identity), Entry { known, stored: false, touched: true });
    }

    fn change(&mut self, write: &Write, before: &Arc<Record>, content: Content, deleted: bool) -> Effect {
        let after = Arc::new(Record {
            id: before.id,
            identity: Arc::clone(&before.identity),
            version: before.version + 1,
            links: before.links_with(&content, deleted),
            content,
            deleted,
        });
        self.put(&after);
        let effect = self.made(write, Some(Arc::clone(before)), Arc::clone(&after));
        self.follow(before, &after);
        effect
    }

    fn put(&mut self, record: &Arc<Record>) {
        if let Some(entry) = self.known.get_mut(&record.identity) {
            entry.known.record = Arc::clone(record);
            entry.touched = true;
        }
    }

    fn made(&mut self, write: &Write, before: Option<Arc<Record>>, after: Arc<Record>) -> Effect {
        let change = Change { sequence: 0, before, after, origin: write.origin, changed_at_us: self.now_us };
        self.made.push(Made { change, position: write.position.clone() });
        Effect::Made(self.made.len() - 1)
    }

    /// What an event that comes twice in one batch made the first time.
    fn made_at(&self, record: &Arc<Record>, position: &Position) -> Effect {
        let same =
            |made: &Made| made.change.after.id == record.id && made.position.as_ref() == Some(position);
        self.made
            .iter()
            .position(same)
            .map_or_else(|| Effect::Nothing(Some(Arc::clone(record))), Effect::Made)
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
