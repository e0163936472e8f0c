//! `pathway spending --by`: what each account or merchant comes to.

use std::process::ExitCode;

use pathway_finance::Period;
use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1::{BreakdownBy, BreakdownPart, GetBreakdownRequest};
use pathway_rpc::to_date;
use serde_json::{Value, json};

use crate::cli::{By, Spending};
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

pub(super) async fn run(
    mesh: &Mesh,
    out: &Output,
    args: &Spending,
    by: By,
    (name, period): (&str, Period),
) -> Result<ExitCode, Fault> {
    let (by, what) = match by {
        By::Account => (BreakdownBy::Account, "account"),
        By::Merchant => (BreakdownBy::Merchant, "merchant"),
    };
    let message = GetBreakdownRequest {
        user_id: args.user.clone(),
        start: Some(to_date(period.start())),
        end: Some(to_date(period.end())),
        currency_code: args.currency.clone().unwrap_or_default(),
        by: by.into(),
    };
    let answered = answer(mesh.analytics.clone().get_breakdown(request(message)).await)?;
    let code = &answered.currency_code;
    let parts = answered.parts.iter().map(|part| entry(part, code)).collect::<Result<Vec<_>, _>>()?;
    let document = json!({
        "user": args.user,
        "period": name,
        "currency": code,
        "by": what,
        "total": entry(&answered.total.unwrap_or_default(), code)?,
        "parts": parts,
    });
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn entry(part: &BreakdownPart, code: &str) -> Result<Value, Fault> {
    let spending = part.spending.clone().unwrap_or_default();
    Ok(json!({
        "key": part.key,
        "name": part.name,
        "gross": decimal(spending.gross.as_ref(), code)?,
        "refunds": decimal(spending.refunds.as_ref(), code)?,
        "spent": decimal(spending.net.as_ref(), code)?,
        "income": decimal(part.income.as_ref(), code)?,
        "net": decimal(part.net.as_ref(), code)?,
        "savings_percent": part.savings_percent,
        "count": part.count,
    }))
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |name: String, entry: &Value| {
        let saved =
            entry["savings_percent"].as_i64().map_or_else(|| "-".to_owned(), |saved| format!("{saved}%"));
        let count = entry["count"].to_string();
        vec![name, cell(entry, "spent"), cell(entry, "income"), cell(entry, "net"), saved, count]
    };
    let parts = document["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |entry: &Value| match entry["name"].as_str() {
        None | Some("") => "(none)".to_owned(),
        Some(name) => name.to_owned(),
    };
    let rows = parts.iter().map(|entry| row(named(entry), entry));
    let rows = rows.chain([row("total".to_owned(), &document["total"])]);
    let by = cell(document, "by");
    let title =
        format!("{}, {}, {}", cell(document, "user"), cell(document, "period"), cell(document, "currency"));
    let header = [by.as_str(), "spent", "income", "net", "saved", "lines"];
    format!("{title}\n{}", table(&header, &[1, 2, 3, 4, 5], rows))
}
