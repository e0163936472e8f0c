//! `pathway budget`.

mod closed;

use std::collections::BTreeSet;
use std::process::ExitCode;

use pathway_finance::{CivilDate, Money, category_key};
use pathway_kernel::{Fault, Violation};
use pathway_proto::google::r#type::Date;
use pathway_proto::pathway::analytics::v1::{
    Budget, BudgetLimit, BudgetState, GetBudgetStatusRequest, ListBudgetsRequest, PeriodKind, Rollover,
    SetBudgetsRequest, set_budget_result,
};
use pathway_rpc::{from_item_status, to_date, to_money};
use serde_json::{Value, json};

use crate::cli::{self, BudgetPeriod, BudgetSet};
use crate::client::{Mesh, answer, currency, decimal, request};
use crate::output::{Output, print_fault, table};

const NO_BUDGET: &str = "no budget: `pathway budget set --user U --limit groceries=300.00` makes one";

pub(crate) async fn run(mesh: &Mesh, out: &Output, action: &cli::Budget) -> Result<ExitCode, Fault> {
    match action {
        cli::Budget::Set(args) => set(mesh, out, args).await,
        cli::Budget::Show { user } => show(mesh, out, user).await,
        cli::Budget::Status { user } => status(mesh, out, user).await,
        cli::Budget::Closed(args) => closed::run(mesh, out, args).await,
    }
}

async fn set(mesh: &Mesh, out: &Output, args: &BudgetSet) -> Result<ExitCode, Fault> {
    let period_kind = match args.period {
        BudgetPeriod::Week => PeriodKind::Week,
        BudgetPeriod::TwoWeeks => PeriodKind::TwoWeeks,
        BudgetPeriod::HalfMonth => PeriodKind::HalfMonth,
        BudgetPeriod::Days => PeriodKind::Days,
        BudgetPeriod::Month => PeriodKind::Month,
        BudgetPeriod::Quarter => PeriodKind::Quarter,
        BudgetPeriod::Year => PeriodKind::Year,
    };
    let message = SetBudgetsRequest {
        user_id: args.user.clone(),
        limits: limits(args)?,
        period_kind: period_kind.into(),
        time_zone: args.time_zone.clone().unwrap_or_default(),
        start_day: args.start_day.unwrap_or_default(),
        anchor: args.anchor.as_deref().map(anchor).transpose()?,
        length_days: args.days.unwrap_or_default(),
    };
    let response = answer(mesh.analytics.clone().set_budgets(request(message)).await)?;
    let mut budgets = Vec::with_capacity(response.results.len());
    let mut refused = false;
    for (result, text) in response.results.into_iter().zip(&args.limits) {
        match result.result {
            Some(set_budget_result::Result::Budget(budget)) => budgets.push(budget),
            Some(set_budget_result::Result::Error(status)) => {
                refused = true;
                for violation in from_item_status(status).violations() {
                    print_fault(&Fault::invalid(vec![Violation::new(text, violation.description.clone())]));
                }
            }
            None => return Err(Fault::internal("a budget result without content")),
        }
    }
    if !budgets.is_empty() {
        print(out, &args.user, &budgets)?;
    }
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn show(mesh: &Mesh, out: &Output, user: &str) -> Result<ExitCode, Fault> {
    let message = ListBudgetsRequest { user_id: user.to_owned() };
    let response = answer(mesh.analytics.clone().list_budgets(request(message)).await)?;
    print(out, user, &response.budgets)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the budgets stand, and where they will at the end of their periods.
async fn status(mesh: &Mesh, out: &Output, user: &str) -> Result<ExitCode, Fault> {
    let message = GetBudgetStatusRequest { user_id: user.to_owned(), category: String::new() };
    let response = answer(mesh.analytics.clone().get_budget_status(request(message)).await)?;
    let mut entries = Vec::with_capacity(response.budgets.len());
    for status in &response.budgets {
        let budget = status.budget.clone().unwrap_or_default();
        let code = budget.limit.as_ref().map_or("", |limit| limit.currency_code.as_str()).to_owned();
        entries.push(json!({
            "category": budget.category,
            "currency": code,
            "state": level(status.state()),
            "limit": decimal(budget.limit.as_ref(), &code)?,
            "spent": decimal(budget.spent.as_ref(), &code)?,
            "percent": budget.percent,
            "remaining": decimal(status.remaining.as_ref(), &code)?,
            "projected": decimal(status.projected.as_ref(), &code)?,
            "projected_state": level(status.projected_state()),
            "daily_allowance": decimal(status.daily_allowance.as_ref(), &code)?,
            "days_elapsed": status.days_elapsed,
            "days_total": status.days_total,
        }));
    }
    let document = json!({"user": user, "budgets": entries});
    out.answer(&document, || status_text(&document))?;
    Ok(ExitCode::SUCCESS)
}

const fn level(state: BudgetState) -> &'static str {
    match state {
        BudgetState::Warning => "warning",
        BudgetState::Over => "over",
        BudgetState::Good | BudgetState::Unspecified => "good",
    }
}

fn status_text(document: &Value) -> String {
    let entries = document["budgets"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return NO_BUDGET.to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |entry: &Value| {
        vec![
            cell(entry, "category"),
            cell(entry, "state"),
            format!("{} of {} {}", cell(entry, "spent"), cell(entry, "limit"), cell(entry, "currency")),
            cell(entry, "remaining"),
            cell(entry, "daily_allowance"),
            format!("{} ({})", cell(entry, "projected"), cell(entry, "projected_state")),
            format!("{} of {}", entry["days_elapsed"], entry["days_total"]),
        ]
    };
    let header = ["category", "state", "spent", "left", "a day", "projected", "day"];
    table(&header, &[2, 3, 4, 5, 6], entries.iter().map(row))
}

fn anchor(text: &str) -> Result<Date, Fault> {
    let day = CivilDate::parse(text);
    day.map(to_date).map_err(|error| Fault::invalid(vec![Violation::new("--anchor", error.to_string())]))
}

const fn rollover(args: &BudgetSet) -> Rollover {
    match args.rollover {
        None => Rollover::Unspecified,
        Some(cli::Rollover::Off) => Rollover::Off,
        Some(cli::Rollover::Positive) => Rollover::Positive,
        Some(cli::Rollover::All) => Rollover::All,
    }
}

/// Every `CATEGORY=AMOUNT`, or every one that is wrong.
fn limits(args: &BudgetSet) -> Result<Vec<BudgetLimit>, Fault> {
    let currency = currency(&args.currency)?;
    let (mut limits, mut violations, mut keys) = (Vec::new(), Vec::new(), BTreeSet::new());
    for text in &args.limits {
        let Some((category, amount)) = text.split_once('=') else {
            violations.push(Violation::new(text, "give a category and its limit, such as groceries=300.00"));
            continue;
        };
        let key = category_key(category);
        match Money::parse(amount, currency) {
            Ok(limit) if limit.minor() < 0 => violations.push(Violation::new(text, "must not be negative")),
            Ok(_) if !keys.insert(key) => violations.push(Violation::new(text, "names its category twice")),
            Ok(limit) => {
                let (category, limit) = (category.to_owned(), Some(to_money(limit)));
                limits.push(BudgetLimit {
                    category,
                    limit,
                    thresholds: args.thresholds.clone(),
                    rollover: rollover(args).into(),
                    pace_alert: args.pace,
                    categories: args.group.clone(),
                });
            }
            Err(error) => violations.push(Violation::new(text, error.to_string())),
        }
    }
    if !args.group.is_empty() && args.limits.len() > 1 {
        violations.push(Violation::new("--group", "is of one limit: set the others by themselves"));
    }
    if violations.is_empty() { Ok(limits) } else { Err(Fault::invalid(violations)) }
}

fn print(out: &Output, user: &str, budgets: &[Budget]) -> Result<(), Fault> {
    let mut entries = Vec::with_capacity(budgets.len());
    for budget in budgets {
        let code = budget.limit.as_ref().map_or("", |limit| limit.currency_code.as_str());
        entries.push(json!({
            "category": budget.category,
            "currency": code,
            "limit": decimal(budget.limit.as_ref(), code)?,
            "spent": decimal(budget.spent.as_ref(), code)?,
            "percent": budget.percent,
            "available": decimal(budget.available.as_ref(), code)?,
            "carried": decimal(budget.carried.as_ref(), code)?,
            "thresholds": budget.thresholds,
            "rollover": match budget.rollover() {
                Rollover::Positive => "positive",
                Rollover::All => "all",
                Rollover::Off | Rollover::Unspecified => "off",
            },
            "pace": budget.pace_alert,
            "categories": budget.categories,
            "revision": budget.revision,
            "period_start": date(budget.period_start.as_ref()),
            "period_end": date(budget.period_end.as_ref()),
            "changes_on": date(budget.changes_on.as_ref()),
        }));
    }
    let document = json!({"user": user, "budgets": entries});
    out.answer(&document, || text(&document))
}

fn text(document: &Value) -> String {
    let entries = document["budgets"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return NO_BUDGET.to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let rows = entries.iter().map(|entry| {
        let percent =
            entry["percent"].as_i64().map_or_else(|| "over".to_owned(), |percent| format!("{percent}%"));
        vec![
            cell(entry, "category"),
            format!("{} {}", cell(entry, "limit"), cell(entry, "currency")),
            cell(entry, "spent"),
            percent,
            format!("{} to {}", cell(entry, "period_start"), cell(entry, "period_end")),
        ]
    });
    let mut text = table(&["category", "limit", "spent", "of it", "period (end excluded)"], &[1, 2, 3], rows);
    for entry in entries.iter().filter(|entry| !entry["changes_on"].is_null()) {
        let (category, day) = (cell(entry, "category"), cell(entry, "changes_on"));
        text.push_str(&format!("\n{category}: another period or time zone holds from {day}"));
    }
    text
}

/// A date from the wire as text.
pub(crate) fn date(date: Option<&Date>) -> Option<String> {
    let date = date?;
    let (year, month, day) =
        (i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?);
    CivilDate::new(year, month, day).ok().map(|date| date.to_string())
}
