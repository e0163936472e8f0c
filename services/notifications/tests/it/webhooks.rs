//! Webhooks against a receiver that fails in scripted ways.

use api::deliveries_service_client::DeliveriesServiceClient;
use pathway_kernel::Code;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_rpc::{Channel, from_status};
use serde_json::Value;

use crate::receiver::{Received, Receiver};
use crate::service::{Service, eventually, list, reminder, send};

type Client = DeliveriesServiceClient<Channel>;

const MINUTE_US: i64 = 60 * 1_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

async fn start(directory: &tempfile::TempDir) -> Service {
    Service::start(directory, |config| config.delivery.allow = vec!["127.0.0.0/8".to_owned()]).await
}

async fn create(client: &mut Client, url: &str, types: &[&str]) -> api::CreateWebhookResponse {
    let request = api::CreateWebhookRequest {
        user_id: "u".to_owned(),
        url: url.to_owned(),
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        ..api::CreateWebhookRequest::default()
    };
    client.create_webhook(request).await.unwrap().into_inner()
}

async fn deliveries(client: &mut Client) -> Vec<api::Delivery> {
    let request = api::ListDeliveriesRequest { user_id: "u".to_owned(), ..Default::default() };
    client.list_deliveries(request).await.unwrap().into_inner().deliveries
}

/// Waits until the newest message is in a state.
async fn until(client: &mut Client, state: api::DeliveryState) -> api::Delivery {
    eventually(async || deliveries(client).await.into_iter().next().filter(|one| one.state() == state)).await
}

/// Waits until the newest message has been sent so many times.
async fn attempted(client: &mut Client, attempts: usize) {
    let is_there = |one: &api::Delivery| one.attempts.len() == attempts;
    eventually(async || deliveries(client).await.into_iter().next().filter(is_there)).await;
}

/// Lets the courier look at the clock, which a test has moved.
async fn nudge(client: &mut Client, id: &str) {
    let request =
        api::RecoverWebhookRequest { user_id: "u".to_owned(), id: id.to_owned(), since_us: i64::MAX };
    client.recover_webhook(request).await.unwrap();
}

fn id(request: &Received) -> &str {
    &request.headers["webhook-id"]
}

#[tokio::test]
async fn a_webhook_gets_the_types_that_it_wants_signed() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let made = create(&mut client, &receiver.url(), &["reminder"]).await;
    assert!(made.secret.starts_with("whsec_"));
    let mut alert = reminder("u", "b");
    alert.r#type = "system_alert".to_owned();
    send(&service.client, vec![reminder("u", "a"), alert, reminder("other", "a"), reminder("u", "a")]).await;
    let request = receiver.next().await;
    assert!(request.headers["webhook-signature"].starts_with("v1,") && id(&request).starts_with("msg_"));
    assert_eq!(request.headers["webhook-timestamp"], "1790000000");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (&body["type"], &body["data"]["message"]),
        (&"notification.created".into(), &"about a".into())
    );
    let delivery = until(&mut client, api::DeliveryState::Delivered).await;
    assert_eq!((delivery.attempts.len(), delivery.attempts[0].status), (1, 200));
    assert!(receiver.is_silent() && deliveries(&mut client).await.len() == 1);
    let listed = client.list_webhooks(api::ListWebhooksRequest { user_id: "u".to_owned() }).await.unwrap();
    assert!(!format!("{:?}", listed.into_inner()).contains(&made.secret), "a secret is shown once");
    service.stop().await;
}

#[tokio::test]
async fn a_failed_message_comes_again_under_its_id_when_it_should() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let webhook = create(&mut client, &receiver.url(), &[]).await.webhook.unwrap();
    receiver.answers(&["500", "503 retry-after: 3600", "cut", "302"]);
    send(&service.client, vec![reminder("u", "a")]).await;
    let first = receiver.next().await;
    // Five seconds, an hour because the receiver asks for it, half an hour, two hours: at most a fifth longer.
    for (attempts, wait_us) in
        [(1, MINUTE_US / 10), (2, 72 * MINUTE_US), (3, 36 * MINUTE_US), (4, 144 * MINUTE_US)]
    {
        let failed = eventually(async || {
            let found = deliveries(&mut client).await.remove(0);
            (found.attempts.len() == attempts).then_some(found)
        })
        .await;
        assert_eq!(failed.state(), api::DeliveryState::Waiting);
        assert!(failed.due_at_us <= service.now_us() + wait_us);
        assert!(receiver.is_silent(), "not before its time");
        service.advance(wait_us);
        nudge(&mut client, &webhook.id).await;
        let again = receiver.next().await;
        assert_eq!((id(&again), &again.body), (id(&first), &first.body));
    }
    let delivered = until(&mut client, api::DeliveryState::Delivered).await;
    let statuses: Vec<i32> = delivered.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [500, 503, 0, 302, 200]);
    service.stop().await;
}

#[tokio::test]
async fn one_that_is_gone_is_disabled_its_owner_told_and_what_it_missed_recovered() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let webhook = create(&mut client, &receiver.url(), &["reminder"]).await.webhook.unwrap();
    receiver.answers(&["410"]);
    send(&service.client, vec![reminder("u", "a")]).await;
    let lost = receiver.next().await;
    until(&mut client, api::DeliveryState::Failed).await;
    let told = list(&service.client, "u").await.notices.pop().unwrap().notice.unwrap();
    assert_eq!((told.r#type.as_str(), &told.metadata["webhook_id"]), ("system_alert", &webhook.id));
    send(&service.client, vec![reminder("u", "b")]).await;
    assert!(receiver.is_silent());

    let enable = api::UpdateWebhookRequest {
        user_id: "u".to_owned(),
        id: webhook.id.clone(),
        enabled: Some(true),
        ..Default::default()
    };
    assert!(client.update_webhook(enable).await.unwrap().into_inner().webhook.unwrap().enabled);
    let recover = api::RecoverWebhookRequest { user_id: "u".to_owned(), id: webhook.id.clone(), since_us: 0 };
    assert_eq!(client.recover_webhook(recover).await.unwrap().into_inner().messages, 2);
    let recovered = [receiver.next().await, receiver.next().await];
    assert!(recovered.iter().any(|one| id(one) == id(&lost)), "what failed");
    assert!(recovered.iter().any(|one| id(one) != id(&lost)), "what came while it was disabled");
    let delivered = until(&mut client, api::DeliveryState::Delivered).await;
    let replay = api::ReplayWebhookRequest {
        user_id: "u".to_owned(),
        id: webhook.id,
        delivery_ids: vec![delivered.id.clone()],
        ..Default::default()
    };
    assert_eq!(client.replay_webhook(replay).await.unwrap().into_inner().messages, 1);
    assert_eq!(id(&receiver.next().await), format!("msg_{}", delivered.id), "delivered or not");
    service.stop().await;
}

#[tokio::test]
async fn one_that_fails_for_days_is_disabled_and_its_owner_told() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let webhook = create(&mut client, &receiver.url(), &["reminder"]).await.webhook.unwrap();
    receiver.answers(&["500"; 4]);
    send(&service.client, vec![reminder("u", "a")]).await;
    // On days 0, 2, 4 and 6; the last is five days after the first that failed.
    for attempts in 1..=4 {
        receiver.next().await;
        eventually(async || (deliveries(&mut client).await[0].attempts.len() == attempts).then_some(()))
            .await;
        service.advance(2 * DAY_US);
        nudge(&mut client, &webhook.id).await;
    }
    let given_up = until(&mut client, api::DeliveryState::Failed).await;
    assert_eq!(given_up.reason, "the endpoint is disabled");
    let listed = client.list_webhooks(api::ListWebhooksRequest { user_id: "u".to_owned() }).await.unwrap();
    let listed = listed.into_inner().webhooks.remove(0);
    assert!(!listed.enabled && listed.disabled_reason.contains("five days"), "{listed:?}");
    assert!(
        list(&service.client, "u")
            .await
            .notices
            .iter()
            .any(|notice| notice.notice.as_ref().unwrap().r#type == "system_alert")
    );
    service.stop().await;
}

#[tokio::test]
async fn while_a_secret_is_changed_both_sign() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let webhook = create(&mut client, &receiver.url(), &[]).await.webhook.unwrap();
    let rotate = api::RotateWebhookSecretRequest {
        user_id: "u".to_owned(),
        id: webhook.id,
        signature: api::SignatureKind::KeyPair.into(),
        overlap_seconds: 60,
        ..Default::default()
    };
    assert!(client.rotate_webhook_secret(rotate).await.unwrap().into_inner().secret.starts_with("whpk_"));
    for expected in [vec!["v1a", "v1"], vec!["v1a"]] {
        send(&service.client, vec![reminder("u", expected[expected.len() - 1])]).await;
        let signature = receiver.next().await.headers["webhook-signature"].clone();
        let versions: Vec<&str> = signature.split(' ').map(|one| one.split(',').next().unwrap()).collect();
        assert_eq!(versions, expected);
        service.advance(2 * MINUTE_US);
    }
    service.stop().await;
}

#[tokio::test]
async fn a_webhook_cannot_be_led_to_the_inside() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(&directory, |_| ()).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    create(&mut client, &format!("http://localhost:{}/", receiver.port), &[]).await;
    send(&service.client, vec![reminder("u", "a")]).await;
    let refused = until(&mut client, api::DeliveryState::Failed).await;
    assert!(refused.reason.contains("private"), "{}", refused.reason);
    assert!(receiver.is_silent());
    let odd = api::CreateWebhookRequest {
        user_id: "u".to_owned(),
        url: "ftp://x".to_owned(),
        types: vec!["A b".to_owned()],
        ..Default::default()
    };
    let fault = from_status(client.create_webhook(odd).await.unwrap_err());
    let fields: Vec<&str> = fault.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["url", "types"]);
    let with_password = api::CreateWebhookRequest {
        user_id: "u".to_owned(),
        url: "https://asha:secret@example.com/hook".to_owned(),
        ..Default::default()
    };
    let fault = from_status(client.create_webhook(with_password).await.unwrap_err());
    let violation = &fault.violations()[0];
    assert!(violation.field == "url" && violation.description.contains("password"), "{violation:?}");
    service.stop().await;
}

#[tokio::test]
async fn a_url_has_no_password_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let mut client = service.deliveries();
    for url in
        ["https://user:canary@host/", "https://user@host", "http://canary@host?x=/", "https://a@b@host/"]
    {
        let new =
            api::CreateWebhookRequest { user_id: "u".to_owned(), url: url.to_owned(), ..Default::default() };
        let fault = from_status(client.create_webhook(new).await.unwrap_err());
        assert_eq!(fault.violations().len(), 1, "{fault:?}");
        assert!(fault.violations()[0].description.contains("password"), "{fault:?}");
        assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
    }
    create(&mut client, "https://host/@name?to=a@b", &[]).await;
    service.stop().await;
}

#[tokio::test]
async fn what_is_repeated_under_its_id_is_done_once() {
    const ID: &str = "0192f0c1-2345-4abc-8def-0123456789ab";
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, mut receiver) = (service.deliveries(), Receiver::start().await);
    let (user_id, request_id) = ("u".to_owned(), ID.to_owned());
    let new = api::CreateWebhookRequest {
        user_id: user_id.clone(),
        url: receiver.url(),
        request_id: request_id.clone(),
        ..Default::default()
    };
    let made = client.create_webhook(new.clone()).await.unwrap().into_inner();
    assert_eq!(client.create_webhook(new.clone()).await.unwrap().into_inner(), made);
    let list = api::ListWebhooksRequest { user_id: user_id.clone() };
    assert_eq!(client.list_webhooks(list).await.unwrap().into_inner().webhooks.len(), 1);
    let other = api::CreateWebhookRequest { url: "https://elsewhere/".to_owned(), ..new };
    let reused = from_status(client.create_webhook(other).await.unwrap_err());
    assert_eq!((reused.code(), reused.reason()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));

    let id = made.webhook.unwrap().id;
    let rotate = api::RotateWebhookSecretRequest {
        user_id: user_id.clone(),
        id: id.clone(),
        request_id: request_id.clone(),
        ..Default::default()
    };
    let rotated = client.rotate_webhook_secret(rotate.clone()).await.unwrap().into_inner().secret;
    assert_ne!(rotated, made.secret);
    assert_eq!(client.rotate_webhook_secret(rotate).await.unwrap().into_inner().secret, rotated);

    send(&service.client, vec![reminder("u", "a")]).await;
    receiver.next().await;
    let delivery = until(&mut client, api::DeliveryState::Delivered).await;
    let replay = api::ReplayWebhookRequest {
        user_id: user_id.clone(),
        id,
        delivery_ids: vec![delivery.id.clone()],
        request_id: request_id.clone(),
        ..Default::default()
    };
    assert_eq!(client.replay_webhook(replay.clone()).await.unwrap().into_inner().messages, 1);
    receiver.next().await;
    attempted(&mut client, 2).await;
    assert_eq!(client.replay_webhook(replay).await.unwrap().into_inner().messages, 1, "answered as before");
    let retry = api::RetryDeliveryRequest { user_id, id: delivery.id, request_id };
    client.retry_delivery(retry.clone()).await.unwrap();
    receiver.next().await;
    attempted(&mut client, 3).await;
    let again = client.retry_delivery(retry).await.unwrap().into_inner().delivery.unwrap();
    assert_eq!((again.state(), again.attempts.len()), (api::DeliveryState::Delivered, 3));
    assert!(receiver.is_silent());
    service.stop().await;
}

#[tokio::test]
async fn nobody_touches_what_is_anothers() {
    let directory = tempfile::tempdir().unwrap();
    let service = start(&directory).await;
    let (mut client, receiver) = (service.deliveries(), Receiver::start().await);
    let webhook = create(&mut client, &receiver.url(), &[]).await.webhook.unwrap();
    send(&service.client, vec![reminder("u", "a")]).await;
    let delivery = until(&mut client, api::DeliveryState::Delivered).await;
    let (user_id, id) = ("thief".to_owned(), webhook.id);
    let refusals = [
        client
            .delete_webhook(api::DeleteWebhookRequest { user_id: user_id.clone(), id: id.clone() })
            .await
            .unwrap_err(),
        client
            .rotate_webhook_secret(api::RotateWebhookSecretRequest {
                user_id: user_id.clone(),
                id: id.clone(),
                ..Default::default()
            })
            .await
            .unwrap_err(),
        client
            .recover_webhook(api::RecoverWebhookRequest { user_id: user_id.clone(), id, since_us: 0 })
            .await
            .unwrap_err(),
        client
            .retry_delivery(api::RetryDeliveryRequest { user_id, id: delivery.id, ..Default::default() })
            .await
            .unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(from_status(refusal).code(), Code::NotFound);
    }
    service.stop().await;
}
