//! Savings goals.

use std::collections::BTreeSet;

use pathway_finance::{CivilDate, GoalSource, Money, category_key, monthly_need};
use pathway_kernel::{Check, new_id};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{Pages, from_date, from_money, status, to_date, to_money};
use tonic::{Response, Status};
use uuid::Uuid;

use super::convert::{ACCOUNT, CATEGORY, USER_ID};
use crate::error::AnalyticsError;
use crate::goal::{Contribution, GoalView, NewContribution, NewGoal};
use crate::service::Figures;
use crate::store::{ContributionQuestion, GoalQuestion, Place};

/// The most milestones of a goal.
const MOST_MILESTONES: usize = 10;
/// The longest note, in bytes.
const NOTE: usize = 1024;

/// Sets a goal.
pub(super) async fn set(
    figures: &Figures,
    request: api::SetGoalRequest,
) -> Result<Response<api::SetGoalResponse>, Status> {
    let new = new_goal(request).map_err(status)?;
    let view = figures.set_goal(new).await.map_err(status)?;
    Ok(Response::new(api::SetGoalResponse { goal: Some(goal(view).map_err(status)?) }))
}

/// A page of a user's goals.
pub(super) async fn list(
    figures: &Figures,
    request: api::ListGoalsRequest,
) -> Result<Response<api::ListGoalsResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    done(check)?;
    let pages = Pages::of("ListGoals", &[&request.user_id]);
    let after = pages.place(&request.page_token).map_err(wrong_token)?.unwrap_or_default();
    let question = GoalQuestion { user_id: request.user_id, after, limit: limit + 1 };
    let mut views = figures.goals(question).await.map_err(status)?;
    let has_more = cut(&mut views, limit);
    let last = views.last().filter(|_| has_more);
    let next_page_token = last.map_or_else(String::new, |view| pages.token(&view.goal.name));
    let goals = views.into_iter().map(goal).collect::<Result<_, _>>().map_err(status)?;
    Ok(Response::new(api::ListGoalsResponse { goals, next_page_token }))
}

/// One goal.
pub(super) async fn get(
    figures: &Figures,
    request: api::GetGoalRequest,
) -> Result<Response<api::GetGoalResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let name = name(&mut check, &request.goal);
    done(check)?;
    let view = figures.goal(request.user_id, name).await.map_err(status)?;
    Ok(Response::new(api::GetGoalResponse { goal: Some(goal(view).map_err(status)?) }))
}

/// Removes a goal.
pub(super) async fn remove(
    figures: &Figures,
    request: api::RemoveGoalRequest,
) -> Result<Response<api::RemoveGoalResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let name = name(&mut check, &request.goal);
    done(check)?;
    figures.remove_goal(request.user_id, name).await.map_err(status)?;
    Ok(Response::new(api::RemoveGoalResponse {}))
}

/// Notes what was contributed by hand.
pub(super) async fn contribute(
    figures: &Figures,
    request: api::AddContributionRequest,
) -> Result<Response<api::AddContributionResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let goal_name = name(&mut check, &request.goal);
    let amount = check.take("amount", from_money(request.amount.as_ref()));
    let amount = amount.and_then(|amount| check.take("amount", amount.of_line()));
    check.note("amount", amount.is_some_and(|amount| amount.minor() == 0).then_some("must not be zero"));
    let day = day(&mut check, "date", request.date);
    check.text("note", &request.note, NOTE);
    check.request_id("request_id", &request.request_id);
    done(check)?;
    let id = Uuid::try_parse(&request.request_id).unwrap_or_else(|_| new_id(figures.now_us()));
    let amount = amount.ok_or_else(|| status(AnalyticsError::invalid("amount", "is required")))?;
    let new =
        NewContribution { user_id: request.user_id, goal: goal_name, id, amount, day, note: request.note };
    let (made, view) = figures.contribute(new).await.map_err(status)?;
    let contribution = Some(contribution(made, view.goal.terms.target));
    let goal = Some(goal(view).map_err(status)?);
    Ok(Response::new(api::AddContributionResponse { contribution, goal }))
}

/// Takes back what was contributed by hand.
pub(super) async fn take_back(
    figures: &Figures,
    request: api::RemoveContributionRequest,
) -> Result<Response<api::RemoveContributionResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let name = name(&mut check, &request.goal);
    check.required("contribution_id", &request.contribution_id, USER_ID);
    done(check)?;
    // What is no id names nothing, as one of somebody else's does.
    let id = Uuid::try_parse(&request.contribution_id).unwrap_or_default();
    let view = figures.take_back(request.user_id, name, id).await.map_err(status)?;
    Ok(Response::new(api::RemoveContributionResponse { goal: Some(goal(view).map_err(status)?) }))
}

/// A page of what a goal's progress is made of.
pub(super) async fn contributions(
    figures: &Figures,
    request: api::ListContributionsRequest,
) -> Result<Response<api::ListContributionsResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let name = name(&mut check, &request.goal);
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    done(check)?;
    let pages = Pages::of("ListContributions", &[&request.user_id, &name]);
    let place = |text: String| {
        let (day, id) = text.split_once('.')?;
        Some(Place { day: day.parse().ok()?, record_id: Uuid::parse_str(id).ok()? })
    };
    let after = pages.place(&request.page_token).map_err(wrong_token)?.and_then(place);
    let question = ContributionQuestion { user_id: request.user_id, goal: name, after, limit: limit + 1 };
    let (target, mut parts) = figures.contributions(question).await.map_err(status)?;
    let has_more = cut(&mut parts, limit);
    let token = |part: &Contribution| pages.token(&format!("{}.{}", part.day.epoch_days(), part.id.simple()));
    let next_page_token = parts.last().filter(|_| has_more).map_or_else(String::new, token);
    let contributions = parts.into_iter().map(|part| contribution(part, target)).collect();
    Ok(Response::new(api::ListContributionsResponse { contributions, next_page_token }))
}

/// A goal to set, or everything that is wrong with it.
pub(super) fn new_goal(request: api::SetGoalRequest) -> Result<NewGoal, AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    check.required("title", &request.title, CATEGORY);
    let name = category_key(&request.title);
    if !request.title.is_empty() {
        check.note("title", name.is_empty().then_some("has neither a letter nor a digit"));
    }
    let target = check.take("target", from_money(request.target.as_ref()));
    let target = target.and_then(|target| check.take("target", target.of_line()));
    check
        .note("target", target.is_some_and(|target| target.minor() <= 0).then_some("must be more than zero"));
    let opening =
        request.initial.as_ref().and_then(|initial| check.take("initial", from_money(Some(initial))));
    let opening = opening.and_then(|opening| check.take("initial", opening.of_line()));
    let is_other =
        target.zip(opening).is_some_and(|(target, opening)| target.currency() != opening.currency());
    check.note("initial", is_other.then_some("must be in the currency of the target"));
    let source = match api::GoalSource::try_from(request.source) {
        Ok(api::GoalSource::Unspecified) => Ok(None),
        Ok(api::GoalSource::Given) => Ok(Some(GoalSource::Given)),
        Ok(api::GoalSource::Transfers) => Ok(Some(GoalSource::Transfers)),
        Ok(api::GoalSource::Balance) => Ok(Some(GoalSource::Balance)),
        Err(_) => Err("is no source"),
    };
    let source = check.take("source", source).flatten();
    check.text("account", &request.account, ACCOUNT);
    let is_idle = source == Some(GoalSource::Given) && !request.account.is_empty();
    check.note("account", is_idle.then_some("must be absent where no line counts (GIVEN)"));
    let start = day(&mut check, "start", request.start);
    let deadline = day(&mut check, "deadline", request.deadline);
    check.at_most("milestones", request.milestones.len(), MOST_MILESTONES);
    let is_wrong = request.milestones.iter().any(|percent| !(1..=100).contains(percent));
    check.note("milestones", is_wrong.then_some("must be from 1 to 100"));
    let milestones: BTreeSet<i64> = request.milestones.iter().copied().map(i64::from).collect();
    check.done()?;
    let target = target.ok_or_else(|| AnalyticsError::invalid("target", "is required"))?;
    Ok(NewGoal {
        user_id: request.user_id,
        name,
        title: request.title,
        target,
        opening: opening.map(Money::minor),
        saved: None,
        source,
        account: (!request.account.is_empty()).then_some(request.account),
        start,
        deadline,
        milestones: (!milestones.is_empty()).then(|| milestones.into_iter().collect()),
    })
}

/// A goal as it is shown.
pub(super) fn goal(view: GoalView) -> Result<api::Goal, AnalyticsError> {
    let GoalView { goal, today } = view;
    let (saved, percent) = (goal.saved()?, goal.percent()?);
    let (terms, target) = (&goal.terms, goal.terms.target);
    let money = |minor: i64| Some(to_money(Money::new(minor, target.currency())));
    let missing = target.minor().saturating_sub(saved).max(0);
    let need = terms.deadline.map(|deadline| monthly_need(missing, months(today, deadline)));
    let percents =
        |percents: &[i64]| percents.iter().filter_map(|percent| i32::try_from(*percent).ok()).collect();
    let mut reached = goal.reached.clone();
    reached.sort_unstable();
    let source = match terms.source {
        GoalSource::Given => api::GoalSource::Given,
        GoalSource::Transfers => api::GoalSource::Transfers,
        GoalSource::Balance => api::GoalSource::Balance,
    };
    Ok(api::Goal {
        title: terms.title.clone(),
        target: money(target.minor()),
        saved: money(saved),
        remaining: money(missing),
        percent,
        source: source.into(),
        account: terms.account.clone(),
        start: Some(to_date(terms.start)),
        deadline: terms.deadline.map(to_date),
        milestones: percents(&terms.milestones),
        reached: percents(&reached),
        initial: money(terms.opening),
        linked: money(goal.linked),
        contributed: money(goal.given),
        monthly_need: need.and_then(money),
        goal: goal.name,
    })
}

/// How many calendar months there are up to a day, both included.
fn months(today: CivilDate, until: CivilDate) -> i64 {
    let count = |day: CivilDate| i64::from(day.year()) * 12 + i64::from(day.month());
    count(until) - count(today) + 1
}

fn contribution(part: Contribution, target: Money) -> api::GoalContribution {
    let id = part.id.to_string();
    let (contribution_id, record_id) = if part.is_line { (String::new(), id) } else { (id, String::new()) };
    api::GoalContribution {
        contribution_id,
        record_id,
        date: Some(to_date(part.day)),
        amount: Some(to_money(Money::new(part.minor, target.currency()))),
        text: part.text,
    }
}

/// A goal's name, which may be given as its title.
fn name(check: &mut Check, goal: &str) -> String {
    check.required("goal", goal, CATEGORY);
    category_key(goal)
}

fn day(
    check: &mut Check,
    field: &str,
    date: Option<pathway_proto::google::r#type::Date>,
) -> Option<CivilDate> {
    date.and_then(|date| check.take(field, from_date(Some(&date))))
}

/// Cuts what is one more than a page off; answers whether there was something.
fn cut<T>(items: &mut Vec<T>, limit: i64) -> bool {
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > size;
    items.truncate(size);
    has_more
}

fn wrong_token(problem: &'static str) -> Status {
    status(AnalyticsError::invalid("page_token", problem))
}

fn done(check: Check) -> Result<(), Status> {
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))
}
