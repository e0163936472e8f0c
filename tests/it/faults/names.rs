//! A name that means another address: the old one is gone, by refusing or by saying nothing any more, and the new one serves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pathway_analytics::Analytics;
use pathway_datasync::Datasync;
use pathway_notifications::Notifications;
use pathway_processor::{Peers, Processor};
use pathway_rpc::{Channel, ChannelConfig, Dialer, Resolve, Resolver, Resolving, RetryConfig, Target};
use pathway_runtime::Env;
use pathway_testkit::Running;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::mesh::{Clients, told};
use super::proxy::{Proxy, Weather};
use super::{LONGEST, ask, row};
use crate::this_month;

/// Whose address a name is; cheap to clone.
#[derive(Debug, Clone, Default)]
struct Name(Arc<Mutex<Vec<SocketAddr>>>);

/// How many calls in a row have to be answered before it is over.
const WELL: usize = 30;
const USER: &str = "moved";

// === impl Name ===

impl Name {
    fn means(&self, proxy: &Proxy) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = vec![proxy.address()];
    }
}

impl Resolve for Name {
    fn resolve(&self, _: &str, _: u16) -> Resolving {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_that_moves_under_load_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = || directory.path().to_owned();
    let (name, mut old) = (Name::default(), Proxy::start().await);
    let env = || Env { resolver: Resolver::new(name.clone()), ..Env::system() };
    let set = |config: &mut pathway_datasync::Config| config.data_dir = path();
    let datasync = Running::bind::<Datasync>(set, env()).await;
    let set = |config: &mut pathway_notifications::Config| config.data_dir = path();
    let notifications = Running::start::<Notifications>(set, env()).await;
    old.lead_to_target(&datasync.target());
    name.means(&old);
    let by_name = || Target::parse("http://datasync.mesh:7002").unwrap();
    let feed = pathway_analytics::Deps { datasync: Some(by_name()), ..env().into() };
    let set = |config: &mut pathway_analytics::Config| config.data_dir = path();
    let analytics = Running::start::<Analytics>(set, feed).await;
    let peers =
        Peers { datasync: by_name(), analytics: analytics.target(), notifications: notifications.target() };
    let deps = pathway_processor::Deps { peers: Some(peers), ..env().into() };
    let set = |config: &mut pathway_processor::Config| config.data_dir = path();
    let processor = Running::start::<Processor>(set, deps).await;
    let clients =
        Clients::over(processor.channel(), analytics.channel(), datasync.channel(), notifications.channel());
    clients.set_budget(USER, 1_000).await;

    let caller = caller(&name, by_name());
    let (mut number, mut positions) = (0, Vec::new());
    for silent in [false, true] {
        ask("datasync", caller.clone()).await.unwrap();
        let new = Proxy::start().await;
        new.lead_to_target(&datasync.target());
        name.means(&new);
        if silent {
            old.set(Weather::Vanishing);
        } else {
            old.lead_to("http://127.0.0.1:1");
            old.reset();
        }
        let (begun, mut last_refusal) = (Instant::now(), Duration::ZERO);
        let (mut refusals, mut well) = (BTreeSet::new(), 0);
        while well < WELL {
            // What is published meanwhile is accepted all the time.
            positions.extend(clients.publish(&events(number, 2)).await.unwrap());
            number += 2;
            let answer = ask("datasync", caller.clone()).await;
            well += 1;
            if let Err(fault) = &answer {
                assert!(fault.is_transient(), "{fault:?}");
                (well, last_refusal) = (0, begun.elapsed());
                refusals.insert(told(&answer));
                assert!(last_refusal < LONGEST, "{fault:?}");
            }
        }
        let waited = clients.await_processed(&positions, Duration::from_millis(500)).await;
        clients.await_processed(&positions, LONGEST).await.unwrap();
        let told_of: Vec<String> = refusals.into_iter().collect();
        let seen =
            if told_of.is_empty() { "OK".to_owned() } else { format!("{}, then OK", told_of.join(" and ")) };
        let part = if silent { "the old address is silent" } else { "the old address refuses" };
        row("Name moves", part, &seen, last_refusal, &told(&waited), begun.elapsed());
        old = new;
    }
    let count = i64::try_from(number).unwrap();
    assert_eq!(clients.spent_this_month(USER).await, (count * 20, count));
    assert_eq!(clients.runs(USER).await, (number, 0));
    assert_eq!(clients.alerts(USER).await, ["budget_warning", "budget_exceeded"]);
    // The feed's follower has moved, too.
    let sequence = clients.import(USER, 10).await;
    clients.await_changes(sequence, LONGEST).await.unwrap();
    for service in [processor, analytics, notifications, datasync] {
        service.stop().await;
    }
}

/// Somebody who calls by the name, once for each call.
fn caller(name: &Name, target: Target) -> Channel {
    let retry = RetryConfig { attempts: 1, ..RetryConfig::default() };
    let config = ChannelConfig { retry, ..ChannelConfig::default() };
    Dialer::default().with_resolver(Resolver::new(name.clone())).channel("datasync", target, config)
}

fn events(from: usize, count: usize) -> Vec<Value> {
    let event = |n: usize| {
        json!({"id": format!("moved-{n}"), "user_id": USER, "amount": "0.20", "category": "dining",
            "transaction_date": this_month()})
    };
    (from..from + count).map(event).collect()
}
