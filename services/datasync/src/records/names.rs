//! What else a record is called.
//!
//! A bank often names a line anew when it posts it. The posted line is then the next version of the pending one (G17): totals move by the
//! difference only, and what a user made of the line is kept. Both names stand for the record from then on (G16), but what the source still says
//! under the pending one, such as that it is gone, is over.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Content, Identity, Ledger, Record, Write};

/// A further name of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) record_id: Uuid,
    /// Whether it was that of a pending line which has been posted.
    pub(crate) is_retired: bool,
}

/// The further names that a batch meets.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    known: HashMap<Arc<Identity>, Alias>,
    made: HashMap<Arc<Identity>, Alias>,
}

/// The record that a write is about, by the name that it began with.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) identity: Arc<Identity>,
    pub(super) is_retired: bool,
}

// === impl Naming ===

impl Naming {
    pub(crate) fn new(known: HashMap<Arc<Identity>, Alias>) -> Self {
        Self { known, made: HashMap::new() }
    }

    /// What a further name stands for.
    pub(crate) fn find(&self, identity: &Identity) -> Option<Alias> {
        self.made.get(identity).or_else(|| self.known.get(identity)).copied()
    }

    /// A record is new. What it was to post may still come, and then stands for it.
    pub(super) fn created(&mut self, write: &Write, record_id: Uuid) {
        let Some(replaced) = write.replaces.as_ref().filter(|name| **name != write.identity) else { return };
        if self.find(replaced).is_none() {
            self.made.insert(Arc::clone(replaced), Alias { record_id, is_retired: true });
        }
    }

    /// The names that are to be stored.
    pub(super) fn into_made(self) -> Vec<(Arc<Identity>, Alias)> {
        let mut made: Vec<_> = self.made.into_iter().collect();
        made.sort_by_key(|(_, alias)| alias.record_id);
        made
    }
}

// === impl Record ===

impl Record {
    /// What a write's content comes to on this record: a split line has no category of its own (G10), and what posts a pending line leaves alone
    /// what a user made of it (G17).
    pub(super) fn settle(&self, content: &Content, is_posting: bool) -> Content {
        let mut content = content.clone();
        if is_posting && !self.deleted {
            content.category.clone_from(&self.content.category);
            content.description.clone_from(&self.content.description);
        }
        if self.links_with(&content, false).is_split {
            content.category.clear();
        }
        content
    }
}

// === impl Ledger ===

impl Ledger {
    /// The record that a write is about; none where it is a new one.
    pub(super) fn named(&mut self, write: &Write) -> Option<Named> {
        let named = self.resolve(&write.identity);
        if named.is_some() || write.content.is_none() {
            return named;
        }
        let replaced = write.replaces.clone()?;
        let named = self.resolve(&replaced).filter(|named| !named.is_retired)?;
        let entry = self.known.get_mut(&named.identity)?;
        let record = &entry.known.record;
        if record.deleted || !record.content.pending {
            return None;
        }
        let record_id = record.id;
        if replaced == named.identity {
            (entry.known.retired, entry.touched) = (true, true);
        } else {
            self.naming.made.insert(replaced, Alias { record_id, is_retired: true });
        }
        self.naming.made.insert(Arc::clone(&write.identity), Alias { record_id, is_retired: false });
        Some(named)
    }

    /// Whether a write posts the record that it is about.
    pub(super) fn is_posting(&self, write: &Write, named: &Named) -> bool {
        let posted = write.replaces.as_ref().and_then(|name| self.resolve(name));
        posted.is_some_and(|posted| posted.identity == named.identity)
    }

    fn resolve(&self, identity: &Arc<Identity>) -> Option<Named> {
        if let Some(entry) = self.known.get(identity) {
            return Some(Named { identity: Arc::clone(identity), is_retired: entry.known.retired });
        }
        let alias = self.naming.find(identity)?;
        let identity = Arc::clone(self.names.get(&alias.record_id)?);
        Some(Named { identity, is_retired: alias.is_retired })
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
