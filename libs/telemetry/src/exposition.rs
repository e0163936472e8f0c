//! The text that Prometheus reads.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::Key;
use opentelemetry_prometheus::{ExporterBuilder, PrometheusExporter};
use opentelemetry_sdk::error::OTelSdkError;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

/// The metrics of every service of a process; cheap to clone.
///
/// Each service has a registry, since a registry takes one exporter. What they gather is put together by name, for a family may stand in the
/// text once; the label `service_name` tells them apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exposition(Arc<Mutex<Vec<Registry>>>);

// === impl Exposition ===

impl Exposition {
    /// The reader of one more service.
    pub(crate) fn reader(&self) -> Result<PrometheusExporter, OTelSdkError> {
        let registry = Registry::new();
        let labels: HashSet<Key> = [Key::from_static_str("service.name")].into();
        let exporter = ExporterBuilder::default()
            .with_registry(registry.clone())
            .with_resource_selector(labels)
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(registry);
        Ok(exporter)
    }

    /// The text; none where it cannot be written.
    pub(crate) fn text(&self) -> Option<String> {
        // The registries are asked outside of the lock: a callback may take its time.
        let registries = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
        for mut family in registries.iter().flat_map(Registry::gather) {
            match families.get_mut(family.name()) {
                Some(known) => {
                    let mut metrics = known.take_metric();
                    metrics.extend(family.take_metric());
                    known.set_metric(metrics);
                }
                None => {
                    families.insert(family.name().to_owned(), family);
                }
            }
        }
        let families: Vec<MetricFamily> = families.into_values().collect();
        TextEncoder::new().encode_to_string(&families).ok()
    }
}
