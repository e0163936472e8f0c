//! `pathway rebuild`: figures anew from the records.

use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use serde_json::{Value, json};

use crate::cli::Rebuild;
use crate::client::{Mesh, answer, request, request_id};
use crate::output::{Output, instant, progress};

/// How often to ask how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Rebuild) -> Result<ExitCode, Fault> {
    let mut rebuild = if args.status {
        get(mesh, 0).await?
    } else {
        let message = api::RebuildRequest {
            user_id: args.user.clone().unwrap_or_default(),
            everybody: args.everybody,
            request_id: request_id(),
        };
        let begun = answer(mesh.analytics.clone().rebuild(request(message)).await)?;
        begun.rebuild.unwrap_or_default()
    };
    if !args.status && !args.detach {
        // It goes on where it is, whatever becomes of this command.
        let bar = progress("changes read, users done");
        while rebuild.state() != api::RebuildState::Done {
            tokio::time::sleep(ASK_EVERY).await;
            rebuild = get(mesh, rebuild.number).await?;
            bar.set_position(u64::try_from(rebuild.changes_read + rebuild.users_done).unwrap_or(0));
        }
        bar.finish_and_clear();
    }
    out.answer(&document(&rebuild), || text(&rebuild))?;
    Ok(ExitCode::SUCCESS)
}

async fn get(mesh: &Mesh, number: i64) -> Result<api::Rebuild, Fault> {
    let message = api::GetRebuildRequest { number };
    Ok(answer(mesh.analytics.clone().get_rebuild(request(message)).await)?.rebuild.unwrap_or_default())
}

fn document(rebuild: &api::Rebuild) -> Value {
    json!({
        "number": rebuild.number,
        "user": (!rebuild.user_id.is_empty()).then_some(&rebuild.user_id),
        "state": state(rebuild),
        "changes_read": rebuild.changes_read,
        "users_done": rebuild.users_done,
        "users_total": rebuild.users_total,
        "started_at": instant(rebuild.started_at_us),
        "ended_at": (rebuild.ended_at_us > 0).then(|| instant(rebuild.ended_at_us)),
    })
}

fn text(rebuild: &api::Rebuild) -> String {
    let whose = if rebuild.user_id.is_empty() { "everybody" } else { &rebuild.user_id };
    format!(
        "rebuild {} of {whose}: {}, {} changes read, {} of {} users have their new figures",
        rebuild.number,
        state(rebuild),
        rebuild.changes_read,
        rebuild.users_done,
        rebuild.users_total
    )
}

fn state(rebuild: &api::Rebuild) -> &'static str {
    match rebuild.state() {
        api::RebuildState::Reading => "reading",
        api::RebuildState::Swapping => "swapping",
        api::RebuildState::Done => "done",
        api::RebuildState::Unspecified => "unknown",
    }
}
