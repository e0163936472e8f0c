//! Rebuilds.

use pathway_kernel::Check;
use pathway_proto::pathway::analytics::v1 as api;
use pathway_rpc::status;
use tonic::{Response, Status};

use super::convert::USER_ID;
use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::{Rebuild, RebuildState};

/// Begins a rebuild.
pub(super) async fn begin(
    figures: &Figures,
    request: api::RebuildRequest,
) -> Result<Response<api::RebuildResponse>, Status> {
    let mut check = Check::default();
    check.text("user_id", &request.user_id, USER_ID);
    let is_one = request.user_id.is_empty() == request.everybody;
    check.note("user_id", (!is_one).then_some("is required, unless everybody is true: give one of them"));
    check.request_id("request_id", &request.request_id);
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let user_id = Some(request.user_id).filter(|user| !user.is_empty());
    let begun = figures.store.begin_rebuild(user_id, request.request_id, figures.now_us()).await;
    let begun = begun.map_err(status)?;
    figures.rebuilds.notify_one();
    Ok(Response::new(api::RebuildResponse { rebuild: Some(to_rebuild(begun)) }))
}

/// How far a rebuild is.
pub(super) async fn get(
    figures: &Figures,
    request: api::GetRebuildRequest,
) -> Result<Response<api::GetRebuildResponse>, Status> {
    let mut check = Check::default();
    check.note("number", (request.number < 0).then_some("must not be negative"));
    check.done().map_err(|violations| status(AnalyticsError::from(violations)))?;
    let found = figures.store.rebuild(request.number).await.map_err(status)?;
    let found = found.ok_or_else(|| status(AnalyticsError::UnknownRebuild))?;
    Ok(Response::new(api::GetRebuildResponse { rebuild: Some(to_rebuild(found)) }))
}

fn to_rebuild(rebuild: Rebuild) -> api::Rebuild {
    let state = match rebuild.state {
        RebuildState::Reading => api::RebuildState::Reading,
        RebuildState::Swapping => api::RebuildState::Swapping,
        RebuildState::Done => api::RebuildState::Done,
    };
    api::Rebuild {
        number: rebuild.number,
        user_id: rebuild.user_id.unwrap_or_default(),
        state: state.into(),
        changes_read: rebuild.changes_read,
        users_done: rebuild.users_done,
        users_total: rebuild.users_total,
        started_at_us: rebuild.started_at_us,
        ended_at_us: rebuild.ended_at_us,
    }
}
