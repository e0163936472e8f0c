//! `pathway webhooks`: where a user's notices go over HTTP.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    CreateWebhookRequest, DeleteWebhookRequest, ListWebhooksRequest, RecoverWebhookRequest,
    ReplayWebhookRequest, RotateWebhookSecretRequest, SignatureKind, UpdateWebhookRequest, Webhook,
};
use serde_json::{Value, json};

use crate::cli::{OneWebhook, WebhookAction, Webhooks};
use crate::client::{Mesh, answer, request, request_id};
use crate::output::{Output, instant, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Webhooks) -> Result<ExitCode, Fault> {
    let Some(action) = args.action else {
        // The grammar asks for the user where there is no verb.
        return list(mesh, out, args.user.unwrap_or_default()).await;
    };
    let mut client = mesh.deliveries.clone();
    match action {
        WebhookAction::Create { user, url, types, description, key_pair } => {
            let signature = if key_pair { SignatureKind::KeyPair } else { SignatureKind::Secret };
            let signature = signature.into();
            let request_id = request_id();
            let message =
                CreateWebhookRequest { user_id: user, url, types, description, signature, request_id };
            let made = answer(client.create_webhook(request(message)).await)?;
            let webhook = made.webhook.unwrap_or_default();
            let mut json = document(&webhook);
            json["secret"] = json!(made.secret);
            out.answer(&json, || {
                format!("{}\n{}\nkeep this: it is not shown again", webhook.id, made.secret)
            })?;
        }
        WebhookAction::Enable(one) => set_enabled(mesh, out, one, true).await?,
        WebhookAction::Disable(one) => set_enabled(mesh, out, one, false).await?,
        WebhookAction::Delete(one) => {
            let message = DeleteWebhookRequest { user_id: one.user, id: one.id.clone() };
            answer(client.delete_webhook(request(message)).await)?;
            out.answer(&json!({"deleted": one.id}), || "deleted".to_owned())?;
        }
        WebhookAction::Rotate { one, overlap } => {
            let message = RotateWebhookSecretRequest {
                user_id: one.user,
                id: one.id,
                // On the wire 0 is what is usual.
                overlap_seconds: if overlap <= 0 { -1 } else { overlap },
                request_id: request_id(),
                ..RotateWebhookSecretRequest::default()
            };
            let rotated = answer(client.rotate_webhook_secret(request(message)).await)?;
            let json = json!({"secret": rotated.secret});
            out.answer(&json, || format!("{}\nkeep this: it is not shown again", rotated.secret))?;
        }
        WebhookAction::Recover { one, since } => {
            let message = RecoverWebhookRequest { user_id: one.user, id: one.id, since_us: since };
            let again = answer(client.recover_webhook(request(message)).await)?;
            told(out, again.messages)?;
        }
        WebhookAction::Replay { one, deliveries, since, until } => {
            let message = ReplayWebhookRequest {
                user_id: one.user,
                id: one.id,
                delivery_ids: deliveries,
                since_us: since.unwrap_or_default(),
                until_us: until.unwrap_or_default(),
                request_id: request_id(),
            };
            let again = answer(client.replay_webhook(request(message)).await)?;
            told(out, again.messages)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, out: &Output, user_id: String) -> Result<ExitCode, Fault> {
    let message = ListWebhooksRequest { user_id };
    let webhooks = answer(mesh.deliveries.clone().list_webhooks(request(message)).await)?.webhooks;
    let json = json!({"webhooks": webhooks.iter().map(document).collect::<Vec<_>>()});
    out.answer(&json, || {
        if webhooks.is_empty() {
            return "no webhooks".to_owned();
        }
        let rows = webhooks.iter().map(|webhook| {
            let state = if webhook.enabled {
                "enabled".to_owned()
            } else {
                format!("disabled: {}", webhook.disabled_reason)
            };
            let types = if webhook.types.is_empty() { "all".to_owned() } else { webhook.types.join(", ") };
            vec![webhook.id.clone(), webhook.url.clone(), types, state, webhook.description.clone()]
        });
        table(&["id", "url", "types", "state", "description"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn set_enabled(mesh: &Mesh, out: &Output, one: OneWebhook, enabled: bool) -> Result<(), Fault> {
    let message = UpdateWebhookRequest {
        user_id: one.user,
        id: one.id,
        enabled: Some(enabled),
        ..UpdateWebhookRequest::default()
    };
    let changed = answer(mesh.deliveries.clone().update_webhook(request(message)).await)?;
    let webhook = changed.webhook.unwrap_or_default();
    out.answer(&document(&webhook), || (if webhook.enabled { "enabled" } else { "disabled" }).to_owned())
}

fn told(out: &Output, messages: i64) -> Result<(), Fault> {
    let noun = if messages == 1 { "message goes" } else { "messages go" };
    out.answer(&json!({"messages": messages}), || format!("{messages} {noun} out once more"))
}

fn document(webhook: &Webhook) -> Value {
    let failing_since = (webhook.failing_since_us != 0).then(|| instant(webhook.failing_since_us));
    json!({
        "id": webhook.id, "url": webhook.url, "types": webhook.types, "description": webhook.description,
        "enabled": webhook.enabled, "disabled_reason": webhook.disabled_reason, "failing_since": failing_since,
        "created_at": instant(webhook.created_at_us), "public_keys": webhook.public_keys,
    })
}
