//! `pathway goals`: what a user saves for.

use std::process::ExitCode;

use pathway_finance::{CivilDate, Currency, Money};
use pathway_kernel::{Check, Clock, Fault, new_id};
use pathway_proto::google;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{to_date, to_money};
use serde_json::{Value, json};

use super::budget::date;
use crate::cli::{GoalAction, GoalAdd, GoalSet, Goals, OneGoal, Source};
use crate::client::{Mesh, answer, currency, decimal, request};
use crate::output::{Output, table};

const NO_GOAL: &str = "no goal: `pathway goals set 'Goa trip' --user U --target 1000.00` makes one";
/// The service's largest page.
const PAGE: i32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: Goals) -> Result<ExitCode, Fault> {
    match args.action {
        None => list(mesh, out, &args.user.unwrap_or_default()).await?,
        Some(GoalAction::List { user }) => list(mesh, out, &user).await?,
        Some(GoalAction::Show(goal)) => show(mesh, out, goal).await?,
        Some(GoalAction::Set(args)) => set(mesh, out, &args).await?,
        Some(GoalAction::Add(args)) => add(mesh, out, args).await?,
        Some(GoalAction::TakeBack { goal, contribution }) => take_back(mesh, out, goal, contribution).await?,
        Some(GoalAction::Remove(goal)) => remove(mesh, out, goal).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, out: &Output, user: &str) -> Result<(), Fault> {
    let mut message =
        api::ListGoalsRequest { user_id: user.to_owned(), page_size: PAGE, page_token: String::new() };
    let mut goals = Vec::new();
    loop {
        let page = answer(mesh.analytics.clone().list_goals(request(message.clone())).await)?;
        for goal in &page.goals {
            goals.push(document(goal)?);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        message.page_token = page.next_page_token;
    }
    let document = json!({"user": user, "goals": goals});
    out.answer(&document, || text(&document))
}

async fn show(mesh: &Mesh, out: &Output, one: OneGoal) -> Result<(), Fault> {
    let goal = get(mesh, &one).await?;
    let mut message = api::ListContributionsRequest {
        user_id: one.user.clone(),
        goal: one.goal,
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut parts = Vec::new();
    loop {
        let page = answer(mesh.analytics.clone().list_contributions(request(message.clone())).await)?;
        for part in &page.contributions {
            parts.push(contribution(part)?);
        }
        if page.next_page_token.is_empty() {
            break;
        }
        message.page_token = page.next_page_token;
    }
    let document = json!({"user": one.user, "goals": [document(&goal)?], "contributions": parts});
    out.answer(&document, || format!("{}\n\n{}", text(&document), parts_text(&document)))
}

async fn get(mesh: &Mesh, one: &OneGoal) -> Result<api::Goal, Fault> {
    let message = api::GetGoalRequest { user_id: one.user.clone(), goal: one.goal.clone() };
    let answered = answer(mesh.analytics.clone().get_goal(request(message)).await)?;
    answered.goal.ok_or_else(|| Fault::internal("a goal without content"))
}

async fn set(mesh: &Mesh, out: &Output, args: &GoalSet) -> Result<(), Fault> {
    let currency = currency(&args.currency)?;
    let mut check = Check::default();
    let amount = |text: &str| Money::parse(text, currency);
    let target = check.take("--target", amount(&args.target)).map(to_money);
    let initial =
        args.initial.as_deref().and_then(|text| check.take("--initial", amount(text))).map(to_money);
    let start = day(&mut check, "--start", args.start.as_deref());
    let deadline = day(&mut check, "--deadline", args.deadline.as_deref());
    check.done().map_err(Fault::invalid)?;
    let source = match args.source {
        None => api::GoalSource::Unspecified,
        Some(Source::Given) => api::GoalSource::Given,
        Some(Source::Transfers) => api::GoalSource::Transfers,
        Some(Source::Balance) => api::GoalSource::Balance,
    };
    let message = api::SetGoalRequest {
        user_id: args.user.clone(),
        title: args.title.clone(),
        target,
        initial,
        source: source.into(),
        account: args.account.clone().unwrap_or_default(),
        start,
        deadline,
        milestones: args.milestones.clone(),
    };
    let answered = answer(mesh.analytics.clone().set_goal(request(message)).await)?;
    print(out, &args.user, answered.goal)
}

async fn add(mesh: &Mesh, out: &Output, args: GoalAdd) -> Result<(), Fault> {
    let target = get(mesh, &args.goal).await?.target.unwrap_or_default();
    let currency: Currency = currency(&target.currency_code)?;
    let mut check = Check::default();
    let amount = check.take("amount", Money::parse(&args.amount, currency)).map(to_money);
    let day = day(&mut check, "--date", args.date.as_deref());
    check.done().map_err(Fault::invalid)?;
    let message = api::AddContributionRequest {
        user_id: args.goal.user.clone(),
        goal: args.goal.goal,
        amount,
        date: day,
        note: args.note,
        // The client's layers try again where an answer is lost: it is the same contribution then.
        request_id: new_id(Clock::system().now_us()).to_string(),
    };
    let answered = answer(mesh.analytics.clone().add_contribution(request(message)).await)?;
    print(out, &args.goal.user, answered.goal)
}

async fn take_back(mesh: &Mesh, out: &Output, goal: OneGoal, contribution_id: String) -> Result<(), Fault> {
    let OneGoal { goal, user } = goal;
    let message = api::RemoveContributionRequest { user_id: user.clone(), goal, contribution_id };
    let answered = answer(mesh.analytics.clone().remove_contribution(request(message)).await)?;
    print(out, &user, answered.goal)
}

async fn remove(mesh: &Mesh, out: &Output, goal: OneGoal) -> Result<(), Fault> {
    let OneGoal { goal, user } = goal;
    let message = api::RemoveGoalRequest { user_id: user.clone(), goal: goal.clone() };
    answer(mesh.analytics.clone().remove_goal(request(message)).await)?;
    out.answer(&json!({"user": user, "removed": goal}), || format!("{goal} is removed"))
}

fn print(out: &Output, user: &str, goal: Option<api::Goal>) -> Result<(), Fault> {
    let goal = goal.ok_or_else(|| Fault::internal("a goal without content"))?;
    let document = json!({"user": user, "goals": [document(&goal)?]});
    out.answer(&document, || text(&document))
}

fn day(check: &mut Check, field: &str, text: Option<&str>) -> Option<google::r#type::Date> {
    text.and_then(|text| check.take(field, CivilDate::parse(text))).map(to_date)
}

fn document(goal: &api::Goal) -> Result<Value, Fault> {
    let code = goal.target.as_ref().map_or("", |target| target.currency_code.as_str());
    let source = match goal.source() {
        api::GoalSource::Transfers => "transfers",
        api::GoalSource::Balance => "balance",
        api::GoalSource::Given | api::GoalSource::Unspecified => "given",
    };
    let need = goal.monthly_need.as_ref().map(|need| decimal(Some(need), code)).transpose()?;
    Ok(json!({
        "goal": goal.goal,
        "title": goal.title,
        "currency": code,
        "target": decimal(goal.target.as_ref(), code)?,
        "saved": decimal(goal.saved.as_ref(), code)?,
        "remaining": decimal(goal.remaining.as_ref(), code)?,
        "percent": goal.percent,
        "source": source,
        "account": goal.account,
        "start": date(goal.start.as_ref()),
        "deadline": date(goal.deadline.as_ref()),
        "monthly_need": need,
        "milestones": goal.milestones,
        "reached": goal.reached,
        "initial": decimal(goal.initial.as_ref(), code)?,
        "linked": decimal(goal.linked.as_ref(), code)?,
        "contributed": decimal(goal.contributed.as_ref(), code)?,
    }))
}

fn contribution(part: &api::GoalContribution) -> Result<Value, Fault> {
    let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
    Ok(json!({
        "contribution_id": id(&part.contribution_id),
        "record_id": id(&part.record_id),
        "date": date(part.date.as_ref()),
        "amount": decimal(part.amount.as_ref(), "")?,
        "text": part.text,
    }))
}

fn text(document: &Value) -> String {
    let goals = document["goals"].as_array().map(Vec::as_slice).unwrap_or_default();
    if goals.is_empty() {
        return NO_GOAL.to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let row = |entry: &Value| {
        let from = match entry["source"].as_str() {
            Some("given") | None => "by hand".to_owned(),
            Some(source) => format!("{source} of {}", cell(entry, "account")),
        };
        vec![
            cell(entry, "title"),
            format!("{} of {} {}", cell(entry, "saved"), cell(entry, "target"), cell(entry, "currency")),
            format!("{}%", entry["percent"]),
            cell(entry, "remaining"),
            cell(entry, "deadline"),
            cell(entry, "monthly_need"),
            from,
        ]
    };
    let header = ["goal", "saved", "", "left", "by", "a month", "from"];
    table(&header, &[1, 2, 3, 5], goals.iter().map(row))
}

fn parts_text(document: &Value) -> String {
    let parts = document["contributions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let goal = &document["goals"][0];
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |entry: &Value| {
        let id = entry["contribution_id"].as_str().or(entry["record_id"].as_str()).unwrap_or_default();
        let what = if entry["record_id"].is_null() { "by hand" } else { "line" };
        vec![cell(entry, "date"), cell(entry, "amount"), what.to_owned(), cell(entry, "text"), id.to_owned()]
    };
    let rows = table(&["date", "amount", "what", "text", "id"], &[1], parts.iter().map(row));
    format!("{rows}\ninitially {} {}", cell(goal, "initial"), cell(goal, "currency"))
}
