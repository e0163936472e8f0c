//! How many notices the service stores, what a stream that waits costs, and how long a broadcast to ten thousand streams takes.
//!
//! The service is its own process; the callers share the machine with it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails has no result")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::notifications_service_client::NotificationsServiceClient;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::Notice;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

type Client = NotificationsServiceClient<Channel>;

const STREAMS: usize = 10_000;
/// A server takes two hundred streams of one connection.
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const SENDERS: usize = 4;
const BATCH: usize = 256;
const USERS: usize = 2_000;
/// How long notices are sent, and how long the service is left alone before its memory is read.
const SUSTAINED: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let service = Service::start().await;
    let (url, pid) = (service.url.as_str(), service.process.id());
    stored(url).await;
    let (mut told, count) = streams(url, pid, |n| format!("watched-{n}")).await;
    broadcasts(url, &mut told, &count, STREAMS).await;
    let (mut told, count) = streams(url, pid, |_| "watched-by-all".to_owned()).await;
    broadcasts(url, &mut told, &count, 1).await;
}

/// The service alone, as its own binary; killed when dropped.
struct Service {
    url: String,
    process: Child,
    _directory: TempDir,
}

// === impl Service ===

impl Service {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let profile = std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned();
        let mut command = Command::new(profile.join("pathway-notifications"));
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(directory.path());
        command.env("PATHWAY_NOTIFICATIONS__SERVER__STREAMS", (3 * STREAMS).to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { url: format!("http://127.0.0.1:{port}"), process, _directory: directory }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends batches from several callers for a while.
async fn stored(url: &str) {
    let begun = Instant::now();
    let senders = (0..SENDERS).map(|sender| {
        let url = url.to_owned();
        tokio::spawn(async move {
            let (mut client, mut sent) = (connect(&url).await, 0);
            while begun.elapsed() < SUSTAINED {
                let notices = (sent..sent + BATCH)
                    .map(|n| notice(&format!("stored-{}", n % USERS), &format!("{sender}-{n}")));
                send(&mut client, notices.collect()).await;
                sent += BATCH;
            }
            sent
        })
    });
    let mut sum = 0_usize;
    for sender in senders.collect::<Vec<_>>() {
        sum += sender.await.unwrap();
    }
    let rate = f64::from(u32::try_from(sum).unwrap()) / begun.elapsed().as_secs_f64();
    println!("stored: {sum} notices, {rate:.0} a second, in batches of {BATCH} from {SENDERS} callers");
}

/// Opens ten thousand streams, each of the user that `user` names; answers what comes of them.
async fn streams(
    url: &str,
    pid: u32,
    user: impl Fn(usize) -> String,
) -> (mpsc::UnboundedReceiver<()>, Arc<AtomicUsize>) {
    let (tell, told) = mpsc::unbounded_channel();
    let count = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(connect(url).await);
    }
    let before = resident_kib(pid);
    for n in 0..STREAMS {
        let mut client = clients[n % CONNECTIONS].clone();
        let request = api::WatchNotificationsRequest { user_id: user(n), after_change: 0 };
        let mut stream = client.watch_notifications(request).await.unwrap().into_inner();
        let (tell, count) = (tell.clone(), Arc::clone(&count));
        tokio::spawn(async move {
            while let Ok(Some(update)) = stream.message().await {
                count.fetch_add(update.changes.len(), Ordering::Relaxed);
                let _ = tell.send(());
            }
            // It ends with the service, after what is measured.
        });
    }
    tokio::time::sleep(IDLE).await;
    let each = f64::from(resident_kib(pid) - before) / f64::from(u32::try_from(STREAMS).unwrap());
    println!(
        "streams: {STREAMS} over {CONNECTIONS} connections, {each:.1} KiB of the service's memory for each"
    );
    (told, count)
}

/// Sends one notice to each of the users, of whom there are as many as streams or one, and waits until each stream has it.
async fn broadcasts(url: &str, told: &mut mpsc::UnboundedReceiver<()>, count: &AtomicUsize, users: usize) {
    let mut client = connect(url).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        count.store(0, Ordering::SeqCst);
        let name = |n: usize| if users == 1 { "watched-by-all".to_owned() } else { format!("watched-{n}") };
        let notices: Vec<Notice> = (0..users).map(|n| notice(&name(n), &round.to_string())).collect();
        let begun = Instant::now();
        for batch in notices.chunks(2_500) {
            send(&mut client, batch.to_vec()).await;
        }
        let stored = begun.elapsed();
        while count.load(Ordering::SeqCst) < STREAMS {
            told.recv().await.unwrap();
        }
        times.push((begun.elapsed(), stored));
    }
    times.sort();
    let (all, stored) = times[ROUNDS / 2];
    println!(
        "broadcast: all {STREAMS} streams of {users} users have it after {:.0} ms, of which it took {:.0} ms to store (median of {ROUNDS})",
        all.as_secs_f64() * 1e3,
        stored.as_secs_f64() * 1e3
    );
}

async fn connect(url: &str) -> Client {
    Client::new(Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap())
        .max_decoding_message_size(pathway_rpc::MAX_MESSAGE_BYTES)
}

fn notice(user: &str, key: &str) -> Notice {
    Notice {
        user_id: user.to_owned(),
        dedup_key: key.to_owned(),
        r#type: "budget_warning".to_owned(),
        title: "Eating out budget at 80%".to_owned(),
        message: "You have spent 80.00 of 100.00 USD (80%) on eating out in 2026-11.".to_owned(),
        ..Notice::default()
    }
}

async fn send(client: &mut Client, notices: Vec<Notice>) {
    let count = notices.len();
    let answer = client.send_notices(api::SendNoticesRequest { notices }).await.unwrap().into_inner();
    assert_eq!(answer.results.len(), count);
}

fn resident_kib(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_else(|| panic!("no VmRSS"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
