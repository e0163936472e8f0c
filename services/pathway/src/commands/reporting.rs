//! How figures in one currency came about, in every command that shows such.

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use serde_json::{Value, json};

use super::budget::date;
use crate::client::decimal;

/// How figures were converted to a currency.
pub(crate) fn document(reporting: &api::Reporting, code: &str) -> Result<Value, Fault> {
    let mut converted = Vec::with_capacity(reporting.converted.len());
    for part in &reporting.converted {
        converted.push(json!({
            "currency": part.currency_code,
            "own": sums(part.own.as_ref(), &part.currency_code)?,
            "reported": sums(part.reported.as_ref(), code)?,
            "first_rate": date(part.first_rate_date.as_ref()),
            "last_rate": date(part.last_rate_date.as_ref()),
            "sources": part.sources,
        }));
    }
    let mut unconverted = Vec::with_capacity(reporting.unconverted.len());
    for part in &reporting.unconverted {
        let dates = part.missing_dates.iter().map(|day| date(Some(day)));
        unconverted.push(json!({
            "currency": part.currency_code,
            "own": sums(part.own.as_ref(), &part.currency_code)?,
            "missing_days": part.missing_days,
            "missing": dates.collect::<Vec<_>>(),
        }));
    }
    Ok(json!({"converted": converted, "unconverted": unconverted}))
}

/// How one line was converted.
pub(crate) fn conversion(conversion: &api::LineConversion) -> Result<Value, Fault> {
    let code = conversion.amount.as_ref().map_or("", |amount| &*amount.currency_code);
    let rates = conversion.rates.iter().map(rate).collect::<Vec<_>>();
    Ok(json!({"amount": decimal(conversion.amount.as_ref(), code)?, "currency": code, "rates": rates}))
}

/// A rate, as every command shows it.
pub(crate) fn rate(rate: &api::ExchangeRate) -> Value {
    json!({
        "date": date(rate.date.as_ref()),
        "base": rate.base_currency_code,
        "quote": rate.quote_currency_code,
        "rate": rate.rate,
        "source": rate.source,
    })
}

/// What a line counts as, and by which rates.
pub(crate) fn conversion_cells(line: &Value, currency: &Value) -> [String; 2] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let conversion = &line["conversion"];
    if conversion.is_null() {
        let is_own = line["currency"] == *currency;
        return [if is_own { text(&line["amount"]) } else { "not in it".to_owned() }, String::new()];
    }
    let rates = conversion["rates"].as_array().into_iter().flatten();
    let rates = rates.map(|rate| {
        format!(
            "{}/{} {} {}",
            text(&rate["base"]),
            text(&rate["quote"]),
            text(&rate["rate"]),
            text(&rate["source"])
        )
    });
    [text(&conversion["amount"]), rates.collect::<Vec<_>>().join(", ")]
}

/// What was converted and what was not, a line for each currency, to be put below a table; empty where there is nothing to say.
pub(crate) fn text(reporting: &Value) -> String {
    let cell = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |key: &str| reporting[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::new();
    for part in list("converted") {
        let sources: Vec<&str> =
            part["sources"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text.push_str(&format!(
            "\nin it from {}: {} lines, by rates of {} to {} ({})",
            cell(&part["currency"]),
            part["own"]["count"],
            cell(&part["first_rate"]),
            cell(&part["last_rate"]),
            sources.join(", ")
        ));
    }
    for part in list("unconverted") {
        let days: Vec<&str> =
            part["missing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text.push_str(&format!(
            "\nnot in it from {}: {} lines, {} spent, {} income; days without a rate: {} ({}{})",
            cell(&part["currency"]),
            part["own"]["count"],
            cell(&part["own"]["net"]),
            cell(&part["own"]["income"]),
            part["missing_days"],
            days.first().copied().unwrap_or_default(),
            if days.len() > 1 { ", ..." } else { "" }
        ));
    }
    text
}

fn sums(sums: Option<&api::CurrencySums>, code: &str) -> Result<Value, Fault> {
    let empty = api::CurrencySums::default();
    let sums = sums.unwrap_or(&empty);
    Ok(json!({
        "gross": decimal(sums.gross.as_ref(), code)?,
        "refunds": decimal(sums.refunds.as_ref(), code)?,
        "net": decimal(sums.net.as_ref(), code)?,
        "income": decimal(sums.income.as_ref(), code)?,
        "count": sums.count,
    }))
}
