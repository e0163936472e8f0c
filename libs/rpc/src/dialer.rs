//! What the channels of a process share.

use pathway_kernel::{Clock, Rng};
use pathway_resilience::Breakers;
use pathway_telemetry::Telemetry;

use crate::{Channel, ChannelConfig, Resolver, Target};

/// Makes channels; cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialer {
    breakers: Breakers,
    rng: Rng,
    resolver: Resolver,
    /// None where each channel's configuration says who is told.
    telemetry: Option<Telemetry>,
}

// === impl Dialer ===

impl Dialer {
    /// One whose channels' breakers are among these, and whose jitter is this chance.
    #[must_use]
    pub fn new(breakers: Breakers, rng: Rng) -> Self {
        Self { breakers, rng, resolver: Resolver::default(), telemetry: None }
    }

    /// The same, which looks names up in another way than the system.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
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
        Channel::open(name, target, config, self)
    }

    /// The breakers of its channels.
    #[must_use]
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    pub(crate) const fn rng(&self) -> &Rng {
        &self.rng
    }

    pub(crate) const fn resolver(&self) -> &Resolver {
        &self.resolver
    }
}

impl Default for Dialer {
    /// One that stands alone: nobody is told of its breakers.
    fn default() -> Self {
        Self::new(Breakers::new(Clock::system()), Rng::system())
    }
}
