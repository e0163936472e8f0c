//! Preferences, quiet hours, digests, throttles, languages: what goes out, when, and in which words. A receiver of push messages stands for a phone: what
//! counts here is what is sent and what becomes of it.

use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::types::v1::{Notice, NoticeAction};
use pathway_rpc::from_status;

use crate::receiver::Receiver;
use crate::service::{Service, eventually, list, reminder, send};

/// A point of the curve: the generator.
const POINT: &str = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU";

/// A service, and the phone of its one user.
struct World {
    service: Service,
    phone: Receiver,
    _directory: tempfile::TempDir,
}

// === impl World ===

impl World {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = Service::start(&directory, |config| {
            config.delivery.allow = vec!["127.0.0.0/8".to_owned()];
            config.push.key_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/vapid.pem").into();
            config.push.subject = "mailto:ops@example.com".to_owned();
        })
        .await;
        let phone = Receiver::start().await;
        let request = api::CreatePushSubscriptionRequest {
            user_id: "u".to_owned(),
            endpoint: phone.url(),
            p256dh: POINT.to_owned(),
            auth: "c2l4dGVlbiBieXRlcyBvaw".to_owned(),
            ..Default::default()
        };
        service.deliveries().create_push_subscription(request).await.unwrap();
        Self { service, phone, _directory: directory }
    }

    async fn prefer(&self, change: api::UpdatePreferencesRequest) -> api::Preferences {
        let request = api::UpdatePreferencesRequest { user_id: "u".to_owned(), ..change };
        let said = self.service.preferences().update_preferences(request).await.unwrap().into_inner();
        said.preferences.unwrap()
    }

    async fn rule(&self, kind: &str, channel: &str, mode: api::DeliveryMode, throttle_seconds: i64) {
        let preference = api::Preference {
            r#type: kind.to_owned(),
            channel: channel.to_owned(),
            mode: mode.into(),
            throttle_seconds,
        };
        self.prefer(api::UpdatePreferencesRequest { preferences: vec![preference], ..Default::default() })
            .await;
    }

    async fn send(&self, notices: Vec<Notice>) {
        send(&self.service.client, notices).await;
    }

    /// Every message, oldest first.
    async fn messages(&self) -> Vec<api::Delivery> {
        let request = api::ListDeliveriesRequest { user_id: "u".to_owned(), ..Default::default() };
        let found = self.service.deliveries().list_deliveries(request).await.unwrap().into_inner();
        found.deliveries.into_iter().rev().collect()
    }

    /// Waits until so many messages are in a state.
    async fn until(&self, count: usize, state: api::DeliveryState) -> Vec<api::Delivery> {
        eventually(async || {
            let found: Vec<_> =
                self.messages().await.into_iter().filter(|one| one.state() == state).collect();
            (found.len() == count).then_some(found)
        })
        .await
    }
}

const HOUR_US: i64 = 3600 * 1_000_000;

/// 2026-09-21 14:13:20 UTC is when the clock begins: these are hours around it.
fn quiet_now() -> api::UpdatePreferencesRequest {
    api::UpdatePreferencesRequest {
        quiet_hours: Some(api::QuietHours { begin_minute: 13 * 60, end_minute: 16 * 60 }),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_comes_in_quiet_hours_waits_and_is_asked_again() {
    let mut world = World::start().await;
    world.prefer(quiet_now()).await;
    let about = |key: &str, about: &str| Notice { about: about.to_owned(), ..reminder("u", key) };
    world
        .send(vec![
            about("stays", "one"),
            about("ends", "two"),
            Notice { critical: true, ..about("now", "three") },
        ])
        .await;
    world.phone.next().await;
    let waiting = world.until(2, api::DeliveryState::Waiting).await;
    assert!(waiting.iter().all(|one| one.due_at_us > world.service.now_us() + HOUR_US));
    world.send(vec![Notice { action: NoticeAction::Resolve.into(), ..about("over", "two") }]).await;
    assert!(world.phone.is_silent());
    world.service.advance(2 * HOUR_US);
    world.send(vec![about("wakes", "four")]).await;
    let delivered = world.until(3, api::DeliveryState::Delivered).await;
    assert_eq!(delivered.len(), 3, "the critical one, the one that waited, and the one that came after");
    let dropped = world.until(1, api::DeliveryState::Dropped).await;
    assert!(dropped[0].reason.contains("resolved") && dropped[0].attempts.is_empty());
    world.service.stop().await;
}

#[tokio::test]
async fn a_digest_gathers_a_window_and_goes_out_once() {
    let mut world = World::start().await;
    world.rule("*", "push", api::DeliveryMode::Hourly, 0).await;
    world.send(vec![reminder("u", "a"), reminder("u", "b")]).await;
    world.send(vec![reminder("u", "c"), reminder("u", "a")]).await;
    let waiting = world.until(1, api::DeliveryState::Waiting).await;
    assert_eq!(waiting[0].sequence, 0, "of several");
    world.service.advance(HOUR_US);
    world.send(vec![Notice { critical: true, ..reminder("u", "wakes") }]).await;
    world.until(2, api::DeliveryState::Delivered).await;
    world.send(vec![reminder("u", "d")]).await;
    let next = world.until(1, api::DeliveryState::Waiting).await;
    assert_ne!(next[0].id, waiting[0].id, "the next window has its own");
    world.phone.next().await;
    world.phone.next().await;
    assert!(world.phone.is_silent());
    world.service.stop().await;
}

#[tokio::test]
async fn one_about_the_same_waits_until_the_throttle_is_over() {
    let world = World::start().await;
    world.rule("reminder", "push", api::DeliveryMode::Immediate, 3600).await;
    let about = |key: &str, about: &str| Notice { about: about.to_owned(), ..reminder("u", key) };
    world.send(vec![about("a", "one")]).await;
    world.until(1, api::DeliveryState::Delivered).await;
    world.send(vec![about("b", "one"), about("c", "two")]).await;
    let dropped = world.until(1, api::DeliveryState::Dropped).await;
    assert!(dropped[0].reason.contains("about the same"));
    world.service.advance(HOUR_US + 1);
    world.send(vec![about("d", "one")]).await;
    world.until(3, api::DeliveryState::Delivered).await;
    assert_eq!(world.messages().await.len(), 4);
    world.service.stop().await;
}

#[tokio::test]
async fn what_a_user_does_not_want_is_not_told() {
    let mut world = World::start().await;
    world.rule("reminder", "push", api::DeliveryMode::Off, 0).await;
    world.rule("reminder", "in_app", api::DeliveryMode::Off, 0).await;
    world.send(vec![reminder("u", "a")]).await;
    let feed = list(&world.service.client, "u").await;
    assert_eq!((feed.notices.len(), feed.unread), (0, 0));
    world.send(vec![Notice { critical: true, ..reminder("u", "b") }]).await;
    world.phone.next().await;
    assert_eq!(list(&world.service.client, "u").await.unread, 1, "what is critical is told");
    // The one that was kept out is known all the same.
    world.send(vec![reminder("u", "a")]).await;
    assert_eq!(list(&world.service.client, "u").await.unread, 1);
    world.rule("reminder", "in_app", api::DeliveryMode::Unspecified, 0).await;
    world.send(vec![reminder("u", "c")]).await;
    assert_eq!(list(&world.service.client, "u").await.unread, 2, "the default holds again");
    world.service.stop().await;
}

#[tokio::test]
async fn a_user_reads_their_own_language() {
    let world = World::start().await;
    world.prefer(api::UpdatePreferencesRequest { locale: Some("hi".to_owned()), ..Default::default() }).await;
    let mut missed = reminder("u", "a");
    missed.r#type = "recurring_missed".to_owned();
    for (name, value) in
        [("merchant", "BESCOM"), ("expected", "2026-11-05"), ("amount", "900.00"), ("currency", "INR")]
    {
        missed.metadata.insert(name.to_owned(), value.to_owned());
    }
    world.send(vec![missed, reminder("u", "b")]).await;
    let feed = list(&world.service.client, "u").await.notices;
    let text = |index: usize| feed[index].notice.clone().unwrap();
    assert_eq!(text(0).title, "अपेक्षित भुगतान नहीं आया");
    assert!(text(0).message.contains("900.00") && text(0).message.contains("BESCOM"));
    assert_eq!(
        (text(1).title.as_str(), text(1).message.as_str()),
        ("अनुस्मारक", "about b"),
        "a fact is missing"
    );
    world.service.stop().await;
}

#[tokio::test]
async fn a_preview_says_what_a_notice_would_read_like() {
    let world = World::start().await;
    let facts = [
        ("category", "dining"),
        ("spent", "80.00"),
        ("limit", "100.00"),
        ("currency", "INR"),
        ("percent", "80"),
        ("period", "2026-11"),
    ];
    let metadata = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let request =
        api::PreviewNoticeRequest { r#type: "budget_warning".to_owned(), metadata, ..Default::default() };
    let preview = async |channel: &str, request: &api::PreviewNoticeRequest| {
        let request = api::PreviewNoticeRequest { channel: channel.to_owned(), ..request.clone() };
        world.service.preferences().preview_notice(request).await.unwrap().into_inner()
    };
    assert!(preview("in_app", &request).await.message.contains("80.00 of 100.00 INR"));
    assert_eq!(preview("push", &request).await.message, "Your budget for dining is nearly used up.");
    let mail = preview("email", &request).await;
    assert!(mail.title == "Budget warning" && mail.html.contains("80.00"));
    let bare = api::PreviewNoticeRequest {
        r#type: "budget_warning".to_owned(),
        message: "Mine".to_owned(),
        locale: "hi".to_owned(),
        ..Default::default()
    };
    let fallback = preview("in_app", &bare).await;
    assert!(fallback.message == "Mine" && !fallback.fallback_reason.is_empty());
    world.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_preferences_is_named_at_once_and_changes_nothing() {
    let world = World::start().await;
    let wrong = api::UpdatePreferencesRequest {
        user_id: "u".to_owned(),
        locale: Some("tlh".to_owned()),
        time_zone: Some("Mars/Olympus".to_owned()),
        quiet_hours: Some(api::QuietHours { begin_minute: -1, end_minute: 1440 }),
        email: Some("nobody".to_owned()),
        preferences: vec![api::Preference {
            r#type: "A b".to_owned(),
            channel: "pigeon".to_owned(),
            throttle_seconds: -1,
            ..Default::default()
        }],
        ..Default::default()
    };
    let fault = from_status(world.service.preferences().update_preferences(wrong).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    let expected = [
        "locale",
        "time_zone",
        "email",
        "quiet_hours.begin_minute",
        "quiet_hours.end_minute",
        "preferences[0].type",
        "preferences[0].channel",
        "preferences[0].throttle_seconds",
    ];
    assert_eq!(fields, expected);
    let request = api::GetPreferencesRequest { user_id: "u".to_owned() };
    let found = world.service.preferences().get_preferences(request).await.unwrap().into_inner();
    assert_eq!(found.preferences.unwrap().locale, "en");
    assert_eq!(found.effective.len(), 40, "ten types by four channels");
    world.service.stop().await;
}
