//! Connections that break in the middle of a stream: whoever follows goes on where it was, without a gap and without a repeat.

use std::time::Duration;

use pathway_kernel::Code;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::from_status;
use tokio::time::Instant;

use super::mesh::{Mesh, told};
use super::{LONGEST, Round, row};

type Client = notifications::notifications_service_client::NotificationsServiceClient<pathway_rpc::Channel>;

const NOTICES: i64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_that_was_reset_goes_on_where_it_was() {
    let mesh = Mesh::start().await;
    let client = Client::new(mesh.caller("notifications"));
    let (mut seen, mut breaks) = (0, 0);
    let mut stream = watch(&client, seen).await;
    for sequence in 1..=NOTICES {
        send(&client, sequence).await;
        if sequence % 10 == 5 {
            let begun = Instant::now();
            mesh.proxies["notifications"].reset();
            // What had arrived before is still read; then comes the break.
            let fault = loop {
                match stream.message().await {
                    Ok(Some(message)) => seen = follow(seen, message),
                    Ok(None) => panic!("the stream ended as if all were well"),
                    Err(status) => break from_status(status),
                }
            };
            let after = begun.elapsed();
            assert_eq!(fault.code(), Code::Unavailable, "{fault:?}");
            breaks += 1;
            let begun = Instant::now();
            stream = watch(&client, seen).await;
            while seen < sequence {
                seen = follow(seen, stream.message().await.unwrap().unwrap());
            }
            row("Reset", "a stream of notices", &told(&Err(fault)), after, "-", begun.elapsed());
        }
    }
    while seen < NOTICES {
        seen = follow(seen, stream.message().await.unwrap().unwrap());
    }
    assert_eq!(breaks, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resets_in_the_middle_of_batches_change_nothing_in_the_end() {
    let mesh = Mesh::start().await;
    let mut round = Round::begin(&mesh, "reset").await;
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    for seed in 1..=8 {
        let asked = Instant::now();
        // The first has the events that cross the budget.
        round.publish(&mesh, if seed == 1 { super::EVENTS } else { 25 }, seed).await;
        slowest = slowest.max(asked.elapsed());
        for proxy in mesh.proxies.values() {
            proxy.reset();
        }
    }
    let sequence = mesh.clients().import(&round.user, super::LINES).await;
    mesh.proxies["feed"].reset();
    mesh.clients().await_processed(&round.positions, LONGEST).await.unwrap();
    mesh.clients().await_changes(sequence, LONGEST).await.unwrap();
    row("Reset", "all four links, 8 times", "OK", slowest, "OK", begun.elapsed());
    round.verify(&mesh, true).await;
}

async fn watch(client: &Client, after: i64) -> tonic::Streaming<notifications::WatchNoticesResponse> {
    let request =
        || notifications::WatchNoticesRequest { user_id: "follower".to_owned(), after_sequence: after };
    loop {
        // The connection is made anew, and the breaker may want a moment.
        match client.clone().watch_notices(request()).await {
            Ok(stream) => return stream.into_inner(),
            Err(status) => assert!(from_status(status).is_transient()),
        }
        tokio::task::yield_now().await;
    }
}

async fn send(client: &Client, number: i64) {
    let notice = || Notice {
        user_id: "follower".to_owned(),
        dedup_key: number.to_string(),
        r#type: "reminder".to_owned(),
        ..Default::default()
    };
    // Twice is once: the key sees to that.
    while let Err(status) =
        client.clone().send_notices(notifications::SendNoticesRequest { notices: vec![notice()] }).await
    {
        assert!(from_status(status).is_transient());
        tokio::task::yield_now().await;
    }
}

/// The next in order, or nothing new.
fn follow(seen: i64, message: notifications::WatchNoticesResponse) -> i64 {
    let Some(notice) = message.notice else { return seen };
    assert_eq!(notice.sequence, seen + 1, "a gap or a repeat");
    notice.sequence
}
