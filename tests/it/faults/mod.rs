//! What a fault of each kind does, over real sockets and with real processes: what callers see, and that afterwards every accepted event has been applied once.
//!
//! The faults are done by a [proxy](proxy) before each peer, by `kill -9`, by a disk that is full, by a limit on open files and by a name that means another address. Each round prints a row: what was
//! broken, what a caller of the broken part was told and after how long, what became of those who waited for an event meanwhile, and how long after the mending
//! everything was done. Nothing is asserted of these times; `make faults` prints the table, which `docs/reliability.md` shows.

mod clock;
mod disk;
mod files;
mod mesh;
mod names;
mod proxy;
mod streams;

use std::time::Duration;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1::EventPosition;
use pathway_rpc::from_status;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::crash::Model;
use crate::this_month;
use mesh::{Mesh, PEERS, told, within};
use proxy::Weather;

/// How long a caller waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a test waits for what must come.
const LONGEST: Duration = Duration::from_secs(120);
/// How many events of a round are published while a peer is sick.
const EVENTS: usize = 60;
/// How many lines are imported meanwhile.
const LINES: usize = 40;

/// What is wrong with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sickness {
    Killed,
    Hanging,
    Slow,
    Vanishing,
}

/// A round: a user whose figures are reckoned beside, and one who crosses a budget.
struct Round {
    user: String,
    alerted: String,
    model: Model,
    published: usize,
    positions: Vec<EventPosition>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_peer_is_waited_for() {
    each_in_turn(Sickness::Killed, &["datasync", "analytics", "notifications"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hanging_peer_is_waited_for() {
    each_in_turn(Sickness::Hanging, &PEERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_peer_is_put_up_with() {
    each_in_turn(Sickness::Slow, &PEERS).await;
}

/// All at once: what was open is found to be dead only after a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn packets_that_vanish_are_missed() {
    let mut mesh = Mesh::start().await;
    let mut round = Round::begin(&mesh, "vanishing").await;
    round.go(&mut mesh, Sickness::Vanishing, &PEERS, 5).await;
}

async fn each_in_turn(sickness: Sickness, peers: &[&'static str]) {
    let mut mesh = Mesh::start().await;
    for (seed, peer) in (1..).zip(peers) {
        let mut round = Round::begin(&mesh, peer).await;
        round.go(&mut mesh, sickness, std::slice::from_ref(peer), seed).await;
    }
}

// === impl Round ===

impl Round {
    /// Sees that everything works before it is broken.
    async fn begin(mesh: &Mesh, name: &str) -> Self {
        let (user, alerted) = (format!("user-{name}"), format!("alerted-{name}"));
        mesh.clients().set_budget(&alerted, 1_000).await;
        let mut round = Self { user, alerted, model: Model::default(), published: 0, positions: Vec::new() };
        round.publish(mesh, 5, 0).await;
        mesh.clients().await_processed(&round.positions, LONGEST).await.unwrap();
        round
    }

    async fn go(&mut self, mesh: &mut Mesh, sickness: Sickness, peers: &[&'static str], seed: u64) {
        // What is called over a connection that was open before.
        let callers: Vec<_> = peers.iter().map(|peer| (*peer, mesh.caller(peer))).collect();
        for (peer, caller) in &callers {
            ask(peer, caller.clone()).await.unwrap();
        }
        for peer in peers {
            sicken(mesh, sickness, peer);
        }
        // A peer that is away keeps nobody from being accepted.
        self.publish(mesh, EVENTS, seed).await;
        let imports = sickness != Sickness::Killed || !peers.contains(&"datasync");
        let sequence = if imports { Some(mesh.clients().import(&self.user, LINES).await) } else { None };
        let mut seen = Vec::new();
        for (peer, caller) in callers {
            let begun = Instant::now();
            let answer = ask(peer, caller).await;
            expect(sickness, peer, &answer);
            seen.push((peer, told(&answer), begun.elapsed()));
        }
        let waited = mesh.clients().await_processed(&self.positions, Duration::from_millis(500)).await;

        let mended = Instant::now();
        for peer in peers {
            heal(mesh, sickness, peer);
        }
        mesh.clients().await_processed(&self.positions, LONGEST).await.unwrap();
        if let Some(sequence) = sequence {
            mesh.clients().await_changes(sequence, LONGEST).await.unwrap();
        }
        let recovered = mended.elapsed();
        for (peer, answer, after) in seen {
            row(&format!("{sickness:?}"), peer, &answer, after, &told(&waited), recovered);
        }
        self.verify(mesh, sequence.is_some()).await;
    }

    async fn publish(&mut self, mesh: &Mesh, count: usize, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut events = self.model.next_events(&self.user, count, &mut rng);
        self.published += count;
        if count == EVENTS {
            events.extend((0..10).map(|n| crossing(&self.alerted, n)));
        }
        self.positions.extend(mesh.clients().publish(&events).await.unwrap());
    }

    /// Every accepted event was applied once.
    async fn verify(&self, mesh: &Mesh, imported: bool) {
        let clients = mesh.clients();
        let (net, count) = self.model.total();
        let count = i64::try_from(count).unwrap();
        let cents: i64 = net.replace('.', "").parse().unwrap();
        assert_eq!(clients.spent_this_month(&self.user).await, (cents, count), "{}", self.user);
        assert_eq!(clients.spent_this_month(&self.alerted).await, (1_100, 10), "{}", self.alerted);
        assert_eq!(
            clients.alerts(&self.alerted).await,
            ["budget_warning", "budget_exceeded"],
            "{}",
            self.alerted
        );
        assert_eq!(clients.runs(&self.user).await, (self.published, 0), "{}", self.user);
        if imported {
            let end = pathway_finance::CivilDate::parse("2018-02-01").unwrap();
            let lines = i64::try_from(LINES).unwrap();
            assert_eq!(
                clients.spent(&self.user, "2018-01-01", end).await,
                (lines * 100, lines),
                "{}",
                self.user
            );
        }
    }
}

fn sicken(mesh: &mut Mesh, sickness: Sickness, peer: &str) {
    match sickness {
        Sickness::Killed => mesh.services.kill(peer),
        Sickness::Hanging => mesh.proxies[peer].set(Weather::Hanging),
        Sickness::Slow => mesh.proxies[peer].set(Weather::Slow),
        Sickness::Vanishing => mesh.proxies[peer].set(Weather::Vanishing),
    }
}

fn heal(mesh: &mut Mesh, sickness: Sickness, peer: &'static str) {
    if sickness == Sickness::Killed {
        mesh.services.restart(peer);
    }
    mesh.proxies[peer].set(Weather::Fair);
}

/// What a caller of a sick peer may be told.
fn expect(sickness: Sickness, peer: &str, answer: &Result<(), Fault>) {
    match (sickness, answer) {
        (Sickness::Slow, answer) => assert!(answer.is_ok(), "{peer}: {answer:?}"),
        (Sickness::Killed, answer) => {
            assert_eq!(answer.as_ref().unwrap_err().code(), Code::Unavailable, "{peer}: {answer:?}");
        }
        (_, answer) => {
            let code = answer.as_ref().unwrap_err().code();
            assert!(matches!(code, Code::DeadlineExceeded | Code::Unavailable), "{peer}: {answer:?}");
        }
    }
}

/// Asks a peer for something.
async fn ask(peer: &str, caller: pathway_rpc::Channel) -> Result<(), Fault> {
    let user_id = "anybody".to_owned();
    match peer {
        "analytics" => {
            let mut client = analytics::analytics_service_client::AnalyticsServiceClient::new(caller);
            let request = within(analytics::ListBudgetsRequest { user_id }, PATIENCE);
            client.list_budgets(request).await.map(|_| ()).map_err(from_status)
        }
        "notifications" => {
            let mut client =
                notifications::notifications_service_client::NotificationsServiceClient::new(caller);
            let request =
                within(notifications::ListNoticesRequest { user_id, ..Default::default() }, PATIENCE);
            client.list_notices(request).await.map(|_| ()).map_err(from_status)
        }
        _ => {
            let mut client = datasync::datasync_service_client::DatasyncServiceClient::new(caller);
            let request = within(datasync::ListRecordsRequest { user_id, ..Default::default() }, PATIENCE);
            client.list_records(request).await.map(|_| ()).map_err(from_status)
        }
    }
}

/// One of ten events that cross a budget of 10.00, each by the same step.
fn crossing(user: &str, n: usize) -> Value {
    json!({"id": format!("{user}-{n}"), "user_id": user, "amount": "1.10", "category": "dining",
        "transaction_date": this_month()})
}

/// A line of the table.
fn row(fault: &str, part: &str, seen: &str, after: Duration, waited: &str, recovered: Duration) {
    let [after, recovered] = [after, recovered].map(|time| match time.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    });
    eprintln!("| {fault} | {part} | {seen} | {after} | {waited} | {recovered} |");
}
