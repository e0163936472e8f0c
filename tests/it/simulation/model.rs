//! What the services should have come to, reckoned from the accepted events alone in whole cents.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::this_month;

/// The monthly limit for dining, in cents.
pub(super) const LIMIT: u64 = 40_000;

/// A user's records, and what the user must have been told.
#[derive(Debug)]
pub(super) struct Model {
    user: String,
    published: usize,
    /// Each record that stands: cents and category.
    pub(super) records: BTreeMap<String, (u64, &'static str)>,
    /// The thresholds that were crossed, in percent.
    fired: Vec<u64>,
    /// For each notice its type and what it says was spent.
    pub(super) told: Vec<(&'static str, String)>,
}

// === impl Model ===

impl Model {
    pub(super) fn new(user: String) -> Self {
        Self { user, published: 0, records: BTreeMap::new(), fired: Vec::new(), told: Vec::new() }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The next event: a new record, a change, a removal, or one sent again as it was.
    pub(super) fn next(&mut self, rng: &mut fastrand::Rng) -> Value {
        let known = self.records.keys().nth(rng.usize(..self.records.len().max(1))).cloned();
        let (cents, category) = (rng.u64(1..=3_000), ["dining", "transport"][rng.usize(..2)]);
        let (id, content) = match (rng.u8(..10), known) {
            (0, Some(id)) => {
                self.records.remove(&id);
                self.check_budget();
                return json!({"id": id, "user_id": self.user, "deleted": true});
            }
            (1 | 2, Some(id)) => (id, (cents, category)),
            (3, Some(id)) => (id.clone(), self.records[&id]),
            _ => {
                self.published += 1;
                (format!("{}-{}", self.user, self.published), (cents, category))
            }
        };
        self.records.insert(id.clone(), content);
        self.check_budget();
        let (cents, category) = content;
        json!({"id": id, "user_id": self.user, "amount": decimal(cents), "category": category,
            "transaction_date": this_month()})
    }

    /// What is spent on dining, in cents, and in how many lines.
    pub(super) fn dining(&self) -> (u64, i64) {
        let lines = self.records.values().filter(|(_, category)| *category == "dining");
        lines.fold((0, 0), |(sum, count), (cents, _)| (sum + cents, count + 1))
    }

    /// Crossing is told once: the highest of what one change crosses, and nothing again after falling below (G21 to G23).
    fn check_budget(&mut self) {
        let (spent, _) = self.dining();
        let crossed = [80, 100].into_iter().filter(|threshold| spent * 100 >= LIMIT * threshold);
        let new: Vec<u64> = crossed.filter(|threshold| !self.fired.contains(threshold)).collect();
        if let Some(highest) = new.last() {
            let kind = if *highest == 100 { "budget_exceeded" } else { "budget_warning" };
            self.told.push((kind, decimal(spent)));
        }
        self.fired.extend(new);
    }
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
