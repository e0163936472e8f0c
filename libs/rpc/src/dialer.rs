//! What the channels of a process share.

use pathway_kernel::{Clock, Rng};
use pathway_resilience::Breakers;
use pathway_telemetry::Telemetry;

use crate::{Channel, ChannelConfig, Target};

/// Makes channels; cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialer {
    breakers: Breakers,
    rng: Rng,
    /// None where each channel's configuration says who is told.
    telemetry: Option<Telemetry>,
}

// === impl Dialer ===

impl Dialer {
    /// One whose channels' breakers are among these, and whose jitter is this chance.
    #[must_use]
    pub fn new(breakers: Breakers, rng: Rng) -> Self {
        Self { breakers, rng, telemetry: None }
    }

    /// The same, which tells how the calls of all its channels go.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry: Some(telemetry), ..self }
    }

    /// A way to `target`. Nothing is connected before the first call.
    #[must_use]
    pub fn channel(&self, name: &str, target: Target, mut config: ChannelConfig) -> Channel {
        if let Some(telemetry) = &self.telemetry {
            config.telemetry = telemetry.clone();
        }
        let breaker = self.breakers.breaker(name, config.breaker);
        Channel::open(name, target, config, breaker)
    }

    /// The breakers of its channels.
    #[must_use]
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// The chance of its channels' jitter.
    #[must_use]
    pub const fn rng(&self) -> &Rng {
        &self.rng
    }
}

impl Default for Dialer {
    /// One that stands alone: nobody is told of its breakers.
    fn default() -> Self {
        Self::new(Breakers::new(Clock::system()), Rng::system())
    }
}
