//! What the processor measures, and what of it has to be looked up.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
use pathway_telemetry::{Telemetry, seconds};

use crate::processing::Processing;

/// What the processor measures; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    batch_size: Histogram<u64>,
    batch_duration: Histogram<f64>,
    wait: Histogram<f64>,
    alert_delay: Histogram<f64>,
    dead_letters: Counter<u64>,
    parked: UpDownCounter<i64>,
    lag: Gauge<i64>,
}

/// How often the topics are asked how far behind their pathways are.
const LOOK: Duration = Duration::from_secs(10);

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter();
        let seconds = |name, what| seconds(telemetry, name, what, &[0.001, 0.0025]);
        Self(Arc::new(Instruments {
            batch_size: meter
                .u64_histogram("pathway.batch.size")
                .with_unit("{event}")
                .with_description("Events that a batch took through its pathway")
                .with_boundaries(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
                .build(),
            batch_duration: seconds("pathway.batch.duration", "How long a batch took, its commit included"),
            wait: seconds("pathway.topic.wait", "How long the oldest event of a batch waited in its topic"),
            alert_delay: seconds(
                "pathway.alert.delay",
                "From the moment an event was accepted until the notices that it caused were stored and in the streams",
            ),
            dead_letters: meter
                .u64_counter("pathway.dead_letters")
                .with_unit("{event}")
                .with_description("Events that failed for good")
                .build(),
            parked: meter
                .i64_up_down_counter("pathway.parked_partitions")
                .with_unit("{partition}")
                .with_description("Partitions that wait for what may pass")
                .build(),
            lag: meter
                .i64_gauge("pathway.topic.lag")
                .with_unit("{event}")
                .with_description("Events that a pathway has before it")
                .build(),
        }))
    }

    /// A batch is done: so many events, the oldest of which had waited so long when it began.
    pub(crate) fn batch(&self, pathway: &str, events: usize, took: Duration, waited_us: i64) {
        let attributes = [pathway_name(pathway)];
        self.0.batch_size.record(u64::try_from(events).unwrap_or(u64::MAX), &attributes);
        self.0.batch_duration.record(took.as_secs_f64(), &attributes);
        self.0.wait.record(micros(waited_us).as_secs_f64(), &attributes);
    }

    /// An event's notices were stored so long after it was accepted.
    pub(crate) fn alert(&self, pathway: &str, delay_us: i64) {
        self.0.alert_delay.record(micros(delay_us).as_secs_f64(), &[pathway_name(pathway)]);
    }

    /// An event failed for good.
    pub(crate) fn dead_letter(&self, pathway: &str, code: &'static str) {
        self.0.dead_letters.add(1, &[pathway_name(pathway), KeyValue::new("error.type", code)]);
    }

    /// A partition begins to wait, or goes on.
    pub(crate) fn parked(&self, pathway: &str, waits: bool) {
        self.0.parked.add(if waits { 1 } else { -1 }, &[pathway_name(pathway)]);
    }

    /// Looks again and again how far behind the pathways are. Nobody else counts that, and a figure that is a few seconds old shows as well what grows.
    pub(crate) async fn watch(self, processing: Processing) {
        loop {
            let known = processing.registry.known();
            for line in known.lines() {
                let lag = match processing.topics.lag(line.topic(), line.name()).await {
                    Ok(lag) => lag,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "could not look how far behind a pathway is");
                        continue;
                    }
                };
                for partition in lag {
                    let attributes = [
                        pathway_name(line.name()),
                        KeyValue::new("messaging.destination.name", line.topic().to_owned()),
                        KeyValue::new("messaging.destination.partition.id", partition.partition.to_string()),
                    ];
                    self.0.lag.record(partition.events, &attributes);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn pathway_name(pathway: &str) -> KeyValue {
    KeyValue::new("pathway.name", pathway.to_owned())
}

/// A clock that was set back does not make a duration negative.
fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}
