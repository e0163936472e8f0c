//! Figures as they change.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::status;
use tonic::{Response, Status};

use super::convert;
use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::{Budget, Spending};
use crate::watch::Step;

/// What a follower reads.
pub(super) type Steps = Pin<Box<dyn Stream<Item = Result<api::WatchAnalyticsResponse, Status>> + Send>>;

/// Follows a user's figures.
pub(super) fn watch(
    figures: &Figures,
    request: &api::WatchAnalyticsRequest,
) -> Result<Response<Steps>, Status> {
    let mut check = Check::default();
    let span = (request.start.as_ref(), request.end.as_ref());
    let scope = convert::checked_scope(&mut check, &request.user_id, span, &request.currency_code);
    check.note("after_mark", (request.after_mark < 0).then_some("must not be negative"));
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let scope = scope.ok_or_else(|| status(AnalyticsError::invalid("end", "must be after the first day")))?;
    let after = (request.after_mark > 0).then_some(request.after_mark);
    let steps = figures.watch(scope, after).map(|step| match step {
        Ok((mark, step)) => Ok(api::WatchAnalyticsResponse { mark, event: Some(event(step)) }),
        Err(error) => Err(status(error)),
    });
    Ok(Response::new(Box::pin(steps)))
}

fn event(step: Step) -> api::watch_analytics_response::Event {
    use api::watch_analytics_response::Event;
    match step {
        Step::Progress => Event::Progress(api::AnalyticsProgress {}),
        Step::Refetch => Event::Refetch(api::AnalyticsRefetch {
            reason: "what changed after this mark is no longer kept".to_owned(),
        }),
        Step::Snapshot { spending, budgets } => Event::Snapshot(api::AnalyticsSnapshot {
            spending: Some(convert::spending(spending)),
            budgets: to_budgets(budgets),
        }),
        Step::Delta { categories, spending, budgets } => {
            let Spending { currency, total, categories: sums, .. } = spending;
            let changed = categories.into_iter().map(|category| {
                let totals = sums.iter().find(|(name, _)| *name == category).map(|(_, totals)| *totals);
                let totals = Some(convert::totals(totals.unwrap_or_default(), currency));
                api::CategorySpending { category, totals }
            });
            Event::Delta(api::AnalyticsDelta {
                categories: changed.collect(),
                total: Some(convert::totals(total, currency)),
                budgets: to_budgets(budgets),
            })
        }
    }
}

fn to_budgets(budgets: Vec<Budget>) -> Vec<api::Budget> {
    budgets.into_iter().map(super::budgets::budget).collect()
}
