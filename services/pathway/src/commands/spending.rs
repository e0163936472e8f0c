//! `pathway spending`: what was spent in a period, by category, account or merchant.

mod breakdown;

use std::process::ExitCode;

use pathway_finance::{CivilDate, Period, PeriodKind, TimeZone};
use pathway_kernel::{Clock, Code, Fault};
use pathway_proto::pathway::analytics::v1::{GetSpendingRequest, GetSpendingResponse, Totals};
use pathway_rpc::to_date;
use serde_json::{Map, Value, json};

use super::reporting;
use crate::cli::Spending;
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Spending) -> Result<ExitCode, Fault> {
    let (name, period) = period(args.period.as_deref())?;
    if let Some(by) = args.by {
        return breakdown::run(mesh, out, args, by, (&name, period)).await;
    }
    let message = GetSpendingRequest {
        user_id: args.user.clone(),
        start: Some(to_date(period.start())),
        end: Some(to_date(period.end())),
        currency_code: args.currency.clone().unwrap_or_default(),
        reporting_currency_code: args.reporting.clone().unwrap_or_default(),
    };
    let spending = answer(mesh.analytics.clone().get_spending(request(message)).await)?;
    let document = document(&args.user, &name, &spending)?;
    let text = text(&document);
    out.answer(&document, || text)?;
    Ok(ExitCode::SUCCESS)
}

/// A period and its name; the current month (UTC) where none is given.
pub(crate) fn period(text: Option<&str>) -> Result<(String, Period), Fault> {
    let Some(text) = text else {
        let today = CivilDate::from_instant_us(Clock::system().now_us(), &TimeZone::utc())
            .map_err(Fault::internal)?;
        let period = PeriodKind::MONTH.period_of(today).map_err(Fault::internal)?;
        return Ok((format!("{:04}-{:02}", today.year(), today.month()), period));
    };
    let period = Period::parse(text).map_err(|_| {
        let message = format!(
            "`{text}` is no period: give 2018-03, 2018, 2018-Q1, 2018-W10, or two dates as 2018-03-01..2018-04-01"
        );
        Fault::new(Code::InvalidArgument, "INVALID_PERIOD", message)
    })?;
    Ok((text.to_owned(), period))
}

/// The answer as JSON; the table is made of it, so that both say the same.
fn document(user: &str, period: &str, spending: &GetSpendingResponse) -> Result<Value, Fault> {
    let code = &spending.currency_code;
    let empty = Totals::default();
    let mut categories = Vec::with_capacity(spending.categories.len());
    for category in &spending.categories {
        let mut entry = Map::from_iter([("category".to_owned(), json!(category.category))]);
        entry.extend(totals(category.totals.as_ref().unwrap_or(&empty), code)?);
        categories.push(Value::Object(entry));
    }
    let mut document = json!({
        "user": user,
        "period": period,
        "currency": code,
        "total": totals(spending.total.as_ref().unwrap_or(&empty), code)?,
        "categories": categories,
    });
    if let Some(reporting) = &spending.reporting {
        document["reporting"] = reporting::document(reporting, code)?;
    }
    if !spending.other_currency_codes.is_empty() {
        document["other_currencies"] = json!(spending.other_currency_codes);
    }
    Ok(document)
}

fn totals(totals: &Totals, code: &str) -> Result<Map<String, Value>, Fault> {
    Ok(Map::from_iter([
        ("gross".to_owned(), json!(decimal(totals.gross.as_ref(), code)?)),
        ("refunds".to_owned(), json!(decimal(totals.refunds.as_ref(), code)?)),
        ("net".to_owned(), json!(decimal(totals.net.as_ref(), code)?)),
        ("count".to_owned(), json!(totals.count)),
    ]))
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| match &entry[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |name: String, entry: &Value| {
        vec![name, cell(entry, "gross"), cell(entry, "refunds"), cell(entry, "net"), cell(entry, "count")]
    };
    let mut rows: Vec<Vec<String>> = document["categories"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| row(cell(entry, "category"), entry))
        .collect();
    rows.push(row("total".to_owned(), &document["total"]));
    let title =
        format!("{}, {}, {}", cell(document, "user"), cell(document, "period"), cell(document, "currency"));
    let mut text =
        format!("{title}\n{}", table(&["category", "gross", "refunds", "net", "count"], &[1, 2, 3, 4], rows));
    if let Some(others) = document["other_currencies"].as_array() {
        let names: Vec<&str> = others.iter().filter_map(Value::as_str).collect();
        text.push_str(&format!("\nalso in {}: ask with --currency", names.join(", ")));
    }
    text + &reporting::text(&document["reporting"])
}
