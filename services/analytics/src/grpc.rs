//! The gRPC API: the only part that knows this service's generated types.

mod breakdown;
mod budgets;
mod convert;
mod events;
mod goals;
mod insights;
mod rates;
mod rebuild;
mod recurring;
mod reporting;
mod summary;
mod watch;

use pathway_kernel::{Check, Fault};
use pathway_proto::pathway::analytics::v1 as api;
use pathway_proto::pathway::analytics::v1::analytics_service_server::{
    AnalyticsService, AnalyticsServiceServer,
};
use pathway_rpc::{Identity, MAX_MESSAGE_BYTES, Position, Routes, expiring, own, status, to_item_status};
use tonic::{Request, Response, Status};

use crate::fact::Change;
use crate::service::Figures;
use crate::store::Question;
use convert::PageToken;

pub(crate) use convert::{change, notice};

/// The most items of one call.
const MOST_ITEMS: usize = 4096;

/// The service as routes.
pub(crate) fn routes(figures: Figures) -> Routes {
    let service = AnalyticsServiceServer::new(figures)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Routes::default().add(service)
}

#[tonic::async_trait]
impl AnalyticsService for Figures {
    type WatchAnalyticsStream = watch::Steps;

    async fn apply_changes(
        &self,
        request: Request<api::ApplyChangesRequest>,
    ) -> Result<Response<api::ApplyChangesResponse>, Status> {
        let items = request.into_inner().changes;
        at_most("changes", items.len())?;
        let read: Vec<Result<Change, Fault>> =
            items.into_iter().map(|item| change(item).map_err(Fault::invalid)).collect();
        let changes = read.iter().filter_map(|change| change.as_ref().ok().cloned()).collect();
        let mut applied = self.apply(changes).await.map_err(status)?.into_iter();
        let result = |read: Result<Change, Fault>| {
            use api::apply_change_result::Result as Item;
            let applied = read.map(|_| applied.next());
            let result = match applied {
                Ok(Some(Ok(insights))) => Item::Outcome(convert::outcome(insights)),
                Ok(Some(Err(error))) => Item::Error(to_item_status(&error.into())),
                Ok(None) => Item::Error(to_item_status(&Fault::internal("a change without an outcome"))),
                Err(fault) => Item::Error(to_item_status(&fault)),
            };
            api::ApplyChangeResult { result: Some(result) }
        };
        Ok(Response::new(api::ApplyChangesResponse { results: read.into_iter().map(result).collect() }))
    }

    async fn await_changes(
        &self,
        request: Request<api::AwaitChangesRequest>,
    ) -> Result<Response<api::AwaitChangesResponse>, Status> {
        let sequence = self.await_followed(request.into_inner().sequence).await.map_err(status)?;
        Ok(Response::new(api::AwaitChangesResponse { sequence }))
    }

    async fn get_spending(
        &self,
        request: Request<api::GetSpendingRequest>,
    ) -> Result<Response<api::GetSpendingResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let (scope, reporting) = convert::scope(&request).map_err(status)?;
        if let Some(to) = reporting {
            return reporting::spending(self, scope, to).await.map(Response::new);
        }
        let spending = self.spending(scope).await.map_err(status)?;
        Ok(Response::new(convert::spending(spending)))
    }

    async fn set_budgets(
        &self,
        request: Request<api::SetBudgetsRequest>,
    ) -> Result<Response<api::SetBudgetsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        at_most("limits", request.limits.len())?;
        let (new, refused) = budgets::new_budgets(request).map_err(status)?;
        let mut budgets = self.set_budgets(new).await.map_err(status)?.into_iter();
        let result = |refused: Option<Fault>| {
            use api::set_budget_result::Result as Item;
            let result = match refused {
                Some(fault) => Some(Item::Error(to_item_status(&fault))),
                None => budgets.next().map(|budget| Item::Budget(budgets::budget(budget))),
            };
            api::SetBudgetResult { result }
        };
        Ok(Response::new(api::SetBudgetsResponse { results: refused.into_iter().map(result).collect() }))
    }

    async fn list_budgets(
        &self,
        request: Request<api::ListBudgetsRequest>,
    ) -> Result<Response<api::ListBudgetsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let user_id = convert::user(request.user_id).map_err(status)?;
        let budgets = self.budgets(user_id).await.map_err(status)?;
        Ok(Response::new(api::ListBudgetsResponse {
            budgets: budgets.into_iter().map(budgets::budget).collect(),
        }))
    }

    async fn list_closed_periods(
        &self,
        request: Request<api::ListClosedPeriodsRequest>,
    ) -> Result<Response<api::ListClosedPeriodsResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let question = budgets::closed_question(request).map_err(status)?;
        let closed = self.closed(question).await.map_err(status)?;
        Ok(Response::new(api::ListClosedPeriodsResponse {
            periods: closed.into_iter().map(budgets::closed).collect(),
        }))
    }

    async fn explain(
        &self,
        request: Request<api::ExplainRequest>,
    ) -> Result<Response<api::ExplainResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        if !request.insight_key.is_empty() {
            return insights::explain(self, request).await;
        }
        let (question, reporting, tokens) = convert::question(request).map_err(status)?;
        if let Some(to) = reporting {
            return reporting::explain(self, question, &tokens, to).await.map(Response::new);
        }
        explain_page(self, question, &tokens).await.map(Response::new)
    }

    async fn list_insights(
        &self,
        request: Request<api::ListInsightsRequest>,
    ) -> Result<Response<api::ListInsightsResponse>, Status> {
        insights::list(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn set_insight_feedback(
        &self,
        request: Request<api::SetInsightFeedbackRequest>,
    ) -> Result<Response<api::SetInsightFeedbackResponse>, Status> {
        insights::set_feedback(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn list_recurring(
        &self,
        request: Request<api::ListRecurringRequest>,
    ) -> Result<Response<api::ListRecurringResponse>, Status> {
        recurring::list(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn list_trends(
        &self,
        request: Request<api::ListTrendsRequest>,
    ) -> Result<Response<api::ListTrendsResponse>, Status> {
        summary::trends(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn get_summary(
        &self,
        request: Request<api::GetSummaryRequest>,
    ) -> Result<Response<api::GetSummaryResponse>, Status> {
        summary::summary(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn get_budget_status(
        &self,
        request: Request<api::GetBudgetStatusRequest>,
    ) -> Result<Response<api::GetBudgetStatusResponse>, Status> {
        summary::budget_status(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn get_breakdown(
        &self,
        request: Request<api::GetBreakdownRequest>,
    ) -> Result<Response<api::GetBreakdownResponse>, Status> {
        breakdown::get(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn record_events(
        &self,
        request: Request<api::RecordEventsRequest>,
    ) -> Result<Response<api::RecordEventsResponse>, Status> {
        events::record(self, request.into_inner()).await
    }

    async fn set_goal(
        &self,
        request: Request<api::SetGoalRequest>,
    ) -> Result<Response<api::SetGoalResponse>, Status> {
        goals::set(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn list_goals(
        &self,
        request: Request<api::ListGoalsRequest>,
    ) -> Result<Response<api::ListGoalsResponse>, Status> {
        goals::list(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn get_goal(
        &self,
        request: Request<api::GetGoalRequest>,
    ) -> Result<Response<api::GetGoalResponse>, Status> {
        goals::get(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn remove_goal(
        &self,
        request: Request<api::RemoveGoalRequest>,
    ) -> Result<Response<api::RemoveGoalResponse>, Status> {
        goals::remove(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn add_contribution(
        &self,
        request: Request<api::AddContributionRequest>,
    ) -> Result<Response<api::AddContributionResponse>, Status> {
        goals::contribute(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn remove_contribution(
        &self,
        request: Request<api::RemoveContributionRequest>,
    ) -> Result<Response<api::RemoveContributionResponse>, Status> {
        goals::take_back(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn list_contributions(
        &self,
        request: Request<api::ListContributionsRequest>,
    ) -> Result<Response<api::ListContributionsResponse>, Status> {
        goals::contributions(self, own(request, |message| &mut message.user_id)?).await
    }

    async fn rebuild(
        &self,
        request: Request<api::RebuildRequest>,
    ) -> Result<Response<api::RebuildResponse>, Status> {
        rebuild::begin(self, request.into_inner()).await
    }

    async fn get_rebuild(
        &self,
        request: Request<api::GetRebuildRequest>,
    ) -> Result<Response<api::GetRebuildResponse>, Status> {
        rebuild::get(self, request.into_inner()).await
    }

    async fn set_rates(
        &self,
        request: Request<api::SetRatesRequest>,
    ) -> Result<Response<api::SetRatesResponse>, Status> {
        rates::set(self, request.into_inner()).await
    }

    async fn list_rates(
        &self,
        request: Request<api::ListRatesRequest>,
    ) -> Result<Response<api::ListRatesResponse>, Status> {
        rates::list(self, request.into_inner()).await
    }

    async fn watch_analytics(
        &self,
        request: Request<api::WatchAnalyticsRequest>,
    ) -> Result<Response<Self::WatchAnalyticsStream>, Status> {
        let caller = Identity::of(&request);
        let request = own(request, |message| &mut message.user_id)?;
        let place = |mark: i64| Position::from([("after_mark".to_owned(), mark.to_string())]);
        let steps = watch::watch(self, &request)?.into_inner();
        let note = move |step: &api::WatchAnalyticsResponse, at: &mut Position| *at = place(step.mark);
        Ok(Response::new(Box::pin(expiring(caller, steps, place(request.after_mark), note))))
    }
}

/// A page of the lines behind a number. The question asks for one more than the page has, to know whether there is another.
async fn explain_page(
    figures: &Figures,
    question: Question,
    tokens: &PageToken,
) -> Result<api::ExplainResponse, Status> {
    let (period, size) = (question.scope.period, question.limit - 1);
    let mut explanation = figures.explain(question).await.map_err(status)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let has_more = explanation.lines.len() > size;
    explanation.lines.truncate(size);
    let last = explanation.lines.last().filter(|_| has_more);
    let next_page_token = last.map_or_else(String::new, |line| tokens.after(line));
    Ok(convert::explanation(explanation, period, next_page_token))
}

fn at_most(field: &str, count: usize) -> Result<(), Status> {
    let mut check = Check::default();
    check.at_most(field, count, MOST_ITEMS);
    check.done().map_err(|violations| status(Fault::invalid(violations)))
}
