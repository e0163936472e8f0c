//! `pathway deliveries`: what went out, and what became of it.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1::{
    Delivery, DeliveryState, ListDeliveriesRequest, RetryDeliveryRequest,
};
use serde_json::{Value, json};

use crate::cli::{Deliveries, DeliveryAction, State};
use crate::client::{Mesh, answer, request, request_id};
use crate::output::{Output, instant, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Deliveries) -> Result<ExitCode, Fault> {
    let mut client = mesh.deliveries.clone();
    if let Some(DeliveryAction::Retry { id, user }) = args.action {
        let message = RetryDeliveryRequest { user_id: user, id, request_id: request_id() };
        let delivery = answer(client.retry_delivery(request(message)).await)?.delivery.unwrap_or_default();
        out.answer(&document(&delivery), || "goes out now".to_owned())?;
        return Ok(ExitCode::SUCCESS);
    }
    let state = match args.state {
        None => DeliveryState::Unspecified,
        Some(State::Waiting) => DeliveryState::Waiting,
        Some(State::Delivered) => DeliveryState::Delivered,
        Some(State::Failed) => DeliveryState::Failed,
        Some(State::Dropped) => DeliveryState::Dropped,
    };
    let message = ListDeliveriesRequest {
        // The grammar asks for the user where there is no verb.
        user_id: args.user.unwrap_or_default(),
        channel: args.channel,
        state: state.into(),
        target: args.target,
        page_size: args.limit,
        page_token: String::new(),
    };
    let deliveries = answer(client.list_deliveries(request(message)).await)?.deliveries;
    let json = json!({"deliveries": deliveries.iter().map(document).collect::<Vec<_>>()});
    out.answer(&json, || {
        if deliveries.is_empty() {
            return "no deliveries".to_owned();
        }
        let rows = deliveries.iter().map(|delivery| {
            let last = delivery.attempts.last();
            let status = last.map(|attempt| attempt.status).filter(|status| *status != 0);
            let took = last.map_or_else(String::new, |attempt| format!("{} ms", attempt.took_us / 1000));
            vec![
                delivery.id.clone(),
                delivery.channel.clone(),
                name(delivery).to_owned(),
                delivery.attempts.len().to_string(),
                status.map_or_else(String::new, |status| status.to_string()),
                took,
                if delivery.due_at_us == 0 { String::new() } else { instant(delivery.due_at_us) },
                delivery.reason.clone(),
            ]
        });
        let header = ["id", "channel", "state", "attempts", "status", "took", "next", "reason"];
        table(&header, &[3, 4, 5], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn name(delivery: &Delivery) -> &'static str {
    match delivery.state() {
        DeliveryState::Unspecified => "unknown",
        DeliveryState::Waiting => "waiting",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
        DeliveryState::Dropped => "dropped",
    }
}

fn document(delivery: &Delivery) -> Value {
    let at = |us: i64| (us != 0).then(|| instant(us));
    let attempts = delivery.attempts.iter().map(|attempt| {
        json!({
            "number": attempt.number, "began_at": instant(attempt.began_at_us), "took_us": attempt.took_us,
            "status": attempt.status, "reason": attempt.reason,
        })
    });
    json!({
        "id": delivery.id, "channel": delivery.channel, "target": delivery.target, "sequence": delivery.sequence,
        "state": name(delivery), "reason": delivery.reason, "due_at": at(delivery.due_at_us),
        "created_at": instant(delivery.created_at_us), "ended_at": at(delivery.ended_at_us),
        "attempts": attempts.collect::<Vec<_>>(),
    })
}
