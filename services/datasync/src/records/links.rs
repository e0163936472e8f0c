//! What ties lines to each other.
//!
//! - A **split** line counts nowhere; its parts do, and sum exactly to it at every commit (G10). Only [`Ledger::split`] makes and changes parts.
//!   They follow the line's day, account and merchant. Where its money changes the parts no longer are what it is, and it is whole again.
//! - A **pair** is the two legs of a transfer (G9). Where the money of one changes, or it is deleted, they are none any more.
//!
//! Whatever a write does to the lines that hang on the one it names is part of the same transaction, and is history in the feed: it follows from
//! something that was told already.

use std::sync::Arc;

use pathway_finance::{Leg, Money};
use uuid::Uuid;

use super::{Change, Content, Identity, Ledger, Made, Origin, Record};

/// What ties a line to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Links {
    /// The line that it is a part of.
    pub(crate) split_of: Option<Uuid>,
    /// Whether it is split itself.
    pub(crate) is_split: bool,
    /// The other leg of the transfer.
    pub(crate) paired_with: Option<Uuid>,
}

/// A part of a line that is to be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) amount: Money,
    /// A category's key, or empty.
    pub(crate) category: String,
    /// Empty for that of the line.
    pub(crate) description: String,
}

/// Why lines cannot be tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The user has no such record.
    #[error("the user has no record with this id")]
    Unknown,
    /// It is a tombstone.
    #[error("the line is deleted; write it again first")]
    Deleted,
    /// It is a part of another.
    #[error("the line is a part of a split one; name that one")]
    IsPart,
    /// It is split.
    #[error("the line is split; make it whole first")]
    IsSplit,
    /// It is a leg of a transfer.
    #[error("the line is paired with another; take the pair apart first")]
    IsPaired,
    /// It is no leg of a transfer.
    #[error("the line is paired with no other")]
    NotPaired,
    /// The parts are not what the line is.
    #[error("the parts do not sum exactly to the line, in its currency; correct them")]
    NotTheSum,
    /// The two are no transfer.
    #[error(
        "the lines are no transfer: their money must be exactly opposite, of two known accounts; check both"
    )]
    NotOpposite,
}

// === impl Record ===

impl Record {
    /// What is left of its links with another content.
    pub(super) fn links_with(&self, content: &Content, deleted: bool) -> Links {
        let (before, links) = (&self.content, self.links);
        let money = |content: &Content| (content.inflow(), content.amount.currency());
        let is_same = !deleted && money(before) == money(content);
        Links {
            split_of: links.split_of,
            is_split: links.is_split && is_same && before.kind == content.kind,
            paired_with: links.paired_with.filter(|_| is_same && before.account == content.account),
        }
    }

    /// Itself as a leg of a transfer.
    pub(crate) fn leg(&self) -> Leg {
        Leg {
            account: self.content.account.clone(),
            inflow: i64::try_from(self.content.inflow()).unwrap_or_default(),
            currency: self.content.amount.currency(),
            date: self.content.date,
        }
    }

    /// Whether it may be tied to another.
    const fn untied(&self) -> Result<(), LinkError> {
        match self.links {
            _ if self.deleted => Err(LinkError::Deleted),
            Links { split_of: Some(_), .. } => Err(LinkError::IsPart),
            Links { paired_with: Some(_), .. } => Err(LinkError::IsPaired),
            _ => Ok(()),
        }
    }
}

// === impl Content ===

impl Content {
    /// Takes over what a part shares with its line.
    fn follow(&mut self, line: &Self) {
        (self.date, self.occurred_at_us, self.pending) = (line.date, line.occurred_at_us, line.pending);
        self.account.clone_from(&line.account);
        self.merchant.clone_from(&line.merchant);
    }
}

// === impl Ledger ===

impl Ledger {
    /// Splits a line into parts, or anew; into none to make it whole. Answers the parts.
    pub(crate) fn split(&mut self, id: Uuid, parts: &[Part]) -> Result<Vec<Uuid>, LinkError> {
        let line = self.by_id(id).ok_or(LinkError::Unknown)?;
        line.untied()?;
        let amount = line.content.amount;
        let is_of_line = |part: &Part| part.amount.currency() == amount.currency();
        let sum: i128 = parts.iter().map(|part| i128::from(part.amount.minor())).sum();
        if !parts.is_empty() && (!parts.iter().all(is_of_line) || sum != i128::from(amount.minor())) {
            return Err(LinkError::NotTheSum);
        }
        let had = self.parts_of(id);
        let made: Vec<Uuid> = (1..).zip(parts).map(|(n, part)| self.put_part(&line, n, part)).collect();
        for gone in had.into_iter().filter(|part| !made.contains(part)) {
            self.revise(gone, |part| part.deleted = true);
        }
        let is_split = !parts.is_empty();
        self.revise(id, |line| {
            line.links.is_split = is_split;
            if is_split {
                line.content.category.clear();
            }
        });
        Ok(made)
    }

    /// Pairs two legs of a transfer.
    pub(crate) fn pair(&mut self, one: Uuid, other: Uuid) -> Result<(), LinkError> {
        let a = self.by_id(one).ok_or(LinkError::Unknown)?;
        let b = self.by_id(other).ok_or(LinkError::Unknown)?;
        for line in [&a, &b] {
            line.untied()?;
            if line.links.is_split {
                return Err(LinkError::IsSplit);
            }
        }
        if !a.leg().is_opposite(&b.leg()) {
            return Err(LinkError::NotOpposite);
        }
        self.revise(one, |line| line.links.paired_with = Some(other));
        self.revise(other, |line| line.links.paired_with = Some(one));
        Ok(())
    }

    /// Takes a pair apart; answers the other leg.
    pub(crate) fn unpair(&mut self, id: Uuid) -> Result<Uuid, LinkError> {
        let line = self.by_id(id).ok_or(LinkError::Unknown)?;
        let other = line.links.paired_with.ok_or(LinkError::NotPaired)?;
        for leg in [id, other] {
            self.revise(leg, |line| line.links.paired_with = None);
        }
        Ok(other)
    }

    /// The record with this id.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<Arc<Record>> {
        self.known.get(self.names.get(&id)?).map(|entry| Arc::clone(&entry.known.record))
    }

    /// Changes what hangs on a line that has changed.
    pub(super) fn follow(&mut self, before: &Record, after: &Record) {
        if let Some(other) = before.links.paired_with.filter(|_| after.links.paired_with.is_none()) {
            self.revise(other, |line| line.links.paired_with = None);
        }
        if !before.links.is_split {
            return;
        }
        for part in self.parts_of(before.id) {
            self.revise(part, |part| {
                if after.links.is_split {
                    part.content.follow(&after.content);
                } else {
                    part.deleted = true;
                }
            });
        }
    }

    /// The parts of a line that stand, in their order.
    fn parts_of(&self, id: Uuid) -> Vec<Uuid> {
        let records = self.known.values().map(|entry| &entry.known.record);
        let standing = records.filter(|record| record.links.split_of == Some(id) && !record.deleted);
        let mut parts: Vec<&Arc<Record>> = standing.collect();
        // Their keys end with their numbers.
        parts.sort_by_key(|record| (record.identity.key.len(), &record.identity.key));
        parts.into_iter().map(|record| record.id).collect()
    }

    fn put_part(&mut self, line: &Record, n: usize, part: &Part) -> Uuid {
        let identity = Arc::new(Identity {
            user_id: line.identity.user_id.clone(),
            source: "split".to_owned(),
            account: line.identity.account.clone(),
            key: format!("{}/{n}", line.id),
        });
        let mut content =
            Content { amount: part.amount, category: part.category.clone(), ..line.content.clone() };
        if !part.description.is_empty() {
            content.description.clone_from(&part.description);
        }
        if let Some(known) = self.find(&identity).map(|record| record.id) {
            self.revise(known, |part| {
                part.content = content;
                part.deleted = false;
            });
            return known;
        }
        let links = Links { split_of: Some(line.id), ..Links::default() };
        let id = pathway_kernel::new_id(self.now_us);
        let record = Arc::new(Record { id, identity, version: 1, content, links, deleted: false });
        self.insert(&record, None);
        self.made_by_hand(None, record);
        id
    }

    /// Changes a record otherwise than by a write that names it.
    fn revise(&mut self, id: Uuid, change: impl FnOnce(&mut Record)) {
        let Some(before) = self.by_id(id) else { return };
        let mut after = Record::clone(&before);
        change(&mut after);
        if after == *before {
            return;
        }
        after.version += 1;
        let after = Arc::new(after);
        self.put(&after);
        self.made_by_hand(Some(before), after);
    }

    fn made_by_hand(&mut self, before: Option<Arc<Record>>, after: Arc<Record>) {
        let (origin, changed_at_us) = (Origin::History, self.now_us);
        let change = Change { sequence: 0, before, after, origin, changed_at_us };
        self.made.push(Made { change, position: None });
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
