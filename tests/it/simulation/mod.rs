//! The services over a network that loses, repeats, delays and cuts what they send: in the end everything is as a recompute of the accepted events says.
//!
//! A round is a seed: the weather, the cuts and the events follow from it. It is printed where a round fails, and `PATHWAY_SEED=N` begins with it; `PATHWAY_SIMULATION_ROUNDS=N`
//! says how many there are.

mod model;
mod services;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use pathway_finance::{Currency, Money};
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::processor::v1 as processor;
use pathway_proto::pathway::types::v1::Notice;
use pathway_rpc::{from_money, to_money};
use pathway_testkit::{Network, Weather};
use tonic::Request;

use crate::{from_environment, this_month};
use model::{LIMIT, Model};
use services::{LINKS, Services};

const USERS: [&str; 6] = ["asha", "bela", "chen", "dana", "emil", "fay"];
/// How many rounds run at once.
const SIDE_BY_SIDE: usize = 8;
/// How often something is published in a round, each time in other weather.
const STEPS: usize = 8;

#[test]
fn a_bad_network_changes_nothing_in_the_end() {
    let (rounds, seed) =
        (from_environment("PATHWAY_SIMULATION_ROUNDS", 6), from_environment("PATHWAY_SEED", 2026));
    eprintln!("simulation: {rounds} rounds from PATHWAY_SEED={seed} on");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // A round mostly waits for somebody to try again.
    let rounds = (seed..).take(usize::try_from(rounds).unwrap()).map(|seed| tokio::spawn(round(seed)));
    let ended = runtime.block_on(async { iter(rounds).buffered(SIDE_BY_SIDE).collect::<Vec<_>>().await });
    let failed = ended.iter().filter(|round| round.is_err()).count();
    assert_eq!(failed, 0, "rounds failed; each says above which seed it had");
}

async fn round(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let network = Network::new(rng.u64(..));
    let services = Services::start(seed, &network).await;
    let mut models: Vec<Model> = USERS.map(|user| Model::new(user.to_owned())).into();
    for user in USERS {
        set_budget(&services, user).await;
    }
    let mut positions = Vec::new();
    for _ in 0..STEPS {
        change_the_weather(&network, &mut rng);
        let events = (0..rng.usize(20..120)).map(|_| {
            let model = &mut models[rng.usize(..USERS.len())];
            processor::Event {
                data: model.next(&mut rng).to_string().into_bytes(),
                ..processor::Event::default()
            }
        });
        let accepted = publish(&services, events.collect()).await;
        // In the middle of it, unless it has gone through before.
        tokio::select! {
            () = network.attempts(rng.usize(1..8)) => {}
            () = await_processed(&services, accepted.clone()) => {}
        }
        positions.extend(accepted);
    }
    network.heal();
    await_processed(&services, positions.clone()).await;

    for model in &models {
        check_user(&services, model, seed).await;
    }
    check_executions(&services, &positions, seed).await;
    let carried = network.carried();
    eprintln!("simulation: {} events, {carried:?}", positions.len());
    services.stop().await;
}

/// Some of what a network does to messages, and now and then a cut.
fn change_the_weather(network: &Network, rng: &mut fastrand::Rng) {
    network.heal();
    let mut chance = |most: u16| if rng.bool() { rng.u16(..most) } else { 0 };
    let weather =
        Weather { lost: chance(300), unanswered: chance(300), doubled: chance(500), late: chance(500) };
    network.set_weather(weather);
    if rng.u8(..3) == 0 {
        network.cut(LINKS[rng.usize(..LINKS.len())]);
    }
}

async fn set_budget(services: &Services, user: &str) {
    let limit = to_money(Money::new(i64::try_from(LIMIT).unwrap(), Currency::parse("USD").unwrap()));
    let request = analytics::SetBudgetsRequest {
        user_id: user.to_owned(),
        limits: vec![analytics::BudgetLimit {
            category: "dining".to_owned(),
            limit: Some(limit),
            ..analytics::BudgetLimit::default()
        }],
        ..analytics::SetBudgetsRequest::default()
    };
    services.analytics.clone().set_budgets(request).await.unwrap();
}

async fn publish(services: &Services, events: Vec<processor::Event>) -> Vec<processor::EventPosition> {
    let request =
        processor::PublishRequest { topic: "transactions".to_owned(), events, ..Default::default() };
    let results = services.processor.clone().publish(request).await.unwrap().into_inner().results;
    let accepted = results.into_iter().map(|result| match result.result.unwrap() {
        processor::publish_result::Result::Accepted(position) => Ok(position),
        processor::publish_result::Result::Error(error) => Err(error),
    });
    accepted.collect::<Result<_, _>>().unwrap()
}

async fn await_processed(services: &Services, positions: Vec<processor::EventPosition>) {
    let message = processor::AwaitProcessedRequest { topic: "transactions".to_owned(), positions };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(120));
    services.processor.clone().await_processed(request).await.unwrap();
}

/// The records, the figures and the notices of a user.
async fn check_user(services: &Services, model: &Model, seed: u64) {
    let user_id = model.user().to_owned();
    let request = datasync::ListRecordsRequest {
        user_id: user_id.clone(),
        page_size: 1000,
        ..datasync::ListRecordsRequest::default()
    };
    let records = services.datasync.clone().list_records(request).await.unwrap().into_inner().records;
    let found: BTreeMap<String, (u64, String)> = records
        .into_iter()
        .map(|record| {
            let minor = from_money(record.amount.as_ref()).unwrap().minor();
            (record.identity.unwrap().key, (u64::try_from(minor).unwrap(), record.category))
        })
        .collect();
    let wanted: BTreeMap<String, (u64, String)> = model
        .records
        .iter()
        .map(|(id, (cents, category))| (id.clone(), (*cents, (*category).to_owned())))
        .collect();
    assert_eq!(found, wanted, "the records of {user_id}, PATHWAY_SEED={seed}");

    let budgets = analytics::ListBudgetsRequest { user_id: user_id.clone() };
    let budgets = services.analytics.clone().list_budgets(budgets).await.unwrap().into_inner().budgets;
    let spent = from_money(budgets[0].spent.as_ref()).unwrap().minor();
    let (wanted, count) = model.dining();
    assert_eq!(u64::try_from(spent).unwrap(), wanted, "the spending of {user_id}, PATHWAY_SEED={seed}");
    assert_eq!(dining_lines(services, &user_id).await, count, "the lines of {user_id}, PATHWAY_SEED={seed}");

    let notices = notices(services, &user_id).await;
    let told: Vec<(&str, String)> = notices
        .iter()
        .filter(|notice| notice.r#type.starts_with("budget_"))
        .map(|notice| (notice.r#type.as_str(), notice.metadata["spent"].clone()))
        .collect();
    assert_eq!(told, model.told, "what {user_id} was told, PATHWAY_SEED={seed}");
    let mut keys: Vec<&str> = notices.iter().map(|notice| notice.dedup_key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), notices.len(), "a notice of {user_id} came twice, PATHWAY_SEED={seed}");
}

async fn dining_lines(services: &Services, user_id: &str) -> i64 {
    let today = pathway_finance::CivilDate::parse(&this_month()).unwrap();
    let request = analytics::GetSpendingRequest {
        user_id: user_id.to_owned(),
        start: Some(pathway_rpc::to_date(today)),
        end: Some(pathway_rpc::to_date(today.add_days(1).unwrap())),
        ..analytics::GetSpendingRequest::default()
    };
    let spending = services.analytics.clone().get_spending(request).await.unwrap().into_inner();
    let dining = spending.categories.into_iter().find(|category| category.category == "dining");
    dining.and_then(|dining| dining.totals).map_or(0, |totals| totals.count)
}

async fn notices(services: &Services, user_id: &str) -> Vec<Notice> {
    let request = notifications::ListNoticesRequest {
        user_id: user_id.to_owned(),
        page_size: 1000,
        ..notifications::ListNoticesRequest::default()
    };
    let listed = services.notifications.clone().list_notices(request).await.unwrap().into_inner().notices;
    listed.into_iter().filter_map(|stored| stored.notice).collect()
}

/// Each accepted event was run to its end once, and none failed for good.
async fn check_executions(services: &Services, positions: &[processor::EventPosition], seed: u64) {
    let mut client = services.processor.clone();
    let letters = client.list_dead_letters(processor::ListDeadLettersRequest::default()).await.unwrap();
    let letters = letters.into_inner().dead_letters;
    assert_eq!(letters, [], "PATHWAY_SEED={seed}");
    let request =
        processor::ListExecutionsRequest { page_size: 1000, ..processor::ListExecutionsRequest::default() };
    let executions = client.list_executions(request).await.unwrap().into_inner().executions;
    let place = |position: &processor::EventPosition| (position.partition, position.offset);
    let mut ran: Vec<(i32, i64)> =
        executions.iter().filter_map(|run| run.position.as_ref()).map(place).collect();
    let mut wanted: Vec<(i32, i64)> = positions.iter().map(place).collect();
    ran.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(ran, wanted, "what was run, PATHWAY_SEED={seed}");
}
