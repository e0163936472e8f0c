//! What another system says about users' limits, goals and figures.
//!
//! Each event is a transaction of its own, so that one which is refused leaves nothing; those of one user are taken in their order, and users side by side, so that
//! their transactions share commits.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use pathway_finance::{Money, PeriodKind};
use pathway_kernel::{Check, Fault};
use pathway_proto::google;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{from_money, status, to_date, to_item_status, to_money};
use tonic::{Response, Status};

use super::{at_most, budgets, convert, goals};
use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::NewBudgets;

/// What became of an event, with its place in the request.
type Placed = (usize, api::record_event_result::Result);

/// Takes events.
pub(super) async fn record(
    figures: &Figures,
    request: api::RecordEventsRequest,
) -> Result<Response<api::RecordEventsResponse>, Status> {
    at_most("events", request.events.len())?;
    let mut users: BTreeMap<String, Vec<(usize, api::AnalyticsEvent)>> = BTreeMap::new();
    let count = request.events.len();
    for (place, event) in request.events.into_iter().enumerate() {
        users.entry(event.user_id.clone()).or_default().push((place, event));
    }
    let done =
        try_join_all(users.into_values().map(|events| of_user(figures, events))).await.map_err(status)?;
    let mut results = vec![api::RecordEventResult::default(); count];
    for (place, result) in done.into_iter().flatten() {
        results[place].result = Some(result);
    }
    Ok(Response::new(api::RecordEventsResponse { results }))
}

/// Takes a user's events, in their order.
async fn of_user(figures: &Figures, events: Vec<(usize, api::AnalyticsEvent)>) -> Result<Vec<Placed>, Fault> {
    use api::record_event_result::Result as Item;
    let mut done = Vec::with_capacity(events.len());
    for (place, event) in events {
        let result = match one(figures, event).await.map_err(Fault::from) {
            // The caller comes again with all of them, and what was done changes nothing more.
            Err(fault) if fault.is_transient() => return Err(fault),
            Err(fault) => Item::Error(to_item_status(&fault)),
            Ok(recorded) => Item::Outcome(api::RecordedEvent { recorded: Some(recorded) }),
        };
        done.push((place, result));
    }
    Ok(done)
}

async fn one(
    figures: &Figures,
    event: api::AnalyticsEvent,
) -> Result<api::recorded_event::Recorded, AnalyticsError> {
    use api::analytics_event::Event;
    use api::recorded_event::Recorded;
    let user_id = convert::user(event.user_id)?;
    match event.event {
        Some(Event::Limits(stated)) => limits(figures, user_id, stated).await.map(Recorded::Limits),
        Some(Event::Goal(stated)) => goal(figures, user_id, stated).await.map(Recorded::Goal),
        Some(Event::Figure(stated)) => figure(figures, user_id, stated).await.map(Recorded::Figure),
        None => Err(AnalyticsError::invalid("event", "is required")),
    }
}

/// Sets limits; answers how many. One that is refused refuses all of them.
async fn limits(
    figures: &Figures,
    user_id: String,
    stated: api::StatedLimits,
) -> Result<i32, AnalyticsError> {
    let kind = match &*stated.period {
        "" => None,
        "week" => Some(api::PeriodKind::Week),
        "month" => Some(api::PeriodKind::Month),
        "quarter" => Some(api::PeriodKind::Quarter),
        "year" => Some(api::PeriodKind::Year),
        _ => return Err(AnalyticsError::invalid("period", "must be week, month, quarter or year")),
    };
    let limit = |stated: api::StatedLimit| api::BudgetLimit {
        category: stated.category,
        limit: stated.limit,
        ..api::BudgetLimit::default()
    };
    let request = api::SetBudgetsRequest {
        user_id: user_id.clone(),
        limits: stated.limits.into_iter().map(limit).collect(),
        period_kind: kind.unwrap_or_default().into(),
        ..api::SetBudgetsRequest::default()
    };
    let (new, refused) = budgets::new_budgets(request)?;
    let violations: Vec<_> = refused.iter().flatten().flat_map(|fault| fault.violations().to_vec()).collect();
    if !violations.is_empty() {
        return Err(violations.into());
    }
    let count = i32::try_from(new.limits.len()).unwrap_or(i32::MAX);
    if kind.is_some() {
        figures.set_budgets(new).await?;
        return Ok(count);
    }
    // Whoever names no period means that of the budget which there is.
    let known = figures.budgets(user_id.clone()).await?;
    let kind_of =
        |name: &str| known.iter().find(|budget| budget.category == name).map(|budget| budget.terms.kind);
    let mut by_kind: Vec<(PeriodKind, Vec<_>)> = Vec::new();
    for limit in new.limits {
        let kind = kind_of(&limit.name).unwrap_or(PeriodKind::MONTH);
        match by_kind.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, limits)) => limits.push(limit),
            None => by_kind.push((kind, vec![limit])),
        }
    }
    for (kind, limits) in by_kind {
        let user_id = user_id.clone();
        figures.set_budgets(NewBudgets { user_id, limits, kind, has_start: false, zone: None }).await?;
    }
    Ok(count)
}

async fn goal(
    figures: &Figures,
    user_id: String,
    stated: api::StatedGoal,
) -> Result<api::Goal, AnalyticsError> {
    let saved = stated.saved.as_ref().map(|saved| from_money(Some(saved))).transpose();
    let saved = saved.map_err(|error| AnalyticsError::invalid("saved", error))?;
    let request = api::SetGoalRequest {
        user_id,
        title: stated.title,
        target: stated.target,
        deadline: stated.deadline,
        ..api::SetGoalRequest::default()
    };
    let mut new = goals::new_goal(request)?;
    if saved.is_some_and(|saved| saved.currency() != new.target.currency()) {
        return Err(AnalyticsError::invalid("saved", "must be in the currency of the target"));
    }
    new.saved = saved.map(Money::minor);
    goals::goal(figures.set_goal(new).await?)
}

/// An amount that may be left out.
fn amount(check: &mut Check, field: &str, money: Option<&google::r#type::Money>) -> Option<Money> {
    money.and_then(|money| check.take(field, from_money(Some(money))))
}

/// Compares a figure with what the records come to.
async fn figure(
    figures: &Figures,
    user_id: String,
    stated: api::StatedFigure,
) -> Result<api::ComparedFigure, AnalyticsError> {
    let mut check = Check::default();
    let code = [&stated.spent, &stated.income].into_iter().flatten().next();
    let code = code.map_or("", |money| money.currency_code.as_str()).to_owned();
    let currency = convert::currency(&mut check, &code);
    let spent = amount(&mut check, "spent", stated.spent.as_ref());
    let income = amount(&mut check, "income", stated.income.as_ref());
    let is_other = spent.zip(income).is_some_and(|(spent, income)| spent.currency() != income.currency());
    check.note("income", is_other.then_some("must be in the currency of what is spent"));
    check.note(
        "income",
        (income.is_some() && stated.category.is_some()).then_some("is of all categories only"),
    );
    let has_period = stated.start.is_some() || stated.end.is_some();
    let span = (stated.start.as_ref(), stated.end.as_ref());
    let scope = has_period.then(|| convert::checked_scope(&mut check, &user_id, span, &code)).flatten();
    check.done()?;
    let summary = figures.summary(user_id, scope.map(|scope| scope.period), currency).await?;
    let current = &summary.current;
    let totals = match &stated.category {
        None => current.spending.total,
        Some(category) => {
            let name = convert::bucket(category);
            let found = current.spending.categories.iter().find(|(known, _)| *known == name);
            found.map(|(_, totals)| *totals).unwrap_or_default()
        }
    };
    let money = |minor| to_money(Money::new(minor, current.spending.currency));
    let says = |said: Option<Money>, minor| said.is_none_or(|said| said.minor() == minor);
    Ok(api::ComparedFigure {
        start: Some(to_date(current.period.start())),
        end: Some(to_date(current.period.end())),
        spent: Some(money(totals.net())),
        income: stated.category.is_none().then(|| money(current.income)),
        agrees: says(spent, totals.net()) && says(income, current.income),
    })
}
