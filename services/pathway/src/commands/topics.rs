//! `pathway topics` and `pathway subscribe`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::{
    EventPosition, ListTopicsRequest, SubscribeRequest, SubscribeResponse, SubscriptionStart, Topic,
};
use serde_json::{Value, json};
use tonic::Request;

use crate::cli::{Place, Subscribe};
use crate::client::{Mesh, Reconnect, answer, request};
use crate::output::{Output, instant, note, table};

pub(crate) async fn list(mesh: &Mesh, out: &Output) -> Result<ExitCode, Fault> {
    let topics = answer(mesh.processor.clone().list_topics(request(ListTopicsRequest {})).await)?.topics;
    let json = topics.iter().map(document).collect::<Vec<_>>();
    out.answer(&json!({"topics": json}), || {
        let rows = topics.iter().flat_map(|topic| {
            let (events, bytes) = held(topic);
            topic.groups.iter().map(move |group| {
                vec![
                    topic.name.clone(),
                    events.to_string(),
                    format!("{} KiB", bytes / 1024),
                    group.group.clone(),
                    group.lag_events.to_string(),
                    format!("{} s", group.lag_us / 1_000_000),
                ]
            })
        });
        table(&["topic", "events", "size", "pathway", "behind", "oldest"], &[1, 2, 4, 5], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn subscribe(mesh: &Mesh, out: &Output, args: &Subscribe) -> Result<ExitCode, Fault> {
    let (mut reconnect, mut reached, mut shown) = (Reconnect::default(), BTreeMap::<i32, i64>::new(), 0);
    loop {
        let message = wanted(args, &reached);
        let ended = match mesh.processor.clone().subscribe(Request::new(message)).await {
            Err(status) => Err(status),
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            reconnect.works();
                            if show(out, args, &message, &mut shown)? {
                                return Ok(ExitCode::SUCCESS);
                            }
                            // A heartbeat names no place.
                            if message.next_offset > 0 {
                                reached.insert(message.partition, message.next_offset);
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        reconnect.again(ended).await?;
    }
}

/// From where the last stream was cut, else from where the user said.
fn wanted(args: &Subscribe, reached: &BTreeMap<i32, i64>) -> SubscribeRequest {
    let (start, start_time_us) = match args.from {
        Place::Latest => (SubscriptionStart::Unspecified, 0),
        Place::Earliest => (SubscriptionStart::Earliest, 0),
        Place::Since(at_us) => (SubscriptionStart::Time, at_us),
    };
    SubscribeRequest {
        topic: args.topic.clone(),
        from: reached.iter().map(|(&partition, &offset)| EventPosition { partition, offset }).collect(),
        start: start.into(),
        start_time_us,
        partition_key: args.key.clone().unwrap_or_default(),
    }
}

/// Prints events; whether there have been as many as were wanted.
fn show(out: &Output, args: &Subscribe, message: &SubscribeResponse, shown: &mut u64) -> Result<bool, Fault> {
    if message.missed > 0 {
        note(&format!("warning: {} events had been removed before they could be read", message.missed));
    }
    for subscribed in &message.events {
        let event = subscribed.event.clone().unwrap_or_default();
        let data: Value = serde_json::from_slice(&event.data)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()));
        let accepted_at = instant(subscribed.accepted_at_us);
        let document = json!({
            "id": event.id, "type": event.r#type, "source": event.source, "partition": message.partition,
            "offset": subscribed.offset, "accepted_at": accepted_at, "data": data,
        });
        out.answer(&document, || {
            format!("{accepted_at} {}/{} {} {data}", message.partition, subscribed.offset, event.id)
        })?;
        *shown += 1;
        if args.limit.is_some_and(|limit| *shown >= limit) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many events and bytes a topic holds.
fn held(topic: &Topic) -> (i64, i64) {
    let events = topic.partitions.iter().map(|partition| partition.next_offset - partition.first_offset);
    (events.sum(), topic.partitions.iter().map(|partition| partition.bytes).sum())
}

fn document(topic: &Topic) -> Value {
    let (events, bytes) = held(topic);
    let groups = topic.groups.iter().map(|group| {
        json!({"pathway": group.group, "lag_events": group.lag_events, "lag_seconds": group.lag_us / 1_000_000})
    });
    let partitions = topic.partitions.iter().map(|partition| {
        json!({
            "partition": partition.partition, "first_offset": partition.first_offset,
            "next_offset": partition.next_offset, "bytes": partition.bytes,
        })
    });
    json!({
        "name": topic.name, "events": events, "bytes": bytes,
        "pathways": groups.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>(),
    })
}
