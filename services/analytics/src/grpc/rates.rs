//! Rates of exchange into the domain's types and back.

use std::collections::BTreeSet;

use pathway_finance::{CivilDate, Currency, Rate, RatePair};
use pathway_kernel::{Check, Violation};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{Pages, from_date, status, to_date};
use tonic::{Response, Status};

use crate::error::AnalyticsError;
use crate::reporting::DatedRate;
use crate::service::Figures;
use crate::store::{RatePlace, RatesQuestion};

/// The most bytes of a source.
const SOURCE: usize = 64;

/// Stores rates: all of them, or where one is not valid none.
pub(super) async fn set(
    figures: &Figures,
    request: api::SetRatesRequest,
) -> Result<Response<api::SetRatesResponse>, Status> {
    let rates = dated_rates(request.rates).map_err(|violations| status(AnalyticsError::from(violations)))?;
    let set = figures.set_rates(rates).await.map_err(status)?;
    Ok(Response::new(api::SetRatesResponse {
        added: set.added,
        corrected: set.corrected,
        unchanged: set.unchanged,
    }))
}

/// A page of the rates that are stored.
pub(super) async fn list(
    figures: &Figures,
    request: api::ListRatesRequest,
) -> Result<Response<api::ListRatesResponse>, Status> {
    let (mut question, pages) = question(&request).map_err(status)?;
    let after = place(&pages, &request.page_token);
    question.after = after.map_err(|problem| status(AnalyticsError::invalid("page_token", problem)))?;
    let size = usize::try_from(question.limit).unwrap_or(usize::MAX);
    question.limit += 1;
    let mut rates = figures.rates(question).await.map_err(status)?;
    let has_more = rates.len() > size;
    rates.truncate(size);
    let token = |rate: &DatedRate| {
        pages.token(&format!("{}.{}.{}", rate.day.epoch_days(), rate.pair.base, rate.pair.quote))
    };
    let next_page_token = rates.last().filter(|_| has_more).map_or_else(String::new, token);
    let rates = rates.into_iter().map(to_rate).collect();
    Ok(Response::new(api::ListRatesResponse { rates, next_page_token }))
}

/// A rate, and whose it is.
pub(super) fn to_rate(rate: DatedRate) -> api::ExchangeRate {
    api::ExchangeRate {
        base_currency_code: rate.pair.base.code().to_owned(),
        quote_currency_code: rate.pair.quote.code().to_owned(),
        date: Some(to_date(rate.day)),
        rate: rate.rate.to_string(),
        source: rate.source,
    }
}

/// The rates, or everything that is wrong with any of them.
fn dated_rates(items: Vec<api::ExchangeRate>) -> Result<Vec<DatedRate>, Vec<Violation>> {
    let mut check = Check::default();
    check.at_most("rates", items.len(), super::MOST_ITEMS);
    check.done()?;
    let (mut rates, mut check) = (Vec::with_capacity(items.len()), Check::default());
    let mut named: BTreeSet<(CivilDate, RatePair)> = BTreeSet::new();
    for (place, item) in items.into_iter().enumerate() {
        let field = |name: &str| format!("rates[{place}].{name}");
        let base = check.take(&field("base_currency_code"), Currency::parse(&item.base_currency_code));
        let quote = check.take(&field("quote_currency_code"), Currency::parse(&item.quote_currency_code));
        let day = check.take(&field("date"), from_date(item.date.as_ref()));
        let rate = check.take(&field("rate"), Rate::parse(&item.rate));
        check.required(&field("source"), &item.source, SOURCE);
        let (Some(base), Some(quote), Some(day), Some(rate)) = (base, quote, day, rate) else { continue };
        let pair = RatePair { base, quote };
        let is_one = base == quote;
        check.note(&field("quote_currency_code"), is_one.then_some("must be another than the base"));
        let is_named = !named.insert((day, pair));
        check.note(
            &field("date"),
            is_named.then(|| format!("names {base} in {quote} of {day} a second time")),
        );
        rates.push(DatedRate { day, pair, rate, source: item.source });
    }
    check.done()?;
    Ok(rates)
}

/// Which rates, and what makes the token of the next page.
fn question(request: &api::ListRatesRequest) -> Result<(RatesQuestion, Pages), AnalyticsError> {
    let mut check = Check::default();
    let mut currency = |field: &str, code: &str| match code {
        "" => None,
        code => check.take(field, Currency::parse(code)),
    };
    let base = currency("base_currency_code", &request.base_currency_code);
    let quote = currency("quote_currency_code", &request.quote_currency_code);
    let first = request.start.as_ref().and_then(|day| check.take("start", from_date(Some(day))));
    let end = request.end.as_ref().and_then(|day| check.take("end", from_date(Some(day))));
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    check.done()?;
    let text = |day: Option<CivilDate>| day.map(|day| day.to_string()).unwrap_or_default();
    let listing = [&request.base_currency_code, &request.quote_currency_code, &text(first), &text(end)];
    let pages = Pages::of("ListRates", &listing.map(String::as_str));
    Ok((RatesQuestion { base, quote, first, end, after: None, limit }, pages))
}

fn place(pages: &Pages, token: &str) -> Result<Option<RatePlace>, &'static str> {
    let Some(text) = pages.place(token)? else { return Ok(None) };
    let read = || {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next();
        let (day, base, quote) = (next()?, next()?, next()?);
        Some(RatePlace { day: day.parse().ok()?, base: base.to_owned(), quote: quote.to_owned() })
    };
    read().map(Some).ok_or("is of another question: begin again with an empty one")
}
