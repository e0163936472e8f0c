//! `pathway import`: a statement into the records, and on into the figures.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::analytics::v1::AwaitChangesRequest;
use pathway_proto::pathway::datasync::v1::{
    ImportStatementRequest, ImportStatementResponse, StatementFormat,
};
use serde_json::json;

use crate::cli::{Format, Import};
use crate::client::{Mesh, answer, request_within};
use crate::output::{Output, note};

/// The service's own limit: of a larger file no more is read.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// A large statement is one transaction; this is ample for 32 MiB.
const IMPORT_WITHIN: Duration = Duration::from_secs(300);

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Import) -> Result<ExitCode, Fault> {
    let content = read(args)?;
    let format = match args.format {
        Format::Auto => StatementFormat::Unspecified,
        Format::Csv => StatementFormat::Csv,
        Format::Ofx => StatementFormat::Ofx,
    };
    let statement = ImportStatementRequest {
        user_id: args.user.clone(),
        account: args.account.clone(),
        currency_code: args.currency.clone(),
        format: format.into(),
        content,
    };
    let summary =
        answer(mesh.datasync.clone().import_statement(request_within(statement, IMPORT_WITHIN)).await)?;
    // The figures follow the records by the change feed; whoever asks for them next should see this file in them.
    let reached = AwaitChangesRequest { sequence: summary.sequence };
    let caught_up =
        answer(mesh.analytics.clone().await_changes(request_within(reached, IMPORT_WITHIN)).await);
    if let Err(fault) = caught_up {
        note(&format!(
            "warning: the lines are stored, but the figures have not caught up yet: {}",
            fault.message()
        ));
    }
    print(out, &summary)?;
    Ok(if summary.rejected.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(args: &Import) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot read {}: {error}", args.file.display());
        Fault::new(Code::InvalidArgument, "UNREADABLE_FILE", message)
    };
    // What a file says of its size is not believed: a pipe and a device say 0.
    let file = std::fs::File::open(&args.file).map_err(unreadable)?;
    let mut content = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut content).map_err(unreadable)?;
    if u64::try_from(content.len()).is_ok_and(|size| size > LARGEST_FILE) {
        let message = format!("{} is too large: a statement may have 32 MiB; split it", args.file.display());
        return Err(Fault::new(Code::InvalidArgument, "FILE_TOO_LARGE", message));
    }
    Ok(content)
}

fn print(out: &Output, summary: &ImportStatementResponse) -> Result<(), Fault> {
    let rejected: Vec<_> =
        summary.rejected.iter().map(|line| json!({"line": line.line, "reason": line.reason})).collect();
    let document = json!({
        "read": summary.read,
        "added": summary.added,
        "unchanged": summary.unchanged,
        "quarantined": summary.quarantined,
        "rejected": rejected,
    });
    out.answer(&document, || {
        let mut text = format!(
            "read {}, added {}, unchanged {}, quarantined {}, rejected {}",
            summary.read,
            summary.added,
            summary.unchanged,
            summary.quarantined,
            summary.rejected.len()
        );
        for line in &summary.rejected {
            text.push_str(&format!("\n  line {}: {}", line.line, line.reason));
        }
        text
    })
}
