//! The three peers as one script: what they were asked, and what they are to answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::Stream;
use pathway_kernel::{Code, Fault};
use pathway_processor::Peers;
use pathway_proto::pathway::analytics::v1 as analytics;
use pathway_proto::pathway::analytics::v1::analytics_service_server::{
    AnalyticsService, AnalyticsServiceServer,
};
use pathway_proto::pathway::datasync::v1 as datasync;
use pathway_proto::pathway::datasync::v1::datasync_service_server::{DatasyncService, DatasyncServiceServer};
use pathway_proto::pathway::notifications::v1 as notifications;
use pathway_proto::pathway::notifications::v1::notifications_service_server::{
    NotificationsService, NotificationsServiceServer,
};
use pathway_proto::pathway::types::v1::{Notice, Record, RecordChange};
use pathway_rpc::{Routes, Server, ServerConfig, Target, memory, status, to_item_status};
use tonic::{Request, Response, Status};

/// The peers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The batches of writes that datasync was given.
    pub(crate) writes: Vec<Vec<datasync::RecordWrite>>,
    /// The changes that analytics was given.
    pub(crate) changes: Vec<RecordChange>,
    /// What analytics was told by other systems.
    pub(crate) events: Vec<analytics::AnalyticsEvent>,
    /// The notices that notifications was given.
    pub(crate) notices: Vec<Notice>,
    /// Which peer answers UNAVAILABLE, and how often still.
    pub(crate) away: Option<(&'static str, u32)>,
    /// The key of the record that analytics refuses.
    pub(crate) poison: Option<String>,
}

// === impl Script ===

impl Script {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Serves the peers, each on a listener of its own, until the process ends.
    pub(crate) fn serve(&self) -> Peers {
        Peers {
            datasync: serve(Routes::default().add(DatasyncServiceServer::new(self.clone()))),
            analytics: serve(Routes::default().add(AnalyticsServiceServer::new(self.clone()))),
            notifications: serve(Routes::default().add(NotificationsServiceServer::new(self.clone()))),
        }
    }

    fn is_there(&self, peer: &str) -> Result<(), Status> {
        let mut state = self.state();
        match &mut state.away {
            Some((away, left)) if *away == peer && *left > 0 => {
                *left -= 1;
                Err(status(Fault::new(Code::Unavailable, "AWAY", "the peer is away")))
            }
            _ => Ok(()),
        }
    }
}

fn serve(routes: Routes) -> Target {
    let (connector, listener) = memory();
    tokio::spawn(Server::new(ServerConfig::default(), routes).serve(listener, std::future::pending()));
    Target::Memory(connector)
}

fn unasked<T>() -> Result<Response<T>, Status> {
    Err(status(Fault::new(Code::Unimplemented, "UNASKED", "no pathway calls this")))
}

fn key(record: &Record) -> &str {
    &record.identity.as_ref().unwrap().key
}

#[tonic::async_trait]
impl DatasyncService for Script {
    type WatchChangesStream =
        Pin<Box<dyn Stream<Item = Result<datasync::WatchChangesResponse, Status>> + Send>>;

    async fn write_records(
        &self,
        request: Request<datasync::WriteRecordsRequest>,
    ) -> Result<Response<datasync::WriteRecordsResponse>, Status> {
        self.is_there("datasync")?;
        let writes = request.into_inner().writes;
        let results = writes.iter().map(|write| {
            let after = Record { version: 1, ..write.record.clone().unwrap() };
            let change = RecordChange { after: Some(after.clone()), ..RecordChange::default() };
            let outcome = datasync::WriteOutcome { change: Some(change), record: Some(after) };
            datasync::WriteRecordResult {
                result: Some(datasync::write_record_result::Result::Outcome(outcome)),
            }
        });
        let results = results.collect();
        self.state().writes.push(writes);
        Ok(Response::new(datasync::WriteRecordsResponse { results }))
    }

    async fn list_records(
        &self,
        _: Request<datasync::ListRecordsRequest>,
    ) -> Result<Response<datasync::ListRecordsResponse>, Status> {
        unasked()
    }

    async fn list_record_versions(
        &self,
        _: Request<datasync::ListRecordVersionsRequest>,
    ) -> Result<Response<datasync::ListRecordVersionsResponse>, Status> {
        unasked()
    }

    async fn list_changes(
        &self,
        _: Request<datasync::ListChangesRequest>,
    ) -> Result<Response<datasync::ListChangesResponse>, Status> {
        unasked()
    }

    async fn watch_changes(
        &self,
        _: Request<datasync::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        unasked()
    }

    async fn import_statement(
        &self,
        _: Request<datasync::ImportStatementRequest>,
    ) -> Result<Response<datasync::ImportStatementResponse>, Status> {
        unasked()
    }

    async fn split_record(
        &self,
        _: Request<datasync::SplitRecordRequest>,
    ) -> Result<Response<datasync::SplitRecordResponse>, Status> {
        unasked()
    }

    async fn pair_transfers(
        &self,
        _: Request<datasync::PairTransfersRequest>,
    ) -> Result<Response<datasync::PairTransfersResponse>, Status> {
        unasked()
    }

    async fn pair_records(
        &self,
        _: Request<datasync::PairRecordsRequest>,
    ) -> Result<Response<datasync::PairRecordsResponse>, Status> {
        unasked()
    }

    async fn unpair_record(
        &self,
        _: Request<datasync::UnpairRecordRequest>,
    ) -> Result<Response<datasync::UnpairRecordResponse>, Status> {
        unasked()
    }
}

/// Refuses the poison, and tells the user of each change that it is there.
#[tonic::async_trait]
impl AnalyticsService for Script {
    type WatchAnalyticsStream =
        Pin<Box<dyn Stream<Item = Result<analytics::WatchAnalyticsResponse, Status>> + Send>>;

    async fn watch_analytics(
        &self,
        _: Request<analytics::WatchAnalyticsRequest>,
    ) -> Result<Response<Self::WatchAnalyticsStream>, Status> {
        unasked()
    }

    async fn apply_changes(
        &self,
        request: Request<analytics::ApplyChangesRequest>,
    ) -> Result<Response<analytics::ApplyChangesResponse>, Status> {
        self.is_there("analytics")?;
        let changes = request.into_inner().changes;
        let mut state = self.state();
        let results = changes.iter().map(|change| {
            use analytics::apply_change_result::Result as Item;
            let record = change.after.as_ref().unwrap();
            let result = if state.poison.as_deref() == Some(key(record)) {
                Item::Error(to_item_status(&Fault::new(Code::OutOfRange, "POISON", "this one is refused")))
            } else {
                let notice = Notice {
                    user_id: record.user_id.clone(),
                    dedup_key: key(record).to_owned(),
                    r#type: "reminder".to_owned(),
                    ..Notice::default()
                };
                Item::Outcome(analytics::ApplyOutcome { insights: vec![notice] })
            };
            analytics::ApplyChangeResult { result: Some(result) }
        });
        let results = results.collect();
        state.changes.extend(changes);
        Ok(Response::new(analytics::ApplyChangesResponse { results }))
    }

    async fn await_changes(
        &self,
        _: Request<analytics::AwaitChangesRequest>,
    ) -> Result<Response<analytics::AwaitChangesResponse>, Status> {
        unasked()
    }

    async fn record_events(
        &self,
        request: Request<analytics::RecordEventsRequest>,
    ) -> Result<Response<analytics::RecordEventsResponse>, Status> {
        use analytics::record_event_result::Result as Item;
        self.is_there("analytics")?;
        let events = request.into_inner().events;
        let recorded = Some(analytics::recorded_event::Recorded::Limits(1));
        let outcome = Item::Outcome(analytics::RecordedEvent { recorded });
        let result = analytics::RecordEventResult { result: Some(outcome) };
        let results = vec![result; events.len()];
        self.state().events.extend(events);
        Ok(Response::new(analytics::RecordEventsResponse { results }))
    }

    async fn get_breakdown(
        &self,
        _: Request<analytics::GetBreakdownRequest>,
    ) -> Result<Response<analytics::GetBreakdownResponse>, Status> {
        unasked()
    }

    async fn set_goal(
        &self,
        _: Request<analytics::SetGoalRequest>,
    ) -> Result<Response<analytics::SetGoalResponse>, Status> {
        unasked()
    }

    async fn list_goals(
        &self,
        _: Request<analytics::ListGoalsRequest>,
    ) -> Result<Response<analytics::ListGoalsResponse>, Status> {
        unasked()
    }

    async fn get_goal(
        &self,
        _: Request<analytics::GetGoalRequest>,
    ) -> Result<Response<analytics::GetGoalResponse>, Status> {
        unasked()
    }

    async fn remove_goal(
        &self,
        _: Request<analytics::RemoveGoalRequest>,
    ) -> Result<Response<analytics::RemoveGoalResponse>, Status> {
        unasked()
    }

    async fn add_contribution(
        &self,
        _: Request<analytics::AddContributionRequest>,
    ) -> Result<Response<analytics::AddContributionResponse>, Status> {
        unasked()
    }

    async fn remove_contribution(
        &self,
        _: Request<analytics::RemoveContributionRequest>,
    ) -> Result<Response<analytics::RemoveContributionResponse>, Status> {
        unasked()
    }

    async fn list_contributions(
        &self,
        _: Request<analytics::ListContributionsRequest>,
    ) -> Result<Response<analytics::ListContributionsResponse>, Status> {
        unasked()
    }

    async fn get_spending(
        &self,
        _: Request<analytics::GetSpendingRequest>,
    ) -> Result<Response<analytics::GetSpendingResponse>, Status> {
        unasked()
    }

    async fn set_budgets(
        &self,
        _: Request<analytics::SetBudgetsRequest>,
    ) -> Result<Response<analytics::SetBudgetsResponse>, Status> {
        unasked()
    }

    async fn list_budgets(
        &self,
        _: Request<analytics::ListBudgetsRequest>,
    ) -> Result<Response<analytics::ListBudgetsResponse>, Status> {
        unasked()
    }

    async fn explain(
        &self,
        _: Request<analytics::ExplainRequest>,
    ) -> Result<Response<analytics::ExplainResponse>, Status> {
        unasked()
    }

    async fn list_closed_periods(
        &self,
        _: Request<analytics::ListClosedPeriodsRequest>,
    ) -> Result<Response<analytics::ListClosedPeriodsResponse>, Status> {
        unasked()
    }

    async fn list_insights(
        &self,
        _: Request<analytics::ListInsightsRequest>,
    ) -> Result<Response<analytics::ListInsightsResponse>, Status> {
        unasked()
    }

    async fn set_insight_feedback(
        &self,
        _: Request<analytics::SetInsightFeedbackRequest>,
    ) -> Result<Response<analytics::SetInsightFeedbackResponse>, Status> {
        unasked()
    }

    async fn rebuild(
        &self,
        _: Request<analytics::RebuildRequest>,
    ) -> Result<Response<analytics::RebuildResponse>, Status> {
        unasked()
    }

    async fn get_rebuild(
        &self,
        _: Request<analytics::GetRebuildRequest>,
    ) -> Result<Response<analytics::GetRebuildResponse>, Status> {
        unasked()
    }

    async fn set_rates(
        &self,
        _: Request<analytics::SetRatesRequest>,
    ) -> Result<Response<analytics::SetRatesResponse>, Status> {
        unasked()
    }

    async fn list_rates(
        &self,
        _: Request<analytics::ListRatesRequest>,
    ) -> Result<Response<analytics::ListRatesResponse>, Status> {
        unasked()
    }

    async fn list_recurring(
        &self,
        _: Request<analytics::ListRecurringRequest>,
    ) -> Result<Response<analytics::ListRecurringResponse>, Status> {
        unasked()
    }

    async fn list_trends(
        &self,
        _: Request<analytics::ListTrendsRequest>,
    ) -> Result<Response<analytics::ListTrendsResponse>, Status> {
        unasked()
    }

    async fn get_summary(
        &self,
        _: Request<analytics::GetSummaryRequest>,
    ) -> Result<Response<analytics::GetSummaryResponse>, Status> {
        unasked()
    }

    async fn get_budget_status(
        &self,
        _: Request<analytics::GetBudgetStatusRequest>,
    ) -> Result<Response<analytics::GetBudgetStatusResponse>, Status> {
        unasked()
    }
}

#[tonic::async_trait]
impl NotificationsService for Script {
    type WatchNoticesStream =
        Pin<Box<dyn Stream<Item = Result<notifications::WatchNoticesResponse, Status>> + Send>>;
    type WatchNotificationsStream =
        Pin<Box<dyn Stream<Item = Result<notifications::WatchNotificationsResponse, Status>> + Send>>;

    async fn send_notices(
        &self,
        request: Request<notifications::SendNoticesRequest>,
    ) -> Result<Response<notifications::SendNoticesResponse>, Status> {
        self.is_there("notifications")?;
        let notices = request.into_inner().notices;
        let outcome =
            notifications::send_notice_result::Result::Outcome(notifications::SendOutcome::default());
        let result = notifications::SendNoticeResult { result: Some(outcome) };
        let results = vec![result; notices.len()];
        self.state().notices.extend(notices);
        Ok(Response::new(notifications::SendNoticesResponse { results }))
    }

    async fn list_notices(
        &self,
        _: Request<notifications::ListNoticesRequest>,
    ) -> Result<Response<notifications::ListNoticesResponse>, Status> {
        unasked()
    }

    async fn mark_notices(
        &self,
        _: Request<notifications::MarkNoticesRequest>,
    ) -> Result<Response<notifications::MarkNoticesResponse>, Status> {
        unasked()
    }

    async fn mark_all_read(
        &self,
        _: Request<notifications::MarkAllReadRequest>,
    ) -> Result<Response<notifications::MarkAllReadResponse>, Status> {
        unasked()
    }

    async fn watch_notices(
        &self,
        _: Request<notifications::WatchNoticesRequest>,
    ) -> Result<Response<Self::WatchNoticesStream>, Status> {
        unasked()
    }

    async fn archive_notices(
        &self,
        _: Request<notifications::ArchiveNoticesRequest>,
    ) -> Result<Response<notifications::ArchiveNoticesResponse>, Status> {
        unasked()
    }

    async fn watch_notifications(
        &self,
        _: Request<notifications::WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        unasked()
    }
}
