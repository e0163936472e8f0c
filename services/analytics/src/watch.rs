//! Following a user's figures.
//!
//! A follower is told the state after a mark, never a queue of what happened: whenever something may be new, the store is asked what has changed since the
//! last mark, and that is one message. So a slow client gets fewer and larger messages, many changes cost one, nothing is buffered for anybody, and a
//! wake-up that is missed or comes twice does no harm. A client that comes back with its mark goes on there, as long as what was touched since is
//! kept; else it is told to begin anew, which is always right.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::{Budget, Scope, Spending};

/// What there is after a mark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look {
    /// The mark is the latest.
    Nothing,
    /// What has happened since is no longer known.
    Gone,
    /// The figures as they are, and which of their categories have changed.
    Changes { categories: BTreeSet<String>, spending: Spending, budgets: Vec<Budget> },
    /// The figures as they are.
    Everything { spending: Spending, budgets: Vec<Budget> },
}

/// One message to a follower.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Everything as it is.
    Snapshot { spending: Spending, budgets: Vec<Budget> },
    /// What has changed.
    Delta { categories: BTreeSet<String>, spending: Spending, budgets: Vec<Budget> },
    /// Nothing here has.
    Progress,
    /// A snapshot follows, and what the client has is void.
    Refetch,
}

/// Where a follower is.
#[derive(Debug)]
struct Follower {
    figures: Figures,
    changed: broadcast::Receiver<String>,
    scope: Scope,
    /// None where a snapshot is due.
    mark: Option<i64>,
    /// The budgets that the client has; none where that is not known.
    budgets: Option<Vec<Budget>>,
    /// Until when what is touched is kept for it.
    attended_until_us: i64,
    has_ended: bool,
}

/// For how long what is touched is kept on: a client may be away for so long and go on where it was.
const ATTENTION: Duration = Duration::from_secs(15 * 60);
/// How often a follower looks without having been woken, where other processes may write too.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

// === impl Figures ===

impl Figures {
    /// Follows a user's figures after a mark; with none, from a snapshot on. Each step comes with its mark. Ends when the service does, or after an
    /// error.
    pub(crate) fn watch(
        &self,
        scope: Scope,
        after: Option<i64>,
    ) -> impl Stream<Item = Result<(i64, Step), AnalyticsError>> + Send + use<> {
        let follower = Follower {
            figures: self.clone(),
            changed: self.changed.subscribe(),
            scope,
            mark: after,
            budgets: None,
            attended_until_us: 0,
            has_ended: false,
        };
        unfold(follower, |mut follower| async move {
            if follower.has_ended {
                return None;
            }
            let closing = follower.figures.closing.clone();
            let step = closing.run_until_cancelled(follower.next()).await?;
            follower.has_ended = step.is_err();
            Some((step, follower))
        })
    }
}

// === impl Follower ===

impl Follower {
    /// The next step, or progress when it is time for a heartbeat.
    async fn next(&mut self) -> Result<(i64, Step), AnalyticsError> {
        let heartbeat = tokio::time::sleep(self.figures.heartbeat);
        tokio::pin!(heartbeat);
        let mut is_due = false;
        loop {
            self.attend().await?;
            let (mark, look) = self.figures.look(self.scope.clone(), self.mark).await?;
            if let Some(step) = self.step(mark, look) {
                return Ok((mark, step));
            }
            if is_due {
                return Ok((mark, Step::Progress));
            }
            let wait = if self.figures.is_shared() { LOOK_AGAIN } else { self.figures.heartbeat };
            tokio::select! {
                () = &mut heartbeat => is_due = true,
                woken = woken(&mut self.changed, &self.scope.user_id) => woken?,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What to tell of what there is, and where that leads.
    fn step(&mut self, mark: i64, look: Look) -> Option<Step> {
        self.mark = Some(mark);
        match look {
            Look::Nothing => None,
            Look::Gone => {
                self.mark = None;
                Some(Step::Refetch)
            }
            Look::Everything { spending, budgets } => {
                // What the currency is at first holds for all that follows.
                self.scope.currency = Some(spending.currency);
                self.budgets = Some(budgets.clone());
                Some(Step::Snapshot { spending, budgets })
            }
            Look::Changes { categories, spending, budgets } => {
                let is_same = categories.is_empty() && self.budgets.as_ref() == Some(&budgets);
                self.scope.currency = Some(spending.currency);
                self.budgets = Some(budgets.clone());
                Some(if is_same { Step::Progress } else { Step::Delta { categories, spending, budgets } })
            }
        }
    }

    /// Has what is touched kept for a while from now on. Half of that is left at least, so it is seldom written.
    async fn attend(&mut self) -> Result<(), AnalyticsError> {
        let long = i64::try_from(ATTENTION.as_micros()).unwrap_or(i64::MAX);
        let now_us = self.figures.now_us();
        if self.attended_until_us < now_us.saturating_add(long / 2) {
            self.attended_until_us = now_us.saturating_add(long);
            self.figures.attend(self.scope.user_id.clone(), self.attended_until_us).await?;
        }
        Ok(())
    }
}

/// Waits until this user's figures may have changed.
async fn woken(changed: &mut broadcast::Receiver<String>, user_id: &str) -> Result<(), AnalyticsError> {
    loop {
        match changed.recv().await {
            Ok(user) if user != user_id => {}
            // Some wake-ups were missed; this user's may have been among them.
            Ok(_) | Err(RecvError::Lagged(_)) => return Ok(()),
            Err(RecvError::Closed) => return Err(AnalyticsError::Ending),
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
