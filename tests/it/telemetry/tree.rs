//! One transaction's trace, from the caller's publish to each service's store.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use pathway_testkit::eventually;
use serde_json::Value;

use super::collector::{Collector, Seen, hex};
use super::{exporting, fresh_trace, publish, publish_only, purchase, start};

/// A trace as lines: each span under its parent, with its service, kind and name. Of siblings that look the same one is shown.
fn tree(spans: &[Seen], root: &str) -> Vec<String> {
    let mut children: BTreeMap<String, Vec<&Seen>> = BTreeMap::new();
    for seen in spans {
        children.entry(seen.parent()).or_default().push(seen);
    }
    let mut lines = Vec::new();
    branch(&children, root, 0, &mut lines);
    lines
}

fn branch(children: &BTreeMap<String, Vec<&Seen>>, parent: &str, depth: usize, lines: &mut Vec<String>) {
    let mut siblings = children.get(parent).cloned().unwrap_or_default();
    siblings.sort_by_key(|seen| seen.span.start_time_unix_nano);
    let mut shown = Vec::new();
    for seen in siblings {
        let kind = SpanKind::try_from(seen.span.kind).unwrap().as_str_name().replace("SPAN_KIND_", "");
        let line = format!("{}{} {kind} {}", "  ".repeat(depth), seen.service, seen.span.name);
        if shown.contains(&line) {
            continue;
        }
        shown.push(line.clone());
        lines.push(line);
        branch(children, &seen.id(), depth + 1, lines);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_the_publish_through_the_nodes_to_each_store() {
    let (collector, endpoint) = Collector::start().await;
    let services = start(&exporting(&endpoint));
    let _ = services
        .pathway(&["budget", "set", "--user", "traced", "--currency", "USD", "--limit", "dining=10.00"])
        .succeeded();
    let (trace, caller) = (fresh_trace(), "00f067aa0ba902b7");
    let traceparent = format!("00-{trace}-{caller}-01");
    publish(&services, Some(&traceparent), vec![purchase("t1", "traced", "9.50", "Cafe")]).await;

    let expected = [
        "processor SERVER pathway.processor.v1.ProcessorService/Publish",
        "  processor PRODUCER publish transactions",
        "    processor CLIENT UPDATE topic_partitions; INSERT topic_events",
        "    processor CONSUMER process transactions",
        "      processor INTERNAL update",
        "        processor CLIENT pathway.datasync.v1.DatasyncService/WriteRecords",
        "          datasync SERVER pathway.datasync.v1.DatasyncService/WriteRecords",
        "            datasync CLIENT ",
        "      processor INTERNAL analyze",
        "        processor CLIENT pathway.analytics.v1.AnalyticsService/ApplyChanges",
        "          analytics SERVER pathway.analytics.v1.AnalyticsService/ApplyChanges",
        "            analytics CLIENT ",
        "      processor INTERNAL notify",
        "        processor CLIENT pathway.notifications.v1.NotificationsService/SendNotices",
        "          notifications SERVER pathway.notifications.v1.NotificationsService/SendNotices",
        "            notifications CLIENT ",
        "      processor CLIENT ",
    ];
    let fits = |lines: &[String]| {
        lines.len() == expected.len()
            && lines.iter().zip(expected).all(|(line, expected)| {
                // A store's span is named by its statements, which are its service's affair.
                if expected.ends_with(' ') { line.starts_with(expected) } else { line == expected }
            })
    };
    let mut last = Vec::new();
    eventually("the whole tree is there", || {
        let mut lines = tree(&collector.trace(&trace), caller);
        // A publish looks at what waits only once in a while.
        lines
            .retain(|line| !line.ends_with("processor CLIENT SELECT topic_partitions; SELECT topic_cursors"));
        if lines != last {
            eprintln!("{}\n", lines.join("\n"));
            last = lines;
        }
        fits(&last).then_some(())
    });

    let spans = collector.trace(&trace);
    let named = |name: &str| spans.iter().find(|seen| seen.span.name == name).unwrap();
    let process = named("process transactions");
    assert_eq!(process.attribute("messaging.batch.message_count"), "1");
    assert_eq!(process.attribute("pathway.name"), "transactions");
    let write =
        spans.iter().find(|seen| seen.span.name.ends_with("WriteRecords") && seen.service == "processor");
    assert_eq!(write.unwrap().attribute("rpc.response.status_code"), "OK");
    assert_eq!(write.unwrap().attribute("server.address"), "127.0.0.1");
    for store in spans.iter().filter(|seen| !seen.attribute("db.system.name").is_empty()) {
        assert_eq!(store.attribute("db.system.name"), "sqlite");
        assert_eq!(store.attribute("db.query.summary"), store.span.name);
    }

    // The execution knows its trace, and the command line where to look at it.
    let mut show = services.pathway_command(&["executions", "--limit", "1", "--json"]);
    let output = show.env("PATHWAY_TRACE_URL", "http://jaeger:16686/").output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["executions"][0]["trace_id"], trace.as_str());
    let id = listed["executions"][0]["id"].as_str().unwrap();
    let mut show = services.pathway_command(&["executions", "show", id]);
    let output = show.env("PATHWAY_TRACE_URL", "http://jaeger:16686/").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("http://jaeger:16686/trace/{trace}")), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_several_traces_links_to_them_and_each_leads_to_its_nodes() {
    let (collector, endpoint) = Collector::start().await;
    let mut services = start(&exporting(&endpoint));
    // While datasync is away a partition's events wait, and then run as one batch.
    services.kill("datasync");
    let traces: Vec<String> = ["a", "b", "c"].map(|end| format!("{}{end}", &fresh_trace()[1..])).into();
    let calls = traces.iter().zip(1..).map(|(trace, number)| {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        let event = purchase(&format!("b{number}"), "together", "1.00", "Cafe");
        let services = &services;
        async move { publish_only(services, Some(&traceparent), vec![event]).await }
    });
    futures_util::future::join_all(calls).await;
    services.restart("datasync");

    let batch = eventually("a batch links to several traces", || {
        let spans = collector.spans();
        // One that was parked while datasync was away has links as well, and did nothing for anybody.
        let went_well =
            |seen: &Seen| seen.span.status.as_ref().is_none_or(|status| status.code() != StatusCode::Error);
        spans.into_iter().find(|seen| {
            seen.span.name == "process transactions" && seen.span.links.len() > 1 && went_well(seen)
        })
    });
    let own = hex(&batch.span.trace_id);
    let linked: Vec<String> = batch.span.links.iter().map(|link| hex(&link.trace_id)).collect();
    assert!(!traces.contains(&own) && linked.iter().all(|trace| traces.contains(trace)), "{linked:?}");
    for trace in linked {
        let lines = eventually("an event's own trace has its nodes", || {
            let lines = tree(&collector.trace(&trace), "00f067aa0ba902b7");
            lines.iter().any(|line| line.ends_with("INTERNAL analyze")).then_some(lines)
        });
        for expected in ["    processor CONSUMER process transactions", "      processor INTERNAL update"] {
            assert!(lines.iter().any(|line| line == expected), "{}", lines.join("\n"));
        }
        // An event that was tried alone before has another `update` in its trace, which did its own work and links nowhere.
        eventually("what was done for it is in the batch's trace", || {
            let leads_there = |seen: &Seen| {
                seen.span.name == "update" && seen.span.links.iter().any(|link| hex(&link.trace_id) == own)
            };
            collector.trace(&trace).iter().any(leads_there).then_some(())
        });
    }
    let calls = eventually("the batch's trace has the calls", || {
        let calls = collector.trace(&own).into_iter().filter(|seen| seen.span.name.ends_with("WriteRecords"));
        let calls: Vec<Seen> = calls.collect();
        (calls.len() > 1).then_some(calls)
    });
    assert!(calls.iter().any(|call| call.service == "datasync"));
}
