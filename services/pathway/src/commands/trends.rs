//! `pathway trends`: spending over a range, with a line of it at a glance.

use std::process::ExitCode;

use pathway_finance::{CivilDate, Money, Period, PeriodKind, TimeZone};
use pathway_kernel::{Clock, Fault};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{from_money, to_date};
use serde_json::{Value, json};

use super::budget::date;
use super::reporting;
use super::spending::period;
use crate::cli::{Bucket, Trends};
use crate::client::{Mesh, answer, decimal, request};
use crate::output::{Output, table};

/// From nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Trends) -> Result<ExitCode, Fault> {
    let range = match &args.period {
        Some(text) => period(Some(text))?.1,
        None => last_twelve_months()?,
    };
    let bucket = match args.by {
        Bucket::Day => api::TrendBucket::Day,
        Bucket::Week => api::TrendBucket::Week,
        Bucket::Month => api::TrendBucket::Month,
    };
    let message = api::ListTrendsRequest {
        user_id: args.user.clone(),
        start: Some(to_date(range.start())),
        end: Some(to_date(range.end())),
        bucket: bucket.into(),
        categories: args.category.clone(),
        by_category: args.categories,
        currency_code: args.currency.clone().unwrap_or_default(),
        reporting_currency_code: args.reporting.clone().unwrap_or_default(),
    };
    let answered = answer(mesh.analytics.clone().list_trends(request(message)).await)?;
    let document = document(&args.user, &answered)?;
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

fn last_twelve_months() -> Result<Period, Fault> {
    let today = CivilDate::from_instant_us(Clock::system().now_us(), &TimeZone::utc());
    let twelve = today.and_then(|today| {
        let end = PeriodKind::MONTH.period_of(today)?.end();
        let start = CivilDate::new(end.year() - 1, end.month(), 1)?;
        Period::new(start, end)
    });
    twelve.map_err(Fault::internal)
}

fn document(user: &str, answered: &api::ListTrendsResponse) -> Result<Value, Fault> {
    let code = &answered.currency_code;
    let mut trends = Vec::with_capacity(answered.trends.len());
    for trend in &answered.trends {
        let (mut points, mut spent) = (Vec::with_capacity(trend.points.len()), Vec::new());
        for point in &trend.points {
            let net = point.spending.as_ref().and_then(|totals| totals.net.as_ref());
            spent.push(
                net.map_or(Ok(0), |net| from_money(Some(net)).map(Money::minor))
                    .map_err(|_| Fault::internal("a point of a trend without an amount"))?,
            );
            points.push(json!({
                "start": date(point.start.as_ref()),
                "end": date(point.end.as_ref()),
                "spent": decimal(net, code)?,
                "count": point.spending.as_ref().map_or(0, |totals| totals.count),
                "income": point.income.as_ref().map(|income| decimal(Some(income), code)).transpose()?,
                "net": point.net.as_ref().map(|net| decimal(Some(net), code)).transpose()?,
            }));
        }
        let name = (!trend.category.is_empty()).then_some(&trend.category);
        trends.push(json!({"category": name, "sparkline": sparkline(&spent), "points": points}));
    }
    let reporting = answered.reporting.as_ref();
    let reporting = reporting.map(|reporting| reporting::document(reporting, code)).transpose()?;
    Ok(json!({"user": user, "currency": code, "trends": trends, "reporting": reporting}))
}

/// A bar for each amount, as a part of the largest. Nothing, and less than nothing, is the lowest.
fn sparkline(amounts: &[i64]) -> String {
    let most = i128::from(amounts.iter().copied().max().unwrap_or(0).max(1));
    let bar = |amount: &i64| {
        // Rounded to the nearest of seven steps above the lowest.
        let step = (i128::from((*amount).max(0)) * 14 + most) / (most * 2);
        usize::try_from(step).ok().and_then(|step| BARS.get(step)).copied().unwrap_or(BARS[7])
    };
    amounts.iter().map(bar).collect()
}

fn text(document: &Value) -> String {
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let trends = list(&document["trends"]);
    let name = |trend: &Value| trend["category"].as_str().unwrap_or("total").to_owned();
    let row = |trend: &Value| {
        let latest = list(&trend["points"]).last().map(|point| cell(point, "spent"));
        vec![name(trend), cell(trend, "sparkline"), latest.unwrap_or_default()]
    };
    let title = format!("{}, spent in {}", cell(document, "user"), cell(document, "currency"));
    let overview = table(&["", "trend", "latest"], &[2], trends.iter().map(row));
    let reported = reporting::text(&document["reporting"]);
    let [trend] = trends.as_slice() else { return format!("{title}\n{overview}{reported}") };
    let is_total = trend["category"].is_null();
    let points = list(&trend["points"]).into_iter().map(|point| {
        let keys: &[&str] = if is_total { &["start", "spent", "income", "net"] } else { &["start", "spent"] };
        keys.iter().map(|key| cell(&point, key)).collect()
    });
    let header: &[&str] = if is_total { &["from", "spent", "income", "net"] } else { &["from", "spent"] };
    format!("{title}\n{overview}\n\n{}{reported}", table(header, &[1, 2, 3], points))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_has_a_bar_for_each_amount() {
        assert_eq!(sparkline(&[0, 100, 200, 400, 700]), "▁▂▃▅█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[-50, i64::MAX]), "▁█");
        assert_eq!(sparkline(&[]), "");
    }
}
