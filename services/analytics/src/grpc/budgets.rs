//! Budgets, and what their periods came to, into the domain's types and back.

use std::collections::BTreeSet;

use pathway_finance::{
    Money, Period, PeriodKind, Rollover, TimeZone, UNCATEGORIZED, category_key, pace, percent,
};
use pathway_kernel::{Check, Fault, Violation};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{from_date, from_money, to_date, to_money};

use super::convert::{CATEGORY, USER_ID, totals};
use crate::error::AnalyticsError;
use crate::store::{Budget, ClosedPeriod, ClosedQuestion, NewBudgets, NewLimit, RulesPatch};

/// The most thresholds of a budget, and the largest in percent.
const MOST_THRESHOLDS: usize = 10;
const LARGEST_THRESHOLD: i32 = 1_000;
/// The most categories of a group.
const MOST_MEMBERS: usize = 50;
/// The longest period of fixed length, in days.
const LONGEST: i32 = 3_660;

/// The limits to set, and for each that was asked for why it is refused, if it is.
pub(super) fn new_budgets(
    request: api::SetBudgetsRequest,
) -> Result<(NewBudgets, Vec<Option<Fault>>), AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    let kind = kind(&request, &mut check);
    let zone = match &*request.time_zone {
        "" => None,
        name => check.take("time_zone", TimeZone::parse(name)),
    };
    check.done()?;
    let (mut limits, mut refused) = (Vec::new(), Vec::with_capacity(request.limits.len()));
    let mut named: BTreeSet<String> = BTreeSet::new();
    for item in request.limits {
        match limit(&item) {
            Ok(limit) if !named.insert(limit.name.clone()) => {
                let twice = Violation::new("category", format!("names `{}` a second time", limit.name));
                refused.push(Some(Fault::invalid(vec![twice])));
            }
            Ok(limit) => {
                limits.push(limit);
                refused.push(None);
            }
            Err(violations) => refused.push(Some(Fault::invalid(violations))),
        }
    }
    let (kind, has_start) = (kind.unwrap_or(PeriodKind::MONTH), request.start_day != 0);
    Ok((NewBudgets { user_id: request.user_id, limits, kind, has_start, zone }, refused))
}

/// The kind of period that is asked for. None where something is wrong with it.
fn kind(request: &api::SetBudgetsRequest, check: &mut Check) -> Option<PeriodKind> {
    let within = |largest: i32| match request.start_day {
        0 => Ok(1),
        day if (1..=largest).contains(&day) => i8::try_from(day).map_err(|error| error.to_string()),
        _ => Err(format!("must be from 1 to {largest}, or 0 for that of the owner's other budgets")),
    };
    let anchor = |check: &mut Check| check.take("anchor", from_date(request.anchor.as_ref()));
    match api::PeriodKind::try_from(request.period_kind) {
        Ok(api::PeriodKind::Unspecified | api::PeriodKind::Month) => {
            check.take("start_day", within(31)).map(|start_day| PeriodKind::Month { start_day })
        }
        Ok(api::PeriodKind::Week) => {
            check.take("start_day", within(7)).map(|start_weekday| PeriodKind::Week { start_weekday })
        }
        Ok(api::PeriodKind::Quarter) => Some(PeriodKind::Quarter),
        Ok(api::PeriodKind::Year) => Some(PeriodKind::Year),
        Ok(api::PeriodKind::HalfMonth) => Some(PeriodKind::HalfMonth),
        Ok(api::PeriodKind::TwoWeeks) => anchor(check).map(|anchor| PeriodKind::TwoWeeks { anchor }),
        Ok(api::PeriodKind::Days) => {
            let length = match request.length_days {
                days if (1..=LONGEST).contains(&days) => {
                    u16::try_from(days).map_err(|error| error.to_string())
                }
                _ => Err(format!("must be from 1 to {LONGEST}")),
            };
            let (length, anchor) = (check.take("length_days", length), anchor(check));
            Some(PeriodKind::Days { length: length?, anchor: anchor? })
        }
        Err(_) => check.take("period_kind", Err("is no kind of period")),
    }
}

fn limit(item: &api::BudgetLimit) -> Result<NewLimit, Vec<Violation>> {
    let mut check = Check::default();
    check.required("category", &item.category, CATEGORY);
    let name = category_key(&item.category);
    if !item.category.is_empty() {
        check.note("category", name.is_empty().then_some("has neither a letter nor a digit"));
    }
    // Lines without a category are in the total only (G11).
    let bucket = "is the bucket of lines without a category, which has no budget";
    check.note("category", (name == UNCATEGORIZED).then_some(bucket));
    let limit = check.take("limit", from_money(item.limit.as_ref()));
    let is_negative = limit.is_some_and(|limit| limit.minor() < 0);
    check.note("limit", is_negative.then_some("must not be negative"));
    let rules = rules(item, &mut check);
    check.done()?;
    // Without a violation there is a limit.
    limit.map(|limit| NewLimit { name, limit, rules }).ok_or_else(Vec::new)
}

fn rules(item: &api::BudgetLimit, check: &mut Check) -> RulesPatch {
    check.at_most("thresholds", item.thresholds.len(), MOST_THRESHOLDS);
    let is_wrong = item.thresholds.iter().any(|percent| !(1..=LARGEST_THRESHOLD).contains(percent));
    check.note("thresholds", is_wrong.then(|| format!("must be from 1 to {LARGEST_THRESHOLD}")));
    let thresholds: BTreeSet<i64> = item.thresholds.iter().copied().map(i64::from).collect();
    check.at_most("categories", item.categories.len(), MOST_MEMBERS);
    let members: BTreeSet<String> = item.categories.iter().map(|name| category_key(name)).collect();
    let is_no_category = members.iter().any(|name| name.is_empty() || name == UNCATEGORIZED);
    check
        .note("categories", is_no_category.then_some("must each have a letter or a digit, and be no bucket"));
    let is_long = item.categories.iter().any(|name| name.len() > CATEGORY);
    check.note("categories", is_long.then(|| format!("must each have at most {CATEGORY} bytes")));
    let rollover = match api::Rollover::try_from(item.rollover) {
        Ok(api::Rollover::Unspecified) => None,
        Ok(api::Rollover::Off) => Some(Rollover::Off),
        Ok(api::Rollover::Positive) => Some(Rollover::Positive),
        Ok(api::Rollover::All) => Some(Rollover::All),
        Err(_) => check.take("rollover", Err("is no rollover")),
    };
    RulesPatch {
        thresholds: (!thresholds.is_empty()).then(|| thresholds.into_iter().collect()),
        rollover,
        pace: item.pace_alert,
        members: (!members.is_empty()).then(|| members.into_iter().collect()),
    }
}

/// A budget and where it stands.
pub(super) fn budget(budget: Budget) -> api::Budget {
    let (standing, terms) = (budget.standing, budget.terms);
    let (spent, currency) = (standing.net(), standing.limit.currency());
    let money = |minor| to_money(Money::new(minor, currency));
    let (kind, start_day) = kind_code(terms.kind);
    api::Budget {
        category: budget.category,
        limit: Some(to_money(standing.base)),
        spent: Some(to_money(spent)),
        percent: percent(spent.minor(), standing.limit.minor()),
        revision: budget.revision,
        period_start: Some(to_date(standing.period.start())),
        period_end: Some(to_date(standing.period.end())),
        changes_on: budget.changes_on.map(to_date),
        period_kind: kind.into(),
        start_day,
        thresholds: standing.thresholds.iter().filter_map(|percent| i32::try_from(*percent).ok()).collect(),
        rollover: rollover(terms.rules.rollover).into(),
        carried: Some(money(standing.carried)),
        available: Some(to_money(standing.limit)),
        pace_alert: standing.has_pace,
        projected: pace(spent.minor(), standing.period, standing.today).map(money),
        categories: standing.members,
    }
}

fn kind_code(kind: PeriodKind) -> (api::PeriodKind, i32) {
    match kind {
        PeriodKind::Week { start_weekday } => (api::PeriodKind::Week, start_weekday.into()),
        PeriodKind::TwoWeeks { .. } => (api::PeriodKind::TwoWeeks, 0),
        PeriodKind::HalfMonth => (api::PeriodKind::HalfMonth, 0),
        PeriodKind::Month { start_day } => (api::PeriodKind::Month, start_day.into()),
        PeriodKind::Quarter => (api::PeriodKind::Quarter, 0),
        PeriodKind::Year => (api::PeriodKind::Year, 0),
        PeriodKind::Days { .. } => (api::PeriodKind::Days, 0),
    }
}

const fn rollover(rollover: Rollover) -> api::Rollover {
    match rollover {
        Rollover::Off => api::Rollover::Off,
        Rollover::Positive => api::Rollover::Positive,
        Rollover::All => api::Rollover::All,
    }
}

/// Which summaries to list.
pub(super) fn closed_question(
    request: api::ListClosedPeriodsRequest,
) -> Result<ClosedQuestion, AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    if let Some(category) = &request.category {
        check.text("category", category, CATEGORY);
    }
    let start = check.take("start", from_date(request.start.as_ref()));
    let end = check.take("end", from_date(request.end.as_ref()));
    let span = match (start, end) {
        (Some(start), Some(end)) => {
            check.take("end", Period::new(start, end).map_err(|_| "must be after the first day"))
        }
        _ => None,
    };
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    check.done()?;
    let span = span.ok_or_else(|| AnalyticsError::invalid("end", "must be after the first day"))?;
    let name = request.category.map(|category| category_key(&category));
    Ok(ClosedQuestion { user_id: request.user_id, name, span, limit })
}

/// What a period came to.
pub(super) fn closed(closed: ClosedPeriod) -> api::ClosedPeriod {
    let currency = closed.limit.currency();
    let money = |minor| Some(to_money(Money::new(minor, currency)));
    api::ClosedPeriod {
        category: closed.name,
        period_start: Some(to_date(closed.period.start())),
        period_end: Some(to_date(closed.period.end())),
        budget_revision: closed.budget_revision,
        limit: Some(to_money(closed.limit)),
        carried_in: money(closed.carried_in),
        carried_out: money(closed.carried_out),
        totals: Some(totals(closed.spent, currency)),
        revision: closed.revision,
        corrected_at_us: closed.corrected_at_us,
    }
}
