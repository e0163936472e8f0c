//! What the services should have come to, reckoned from the events alone in whole cents.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::this_month;

/// A user's records and what was published of them.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Each record that stands, in cents.
    records: BTreeMap<String, u64>,
    published: usize,
}

// === impl Model ===

impl Model {
    /// The next events: new records, changes, removals, and some sent once more as they are.
    pub(crate) fn next_events(&mut self, user: &str, count: usize, rng: &mut fastrand::Rng) -> Vec<Value> {
        (0..count).map(|_| self.next_event(user, rng)).collect()
    }

    /// What the records come to, as a decimal, and how many there are.
    pub(crate) fn total(&self) -> (String, usize) {
        let cents: u64 = self.records.values().sum();
        (format!("{}.{:02}", cents / 100, cents % 100), self.records.len())
    }

    fn next_event(&mut self, user: &str, rng: &mut fastrand::Rng) -> Value {
        let known = self.records.keys().nth(rng.usize(..self.records.len().max(1))).cloned();
        let cents = rng.u64(1..=5_000);
        match (rng.u8(..10), known) {
            // Removed.
            (0, Some(id)) => {
                self.records.remove(&id);
                json!({"id": id, "user_id": user, "deleted": true})
            }
            // Changed.
            (1 | 2, Some(id)) => self.event(user, id, cents),
            // Sent once more.
            (3 | 4, Some(id)) => {
                let cents = self.records[&id];
                self.event(user, id, cents)
            }
            _ => {
                self.published += 1;
                self.event(user, format!("{user}-{}", self.published), cents)
            }
        }
    }

    fn event(&mut self, user: &str, id: String, cents: u64) -> Value {
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let event = json!({"id": id, "user_id": user, "amount": amount, "category": "dining",
            "transaction_date": this_month()});
        self.records.insert(id, cents);
        event
    }
}
