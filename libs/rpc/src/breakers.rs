//! What a service's breakers are doing, as a metric.

use opentelemetry::KeyValue;
use pathway_resilience::{BreakerState, Breakers};
use pathway_telemetry::Telemetry;

/// Tells the states of the breakers of `service`, whenever it is asked: 0 closed, 1 half-open, 2 open, 3 tripped and 4 disabled by an operator. The
/// breakers of a process stand in one list, so those of others are left out.
pub fn tell_breakers(telemetry: &Telemetry, breakers: &Breakers, service: &str) {
    let (breakers, prefix) = (breakers.clone(), format!("{service}/"));
    // It is asked for as long as its meter is there.
    let _ = telemetry
        .meter()
        .u64_observable_gauge("pathway.breaker.state")
        .with_description("0 closed, 1 half-open, 2 open, 3 tripped, 4 disabled")
        .with_callback(move |gauge| {
            for status in breakers.snapshot() {
                if let Some(peer) = status.target.strip_prefix(&*prefix) {
                    gauge.observe(number(status.state), &[KeyValue::new("pathway.peer", peer.to_owned())]);
                }
            }
        })
        .build();
}

const fn number(state: BreakerState) -> u64 {
    match state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
        BreakerState::Tripped => 3,
        BreakerState::Disabled => 4,
    }
}

#[cfg(test)]
mod tests {
    use pathway_kernel::Clock;
    use pathway_resilience::{BreakerAction, BreakerConfig};

    use super::*;

    #[test]
    fn a_service_tells_of_its_own_breakers() {
        let (telemetry, breakers) = (Telemetry::scraped("ours").unwrap(), Breakers::new(Clock::system()));
        let _ours = breakers.of("ours").breaker("peer", BreakerConfig::default());
        let _theirs = breakers.of("theirs").breaker("other", BreakerConfig::default());
        tell_breakers(&telemetry, &breakers, "ours");
        let state = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("pathway_breaker_state{"))?;
            line.rsplit(' ').next().map(str::to_owned)
        };
        assert_eq!(state(&telemetry.exposition().unwrap()), Some("0".to_owned()));
        assert_eq!(breakers.act("ours/peer", BreakerAction::Trip).len(), 1);
        let text = telemetry.exposition().unwrap();
        assert_eq!(state(&text), Some("3".to_owned()));
        assert!(text.contains(r#"pathway_peer="peer""#) && !text.contains("other"), "{text}");
    }
}
