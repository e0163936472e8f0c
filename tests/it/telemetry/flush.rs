//! A process that ends sends what it still has.

use std::process::Command;

use pathway_testkit::eventually;

use super::collector::Collector;
use super::{fresh_trace, publish, purchase, start};

/// Nothing is sent by itself while the test lasts.
const AN_HOUR_MS: &str = "3600000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_gathered_is_sent_when_a_process_ends() {
    let (collector, endpoint) = Collector::start().await;
    let services = start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_LOGS_EXPORTER", "otlp".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", AN_HOUR_MS.to_owned()),
        ("OTEL_BLRP_SCHEDULE_DELAY", AN_HOUR_MS.to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", AN_HOUR_MS.to_owned()),
    ]);
    // With a notice to tell, each service has a part in it.
    let _ = services
        .pathway(&["budget", "set", "--user", "flushed", "--currency", "USD", "--limit", "dining=10.00"])
        .succeeded();
    let trace = fresh_trace();
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    publish(&services, Some(&traceparent), vec![purchase("f1", "flushed", "9.50", "Cafe")]).await;
    assert!(collector.spans().is_empty() && collector.metrics().is_empty() && collector.logs() == 0);

    for name in services.names() {
        let pid = services.pid(name).to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }
    for name in services.names() {
        eventually(&format!("{name} has sent its traces, metrics and logs"), || {
            let is_there = collector.trace(&trace).iter().any(|seen| seen.service == name);
            (is_there && collector.metrics().contains_key(name)).then_some(())
        });
    }
    assert!(collector.logs() >= services.names().len());
}
