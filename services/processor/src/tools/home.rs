//! The way from a tool back to the service that it is a part of.

use std::sync::{Arc, OnceLock, Weak};

use pathway_kernel::Fault;

use crate::processing::Processing;

/// The service, once there is one; cheap to clone.
///
/// Pathways hold their tools, and two of the tools run pathways and publish. Weak, so that a service that has ended goes away: its files are closed then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home(Arc<OnceLock<Weak<Processing>>>);

// === impl Home ===

impl Home {
    /// Says whose tools these are; the first word counts.
    pub(crate) fn set(&self, processing: &Arc<Processing>) {
        let _ = self.0.set(Arc::downgrade(processing));
    }

    /// The service. It is not there before it has started and after it has ended, when whoever asks will be run again.
    pub(crate) fn get(&self) -> Result<Arc<Processing>, Fault> {
        self.0.get().and_then(Weak::upgrade).ok_or_else(Fault::ending)
    }
}
