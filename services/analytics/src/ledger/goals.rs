//! What a change does to its user's goals (G28).

use pathway_finance::Overflow;

use super::{Known, Ledger};
use crate::error::AnalyticsError;
use crate::fact::{Change, Line};
use crate::insight::Insight;

// === impl Known ===

impl Known {
    /// The user's goals that a line counts towards which becomes another, by their places, with what their lines come to then.
    pub(super) fn moved_goals(
        &self,
        user_id: &str,
        before: Option<&Line>,
        after: Option<&Line>,
    ) -> Result<Vec<(usize, i64)>, Overflow> {
        let goals = self.owners.get(user_id).map(|owner| owner.goals.as_slice()).unwrap_or_default();
        let mut moved = Vec::new();
        for (place, goal) in goals.iter().enumerate() {
            moved.extend(goal.moved(before, after)?.map(|linked| (place, linked)));
        }
        Ok(moved)
    }
}

// === impl Ledger ===

impl Ledger {
    /// Moves goals, and notes the milestones that they reach by it. History tells nothing (G24).
    pub(super) fn move_goals(
        &mut self,
        change: &Change,
        moved: Vec<(usize, i64)>,
    ) -> Result<(), AnalyticsError> {
        let user_id = &change.fact.user_id;
        for (place, linked) in moved {
            let owner = self.known.owners.get_mut(user_id);
            let goal = owner.and_then(|owner| owner.goals.get_mut(place));
            let goal = goal.ok_or(AnalyticsError::Corrupt("goal"))?;
            goal.linked = linked;
            let reached = goal.reach(change.is_live)?;
            if let Some(milestone) = reached.notify {
                self.settled.milestones.push(Insight::milestone(user_id, goal, milestone)?);
            }
            self.settled.goals.insert((user_id.clone(), goal.name.clone()), linked);
            if !reached.milestones.is_empty() {
                self.settled.reached.push((user_id.clone(), goal.clone(), reached));
            }
        }
        Ok(())
    }
}
