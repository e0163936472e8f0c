//! `pathway watch`: executions as they end; with `--json` one document a line.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::{WatchExecutionsRequest, WatchExecutionsResponse};
use tonic::Request;

use super::executions::{document, node_text, status_name};
use crate::cli::Watch;
use crate::client::{Mesh, Reconnect};
use crate::output::{Output, instant, note};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Watch) -> Result<ExitCode, Fault> {
    let mut reconnect = Reconnect::default();
    loop {
        let message = WatchExecutionsRequest { pathway: args.pathway.clone().unwrap_or_default() };
        let ended = match mesh.processor.clone().watch_executions(Request::new(message)).await {
            Err(status) => Err(status),
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            reconnect.works();
                            show(out, &message)?;
                        }
                        Ok(None) => break Ok(()),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        // What ended meanwhile is in `pathway executions`.
        reconnect.again(ended).await?;
    }
}

fn show(out: &Output, message: &WatchExecutionsResponse) -> Result<(), Fault> {
    if message.missed > 0 {
        note(&format!(
            "warning: {} executions were not shown, because this reader was too slow",
            message.missed
        ));
    }
    for execution in &message.executions {
        out.answer(&document(execution), || {
            let nodes: Vec<String> = execution.nodes.iter().map(node_text).collect();
            format!(
                "{} {} {} {}: {}",
                instant(execution.started_at_us),
                execution.pathway,
                execution.event_id,
                status_name(execution),
                nodes.join(" -> ")
            )
        })?;
    }
    Ok(())
}
