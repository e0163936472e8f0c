//! `pathway summary`: a period beside the one before it and the budgets.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::to_date;
use serde_json::{Value, json};

use super::budget::date;
use super::reporting;
use super::spending::period;
use crate::cli::Summary;
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Summary) -> Result<ExitCode, Fault> {
    let span = args.period.as_deref().map(|text| period(Some(text))).transpose()?;
    let message = api::GetSummaryRequest {
        user_id: args.user.clone(),
        start: span.as_ref().map(|(_, span)| to_date(span.start())),
        end: span.as_ref().map(|(_, span)| to_date(span.end())),
        currency_code: args.currency.clone().unwrap_or_default(),
        reporting_currency_code: args.reporting.clone().unwrap_or_default(),
    };
    let summary = answer(mesh.analytics.clone().get_summary(request(message)).await)?;
    let document = document(&args.user, &summary)?;
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn document(user: &str, summary: &api::GetSummaryResponse) -> Result<Value, Fault> {
    let code = &summary.currency_code;
    let mut categories = Vec::with_capacity(summary.categories.len());
    for line in &summary.categories {
        let spent = line.spending.as_ref().and_then(|totals| totals.net.as_ref());
        categories.push(json!({
            "category": line.category,
            "spent": decimal(spent, code)?,
            "count": line.spending.as_ref().map_or(0, |totals| totals.count),
            "previous": decimal(line.previous.as_ref(), code)?,
            "change_percent": line.change_percent,
            "limit": line.limit.as_ref().map(|limit| decimal(Some(limit), code)).transpose()?,
            "limit_percent": line.limit_percent,
        }));
    }
    let reported = |of: &Option<api::Reporting>| {
        of.as_ref().map(|reporting| reporting::document(reporting, code)).transpose()
    };
    Ok(json!({
        "user": user,
        "currency": code,
        "reporting": reported(&summary.reporting)?,
        "previous_reporting": reported(&summary.previous_reporting)?,
        "period": period_document(summary.period.as_ref(), code)?,
        "previous": period_document(summary.previous.as_ref(), code)?,
        "change_percent": summary.change_percent,
        "categories": categories,
        "other_currencies": summary.other_currency_codes,
    }))
}

fn period_document(period: Option<&api::PeriodSummary>, code: &str) -> Result<Value, Fault> {
    let period = period.cloned().unwrap_or_default();
    let spending = period.spending.clone().unwrap_or_default();
    Ok(json!({
        "start": date(period.start.as_ref()),
        "end": date(period.end.as_ref()),
        "gross": decimal(spending.gross.as_ref(), code)?,
        "refunds": decimal(spending.refunds.as_ref(), code)?,
        "spent": decimal(spending.net.as_ref(), code)?,
        "count": spending.count,
        "income": decimal(period.income.as_ref(), code)?,
        "net": decimal(period.net.as_ref(), code)?,
        "savings_percent": period.savings_percent,
    }))
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let percent = |entry: &Value, key: &str, sign: bool| match entry[key].as_i64() {
        Some(percent) if sign => format!("{percent:+}%"),
        Some(percent) => format!("{percent}%"),
        None => "-".to_owned(),
    };
    let (now, before) = (&document["period"], &document["previous"]);
    let figures =
        ["spent", "income", "net"].map(|key| vec![key.to_owned(), cell(now, key), cell(before, key)]);
    let savings = ["savings_percent"]
        .map(|key| vec!["saved".to_owned(), percent(now, key, false), percent(before, key, false)]);
    let (from, until) = (cell(now, "start"), cell(now, "end"));
    let head = format!(
        "{}, {from} to {until} (end excluded), {}",
        cell(document, "user"),
        cell(document, "currency")
    );
    let top = table(&["", "period", "before"], &[1, 2], figures.into_iter().chain(savings));
    let categories = document["categories"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = categories.iter().map(|entry| {
        vec![
            cell(entry, "category"),
            cell(entry, "spent"),
            cell(entry, "previous"),
            percent(entry, "change_percent", true),
            cell(entry, "limit"),
            percent(entry, "limit_percent", false),
        ]
    });
    let header = ["category", "spent", "before", "change", "limit", "of it"];
    let mut text = format!("{head}\n{top}\n\n{}", table(&header, &[1, 2, 3, 4, 5], rows));
    let others: Vec<&str> =
        document["other_currencies"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !others.is_empty() {
        text.push_str(&format!("\nalso in {}: ask with --currency", others.join(", ")));
    }
    text.push_str(&reporting::text(&document["reporting"]));
    let before = reporting::text(&document["previous_reporting"]);
    if !before.is_empty() {
        text.push_str(&format!("\nbefore:{before}"));
    }
    text
}
