//! Nothing that leaves a process is about a person: no amount, name, token or text, at whatever level the log is.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use pathway_proto::pathway::processor::v1::Event;
use pathway_testkit::eventually;

use super::collector::Collector;
use super::{exporting, fresh_trace, publish, publish_only, purchase, start};

/// Words that only people and secrets have in this test. Each stands for a kind of what must stay inside.
const USER: &str = "canary-user-q7";
const MERCHANT: &str = "Canary Merchant Zq";
const TOKEN: &str = "canary-token-x9";
const EVENT: &str = "canary-event-1";
/// Long enough to be in no timestamp by chance.
const AMOUNT: &str = "9876543219.87";

/// What of the canaries is in a text, with what is around it.
fn found_in(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let units = AMOUNT.replace('.', "");
    let whole = AMOUNT.split('.').next().unwrap_or_default();
    let words = ["canary", AMOUNT, units.as_str(), whole];
    let at = words.iter().find_map(|word| lower.find(word))?;
    let around = lower.chars().skip(lower[..at].chars().count().saturating_sub(200)).take(500);
    Some(around.collect())
}

fn metrics(url: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_amount_name_token_or_text_leaves_a_process() {
    let (collector, endpoint) = Collector::start().await;
    let mut variables = exporting(&endpoint);
    variables.push(("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={TOKEN}")));
    variables.push(("RUST_LOG", "trace".to_owned()));
    let services = start(&variables);
    let names = ["processor", "datasync", "analytics", "notifications"];

    // What goes well, with a notice that tells the amount.
    let limit = format!("dining={AMOUNT}");
    let _ = services
        .pathway(&["budget", "set", "--user", USER, "--currency", "USD", "--limit", &limit])
        .succeeded();
    let traceparent = format!("00-{}-00f067aa0ba902b7-01", fresh_trace());
    publish(&services, Some(&traceparent), vec![purchase(EVENT, USER, AMOUNT, MERCHANT)]).await;
    publish(&services, None, vec![purchase("canary-event-2", USER, "1.00", MERCHANT)]).await;
    // What does not: a wrong event, one that is no JSON, and a publish to nowhere.
    let wrong = format!(r#"{{"id":"{EVENT}","user_id":"{USER}","amount":"{MERCHANT}"}}"#);
    let broken = format!(r#"{{"user_id":"{USER}""#);
    let events = [wrong, broken].map(|data| Event { data: data.into_bytes(), ..Event::default() });
    publish_only(&services, Some(&traceparent), events.into()).await;
    let _ = services.pathway(&["publish", "canary-topic", "--data", "{}"]);
    // What is asked for, and a statement.
    let _ = services.pathway(&["notifications", "--user", USER]).succeeded();
    let _ = services.pathway(&["spending", "--user", USER]).succeeded();
    let statement = format!(
        "Date,Description,Amount,Transaction Type,Category,Account Name\n01/02/2025,{MERCHANT},{AMOUNT},debit,Dining,Canary Account\n"
    );
    let file = services.file("canary.csv", statement);
    let file = file.to_str().unwrap();
    let _ = services.pathway(&["import", file, "--user", USER, "--account", "canary-account"]).succeeded();

    eventually("every service has sent traces, metrics and logs", || {
        let metrics = collector.metrics();
        let spans = collector.spans();
        let has = |name: &str| {
            metrics.get(name).is_some_and(|names| names.iter().any(|name| name == "rpc.server.call.duration"))
                && spans
                    .iter()
                    .any(|seen| seen.service == name && !seen.attribute("db.system.name").is_empty())
        };
        (names.iter().all(|name| has(name)) && collector.logs() >= names.len()).then_some(())
    });
    assert_eq!(found_in(&collector.text()), None);
    for name in names {
        let text = metrics(&services.url(name));
        assert!(text.contains("rpc_server_call_duration_seconds_count"), "{text}");
        assert_eq!(found_in(&text), None, "the metrics of {name}");
        let log = services.data_dir().with_file_name(format!("{name}.log"));
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("ready"), "{log}");
        assert_eq!(found_in(&log), None, "the log of {name}");
    }
    let processor = metrics(&services.url("processor"));
    for metric in [
        "pathway_batch_size_count",
        "pathway_batch_duration_seconds_count",
        "pathway_topic_wait_seconds_count",
        "pathway_topic_lag",
        "pathway_alert_delay_seconds_count",
        "pathway_store_commit_duration_seconds_count",
        "pathway_store_commit_transactions_count",
        "pathway_store_queue_wait_seconds_count",
        "pathway_store_queue_length",
        "db_client_operation_duration_seconds_count",
        "rpc_client_call_duration_seconds_count",
        "pathway_breaker_state",
    ] {
        assert!(processor.contains(metric), "{metric} is not in {processor}");
    }
}

#[test]
fn a_canary_is_found_wherever_it_hides() {
    assert!(found_in("a span of CANARY-user-q7").is_some());
    assert!(found_in("minor units 987654321987 it is").is_some());
    assert!(found_in("units: 9876543219, nanos: 870000000").is_some());
    assert!(found_in("counts, codes, durations").is_none());
}
