//! `pathway budget closed`: what periods came to that are over.

use std::process::ExitCode;

use pathway_finance::CivilDate;
use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1::{ClosedPeriod, ListClosedPeriodsRequest};
use pathway_rpc::to_date;
use serde_json::{Value, json};

use super::date;
use crate::cli::BudgetClosed;
use crate::client::{Mesh, answer, decimal, request};
use crate::commands::spending::period;
use crate::output::{Output, instant, table};

pub(super) async fn run(mesh: &Mesh, out: &Output, args: &BudgetClosed) -> Result<ExitCode, Fault> {
    let (start, end) = match &args.period {
        Some(text) => {
            let (_, period) = period(Some(text))?;
            (period.start(), period.end())
        }
        None => {
            let day = |year, month, day| CivilDate::new(year, month, day).map_err(Fault::internal);
            (day(1, 1, 1)?, day(9999, 12, 31)?)
        }
    };
    let message = ListClosedPeriodsRequest {
        user_id: args.user.clone(),
        category: args.category.clone(),
        start: Some(to_date(start)),
        end: Some(to_date(end)),
        page_size: args.limit.into(),
    };
    let answered = answer(mesh.analytics.clone().list_closed_periods(request(message)).await)?;
    let entries = answered.periods.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    let document = json!({"user": args.user, "periods": entries});
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn entry(closed: &ClosedPeriod) -> Result<Value, Fault> {
    let code = closed.limit.as_ref().map_or("", |limit| limit.currency_code.as_str());
    let totals = closed.totals.clone().unwrap_or_default();
    Ok(json!({
        "category": closed.category,
        "currency": code,
        "period_start": date(closed.period_start.as_ref()),
        "period_end": date(closed.period_end.as_ref()),
        "limit": decimal(closed.limit.as_ref(), code)?,
        "spent": decimal(totals.net.as_ref(), code)?,
        "gross": decimal(totals.gross.as_ref(), code)?,
        "refunds": decimal(totals.refunds.as_ref(), code)?,
        "count": totals.count,
        "carried_in": decimal(closed.carried_in.as_ref(), code)?,
        "carried_out": decimal(closed.carried_out.as_ref(), code)?,
        "revision": closed.revision,
        "corrected_at": closed.corrected_at_us.map(instant),
    }))
}

fn text(document: &Value) -> String {
    let entries = document["periods"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return "no period of a budget is closed yet".to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |entry: &Value| {
        let corrected = if entry["corrected_at"].is_null() { "" } else { " (corrected)" };
        vec![
            cell(entry, "category"),
            format!("{} to {}", cell(entry, "period_start"), cell(entry, "period_end")),
            format!("{} of {} {}", cell(entry, "spent"), cell(entry, "limit"), cell(entry, "currency")),
            cell(entry, "carried_in"),
            cell(entry, "carried_out"),
            format!("{}{corrected}", entry["revision"]),
        ]
    };
    let header = ["category", "period (end excluded)", "spent", "carried in", "carried out", "revision"];
    table(&header, &[2, 3, 4], entries.iter().map(row))
}
