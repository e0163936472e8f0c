//! `pathway push`: the browsers and phones that a user's notices go to.

use std::process::ExitCode;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::notifications::v1::{
    CreatePushSubscriptionRequest, DeletePushSubscriptionRequest, GetPushKeyRequest,
    ListPushSubscriptionsRequest, PushSubscription,
};
use serde_json::{Value, json};

use crate::cli::{Push, PushAction};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Push) -> Result<ExitCode, Fault> {
    let mut client = mesh.deliveries.clone();
    match args.action {
        // The grammar asks for the user where there is no verb.
        None => list(mesh, out, args.user.unwrap_or_default()).await?,
        Some(PushAction::Add { user, endpoint, p256dh, auth, description }) => {
            let message =
                CreatePushSubscriptionRequest { user_id: user, endpoint, p256dh, auth, description };
            let kept = answer(client.create_push_subscription(request(message)).await)?;
            let kept = kept.subscription.unwrap_or_default();
            out.answer(&document(&kept), || kept.id.clone())?;
        }
        Some(PushAction::Remove { id, user }) => {
            let message = DeletePushSubscriptionRequest { user_id: user, id: id.clone() };
            answer(client.delete_push_subscription(request(message)).await)?;
            out.answer(&json!({"removed": id}), || "removed".to_owned())?;
        }
        Some(PushAction::Key) => {
            let key = answer(client.get_push_key(request(GetPushKeyRequest {})).await)?.public_key;
            if key.is_empty() {
                let message = "push is not configured: give the server push.key_file and push.subject";
                return Err(Fault::new(Code::FailedPrecondition, "NO_PUSH", message));
            }
            out.answer(&json!({"public_key": key}), || key.clone())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, out: &Output, user_id: String) -> Result<(), Fault> {
    let message = ListPushSubscriptionsRequest { user_id };
    let kept = answer(mesh.deliveries.clone().list_push_subscriptions(request(message)).await)?.subscriptions;
    let json = json!({"subscriptions": kept.iter().map(document).collect::<Vec<_>>()});
    out.answer(&json, || {
        if kept.is_empty() {
            return "no push subscriptions".to_owned();
        }
        let rows = kept.iter().map(|one| vec![one.id.clone(), one.description.clone(), one.endpoint.clone()]);
        table(&["id", "description", "endpoint"], &[], rows)
    })
}

fn document(subscription: &PushSubscription) -> Value {
    json!({
        "id": subscription.id, "endpoint": subscription.endpoint, "description": subscription.description,
        "created_at": instant(subscription.created_at_us),
    })
}
