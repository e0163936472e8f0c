//! `pathway rates`: rates of exchange.

mod file;

use std::io::Read as _;
use std::process::ExitCode;

use pathway_kernel::{Code, Fault};
use pathway_proto::google::r#type::Date;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::to_date;
use serde_json::{Value, json};

use super::reporting::rate;
use super::spending::period;
use crate::cli::{RateAction, Rates, RatesImport, RatesList, RatesSet};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, progress, table};

/// The service's largest page, and its largest batch.
const PAGE: u32 = 1000;
const BATCH: usize = 4096;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Rates) -> Result<ExitCode, Fault> {
    match args.action {
        RateAction::List(args) => list(mesh, out, &args).await,
        RateAction::Set(args) => {
            let rates = named(&args)?;
            store(mesh, out, rates).await
        }
        RateAction::Import(args) => {
            let rates = imported(&args)?;
            store(mesh, out, rates).await
        }
    }
}

async fn list(mesh: &Mesh, out: &Output, args: &RatesList) -> Result<ExitCode, Fault> {
    let span = args.period.as_deref().map(|text| period(Some(text))).transpose()?;
    let mut message = api::ListRatesRequest {
        base_currency_code: args.base.clone().unwrap_or_default(),
        quote_currency_code: args.quote.clone().unwrap_or_default(),
        start: span.as_ref().map(|(_, span)| to_date(span.start())),
        end: span.as_ref().map(|(_, span)| to_date(span.end())),
        ..api::ListRatesRequest::default()
    };
    let mut left = args.limit;
    let mut rates: Vec<Value> = Vec::new();
    while left > 0 {
        message.page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
        let page = answer(mesh.analytics.clone().list_rates(request(message.clone())).await)?;
        left = left.saturating_sub(u32::try_from(page.rates.len()).unwrap_or(u32::MAX));
        rates.extend(page.rates.iter().map(rate));
        if page.next_page_token.is_empty() {
            break;
        }
        message.page_token = page.next_page_token;
    }
    let document = json!({"rates": rates});
    out.answer(&document, || text(&rates))?;
    Ok(ExitCode::SUCCESS)
}

fn text(rates: &[Value]) -> String {
    if rates.is_empty() {
        return "no rate is stored: `pathway rates set` or `pathway rates import` stores some".to_owned();
    }
    let keys = ["date", "base", "quote", "rate", "source"];
    let row = |rate: &Value| keys.map(|key| rate[key].as_str().unwrap_or_default().to_owned()).to_vec();
    table(&keys, &[3], rates.iter().map(row))
}

/// Stores rates batch after batch. Those that were stored by a run that was cut off are unchanged the next time.
async fn store(mesh: &Mesh, out: &Output, rates: Vec<api::ExchangeRate>) -> Result<ExitCode, Fault> {
    let bar = progress("rates stored");
    let (mut added, mut corrected, mut unchanged) = (0_i64, 0_i64, 0_i64);
    for batch in rates.chunks(BATCH) {
        let message = api::SetRatesRequest { rates: batch.to_vec() };
        let set = answer(mesh.analytics.clone().set_rates(request(message)).await)?;
        added += i64::from(set.added);
        corrected += i64::from(set.corrected);
        unchanged += i64::from(set.unchanged);
        bar.inc(u64::try_from(batch.len()).unwrap_or(0));
    }
    bar.finish_and_clear();
    let document = json!({"added": added, "corrected": corrected, "unchanged": unchanged});
    out.answer(&document, || format!("added {added}, corrected {corrected}, unchanged {unchanged}"))?;
    Ok(ExitCode::SUCCESS)
}

/// The rates of a command line.
fn named(args: &RatesSet) -> Result<Vec<api::ExchangeRate>, Fault> {
    let date = Some(day(&args.date)?);
    let rate = |text: &String| {
        let parts = text.split_once('=').and_then(|(pair, rate)| Some((pair.split_once('/')?, rate)));
        let ((base, quote), rate) = parts.ok_or_else(|| {
            let message = format!("`{text}` is no rate: write it like EUR/USD=1.0845");
            Fault::new(Code::InvalidArgument, "INVALID_RATE", message)
        })?;
        Ok(api::ExchangeRate {
            base_currency_code: base.to_owned(),
            quote_currency_code: quote.to_owned(),
            date,
            rate: rate.to_owned(),
            source: args.source.clone(),
        })
    };
    args.rates.iter().map(rate).collect()
}

fn imported(args: &RatesImport) -> Result<Vec<api::ExchangeRate>, Fault> {
    let mut content = String::new();
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut content).map(drop)
    } else {
        std::fs::read_to_string(&args.file).map(|text| content = text)
    };
    read.map_err(|error| {
        let message = format!("cannot read {}: {error}", args.file.display());
        Fault::new(Code::InvalidArgument, "UNREADABLE_FILE", message)
    })?;
    let read = file::read(&content, &args.base)?;
    Ok(file::carried(read, args.carry_days).into_iter().map(|rate| rate.into_api(&args.source)).collect())
}

fn day(text: &str) -> Result<Date, Fault> {
    pathway_finance::CivilDate::parse(text).map(to_date).map_err(|_| {
        let message = format!("`{text}` is no day: write it like 2026-11-20");
        Fault::new(Code::InvalidArgument, "INVALID_DATE", message)
    })
}
