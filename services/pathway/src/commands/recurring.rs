//! `pathway recurring`: what comes again and again.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::types::v1::LineKind;
use serde_json::{Value, json};

use super::budget::date;
use crate::cli::Recurring;
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

/// The service's largest page.
const PAGE: i32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Recurring) -> Result<ExitCode, Fault> {
    let mut message =
        api::ListRecurringRequest { user_id: args.user.clone(), page_size: PAGE, page_token: String::new() };
    let mut entries = Vec::new();
    loop {
        let page = answer(mesh.analytics.clone().list_recurring(request(message.clone())).await)?;
        for series in &page.series {
            entries.push(document(series)?);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        message.page_token = page.next_page_token;
    }
    let document = json!({"user": args.user, "recurring": entries});
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn document(series: &api::RecurringSeries) -> Result<Value, Fault> {
    let cadence = match series.cadence() {
        api::Cadence::Week => "week",
        api::Cadence::TwoWeeks => "two_weeks",
        api::Cadence::Month => "month",
        api::Cadence::Quarter => "quarter",
        api::Cadence::Year => "year",
        api::Cadence::Unspecified => "",
    };
    let code = series.amount.as_ref().map_or("", |amount| amount.currency_code.as_str());
    Ok(json!({
        "payee": series.payee,
        "merchant": series.merchant,
        "kind": if series.kind() == LineKind::Income { "income" } else { "expense" },
        "category": series.category,
        "cadence": cadence,
        "amount": decimal(series.amount.as_ref(), code)?,
        "currency": code,
        "fixed": series.is_fixed,
        "count": series.count,
        "last": date(series.last_date.as_ref()),
        "next": date(series.next_date.as_ref()),
        "late_until": date(series.late_until.as_ref()),
        "lines": series.line_ids,
    }))
}

fn text(document: &Value) -> String {
    let entries = document["recurring"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return "nothing comes again: three lines of one payee at one distance make a series".to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |entry: &Value| {
        let about = if entry["fixed"] == true { "" } else { "about " };
        vec![
            cell(entry, "next"),
            cell(entry, "merchant"),
            cell(entry, "kind"),
            format!("{about}{} {}", cell(entry, "amount"), cell(entry, "currency")),
            cell(entry, "cadence").replace('_', " "),
            cell(entry, "last"),
            entry["count"].to_string(),
        ]
    };
    let header = ["next", "payee", "kind", "amount", "every", "last", "seen"];
    table(&header, &[3, 6], entries.iter().map(row))
}
