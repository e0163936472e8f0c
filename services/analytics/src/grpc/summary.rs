//! Trends, summaries, and where budgets stand.

use std::collections::BTreeSet;

use pathway_finance::{
    Currency, Money, Period, PeriodKind, Totals, buckets, category_key, change_percent, percent,
};
use pathway_kernel::Check;
use pathway_proto::google::r#type as google;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{status, to_date, to_money};
use tonic::{Response, Status};

use super::convert::{self, CATEGORY, USER_ID};
use super::reporting;
use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::summary::{BudgetStatus, CategoryLine, Level, PeriodFigures, TrendQuestion, Wanted};

/// The most points of a trend.
const MOST_BUCKETS: usize = 1000;
/// The most categories that a request names.
const MOST_CATEGORIES: usize = 100;

/// Trends over a range.
pub(super) async fn trends(
    figures: &Figures,
    request: api::ListTrendsRequest,
) -> Result<Response<api::ListTrendsResponse>, Status> {
    let (question, to) = trend_question(&request).map_err(status)?;
    let buckets = question.buckets.clone();
    let (trends, reported) = match to {
        None => (figures.trends(question).await.map_err(status)?, None),
        Some(to) => {
            let (trends, reported) = figures.reported_trends(question, to).await.map_err(status)?;
            (trends, Some(reporting::reporting(reported, to)))
        }
    };
    let currency = trends.currency;
    let total = match trends.total {
        Some((spending, income)) => {
            let points = buckets.iter().zip(spending).zip(income);
            let points =
                points.map(|((bucket, spent), income)| total_point(*bucket, spent, income, currency));
            let points = points.collect::<Result<_, _>>().map_err(status)?;
            Some(api::Trend { category: String::new(), points })
        }
        None => None,
    };
    let of_category = |(category, points): (String, Vec<Totals>)| api::Trend {
        category,
        points: buckets.iter().zip(points).map(|(bucket, totals)| point(*bucket, totals, currency)).collect(),
    };
    let trends = total.into_iter().chain(trends.categories.into_iter().map(of_category)).collect();
    Ok(Response::new(api::ListTrendsResponse {
        currency_code: currency.code().to_owned(),
        trends,
        reporting: reported,
    }))
}

/// A period beside the one before it and the budgets.
pub(super) async fn summary(
    figures: &Figures,
    request: api::GetSummaryRequest,
) -> Result<Response<api::GetSummaryResponse>, Status> {
    let refused = |error: AnalyticsError| status(error);
    let is_open = request.start.is_none() && request.end.is_none();
    let mut check = Check::default();
    let codes = (&*request.reporting_currency_code, &*request.currency_code);
    let to = reporting::currency(&mut check, codes);
    let (user_id, period, currency) = if is_open {
        check.required("user_id", &request.user_id, USER_ID);
        let currency = convert::currency(&mut check, &request.currency_code);
        check.done().map_err(|violations| refused(violations.into()))?;
        (request.user_id, None, currency)
    } else {
        let span = (request.start.as_ref(), request.end.as_ref());
        let scope = convert::checked_scope(&mut check, &request.user_id, span, &request.currency_code);
        check.done().map_err(|violations| refused(violations.into()))?;
        let scope =
            scope.ok_or_else(|| refused(AnalyticsError::invalid("end", "must be after the first day")))?;
        (scope.user_id, Some(scope.period), scope.currency)
    };
    let (summary, reported) = match to {
        None => (figures.summary(user_id, period, currency).await.map_err(status)?, None),
        Some(to) => {
            let (summary, both) = figures.reported_summary(user_id, period, to).await.map_err(status)?;
            (summary, Some(both.map(|reported| reporting::reporting(reported, to))))
        }
    };
    let (reporting, previous_reporting) = reported.map(|[now, before]| (now, before)).unzip();
    let code = summary.current.spending.currency;
    Ok(Response::new(api::GetSummaryResponse {
        currency_code: code.code().to_owned(),
        period: Some(period_summary(&summary.current).map_err(status)?),
        previous: Some(period_summary(&summary.previous).map_err(status)?),
        change_percent: summary.change_percent(),
        categories: summary.categories().into_iter().map(|line| category_line(line, code)).collect(),
        other_currency_codes: summary.current.spending.others,
        reporting,
        previous_reporting,
    }))
}

/// Where a user's budgets stand.
pub(super) async fn budget_status(
    figures: &Figures,
    request: api::GetBudgetStatusRequest,
) -> Result<Response<api::GetBudgetStatusResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    check.text("category", &request.category, CATEGORY);
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let category = category_key(&request.category);
    let mut budgets = figures.budgets(request.user_id).await.map_err(status)?;
    budgets.retain(|budget| request.category.is_empty() || budget.category == category);
    let status_of = |budget: crate::store::Budget| -> Result<api::BudgetStatus, AnalyticsError> {
        let stands = BudgetStatus::of(&budget.standing)?;
        let days = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
        Ok(api::BudgetStatus {
            budget: Some(super::budgets::budget(budget)),
            state: level(stands.level).into(),
            remaining: Some(to_money(stands.remaining)),
            projected: Some(to_money(stands.projected)),
            projected_state: level(stands.projected_level).into(),
            daily_allowance: Some(to_money(stands.daily_allowance)),
            days_elapsed: days(stands.days_elapsed),
            days_total: days(stands.days_total),
        })
    };
    let budgets = budgets.into_iter().map(status_of).collect::<Result<_, _>>().map_err(status)?;
    Ok(Response::new(api::GetBudgetStatusResponse { budgets }))
}

/// Which trends, and in which currency they are reported.
fn trend_question(
    request: &api::ListTrendsRequest,
) -> Result<(TrendQuestion, Option<Currency>), AnalyticsError> {
    let mut check = Check::default();
    let codes = (&*request.reporting_currency_code, &*request.currency_code);
    let to = reporting::currency(&mut check, codes);
    let span = (request.start.as_ref(), request.end.as_ref());
    let scope = convert::checked_scope(&mut check, &request.user_id, span, &request.currency_code);
    let kind = match api::TrendBucket::try_from(request.bucket) {
        Ok(api::TrendBucket::Unspecified | api::TrendBucket::Month) => Ok(Some(PeriodKind::MONTH)),
        Ok(api::TrendBucket::Week) => Ok(Some(PeriodKind::Week { start_weekday: 1 })),
        Ok(api::TrendBucket::Day) => Ok(None),
        Err(_) => Err("is no bucket"),
    };
    let kind = check.take("bucket", kind);
    check.at_most("categories", request.categories.len(), MOST_CATEGORIES);
    for category in &request.categories {
        check.required("categories", category, CATEGORY);
    }
    let both = request.by_category && !request.categories.is_empty();
    check.note("by_category", both.then_some("must be false where categories are named"));
    let cut = scope
        .as_ref()
        .zip(kind)
        .and_then(|(scope, kind)| check.take("end", buckets(scope.period, kind, MOST_BUCKETS)));
    let is_long = cut.as_ref().is_some_and(Option::is_none);
    let advice = format!("makes more than {MOST_BUCKETS} buckets: shorten the range or take longer ones");
    check.note("end", is_long.then_some(advice));
    check.done()?;
    let wanted = if request.by_category {
        Wanted::All
    } else if request.categories.is_empty() {
        Wanted::Total
    } else {
        Wanted::Categories(
            request.categories.iter().map(|name| convert::bucket(name)).collect::<BTreeSet<_>>(),
        )
    };
    match (scope, cut.flatten()) {
        (Some(scope), Some(buckets)) => Ok((TrendQuestion { scope, buckets, wanted }, to)),
        _ => Err(AnalyticsError::invalid("end", "must be after the first day")),
    }
}

fn point(bucket: Period, totals: Totals, currency: Currency) -> api::TrendPoint {
    api::TrendPoint {
        start: Some(to_date(bucket.start())),
        end: Some(to_date(bucket.end())),
        spending: Some(convert::totals(totals, currency)),
        income: None,
        net: None,
    }
}

fn total_point(
    bucket: Period,
    totals: Totals,
    income: i64,
    currency: Currency,
) -> Result<api::TrendPoint, AnalyticsError> {
    let net = income.checked_sub(totals.net()).ok_or(pathway_finance::Overflow)?;
    Ok(api::TrendPoint {
        income: money(income, currency),
        net: money(net, currency),
        ..point(bucket, totals, currency)
    })
}

fn period_summary(figures: &PeriodFigures) -> Result<api::PeriodSummary, AnalyticsError> {
    let currency = figures.spending.currency;
    Ok(api::PeriodSummary {
        start: Some(to_date(figures.period.start())),
        end: Some(to_date(figures.period.end())),
        spending: Some(convert::totals(figures.spending.total, currency)),
        income: money(figures.income, currency),
        net: money(figures.net()?, currency),
        savings_percent: figures.savings_percent(),
    })
}

fn category_line(line: CategoryLine, currency: Currency) -> api::CategorySummary {
    let net = line.spending.net();
    api::CategorySummary {
        category: line.category,
        spending: Some(convert::totals(line.spending, currency)),
        previous: money(line.previous, currency),
        change_percent: change_percent(net, line.previous),
        limit: line.limit.map(to_money),
        limit_percent: line.limit.and_then(|limit| percent(net, limit.minor())),
    }
}

const fn level(level: Level) -> api::BudgetState {
    match level {
        Level::Good => api::BudgetState::Good,
        Level::Warning => api::BudgetState::Warning,
        Level::Over => api::BudgetState::Over,
    }
}

fn money(minor: i64, currency: Currency) -> Option<google::Money> {
    Some(to_money(Money::new(minor, currency)))
}
