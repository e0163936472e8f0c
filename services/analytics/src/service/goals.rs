//! What the service does about savings goals.

use pathway_finance::Money;
use uuid::Uuid;

use super::Figures;
use crate::error::AnalyticsError;
use crate::goal::{Contribution, GoalView, NewContribution, NewGoal};
use crate::store::{ContributionQuestion, GoalQuestion};

// === impl Figures ===

impl Figures {
    /// Sets a goal, and answers it.
    pub(crate) async fn set_goal(&self, new: NewGoal) -> Result<GoalView, AnalyticsError> {
        self.store.set_goal(new, self.clock.now_us()).await
    }

    /// A user's goals, by name.
    pub(crate) async fn goals(&self, question: GoalQuestion) -> Result<Vec<GoalView>, AnalyticsError> {
        self.store.goals(question, self.clock.now_us()).await
    }

    /// One goal.
    pub(crate) async fn goal(&self, user_id: String, name: String) -> Result<GoalView, AnalyticsError> {
        self.store.goal(user_id, name, self.clock.now_us()).await
    }

    /// Removes a goal.
    pub(crate) async fn remove_goal(&self, user_id: String, name: String) -> Result<(), AnalyticsError> {
        self.store.remove_goal(user_id, name, self.clock.now_us()).await
    }

    /// Notes what was contributed to a goal by hand.
    pub(crate) async fn contribute(
        &self,
        new: NewContribution,
    ) -> Result<(Contribution, GoalView), AnalyticsError> {
        self.store.contribute(new, self.clock.now_us()).await
    }

    /// Takes back what was contributed by hand.
    pub(crate) async fn take_back(
        &self,
        user_id: String,
        goal: String,
        id: Uuid,
    ) -> Result<GoalView, AnalyticsError> {
        self.store.take_back(user_id, goal, id, self.clock.now_us()).await
    }

    /// What a goal's progress is made of, newest first, and the goal's target.
    pub(crate) async fn contributions(
        &self,
        question: ContributionQuestion,
    ) -> Result<(Money, Vec<Contribution>), AnalyticsError> {
        self.store.contributions(question).await
    }
}
