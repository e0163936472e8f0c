//! `pathway dead-letters`: events that failed for good, newest first; and what to do with them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::processor::v1::{
    DeadLetter, DiscardDeadLettersRequest, ListDeadLettersRequest, Redrive as RedriveItem,
    RedriveDeadLettersRequest, redrive_result,
};
use pathway_rpc::from_item_status;
use serde_json::{Value, json};

use super::executions::{page_size, trace_id};
use super::publish::{Report, failed, wait};
use crate::cli::{DeadLetterAction, DeadLetters, Redrive};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, progress, table};

/// How many are redriven in one call, at most.
const BATCH: usize = 512;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &DeadLetters) -> Result<ExitCode, Fault> {
    match &args.action {
        None => list(mesh, out, args).await,
        Some(DeadLetterAction::Redrive(redrive)) => redrive_all(mesh, out, redrive).await,
        Some(DeadLetterAction::Discard { ids, reason }) => discard(mesh, out, ids, reason).await,
    }
}

async fn list(mesh: &Mesh, out: &Output, args: &DeadLetters) -> Result<ExitCode, Fault> {
    let (mut letters, mut page_token): (Vec<Value>, _) = (Vec::new(), String::new());
    let total = loop {
        let message = ListDeadLettersRequest {
            pathway: args.pathway.clone().unwrap_or_default(),
            page_size: page_size(args.limit, letters.len()),
            page_token,
        };
        let page = answer(mesh.processor.clone().list_dead_letters(request(message)).await)?;
        letters.extend(page.dead_letters.iter().map(document));
        page_token = page.next_page_token;
        if page_token.is_empty() || page_size(args.limit, letters.len()) == 0 {
            break page.total;
        }
    };
    let document = json!({"total": total, "dead_letters": letters});
    out.answer(&document, || {
        if letters.is_empty() {
            return "no dead letters".to_owned();
        }
        let cell = |letter: &Value, key: &str| letter[key].as_str().unwrap_or_default().to_owned();
        let rows = letters.iter().map(|letter| {
            let keys = ["id", "failed_at", "pathway", "event_id", "node"];
            let mut row: Vec<String> = keys.iter().map(|key| cell(letter, key)).collect();
            row.push(format!("{}: {}", cell(&letter["error"], "code"), cell(&letter["error"], "message")));
            row
        });
        table(&["id", "failed", "pathway", "event", "node", "error"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn redrive_all(mesh: &Mesh, out: &Output, args: &Redrive) -> Result<ExitCode, Fault> {
    if args.data.is_some() && args.ids.len() != 1 {
        let message = "--data corrects one event: give one id";
        return Err(Fault::new(Code::InvalidArgument, "ONE_ID_NEEDED", message));
    }
    let ids = if args.all { waiting(mesh, args.pathway.as_deref()).await? } else { args.ids.clone() };
    let data = args.data.as_ref().map(|data| data.clone().into_bytes());
    let batch = args.rate.map_or(BATCH, |rate| usize::try_from(rate).unwrap_or(BATCH).min(BATCH));
    let (mut reports, mut count) = (BTreeMap::<String, Report>::new(), 0);
    let progress = progress("events redriven");
    let mut refused: Vec<(String, Fault)> = Vec::new();
    // The first tick is at once; each further one keeps the pace.
    let mut pace = args.rate.map(|rate| {
        let seconds = f64::from(u32::try_from(batch).unwrap_or(rate)) / f64::from(rate);
        tokio::time::interval(Duration::from_secs_f64(seconds))
    });
    for ids in ids.chunks(batch) {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let items = ids.iter().map(|id| RedriveItem { id: id.clone(), data: data.clone() }).collect();
        let message = RedriveDeadLettersRequest { items };
        let answer = answer(mesh.processor.clone().redrive_dead_letters(request(message)).await)?;
        for (id, result) in ids.iter().zip(answer.results) {
            match result.result {
                Some(redrive_result::Result::Redriven(event)) => {
                    count += 1;
                    let report = reports.entry(event.topic).or_default();
                    event.position.into_iter().for_each(|position| report.accept(position));
                }
                Some(redrive_result::Result::Error(status)) => {
                    refused.push((id.clone(), from_item_status(status)));
                }
                None => return Err(Fault::internal("a redrive result without content")),
            }
        }
        progress.set_position(count);
    }
    progress.finish_and_clear();
    let (mut waited, mut again) = (Ok(()), 0);
    for (topic, report) in &reports {
        waited = waited.and(wait(mesh, topic, report, Duration::from_secs(args.timeout)).await);
        again += failed(mesh, report).await?.len();
    }
    let reasons: Vec<Value> =
        refused.iter().map(|(id, fault)| json!({"id": id, "reason": fault.message()})).collect();
    let document = json!({"redriven": count, "refused": reasons, "failed": again});
    out.answer(&document, || {
        let mut text = format!("redriven {count}, refused {}", refused.len());
        for (id, fault) in &refused {
            text.push_str(&format!("\n  {id}: {}", fault.message()));
        }
        if again > 0 {
            text.push_str(&format!("\nfailed again {again}: `pathway dead-letters` says why"));
        }
        text
    })?;
    waited?;
    Ok(if refused.is_empty() && again == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that wait, oldest first, so that events of one key are published in their order.
async fn waiting(mesh: &Mesh, pathway: Option<&str>) -> Result<Vec<String>, Fault> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let pathway = pathway.unwrap_or_default().to_owned();
        let message = ListDeadLettersRequest { pathway, page_size: 1000, page_token };
        let page = answer(mesh.processor.clone().list_dead_letters(request(message)).await)?;
        ids.extend(page.dead_letters.into_iter().map(|letter| letter.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            ids.reverse();
            return Ok(ids);
        }
    }
}

async fn discard(mesh: &Mesh, out: &Output, ids: &[String], reason: &str) -> Result<ExitCode, Fault> {
    let message = DiscardDeadLettersRequest { ids: ids.to_vec(), reason: reason.to_owned() };
    let answer = answer(mesh.processor.clone().discard_dead_letters(request(message)).await)?;
    let refused: Vec<(&String, Fault)> = ids
        .iter()
        .zip(answer.results)
        .filter(|(_, status)| status.code != 0)
        .map(|(id, status)| (id, from_item_status(status)))
        .collect();
    let discarded = ids.len() - refused.len();
    let reasons: Vec<Value> =
        refused.iter().map(|(id, fault)| json!({"id": id, "reason": fault.message()})).collect();
    out.answer(&json!({"discarded": discarded, "refused": reasons}), || {
        let mut text = format!("discarded {discarded}, refused {}", refused.len());
        for (id, fault) in &refused {
            text.push_str(&format!("\n  {id}: {}", fault.message()));
        }
        text
    })?;
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn document(letter: &DeadLetter) -> Value {
    let event = letter.event.clone().unwrap_or_default();
    let error = from_item_status(letter.error.clone().unwrap_or_default());
    let position = letter.position.unwrap_or_default();
    let data: Value = serde_json::from_slice(&event.data)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&event.data).into_owned()));
    json!({
        "id": letter.id,
        "execution_id": letter.execution_id,
        "pathway": letter.pathway,
        "version": letter.pathway_version,
        "event_id": event.id,
        "data": data,
        "topic": letter.topic,
        "partition": position.partition,
        "offset": position.offset,
        "node": letter.node,
        "error": {"code": error.code().name(), "reason": error.reason(), "message": error.message()},
        "attempts": letter.attempts,
        "failed_at": instant(letter.failed_at_us),
        "trace_id": trace_id(&letter.trace_id),
    })
}
