//! Whether a service can serve: what its health says.
//!
//! Ready is a service that reaches what it cannot serve without, which is its own store. Its peers do not count: where one is away, events wait, and taking this
//! service away too would help nobody. Alive is a service that answers at all, under a name of its own that depends on nothing: a process is not started again
//! because its database is away.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The name under which health says that the process lives, whatever else is the matter.
pub const LIVE: &str = "live";

type Look = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// What a service cannot serve without; cheap to clone. By default that is nothing.
#[derive(Clone, Default)]
pub struct Readiness(Vec<Arc<dyn Fn() -> Look + Send + Sync>>);

/// How often is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How soon again after a failure. One alone may be a moment's delay and turns nobody away.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a look may take.
const WITHIN: Duration = Duration::from_secs(3);

// === impl Readiness ===

impl Readiness {
    /// Ready where this look succeeds.
    #[must_use]
    pub fn new<F, L>(look: F) -> Self
    where
        F: Fn() -> L + Send + Sync + 'static,
        L: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        Self(vec![Arc::new(move || Box::pin(look()))])
    }

    /// Ready where both are.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    async fn look(&self) -> Result<(), Fault> {
        for look in &self.0 {
            let late = |_| Fault::new(Code::Unavailable, "STORE_SILENT", "the store does not answer");
            tokio::time::timeout(WITHIN, look()).await.map_err(late)??;
        }
        Ok(())
    }

    /// Keeps the health of these names true, for ever.
    pub(crate) async fn follow(&self, reporter: &HealthReporter, names: &[&'static str]) -> Infallible {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let (mut failures, mut ready) = (0_u32, true);
        loop {
            tokio::time::sleep(if failures == 0 { EVERY } else { AGAIN }).await;
            match self.look().await {
                Ok(()) => failures = 0,
                Err(fault) => {
                    failures = failures.saturating_add(1);
                    if failures == 2 {
                        let (code, reason) = (fault.code().name(), fault.reason());
                        tracing::error!(code, reason, "cannot reach the store, turning callers away");
                    }
                }
            }
            let now = failures < 2;
            if now != ready {
                ready = now;
                if ready {
                    tracing::info!("reaches the store again");
                }
                let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
                report(reporter, names, status).await;
            }
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.0.len()).finish()
    }
}

/// Says a status under each service's name, and under the empty one that stands for all.
pub(crate) async fn report(reporter: &HealthReporter, names: &[&'static str], status: ServingStatus) {
    for name in names.iter().chain(&[""]) {
        reporter.set_service_status(*name, status).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_server::Health as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_store_turns_callers_away_and_back() {
        let well = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&well);
        let readiness = Readiness::new(move || {
            let well = seen.load(Ordering::SeqCst);
            async move { if well { Ok(()) } else { std::future::pending().await } }
        });
        let reporter = HealthReporter::new();
        let health = tonic_health::server::HealthService::from_health_reporter(reporter.clone());
        report(&reporter, &["x.Y"], ServingStatus::Serving).await;
        reporter.set_service_status(LIVE, ServingStatus::Serving).await;
        tokio::spawn(async move { readiness.follow(&reporter, &["x.Y"]).await });
        let ask = async |name: &str| {
            let request = Request::new(HealthCheckRequest { service: name.to_owned() });
            health.check(request).await.unwrap().into_inner().status
        };
        for (is_well, status) in [(true, 1), (false, 2), (true, 1)] {
            well.store(is_well, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(20)).await;
            for name in ["", "x.Y"] {
                assert_eq!(ask(name).await, status, "{name:?} where the store is well: {is_well}");
            }
            assert_eq!(ask(LIVE).await, 1, "a silent store is no reason to start again");
        }
    }
}
