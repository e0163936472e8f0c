//! What no pathway brings on reaches notifications once: through a link that was cut, restarts, redelivery and corrections.

use analytics::analytics_service_client::AnalyticsServiceClient;
use notifications::notifications_service_client::NotificationsServiceClient;
use pathway_analytics::{Analytics, Deps};
use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::{Clock, ManualClock, Rng};
use pathway_notifications::Notifications;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::types::v1::{LineKind, Record, RecordChange};
use pathway_rpc::{Channel, Target, memory, to_date, to_money};
use pathway_runtime::Env;
use pathway_testkit::Running;
use tempfile::TempDir;

/// 2026-11-24, noon in UTC.
const NOW: i64 = 1_795_521_600_000_000;
const USER: &str = "maya";

type Figures = AnalyticsServiceClient<Channel>;

fn env() -> Env {
    Env { clock: Clock::manual(&ManualClock::at(NOW)), rng: Rng::seeded(1), ..Env::system() }
}

/// Analytics over the directory, with a way to notifications; where that is none, nobody answers.
async fn figures(directory: &TempDir, notifications: Option<Target>) -> (Running, Figures) {
    let nowhere = || Target::Memory(memory().0);
    let deps = Deps {
        env: env(),
        datasync: Some(nowhere()),
        notifications: Some(notifications.unwrap_or_else(nowhere)),
    };
    let path = directory.path().to_owned();
    let set = |config: &mut pathway_analytics::Config| config.data_dir = path;
    let running = Running::start::<Analytics>(set, deps).await;
    let client = AnalyticsServiceClient::new(running.channel());
    (running, client)
}

fn usd(minor: i64) -> Option<pathway_proto::google::r#type::Money> {
    Some(to_money(Money::new(minor, Currency::parse("USD").unwrap())))
}

/// Moves money into the goal's account, as a version of one record.
async fn save(figures: &Figures, version: i64, minor: i64) {
    let record = Record {
        record_id: "00000000-0000-0000-0000-000000000001".to_owned(),
        user_id: USER.to_owned(),
        version,
        kind: LineKind::Transfer.into(),
        amount: usd(-minor),
        date: Some(to_date(CivilDate::parse("2026-11-24").unwrap())),
        account: "pot".to_owned(),
        ..Record::default()
    };
    let change = RecordChange { after: Some(record), ..RecordChange::default() };
    let changes = vec![change.clone(), change];
    figures.clone().apply_changes(analytics::ApplyChangesRequest { changes }).await.unwrap();
}

#[tokio::test]
async fn g28_a_milestone_reaches_its_user_once_through_a_link_that_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let set = |config: &mut pathway_notifications::Config| config.data_dir = path;
    let notices = Running::start::<Notifications>(set, env()).await;
    let feed = NotificationsServiceClient::new(notices.channel());
    let watch = notifications::WatchNoticesRequest { user_id: USER.to_owned(), after_sequence: 0 };
    let mut stream = feed.clone().watch_notices(watch).await.unwrap().into_inner();
    let mut next = async || loop {
        let message = stream.message().await.unwrap().expect("the stream goes on");
        if let Some(notice) = message.notice.and_then(|stored| stored.notice) {
            return (notice.r#type, notice.metadata["milestone"].clone());
        }
    };
    let milestone = |percent: &str| ("goal_milestone".to_owned(), percent.to_owned());

    let (running, client) = figures(&directory, None).await;
    let goal = analytics::SetGoalRequest {
        user_id: USER.to_owned(),
        title: "Goa trip".to_owned(),
        target: usd(10_000),
        account: "pot".to_owned(),
        ..Default::default()
    };
    client.clone().set_goal(goal).await.unwrap();
    save(&client, 1, 5_500).await;
    running.stop().await;

    let (running, client) = figures(&directory, Some(notices.target())).await;
    assert_eq!(next().await, milestone("50"), "it waited in the store");
    save(&client, 1, 5_500).await;
    save(&client, 2, 1_000).await;
    save(&client, 3, 8_000).await;
    assert_eq!(next().await, milestone("75"));
    running.stop().await;

    let (running, client) = figures(&directory, Some(notices.target())).await;
    save(&client, 3, 8_000).await;
    save(&client, 4, 10_000).await;
    assert_eq!(next().await, milestone("100"));
    let list = notifications::ListNoticesRequest { user_id: USER.to_owned(), ..Default::default() };
    let listed = feed.clone().list_notices(list).await.unwrap().into_inner();
    assert_eq!((listed.notices.len(), listed.unread), (3, 3));
    running.stop().await;
    notices.stop().await;
}
