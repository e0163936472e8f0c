//! A rolling restart of the whole service: two instances over one PostgreSQL store, replaced one after the other under load.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_datasync::Datasync;
use pathway_kernel::{Clock, Rng};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_rpc::{
    BalanceConfig, Breakers, ChannelConfig, Dialer, Listener, Resolve, Resolver, Resolving, RetryConfig,
    Target,
};
use pathway_runtime::{Component, Env};
use pathway_store::testing::Database;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::service::{Client, event, records};

/// A name whose addresses the test sets.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<Vec<SocketAddr>>>);

struct Instance {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// Who writes without pause, and how many writes go on between two restarts.
const WRITERS: i64 = 8;
const WRITES: usize = 40;

impl Resolve for Names {
    fn resolve(&self, _: &str, _: u16) -> Resolving {
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(found) })
    }
}

async fn start(database: &Database) -> Instance {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let defaults = Datasync::DEFAULTS.replace("kind = \"sqlite\"", "kind = \"postgres\"");
    let config = defaults.replace("url = \"\"", &format!("url = \"{}\"", database.url()));
    let service = Datasync::build(toml::from_str(&config).unwrap(), Env::system()).await.unwrap();
    let shutdown = CancellationToken::new();
    let running = service.run(listener, shutdown.clone());
    Instance { address, shutdown, task: tokio::spawn(async move { running.await.unwrap() }) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_fails_no_write_and_loses_none() {
    let Some(database) = Database::postgres().await else { return };
    let names = Names::default();
    let mut instances = vec![start(&database).await, start(&database).await];
    let publish = |instances: &[Instance]| {
        *names.0.lock().unwrap() = instances.iter().map(|instance| instance.address).collect();
    };
    publish(&instances);
    // One attempt: whatever the layers below do not turn aside, a writer sees.
    let config = ChannelConfig {
        retry: RetryConfig { attempts: 1, ..RetryConfig::default() },
        balance: BalanceConfig { resolve_every: Duration::from_millis(50), ..BalanceConfig::default() },
        ..ChannelConfig::default()
    };
    let dialer = Dialer::new(Breakers::new(Clock::system()), Rng::seeded(1))
        .with_resolver(Resolver::new(names.clone()));
    let channel = dialer.channel("datasync", Target::parse("http://datasync.test:7002").unwrap(), config);
    let client = Client::new(channel);

    let (tell, mut written) = watch::channel(0_usize);
    let (tell, is_over) = (Arc::new(tell), Arc::new(AtomicBool::new(false)));
    let writers: Vec<JoinHandle<()>> = (0..WRITERS)
        .map(|writer| {
            let (mut client, tell, is_over) = (client.clone(), Arc::clone(&tell), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut count = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let writes =
                        vec![event(&format!("{writer}-{count}"), Some(100), writer + count * WRITERS)];
                    match client.write_records(pb::WriteRecordsRequest { writes }).await {
                        // It lost a race with the other writers, which it does without a restart too: it comes again.
                        Err(lost) if lost.code() == Code::Aborted => continue,
                        answer => drop(answer.unwrap()),
                    }
                    count += 1;
                    tell.send_modify(|written| *written += 1);
                }
            })
        })
        .collect();
    let mut go_on = async || {
        let until = *written.borrow() + WRITES;
        // Where all have failed, the end tells why.
        let _ = written.wait_for(|written| *written >= until).await;
    };
    for _ in 0..4 {
        go_on().await;
        let old = instances.remove(0);
        old.shutdown.cancel();
        go_on().await;
        old.task.await.unwrap();
        instances.push(start(&database).await);
        publish(&instances);
    }
    go_on().await;
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let count = *tell.borrow();
    assert_eq!(records(&client).await.len(), count, "each was written once");
    for instance in instances {
        instance.shutdown.cancel();
        instance.task.await.unwrap();
    }
    database.discard().await;
}
