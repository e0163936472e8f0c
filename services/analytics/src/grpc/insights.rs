//! What users were told: listed, explained, and answered by them.

use pathway_finance::{CivilDate, Currency, DateError, Period, Totals};
use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::{Pages, from_date, status, to_date};
use tonic::{Response, Status};
use uuid::Uuid;

use super::convert::{self, PageToken, USER_ID};
use crate::error::AnalyticsError;
use crate::ledger::PACE;
use crate::service::Figures;
use crate::store::{ExplainedLine, InsightFilter, Question, Scope, Seen, Told};
use crate::subject::{About, Budgeted, State, Subject};

/// How long an insight's key and type may be, in bytes.
const KEY: usize = 1024;
const TYPE: usize = 256;

/// A page of what a user was told.
pub(super) async fn list(
    figures: &Figures,
    request: api::ListInsightsRequest,
) -> Result<Response<api::ListInsightsResponse>, Status> {
    let (filter, pages) = filter(request).map_err(status)?;
    let size = usize::try_from(filter.limit - 1).unwrap_or(usize::MAX);
    let mut insights = figures.insights(filter).await.map_err(status)?;
    let has_more = insights.len() > size;
    insights.truncate(size);
    let token = |told: &Told| pages.token(&format!("{}.{}", told.created_at_us, told.insight.dedup_key));
    let next_page_token = insights.last().filter(|_| has_more).map_or_else(String::new, token);
    let insights = insights.into_iter().map(insight).collect::<Result<_, _>>().map_err(status)?;
    Ok(Response::new(api::ListInsightsResponse { insights, next_page_token }))
}

/// Sets what a user makes of an insight.
pub(super) async fn set_feedback(
    figures: &Figures,
    request: api::SetInsightFeedbackRequest,
) -> Result<Response<api::SetInsightFeedbackResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    check.required("key", &request.key, KEY);
    let state = match api::InsightFeedback::try_from(request.feedback) {
        Ok(api::InsightFeedback::Unspecified) => Ok(State::Open),
        Ok(api::InsightFeedback::Expected) => Ok(State::Expected),
        Ok(api::InsightFeedback::Dismiss) => Ok(State::Dismissed),
        Err(_) => Err("is no feedback"),
    };
    let state = check.take("feedback", state);
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let state = state.unwrap_or(State::Open);
    let told = figures.set_state(request.user_id, request.key, state).await.map_err(status)?;
    let insight = Some(insight(told).map_err(status)?);
    Ok(Response::new(api::SetInsightFeedbackResponse { insight }))
}

/// The lines behind what a user was told, and the rule by which it was.
pub(super) async fn explain(
    figures: &Figures,
    request: api::ExplainRequest,
) -> Result<Response<api::ExplainResponse>, Status> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    check.text("insight_key", &request.insight_key, KEY);
    let limit = check.page_size("page_size", request.page_size, 100, 1000);
    let other = [
        ("start", request.start.is_some()),
        ("end", request.end.is_some()),
        ("category", request.category.is_some()),
        ("currency_code", !request.currency_code.is_empty()),
        ("reporting_currency_code", !request.reporting_currency_code.is_empty()),
    ];
    for (field, is_given) in other {
        check.note(field, is_given.then_some("must be absent where an insight is named, which has its own"));
    }
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let told = figures.insight(request.user_id.clone(), request.insight_key).await.map_err(status)?;
    let mut explained = match &told.insight.subject {
        Subject::Budget(budget) => {
            let (question, tokens) =
                budget_question(budget, request.user_id, &request.page_token, limit).map_err(status)?;
            super::explain_page(figures, question, &tokens).await?
        }
        Subject::Purchase(purchase) => {
            let lines = figures.compared(request.user_id, purchase.clone()).await.map_err(status)?;
            explained_lines(lines).map_err(status)?
        }
        subject => {
            let lines = figures.lines(request.user_id, subject.lines()).await.map_err(status)?;
            explained_lines(lines).map_err(status)?
        }
    };
    explained.rule = rule(&told);
    explained.insight = Some(insight(told).map_err(status)?);
    Ok(Response::new(explained))
}

fn filter(request: api::ListInsightsRequest) -> Result<(InsightFilter, Pages), AnalyticsError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, USER_ID);
    check.text("type", &request.r#type, TYPE);
    let limit = check.page_size("page_size", request.page_size, 100, 1000) + 1;
    let mut day = |field, date: Option<_>, open| match date {
        Some(_) => check.take(field, from_date(date.as_ref())),
        None => check.take(field, open),
    };
    let start = day("start", request.start, CivilDate::new(1, 1, 1));
    let end = day("end", request.end, CivilDate::new(9999, 12, 31));
    let days = start.zip(end).and_then(|(start, end)| {
        check.take("end", Period::new(start, end).map_err(|_| "must be after the first day"))
    });
    let state = match api::InsightState::try_from(request.state) {
        Ok(api::InsightState::Unspecified) => Ok(None),
        Ok(api::InsightState::Open) => Ok(Some(State::Open)),
        Ok(api::InsightState::Expected) => Ok(Some(State::Expected)),
        Ok(api::InsightState::Dismissed) => Ok(Some(State::Dismissed)),
        Err(_) => Err("is no state"),
    };
    let state = check.take("state", state).flatten();
    check.done()?;
    let kind = (!request.r#type.is_empty()).then_some(request.r#type);
    let code = state.map_or(0, State::code).to_string();
    let span = days.map(|days| days.to_string()).unwrap_or_default();
    let pages =
        Pages::of("ListInsights", &[&request.user_id, kind.as_deref().unwrap_or_default(), &code, &span]);
    let after = seen(&pages, &request.page_token)
        .map_err(|problem| AnalyticsError::invalid("page_token", problem))?;
    // Without bounds, also what is about the calendar's last day.
    let days = days.filter(|_| request.start.is_some() || request.end.is_some());
    Ok((InsightFilter { user_id: request.user_id, kind, days, state, after, limit }, pages))
}

fn seen(pages: &Pages, token: &str) -> Result<Option<Seen>, &'static str> {
    let Some(place) = pages.place(token)? else { return Ok(None) };
    let read = || {
        let (created_at_us, key) = place.split_once('.')?;
        Some(Seen { created_at_us: created_at_us.parse().ok()?, key: key.to_owned() })
    };
    read().map(Some).ok_or("is of another question: begin again with an empty one")
}

fn insight(told: Told) -> Result<api::Insight, AnalyticsError> {
    let Told { insight, day, created_at_us, state, trace_id } = told;
    let day = CivilDate::from_epoch_days(day).map_err(|_| AnalyticsError::Corrupt("day"))?;
    let budget_revision = match &insight.subject {
        Subject::Budget(budget) => budget.revision,
        _ => 0,
    };
    let state = match state {
        State::Open => api::InsightState::Open,
        State::Expected => api::InsightState::Expected,
        State::Dismissed => api::InsightState::Dismissed,
    };
    Ok(api::Insight {
        key: insight.dedup_key,
        r#type: insight.kind,
        title: insight.title,
        message: insight.message,
        metadata: insight.metadata.into_iter().collect(),
        state: state.into(),
        date: Some(to_date(day)),
        created_at_us,
        line_ids: insight.subject.lines().iter().map(Uuid::to_string).collect(),
        budget_revision,
        trace_id,
    })
}

/// The question after the lines of a budget's period.
fn budget_question(
    budget: &Budgeted,
    user_id: String,
    page_token: &str,
    limit: i64,
) -> Result<(Question, PageToken), AnalyticsError> {
    let day = CivilDate::from_epoch_days;
    let period = day(budget.start).and_then(|start| Period::new(start, day(budget.end)?));
    let period = period.map_err(|_: DateError| AnalyticsError::Corrupt("period"))?;
    let currency = Currency::parse(&budget.currency).map_err(|_| AnalyticsError::Corrupt("currency"))?;
    let scope = Scope { user_id, period, currency: Some(currency) };
    let members =
        if budget.members.is_empty() { std::slice::from_ref(&budget.category) } else { &budget.members };
    let category = Some(members.join(","));
    let mut question = Question { scope, category, after: None, limit: limit + 1 };
    let tokens = PageToken::of(&question, None);
    question.after = tokens.read(page_token)?;
    Ok((question, tokens))
}

/// Lines with their sums; all are in one currency.
fn explained_lines(lines: Vec<ExplainedLine>) -> Result<api::ExplainResponse, AnalyticsError> {
    let mut sums = Totals::default();
    let currency = lines.first().map(|explained| explained.line.amount.currency());
    for explained in lines.iter().filter(|explained| Some(explained.line.amount.currency()) == currency) {
        sums.add(explained.line.kind, explained.line.amount.minor())?;
    }
    Ok(api::ExplainResponse {
        lines: lines.into_iter().map(convert::line_of).collect(),
        totals: currency.map(|currency| convert::totals(sums, currency)),
        ..api::ExplainResponse::default()
    })
}

/// Why the user was told, in words.
fn rule(told: &Told) -> String {
    let fact = |key: &str| told.insight.metadata.get(key).map_or("", String::as_str);
    match &told.insight.subject {
        Subject::Budget(budget) if budget.threshold == PACE => format!(
            "Told once, when net spending times the days of the period, by the days gone, first came to 110 % of the limit of {} or more, in {} under \
             revision {} of the budget, and the limit itself was not reached. The lines are those that count now.",
            fact("limit"),
            fact("period"),
            budget.revision
        ),
        Subject::Budget(budget) => format!(
            "Told once, when net spending times 100 first reached the limit of {} times the threshold of {}, in {} under revision {} of the budget. The lines \
             are those that count now.",
            fact("limit"),
            budget.threshold,
            fact("period"),
            budget.revision
        ),
        Subject::Purchase(_) => match fact("detector") {
            "robust" => format!(
                "Detector robust: among the last {} purchases of the category in this currency (at least 5, in 3 months), 0.6745 times the distance \
                 from the median, by the median absolute deviation, is above 3.5 (medium) or 7 (high), and the distance is at least 10.00; \
                 where the deviation is 0, the amount is above 2 or 3 times the median.",
                fact("count")
            ),
            _ => format!(
                "Detector z-score: the amount lies more than 2 (medium) or 3 (high) standard deviations from the mean of the last {} purchases of the \
                 category in this currency (at least 10, at most 50, itself excluded).",
                fact("count")
            ),
        },
        Subject::Series(series) => match series.about {
            About::Missed => format!(
                "Told once for the expected date {}: {} lines of this payee and currency are about a {} apart, and none came by the end of the grace \
                 (2 days for a week, 3 for two weeks, 6 for a month, 10 for a quarter, 15 for a year).",
                fact("expected"),
                fact("count"),
                fact("cadence").replace('_', " ")
            ),
            About::Price => "Told once for the line that brought it: the two before it have one amount, and this one differs from them by 1 per cent \
                 or more."
                .to_owned(),
        },
        Subject::Goal(goal) => format!(
            "Told once for this target, when what is saved times 100 first reached {} times the milestone of {}. ListContributions has what counts \
             towards `{}` now, beside its initial value.",
            fact("target"),
            goal.milestone,
            goal.goal
        ),
        Subject::Other => String::new(),
    }
}
