//! Figures in one reporting currency.

use pathway_finance::{Currency, Money};
use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{status, to_date, to_money};
use tonic::Status;

use super::convert::{self, PageToken};
use super::rates::to_rate;
use crate::reporting::{LineConversion, Reporting, Sums};
use crate::service::Figures;
use crate::store::{Question, Scope};

/// The most days that are named of those without a rate.
const MOST_DAYS: usize = 31;

/// The reporting currency; none where none is asked for. One question has one currency.
pub(super) fn currency(check: &mut Check, (reporting_code, currency_code): (&str, &str)) -> Option<Currency> {
    let is_both = !reporting_code.is_empty() && !currency_code.is_empty();
    let advice = "cannot be given with currency_code, which leaves out lines in other currencies";
    check.note("reporting_currency_code", is_both.then_some(advice));
    match reporting_code {
        "" => None,
        code => check.take("reporting_currency_code", Currency::parse(code)),
    }
}

/// A user's spending.
pub(super) async fn spending(
    figures: &Figures,
    scope: Scope,
    to: Currency,
) -> Result<api::GetSpendingResponse, Status> {
    let (spending, reported) = figures.reported_spending(scope, to).await.map_err(status)?;
    Ok(api::GetSpendingResponse { reporting: Some(reporting(reported, to)), ..convert::spending(spending) })
}

/// A page of the lines behind a number. The question asks for one more than the page has.
pub(super) async fn explain(
    figures: &Figures,
    question: Question,
    tokens: &PageToken,
    to: Currency,
) -> Result<api::ExplainResponse, Status> {
    let (period, size) = (question.scope.period, usize::try_from(question.limit - 1).unwrap_or(usize::MAX));
    let (mut explanation, conversions, reported) =
        figures.reported_explanation(question, to).await.map_err(status)?;
    let has_more = explanation.lines.len() > size;
    explanation.lines.truncate(size);
    let last = explanation.lines.last().filter(|_| has_more);
    let next_page_token = last.map_or_else(String::new, |line| tokens.after(line));
    let mut response = convert::explanation(explanation, period, next_page_token);
    for (line, converted) in response.lines.iter_mut().zip(conversions) {
        line.conversion = converted.map(conversion);
    }
    response.rule = format!(
        "Lines of kind expense in any currency that are not deleted and are dated {} or later and before {}. A line in another currency than {to} is \
         converted by a rate of its own day, rounded half to even; one whose day has no rate is not in the sums. Net is gross less refunds; a refund \
         is an expense with a negative amount and counts on its own date. Income, transfers and adjustments are left out.",
        period.start(),
        period.end()
    );
    response.reporting = Some(reporting(reported, to));
    Ok(response)
}

/// How figures were converted.
pub(super) fn reporting(reporting: Reporting, to: Currency) -> api::Reporting {
    let converted = reporting.converted.into_iter().map(|(currency, part)| api::ConvertedCurrency {
        currency_code: currency.code().to_owned(),
        own: Some(sums(part.own, currency)),
        reported: Some(sums(part.reported, to)),
        first_rate_date: Some(to_date(part.first)),
        last_rate_date: Some(to_date(part.last)),
        sources: part.sources.into_iter().collect(),
    });
    let unconverted = reporting.unconverted.into_iter().map(|(currency, part)| api::UnconvertedCurrency {
        currency_code: currency.code().to_owned(),
        own: Some(sums(part.own, currency)),
        missing_days: i32::try_from(part.days.len()).unwrap_or(i32::MAX),
        missing_dates: part.days.into_iter().take(MOST_DAYS).map(to_date).collect(),
    });
    api::Reporting { converted: converted.collect(), unconverted: unconverted.collect() }
}

fn conversion(conversion: LineConversion) -> api::LineConversion {
    api::LineConversion {
        amount: Some(to_money(conversion.amount)),
        rates: conversion.rates.into_iter().map(to_rate).collect(),
    }
}

fn sums(sums: Sums, currency: Currency) -> api::CurrencySums {
    let money = |minor| Some(to_money(Money::new(minor, currency)));
    api::CurrencySums {
        gross: money(sums.spending.gross()),
        refunds: money(sums.spending.refunds()),
        net: money(sums.spending.net()),
        income: money(sums.income),
        count: sums.count,
    }
}
