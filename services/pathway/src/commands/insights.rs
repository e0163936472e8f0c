//! `pathway insights`: what a user was told, and what they make of it.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::to_date;
use serde_json::{Value, json};

use super::budget::date;
use super::spending::period;
use crate::cli::{Feedback, InsightAction, InsightState, Insights};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, table};

/// The service's largest page.
const PAGE: u32 = 1000;

pub(crate) async fn run(mesh: &Mesh, out: &Output, args: &Insights) -> Result<ExitCode, Fault> {
    if let Some(InsightAction::Feedback { key, feedback, user }) = &args.action {
        return say(mesh, out, user, key, *feedback).await;
    }
    let insights = list(mesh, args).await?;
    let document = json!({"insights": insights.iter().map(document).collect::<Vec<_>>()});
    out.answer(&document, || text(&document))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, args: &Insights) -> Result<Vec<api::Insight>, Fault> {
    let days = args.period.as_deref().map(|text| period(Some(text))).transpose()?;
    let state = match args.state {
        None => api::InsightState::Unspecified,
        Some(InsightState::Open) => api::InsightState::Open,
        Some(InsightState::Expected) => api::InsightState::Expected,
        Some(InsightState::Dismissed) => api::InsightState::Dismissed,
    };
    let mut message = api::ListInsightsRequest {
        user_id: args.user.clone().unwrap_or_default(),
        r#type: args.kind.clone().unwrap_or_default(),
        start: days.as_ref().map(|(_, days)| to_date(days.start())),
        end: days.as_ref().map(|(_, days)| to_date(days.end())),
        state: state.into(),
        ..api::ListInsightsRequest::default()
    };
    let mut insights: Vec<api::Insight> = Vec::new();
    loop {
        let missing = args.limit.saturating_sub(u32::try_from(insights.len()).unwrap_or(u32::MAX));
        message.page_size = i32::try_from(missing.min(PAGE)).unwrap_or(i32::MAX);
        let page = answer(mesh.analytics.clone().list_insights(request(message.clone())).await)?;
        insights.extend(page.insights);
        let is_full = insights.len() >= usize::try_from(args.limit).unwrap_or(usize::MAX);
        if is_full || page.next_page_token.is_empty() {
            return Ok(insights);
        }
        message.page_token = page.next_page_token;
    }
}

async fn say(
    mesh: &Mesh,
    out: &Output,
    user: &str,
    key: &str,
    feedback: Feedback,
) -> Result<ExitCode, Fault> {
    let feedback = match feedback {
        Feedback::Expected => api::InsightFeedback::Expected,
        Feedback::Dismiss => api::InsightFeedback::Dismiss,
        Feedback::None => api::InsightFeedback::Unspecified,
    };
    let message = api::SetInsightFeedbackRequest {
        user_id: user.to_owned(),
        key: key.to_owned(),
        feedback: feedback.into(),
    };
    let answered = answer(mesh.analytics.clone().set_insight_feedback(request(message)).await)?;
    let insight = answered.insight.ok_or_else(|| Fault::internal("feedback without an insight"))?;
    let document = document(&insight);
    out.answer(&document, || format!("{key} is {}", document["state"].as_str().unwrap_or_default()))?;
    Ok(ExitCode::SUCCESS)
}

/// An insight as JSON.
pub(crate) fn document(insight: &api::Insight) -> Value {
    let state = match insight.state() {
        api::InsightState::Expected => "expected",
        api::InsightState::Dismissed => "dismissed",
        api::InsightState::Open | api::InsightState::Unspecified => "open",
    };
    json!({
        "key": insight.key,
        "type": insight.r#type,
        "title": insight.title,
        "message": insight.message,
        "metadata": insight.metadata,
        "state": state,
        "date": date(insight.date.as_ref()),
        "created_at": instant(insight.created_at_us),
        "lines": insight.line_ids,
        "budget_revision": (insight.budget_revision > 0).then_some(insight.budget_revision),
        "trace_id": insight.trace_id,
    })
}

fn text(document: &Value) -> String {
    let entries = document["insights"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return "no insights".to_owned();
    }
    let cell = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let row = |entry: &Value| ["date", "type", "state", "title", "key"].map(|key| cell(entry, key)).to_vec();
    table(&["date", "type", "state", "title", "key"], &[], entries.iter().map(row))
}
