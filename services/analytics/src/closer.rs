//! Closing periods when their time has come.
//!
//! A period of a budget ends with a day of its owner, and nothing need happen then. So whoever is due is looked for, by the wall clock, and what has
//! ended is written down in the owner's own transaction (`store/closing.rs`). The task keeps nothing: stopped, killed or run twice side by side, it
//! finds what is still due, and a period is written once.

use std::convert::Infallible;
use std::time::Duration;

use pathway_kernel::Fault;

use crate::error::AnalyticsError;
use crate::service::Figures;

/// Looks for periods that have ended.
#[derive(Debug)]
pub(crate) struct Closer {
    figures: Figures,
}

/// How often to look: a summary is this late at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many users are taken at once, so that those who are due at one midnight are not one long transaction.
const AT_ONCE: i64 = 256;

// === impl Closer ===

impl Closer {
    pub(crate) const fn new(figures: Figures) -> Self {
        Self { figures }
    }

    /// Looks for ever.
    pub(crate) async fn run(self) -> Infallible {
        loop {
            match self.figures.close_due(AT_ONCE).await {
                // There may be more: those who are left are looked for at once.
                Ok(users) if i64::try_from(users).is_ok_and(|users| users >= AT_ONCE) => continue,
                Ok(0) => {}
                Ok(users) => tracing::debug!(users, "closed the periods that had ended"),
                Err(error) => failed(error),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn failed(error: AnalyticsError) {
    let fault = Fault::from(error);
    let (code, reason) = (fault.code().name(), fault.reason());
    tracing::warn!(code, reason, "could not close the periods that have ended; they stay due");
}
