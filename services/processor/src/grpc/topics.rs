//! Topics between the API's messages and this service's words.

use std::collections::BTreeMap;

use futures_util::Stream;
use futures_util::stream::unfold;
use pathway_kernel::Check;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{Position, status};
use pathway_topics::{StoredEvent, TopicFigures};
use tokio_util::sync::CancellationToken;
use tonic::Status as GrpcStatus;

use super::convert::to_event;
use super::{HEARTBEAT, LONGEST_NAME, checks};
use crate::events::{Envelope, LONGEST_TEXT};
use crate::processing::{Stretch, Subscription, Wanted};

pub(super) fn from_subscription(
    request: &api::SubscribeRequest,
    partitions: i32,
) -> Result<(BTreeMap<i32, i64>, Wanted), GrpcStatus> {
    let mut check = Check::default();
    check.required("topic", &request.topic, LONGEST_NAME);
    checks::positions("from", &request.from, partitions, &mut check);
    let is_start = api::SubscriptionStart::try_from(request.start).is_ok();
    check.note("start", (!is_start).then_some("is no place to start from"));
    check.text("partition_key", &request.partition_key, LONGEST_TEXT);
    checks::refuse(check)?;
    let wanted = match request.start() {
        api::SubscriptionStart::Unspecified => Wanted::Next,
        api::SubscriptionStart::Earliest => Wanted::Earliest,
        api::SubscriptionStart::Time => Wanted::Since(request.start_time_us),
    };
    Ok((request.from.iter().map(|place| (place.partition, place.offset)).collect(), wanted))
}

/// The stretches of a subscription, with heartbeats while there is none, until the service ends.
pub(super) fn stream(
    subscription: Subscription,
    closing: CancellationToken,
) -> impl Stream<Item = Result<api::SubscribeResponse, GrpcStatus>> + Send {
    unfold(Some((subscription, closing)), |state| async move {
        let (mut subscription, closing) = state?;
        let message = tokio::select! {
            () = closing.cancelled() => return None,
            read = subscription.read() => read.map(to_message),
            () = tokio::time::sleep(HEARTBEAT) => Ok(api::SubscribeResponse::default()),
        };
        match message {
            Ok(message) => Some((Ok(message), Some((subscription, closing)))),
            Err(error) => Some((Err(status(error)), None)),
        }
    })
}

/// Where a subscription goes on: `from.<partition>` is the offset to ask for.
pub(super) fn places(subscription: &Subscription) -> Position {
    subscription.places().map(|(partition, offset)| place(partition, offset)).collect()
}

/// Moves a place behind a message.
pub(super) fn note(message: &api::SubscribeResponse, places: &mut Position) {
    // A heartbeat is at no place.
    if message.next_offset > 0 {
        places.extend([place(message.partition, message.next_offset)]);
    }
}

fn place(partition: i32, offset: i64) -> (String, String) {
    (format!("from.{partition}"), offset.to_string())
}

fn to_message(stretch: Stretch) -> api::SubscribeResponse {
    let event = |(stored, envelope): (StoredEvent, Envelope)| api::SubscribedEvent {
        offset: stored.offset,
        event: Some(to_event(envelope)),
        accepted_at_us: stored.appended_at_us,
    };
    api::SubscribeResponse {
        events: stretch.events.into_iter().map(event).collect(),
        partition: stretch.partition,
        next_offset: stretch.next,
        missed: stretch.missed,
    }
}

pub(super) fn to_topic(name: String, figures: &TopicFigures, now_us: i64) -> api::Topic {
    let partitions = figures.partitions.iter().map(|figures| api::TopicPartition {
        partition: figures.partition,
        first_offset: figures.first,
        next_offset: figures.end,
        bytes: figures.bytes,
    });
    let groups = figures.groups.iter().map(|group| api::TopicGroup {
        group: group.group.clone(),
        lag_events: group.events,
        lag_us: group.oldest_us.map_or(0, |oldest_us| now_us.saturating_sub(oldest_us).max(1)),
    });
    api::Topic { name, partitions: partitions.collect(), groups: groups.collect() }
}
