//! `pathway demo`: the bundled sample, from events to alerts.
//!
//! The sample is two months of one person's spending. Its lines name a day and how many months ago, so that the second month is always the
//! current one: a line whose day is still to come is dated today. Event ids carry the month, so a second replay adds nothing.

use std::process::ExitCode;
use std::time::Duration;

use pathway_finance::Money;
use pathway_finance::{CivilDate, TimeZone};
use pathway_kernel::{Clock, Fault};
use pathway_proto::pathway::analytics::v1::{BudgetLimit, PeriodKind, SetBudgetsRequest};
use pathway_rpc::to_money;
use serde_json::{Value, json};

use super::publish::{Report, send_all, wait};
use super::{notifications, spending};
use crate::cli::{Demo, Spending};
use crate::client::{Mesh, answer, currency, request};
use crate::output::{Output, line};

const SAMPLE: &str = include_str!("../../demo/sample.jsonl");
const CURRENCY: &str = "INR";
const ZONE: &str = "Asia/Kolkata";
/// Monthly limits, in rupees.
const LIMITS: [(&str, &str); 5] = [
    ("dining", "6000.00"),
    ("groceries", "8000.00"),
    ("shopping", "7500.00"),
    ("entertainment", "3000.00"),
    ("transport", "4000.00"),
];
/// Ample for 78 events on a slow disk.
const PROCESS_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Demo) -> Result<ExitCode, Fault> {
    set_budget(mesh, &args.user).await?;
    let today = today()?;
    let mut report = Report::default();
    send_all(mesh, "transactions", events(&args.user, today)?.as_bytes(), &mut report).await?;
    wait(mesh, "transactions", &report, PROCESS_WITHIN).await?;
    if let Some((number, fault)) = report.refused.into_iter().next() {
        return Err(Fault::internal(format!("line {number} of the sample was refused: {fault}")));
    }
    if !out.is_json() {
        line(&format!("published {} events of {}'s last two months\n", report.accepted, args.user))?;
        let period = Some(format!("{:04}-{:02}", today.year(), today.month()));
        let asked = Spending { user: args.user.clone(), period, currency: None, reporting: None, by: None };
        spending::run(mesh, out, &asked).await?;
        line("\nwhat followed:")?;
    }
    let (notices, unread) = notifications::list(mesh, &args.user, 0).await?;
    let document = json!({"user": args.user, "accepted": report.accepted, "notifications": notices.len(), "unread": unread});
    out.answer(&document, || notices.iter().map(notifications::text).collect::<Vec<_>>().join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn set_budget(mesh: &Mesh, user: &str) -> Result<(), Fault> {
    let currency = currency(CURRENCY)?;
    let mut limits = Vec::with_capacity(LIMITS.len());
    for (category, limit) in LIMITS {
        let limit = Money::parse(limit, currency).map_err(Fault::internal)?;
        let (category, limit) = (category.to_owned(), Some(to_money(limit)));
        limits.push(BudgetLimit { category, limit, ..BudgetLimit::default() });
    }
    let message = SetBudgetsRequest {
        user_id: user.to_owned(),
        limits,
        period_kind: PeriodKind::Month.into(),
        time_zone: ZONE.to_owned(),
        ..SetBudgetsRequest::default()
    };
    answer(mesh.analytics.clone().set_budgets(request(message)).await).map(|_| ())
}

fn today() -> Result<CivilDate, Fault> {
    let zone = TimeZone::parse(ZONE).map_err(Fault::internal)?;
    CivilDate::from_instant_us(Clock::system().now_us(), &zone).map_err(Fault::internal)
}

/// The sample as events of `user`, one a line.
fn events(user: &str, today: CivilDate) -> Result<String, Fault> {
    let mut events = String::new();
    for (index, text) in SAMPLE.lines().enumerate() {
        let mut event: Value = serde_json::from_str(text).map_err(Fault::internal)?;
        let months_ago = event["months_ago"].as_i64().unwrap_or(0);
        let day = event["day"].as_i64().and_then(|day| i8::try_from(day).ok()).unwrap_or(1);
        let date = date(today, months_ago, day).map_err(Fault::internal)?;
        if let Some(fields) = event.as_object_mut() {
            fields.remove("months_ago");
            fields.remove("day");
            fields.insert(
                "id".to_owned(),
                json!(format!("sample-{:04}-{:02}-{index:03}", today.year(), today.month())),
            );
            fields.insert("user_id".to_owned(), json!(user));
            fields.insert("currency".to_owned(), json!(CURRENCY));
            fields.insert("transaction_date".to_owned(), json!(date.to_string()));
        }
        events.push_str(&event.to_string());
        events.push('\n');
    }
    Ok(events)
}

fn date(today: CivilDate, months_ago: i64, day: i8) -> Result<CivilDate, pathway_finance::DateError> {
    if months_ago == 0 {
        return CivilDate::new(today.year(), today.month(), day.min(today.day()));
    }
    match today.month() {
        1 => CivilDate::new(today.year() - 1, 12, day),
        month => CivilDate::new(today.year(), month - 1, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_never_lies_in_the_future() {
        for today in [CivilDate::new(2026, 1, 1).unwrap(), CivilDate::new(2026, 11, 24).unwrap()] {
            for line in events("u", today).unwrap().lines() {
                let event: Value = serde_json::from_str(line).unwrap();
                assert!(
                    CivilDate::parse(event["transaction_date"].as_str().unwrap()).unwrap() <= today,
                    "{line}"
                );
            }
        }
    }
}
