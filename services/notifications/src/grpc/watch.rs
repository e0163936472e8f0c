//! The stream of a feed's changes, as bytes.
//!
//! The generated server encodes each message for each stream, into a buffer of eight kilobytes that the stream holds for as long as it lives. Here the devices of a user, or all who
//! watch one feed, share one encoded message, and a stream that waits holds no buffer. All else is the generated server's.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use pathway_kernel::Fault;
use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::notifications::v1::notifications_service_server::NotificationsServiceServer;
use pathway_rpc::{Identity, MAX_MESSAGE_BYTES, Position, expiring, own, status};
use prost::Message as _;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstDecoder;

use super::convert::to_update;
use super::{check_user, position, refuse};
use crate::feeds::Update;
use crate::notices::Notices;

/// The notices' server, which sends what is encoded once to all who watch.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    notices: Notices,
    others: NotificationsServiceServer<Notices>,
}

/// The call that is answered here.
#[derive(Debug)]
struct Watching(Notices);

/// Requests as messages, answers as the bytes that they are.
#[derive(Debug, Clone, Copy)]
struct Encoded;

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

const WATCH: &str = "/pathway.notifications.v1.NotificationsService/WatchNotifications";
/// A stream gives away what it has encoded when it has so much.
const YIELD_AT: usize = 32 * 1024;

/// The messages of a stream, encoded.
pub(super) async fn messages(
    notices: &Notices,
    request: Request<api::WatchNotificationsRequest>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + use<>, Status> {
    let caller = Identity::of(&request);
    let request = own(request, |message| &mut message.user_id)?;
    let mut check = check_user(&request.user_id);
    check.note("after_change", (request.after_change < 0).then_some("must not be negative"));
    refuse(check)?;
    let start = position("after_change", request.after_change);
    let updates = notices.watch(request.user_id, request.after_change).await.map_err(status)?;
    let updates = updates.map(|update| update.map_err(status));
    let note = |update: &Arc<Update>, place: &mut Position| {
        *place = position("after_change", update.last);
    };
    Ok(expiring(caller, updates, start, note).map(|update| update.map(|update| encoded(&update))))
}

/// A message of such a stream.
pub(super) fn decoded(message: Result<Bytes, Status>) -> Result<api::WatchNotificationsResponse, Status> {
    api::WatchNotificationsResponse::decode(message?).map_err(|error| status(Fault::internal(error)))
}

fn encoded(update: &Update) -> Bytes {
    update.encoded.get_or_init(|| to_update(update).encode_to_vec().into()).clone()
}

// === impl Sharing ===

impl Sharing {
    pub(super) fn new(notices: Notices) -> Self {
        let others = NotificationsServiceServer::new(notices.clone());
        Self { notices, others: others.max_decoding_message_size(MAX_MESSAGE_BYTES) }
    }
}

impl NamedService for Sharing {
    const NAME: &'static str = NotificationsServiceServer::<Notices>::NAME;
}

impl Service<http::Request<Body>> for Sharing {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != WATCH {
            return self.others.call(request);
        }
        let watching = Watching(self.notices.clone());
        Box::pin(async move { Ok(Grpc::new(Encoded).server_streaming(watching, request).await) })
    }
}

// === impl Watching ===

impl ServerStreamingService<api::WatchNotificationsRequest> for Watching {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer<Response<Messages>, Status>;

    fn call(&mut self, request: Request<api::WatchNotificationsRequest>) -> Self::Future {
        let notices = self.0.clone();
        Box::pin(async move {
            let messages: Messages = Box::pin(messages(&notices, request).await?);
            Ok(Response::new(messages))
        })
    }
}

// === impl Encoded ===

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = api::WatchNotificationsRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<api::WatchNotificationsRequest>;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put(message);
        Ok(())
    }

    /// Nothing until there is something to send.
    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, YIELD_AT)
    }
}
