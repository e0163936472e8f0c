//! The API: the only part that knows the generated types.

mod convert;
mod deliveries;
mod endpoints;
mod preferences;
mod watch;

use std::pin::Pin;

use futures_util::stream::iter;
use futures_util::{Stream, StreamExt as _};
use pathway_kernel::{Check, Fault};
use pathway_proto::google::rpc::Status as ItemStatus;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::notifications::v1::deliveries_service_server::DeliveriesServiceServer;
use pathway_proto::pathway::notifications::v1::notifications_service_server::NotificationsService;
use pathway_proto::pathway::notifications::v1::preferences_service_server::PreferencesServiceServer;
use pathway_rpc::{Identity, Position, Routes, expiring, ok_item_status, own, status, to_item_status};
use pathway_store::Once;
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::error::NotificationsError;
use crate::notice::Mark;
use crate::notices::Notices;
use crate::store::{Listing, Which};
use convert::{from_notice, to_message, to_result, to_stored};
use watch::Sharing;

/// The most items of one call.
const MOST_ITEMS: usize = 4096;
/// The longest user id, in bytes.
const LONGEST_USER: usize = 512;

pub(crate) fn routes(notices: Notices) -> Routes {
    Routes::default()
        .add(Sharing::new(notices.clone()))
        .add(PreferencesServiceServer::new(notices.clone()))
        .add(DeliveriesServiceServer::new(notices))
}

#[tonic::async_trait]
impl NotificationsService for Notices {
    type WatchNotificationsStream =
        Pin<Box<dyn Stream<Item = Result<api::WatchNotificationsResponse, Status>> + Send>>;
    type WatchNoticesStream = Pin<Box<dyn Stream<Item = Result<api::WatchNoticesResponse, Status>> + Send>>;

    async fn send_notices(
        &self,
        request: Request<api::SendNoticesRequest>,
    ) -> Result<Response<api::SendNoticesResponse>, Status> {
        let notices = request.into_inner().notices;
        let mut check = Check::default();
        check.at_most("notices", notices.len(), MOST_ITEMS);
        refuse(check)?;
        let results = self.send(notices.into_iter().map(from_notice).collect()).await.map_err(status)?;
        let results = results.into_iter().map(to_result).collect();
        Ok(Response::new(api::SendNoticesResponse { results }))
    }

    async fn list_notices(
        &self,
        request: Request<api::ListNoticesRequest>,
    ) -> Result<Response<api::ListNoticesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let mut check = check_user(&request.user_id);
        let limit = check.page_size("page_size", request.page_size, 100, 1000);
        refuse(check)?;
        let listing = Listing {
            user_id: request.user_id,
            after: request.after_sequence,
            // One more than the page shows whether there is another.
            limit: limit + 1,
            which: match (request.unread_only, request.include_all) {
                (true, _) => Which::Unread,
                (false, true) => Which::All,
                (false, false) => Which::Inbox,
            },
        };
        let mut page = self.list(listing).await.map_err(status)?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_last = page.notices.len() <= shown;
        page.notices.truncate(shown);
        let last = page.notices.last().map_or(0, |notice| notice.sequence);
        Ok(Response::new(api::ListNoticesResponse {
            notices: page.notices.into_iter().map(to_stored).collect(),
            unread: page.unread,
            next_after_sequence: if is_last { 0 } else { last },
            change: page.last_change,
        }))
    }

    async fn mark_notices(
        &self,
        request: Request<api::MarkNoticesRequest>,
    ) -> Result<Response<api::MarkNoticesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let (results, unread) =
            self.mark_ids(request.user_id, &request.ids, Mark::Read(request.read)).await?;
        Ok(Response::new(api::MarkNoticesResponse { results, unread }))
    }

    async fn archive_notices(
        &self,
        request: Request<api::ArchiveNoticesRequest>,
    ) -> Result<Response<api::ArchiveNoticesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let mark = Mark::Archived(request.archived);
        let (results, unread) = self.mark_ids(request.user_id, &request.ids, mark).await?;
        Ok(Response::new(api::ArchiveNoticesResponse { results, unread }))
    }

    async fn mark_all_read(
        &self,
        request: Request<api::MarkAllReadRequest>,
    ) -> Result<Response<api::MarkAllReadResponse>, Status> {
        let mut request = own(request, |message| &mut message.user_id)?;
        let mut check = check_user(&request.user_id);
        check.request_id("request_id", &request.request_id);
        refuse(check)?;
        let id = std::mem::take(&mut request.request_id);
        let once = self.once("MarkAllRead", &id, &request.user_id, &request);
        let up_to = if request.up_to_sequence <= 0 { i64::MAX } else { request.up_to_sequence };
        let marked = self.mark_all(request.user_id, up_to, once).await.map_err(status)?;
        Ok(Response::new(api::MarkAllReadResponse { marked: marked.marked, unread: marked.unread }))
    }

    async fn watch_notifications(
        &self,
        request: Request<api::WatchNotificationsRequest>,
    ) -> Result<Response<Self::WatchNotificationsStream>, Status> {
        // `Sharing` takes this call before the generated server does, and sends the same.
        let messages = watch::messages(self, request).await?;
        Ok(Response::new(Box::pin(messages.map(watch::decoded))))
    }

    async fn watch_notices(
        &self,
        request: Request<api::WatchNoticesRequest>,
    ) -> Result<Response<Self::WatchNoticesStream>, Status> {
        let caller = Identity::of(&request);
        let request = own(request, |message| &mut message.user_id)?;
        refuse(check_user(&request.user_id))?;
        let start = position("after_sequence", request.after_sequence);
        let pages = self.watch_new(&request.user_id, request.after_sequence);
        let messages = pages.flat_map(|page| {
            iter(match page {
                Ok(notices) if notices.is_empty() => vec![Ok(api::WatchNoticesResponse { notice: None })],
                Ok(notices) => notices.into_iter().map(|notice| Ok(to_message(notice))).collect(),
                Err(error) => vec![Err(status(error))],
            })
        });
        let messages = expiring(caller, messages, start, |message: &api::WatchNoticesResponse, place| {
            if let Some(notice) = &message.notice {
                *place = position("after_sequence", notice.sequence);
            }
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

impl Notices {
    /// A user's call with this id and this request, which is without it; none where there is no id.
    fn once<M: Message>(&self, method: &'static str, id: &str, user_id: &str, request: &M) -> Option<Once> {
        let once = || Once::new(method, id, &request.encode_to_vec(), self.clock.now_us()).of(user_id);
        (!id.is_empty()).then(once)
    }

    /// Marks notices by their ids; answers for each a status, and how many are unread then.
    async fn mark_ids(
        &self,
        user_id: String,
        ids: &[String],
        mark: Mark,
    ) -> Result<(Vec<ItemStatus>, i64), Status> {
        let mut check = check_user(&user_id);
        check.at_most("ids", ids.len(), MOST_ITEMS);
        refuse(check)?;
        // An id that is no id is nobody's: the nil one stands for it and is never found.
        let ids = ids.iter().map(|id| Uuid::try_parse(id).unwrap_or_default()).collect();
        let marked = self.mark(user_id, ids, mark).await.map_err(status)?;
        let unknown = || to_item_status(&NotificationsError::UnknownNotice.into());
        let to_status = |known: bool| if known { ok_item_status() } else { unknown() };
        Ok((marked.known.into_iter().map(to_status).collect(), marked.unread))
    }
}

/// Where a stream goes on: the field of its request, and the number.
fn position(field: &str, after: i64) -> Position {
    Position::from([(field.to_owned(), after.to_string())])
}

/// Whose notices: required in every request about a user.
fn check_user(user_id: &str) -> Check {
    let mut check = Check::default();
    check.required("user_id", user_id, LONGEST_USER);
    check
}

fn refuse(check: Check) -> Result<(), Status> {
    check.done().map_err(|violations| status(Fault::invalid(violations)))
}
