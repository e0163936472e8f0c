//! Redriving and discarding.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::processor::v1::{
    DiscardDeadLettersRequest, Redrive as RedriveItem, RedriveDeadLettersRequest, redrive_result,
};
use pathway_rpc::from_item_status;
use serde_json::{Value, json};

use super::wanted;
use crate::cli::{LetterFilter, Redrive};
use crate::client::{Mesh, answer, request};
use crate::commands::publish::{Report, failed, wait};
use crate::output::{Output, progress};

/// How many are redriven in one call, at most.
const BATCH: usize = 512;

pub(super) async fn redrive_all(mesh: &Mesh, out: &Output, args: &Redrive) -> Result<ExitCode, Fault> {
    if args.data.is_some() && args.ids.len() != 1 {
        let message = "--data corrects one event: give one id";
        return Err(Fault::new(Code::InvalidArgument, "ONE_ID_NEEDED", message));
    }
    let ids = if args.all { waiting(mesh, &args.filter).await? } else { args.ids.clone() };
    let filtered = [&args.filter.pathway, &args.filter.node, &args.filter.error, &args.filter.cause];
    if !args.all && filtered.iter().any(|filter| filter.is_some()) {
        let message = "a filter chooses among all: give --all with it";
        return Err(Fault::new(Code::InvalidArgument, "ALL_NEEDED", message));
    }
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
        again += failed(mesh, topic, report).await?.len();
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
async fn waiting(mesh: &Mesh, filter: &LetterFilter) -> Result<Vec<String>, Fault> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = wanted(filter, 1000, page_token);
        let page = answer(mesh.processor.clone().list_dead_letters(request(message)).await)?;
        ids.extend(page.dead_letters.into_iter().map(|letter| letter.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            ids.reverse();
            return Ok(ids);
        }
    }
}

pub(super) async fn discard(
    mesh: &Mesh,
    out: &Output,
    ids: &[String],
    reason: &str,
) -> Result<ExitCode, Fault> {
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
