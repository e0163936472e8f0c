//! The main job: how fast events become figures and alerts, beside the limit that the disk sets in the same run.
//!
//! The limit is one `fdatasync` after a small write, in the directory where the services keep their files. An event needs five durable commits one
//! after the other (topic, record, figures, notice, offset), so five of them are the floor of its latency; and a publisher that waits for each
//! event can at best publish one in the time of one.
#![expect(clippy::unwrap_used, reason = "a measurement that fails has no result")]

use std::io::Write as _;
use std::time::Duration;

use pathway_finance::{CivilDate, TimeZone};
use pathway_kernel::Clock;
use pathway_proto::pathway::processor::v1::processor_service_client::ProcessorServiceClient;
use pathway_proto::pathway::processor::v1::{
    AwaitProcessedRequest, Event, EventPosition, PublishRequest, publish_result,
};
use pathway_rpc::{Channel, ChannelConfig, MAX_MESSAGE_BYTES, Target};
use pathway_testkit::{Layout, Services};
use serde_json::json;
use tokio::time::Instant;

type Client = ProcessorServiceClient<Channel>;

/// Events of the throughput run, how many travel together, and of how many users they are.
const EVENTS: usize = 40_000;
const BATCH: usize = 512;
const USERS: usize = 200;
/// Rounds of a latency.
const ROUNDS: usize = 300;

#[tokio::main]
async fn main() {
    for layout in [Layout::AllInOne, Layout::Mesh] {
        let services = Services::start(layout);
        let channel = Channel::new(
            "processor",
            Target::parse(&services.url("processor")).unwrap(),
            ChannelConfig::default(),
        );
        let client = ProcessorServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let today =
            CivilDate::from_instant_us(Clock::system().now_us(), &TimeZone::utc()).unwrap().to_string();
        for user in 0..USERS {
            let user = format!("u{user}");
            let _ =
                services.pathway(&["budget", "set", "--user", &user, "--limit", "dining=100.00"]).succeeded();
        }
        println!("{layout:?}");
        let sync = median(fsyncs(&services, ROUNDS));
        let accepted = latencies(&client, &today, "warm", false).await;
        let processed = latencies(&client, &today, "cold", true).await;
        line("fdatasync of a small write", sync, sync);
        line("publish of one event, accepted", median(accepted.clone()), sync);
        line("  99th percentile", percentile(accepted, 99), sync);
        line("publish of one event, processed", median(processed.clone()), sync);
        line("  99th percentile", percentile(processed, 99), sync);
        let (accepted, processed) = throughput(&client, &today).await;
        let rate = |elapsed: Duration| EVENTS as f64 / elapsed.as_secs_f64();
        let one_by_one = 1.0 / sync.as_secs_f64();
        println!(
            "  {:<34} {:>10.0} /s {:>8.2} x fdatasyncs/s",
            "events accepted, batches of 512",
            rate(accepted),
            rate(accepted) / one_by_one
        );
        println!(
            "  {:<34} {:>10.0} /s {:>8.2} x fdatasyncs/s",
            "events processed to the end",
            rate(processed),
            rate(processed) / one_by_one
        );
    }
}

fn line(what: &str, time: Duration, sync: Duration) {
    let ratio = time.as_secs_f64() / sync.as_secs_f64();
    println!("  {what:<34} {:>10.3} ms {ratio:>8.1} x fdatasync", time.as_secs_f64() * 1e3);
}

fn fsyncs(services: &Services, rounds: usize) -> Vec<Duration> {
    let mut file = std::fs::File::create(services.file("sync.bin", b"")).unwrap();
    let mut write = || {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    (0..rounds).map(|_| write()).collect()
}

fn purchase(id: &str, user: usize, today: &str) -> Event {
    let data = json!({"id": id, "user_id": format!("u{user}"), "amount": "0.25", "category": "dining", "transaction_date": today});
    Event { data: data.to_string().into_bytes(), ..Event::default() }
}

async fn publish(client: &Client, events: Vec<Event>) -> Vec<EventPosition> {
    let request = PublishRequest { topic: "transactions".to_owned(), events };
    let answer = client.clone().publish(request).await.unwrap().into_inner();
    let accepted = answer.results.into_iter().filter_map(|result| match result.result {
        Some(publish_result::Result::Accepted(position)) => Some(position),
        _ => None,
    });
    accepted.collect()
}

async fn processed(client: &Client, positions: Vec<EventPosition>) {
    let request = AwaitProcessedRequest { topic: "transactions".to_owned(), positions };
    client.clone().await_processed(request).await.unwrap();
}

async fn latencies(client: &Client, today: &str, name: &str, to_the_end: bool) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let event = purchase(&format!("{name}-{round}"), round % USERS, today);
        let begun = Instant::now();
        let positions = publish(client, vec![event]).await;
        if to_the_end {
            processed(client, positions).await;
            taken.push(begun.elapsed());
        } else {
            taken.push(begun.elapsed());
            // The next one finds nothing in its way.
            processed(client, positions).await;
        }
    }
    taken
}

/// How long it takes until many events are accepted, and until all are processed. Four publishers, as many calls under way.
async fn throughput(client: &Client, today: &str) -> (Duration, Duration) {
    let batches: Vec<Vec<Event>> = (0..EVENTS)
        .collect::<Vec<_>>()
        .chunks(BATCH)
        .map(|numbers| numbers.iter().map(|n| purchase(&format!("many-{n}"), n % USERS, today)).collect())
        .collect();
    let begun = Instant::now();
    let publishers = (0..4).map(|publisher| {
        let client = client.clone();
        let own: Vec<Vec<Event>> = batches.iter().skip(publisher).step_by(4).cloned().collect();
        tokio::spawn(async move {
            let mut positions = Vec::new();
            for batch in own {
                positions.extend(publish(&client, batch).await);
            }
            positions
        })
    });
    let mut positions = Vec::new();
    for publisher in publishers.collect::<Vec<_>>() {
        positions.extend(publisher.await.unwrap());
    }
    let accepted = begun.elapsed();
    assert_eq!(positions.len(), EVENTS);
    processed(client, positions).await;
    (accepted, begun.elapsed())
}

fn median(values: Vec<Duration>) -> Duration {
    percentile(values, 50)
}

fn percentile(mut values: Vec<Duration>, percent: usize) -> Duration {
    values.sort();
    values[(values.len() - 1) * percent / 100]
}
