//! `pathway explain`: the lines behind a number or an insight, and the rule.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::to_date;
use serde_json::{Value, json};

use super::budget::date;
use super::spending::period;
use super::{insights, reporting};
use crate::cli::Explain;
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

/// The service's largest page.
const PAGE: u32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Explain) -> Result<ExitCode, Fault> {
    let span = args.period.as_deref().map(|text| period(Some(text))).transpose()?;
    let mut message = api::ExplainRequest {
        user_id: args.user.clone(),
        start: span.as_ref().map(|(_, span)| to_date(span.start())),
        end: span.as_ref().map(|(_, span)| to_date(span.end())),
        category: args.category.clone(),
        currency_code: args.currency.clone().unwrap_or_default(),
        reporting_currency_code: args.reporting.clone().unwrap_or_default(),
        insight_key: args.insight.clone().unwrap_or_default(),
        ..api::ExplainRequest::default()
    };
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut lines: Vec<api::ExplainedLine> = Vec::new();
    let answered = loop {
        let missing = args.limit.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        message.page_size = i32::try_from(missing.min(PAGE)).unwrap_or(i32::MAX);
        let mut page = answer(mesh.analytics.clone().explain(request(message.clone())).await)?;
        lines.append(&mut page.lines);
        if lines.len() >= most || page.next_page_token.is_empty() {
            break page;
        }
        message.page_token = page.next_page_token;
    };
    let document = document(&args.user, &answered, &lines)?;
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn document(
    user: &str,
    answered: &api::ExplainResponse,
    lines: &[api::ExplainedLine],
) -> Result<Value, Fault> {
    let totals = answered.totals.clone().unwrap_or_default();
    let code = totals.net.as_ref().map_or_else(|| "USD".to_owned(), |net| net.currency_code.clone());
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let own = line.amount.as_ref().map_or(&*code, |amount| &*amount.currency_code);
        entries.push(json!({
            "currency": own,
            "conversion": line.conversion.as_ref().map(reporting::conversion).transpose()?,
            "date": date(line.date.as_ref()),
            "category": line.category,
            "amount": decimal(line.amount.as_ref(), &code)?,
            "merchant": line.merchant,
            "record_id": line.record_id,
            "version": line.version,
        }));
    }
    let reported = answered.reporting.as_ref();
    let reported = reported.map(|reporting| reporting::document(reporting, &code)).transpose()?;
    Ok(json!({
        "user": user,
        "currency": code,
        "gross": decimal(totals.gross.as_ref(), &code)?,
        "refunds": decimal(totals.refunds.as_ref(), &code)?,
        "net": decimal(totals.net.as_ref(), &code)?,
        "count": totals.count,
        "rule": answered.rule,
        "insight": answered.insight.as_ref().map(insights::document),
        "lines": entries,
        "reporting": reported,
    }))
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let mut text = String::new();
    let insight = &document["insight"];
    if !insight.is_null() {
        text.push_str(&format!("{}\n{}\n", cell(insight, "title"), cell(insight, "message")));
        let trace = cell(insight, "trace_id");
        if !trace.is_empty() {
            text.push_str(&format!("trace {trace}\n"));
        }
    }
    text.push_str(&format!("{}\n\n", cell(document, "rule")));
    let lines = document["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_reported = !document["reporting"].is_null();
    let row = |line: &Value| {
        let mut row = ["date", "category", "merchant", "amount"].map(|key| cell(line, key)).to_vec();
        if is_reported {
            row.push(cell(line, "currency"));
            row.extend(reporting::conversion_cells(line, &document["currency"]));
        }
        row
    };
    let header = ["date", "category", "merchant", "amount", "", "counts as", "by"];
    let header = if is_reported { &header[..] } else { &header[..4] };
    text.push_str(&table(header, &[3, 5], lines.iter().map(row)));
    let [net, gross, refunds] = ["net", "gross", "refunds"].map(|key| cell(document, key));
    let (count, code) = (&document["count"], cell(document, "currency"));
    text.push_str(&format!("\n{count} lines: {gross} less {refunds} refunded is {net} {code}"));
    let shown = lines.len();
    if count.as_u64().is_some_and(|count| count > u64::try_from(shown).unwrap_or(u64::MAX)) {
        text.push_str(&format!("\nthe newest {shown} are shown: --limit N shows more"));
    }
    text + &reporting::text(&document["reporting"])
}
