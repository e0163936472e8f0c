//! Messages on their way, and the endpoints that they go to.

use pathway_proto::pathway::notifications::v1 as api;
use pathway_proto::pathway::notifications::v1::deliveries_service_server::DeliveriesService;
use pathway_rpc::{Pages, own, status};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{check_user, endpoints, refuse};
use crate::delivery::{Attempt, Delivery, DeliveryState};
use crate::error::NotificationsError;
use crate::notices::Notices;
use crate::preferences::Channel;
use crate::store::DeliveryListing;

#[tonic::async_trait]
impl DeliveriesService for Notices {
    async fn list_deliveries(
        &self,
        request: Request<api::ListDeliveriesRequest>,
    ) -> Result<Response<api::ListDeliveriesResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        let mut check = check_user(&request.user_id);
        let limit = check.page_size("page_size", request.page_size, 50, 500);
        let is_channel = request.channel.is_empty() || Channel::parse(&request.channel).is_some();
        check.note("channel", (!is_channel).then_some("must be email, push or webhook, or empty"));
        let state = from_state(request.state()).map_or("", DeliveryState::name);
        let filters = [request.user_id.as_str(), &request.channel, state, &request.target];
        let pages = Pages::of("ListDeliveries", &filters);
        let place = check.take("page_token", pages.place(&request.page_token)).flatten();
        refuse(check)?;
        let before = place.map_or(Uuid::max(), |id| Uuid::try_parse(&id).unwrap_or_default());
        let listing = DeliveryListing {
            user_id: request.user_id.clone(),
            before,
            channel: request.channel.clone(),
            state,
            target: request.target,
            // One more than the page shows whether there is another.
            limit: limit + 1,
        };
        let mut found = self.store.deliveries(listing).await.map_err(wrong)?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_last = found.len() <= shown;
        found.truncate(shown);
        let next = found
            .last()
            .filter(|_| !is_last)
            .map(|(delivery, _)| pages.token(&delivery.id.simple().to_string()));
        Ok(Response::new(api::ListDeliveriesResponse {
            deliveries: found.into_iter().map(to_delivery).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn retry_delivery(
        &self,
        request: Request<api::RetryDeliveryRequest>,
    ) -> Result<Response<api::RetryDeliveryResponse>, Status> {
        let mut request = own(request, |message| &mut message.user_id)?;
        let mut check = check_user(&request.user_id);
        check.request_id("request_id", &request.request_id);
        refuse(check)?;
        let call = std::mem::take(&mut request.request_id);
        let once = self.once("RetryDelivery", &call, &request.user_id, &request);
        let id = of_id(&request.id);
        let retried = self.store.retry(request.user_id, id, self.clock.now_us(), once).await;
        let delivery = retried.map_err(wrong)?;
        self.wake.notify_one();
        Ok(Response::new(api::RetryDeliveryResponse { delivery: Some(to_delivery(delivery)) }))
    }

    async fn create_webhook(
        &self,
        request: Request<api::CreateWebhookRequest>,
    ) -> Result<Response<api::CreateWebhookResponse>, Status> {
        endpoints::create_webhook(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn list_webhooks(
        &self,
        request: Request<api::ListWebhooksRequest>,
    ) -> Result<Response<api::ListWebhooksResponse>, Status> {
        endpoints::list_webhooks(self, own(request, |message| &mut message.user_id)?).await.map(Response::new)
    }

    async fn update_webhook(
        &self,
        request: Request<api::UpdateWebhookRequest>,
    ) -> Result<Response<api::UpdateWebhookResponse>, Status> {
        endpoints::update_webhook(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn delete_webhook(
        &self,
        request: Request<api::DeleteWebhookRequest>,
    ) -> Result<Response<api::DeleteWebhookResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        endpoints::remove(self, request.user_id, Channel::Webhook, &request.id).await?;
        Ok(Response::new(api::DeleteWebhookResponse {}))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<api::RotateWebhookSecretRequest>,
    ) -> Result<Response<api::RotateWebhookSecretResponse>, Status> {
        endpoints::rotate_webhook_secret(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn recover_webhook(
        &self,
        request: Request<api::RecoverWebhookRequest>,
    ) -> Result<Response<api::RecoverWebhookResponse>, Status> {
        endpoints::recover_webhook(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn replay_webhook(
        &self,
        request: Request<api::ReplayWebhookRequest>,
    ) -> Result<Response<api::ReplayWebhookResponse>, Status> {
        endpoints::replay_webhook(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn get_push_key(
        &self,
        _: Request<api::GetPushKeyRequest>,
    ) -> Result<Response<api::GetPushKeyResponse>, Status> {
        Ok(Response::new(api::GetPushKeyResponse { public_key: self.push_key.clone() }))
    }

    async fn create_push_subscription(
        &self,
        request: Request<api::CreatePushSubscriptionRequest>,
    ) -> Result<Response<api::CreatePushSubscriptionResponse>, Status> {
        endpoints::create_push_subscription(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn list_push_subscriptions(
        &self,
        request: Request<api::ListPushSubscriptionsRequest>,
    ) -> Result<Response<api::ListPushSubscriptionsResponse>, Status> {
        endpoints::list_push_subscriptions(self, own(request, |message| &mut message.user_id)?)
            .await
            .map(Response::new)
    }

    async fn delete_push_subscription(
        &self,
        request: Request<api::DeletePushSubscriptionRequest>,
    ) -> Result<Response<api::DeletePushSubscriptionResponse>, Status> {
        let request = own(request, |message| &mut message.user_id)?;
        endpoints::remove(self, request.user_id, Channel::Push, &request.id).await?;
        Ok(Response::new(api::DeletePushSubscriptionResponse {}))
    }
}

pub(super) fn wrong(error: NotificationsError) -> Status {
    status(error)
}

/// An id that is no id is nobody's: the nil one stands for it and is never found.
pub(super) fn of_id(text: &str) -> Uuid {
    Uuid::try_parse(text.strip_prefix("msg_").unwrap_or(text)).unwrap_or_default()
}

const fn from_state(state: api::DeliveryState) -> Option<DeliveryState> {
    match state {
        api::DeliveryState::Unspecified => None,
        api::DeliveryState::Waiting => Some(DeliveryState::Waiting),
        api::DeliveryState::Delivered => Some(DeliveryState::Delivered),
        api::DeliveryState::Failed => Some(DeliveryState::Failed),
        api::DeliveryState::Dropped => Some(DeliveryState::Dropped),
    }
}

fn to_delivery((delivery, attempts): (Delivery, Vec<Attempt>)) -> api::Delivery {
    let state = match delivery.state {
        DeliveryState::Waiting => api::DeliveryState::Waiting,
        DeliveryState::Delivered => api::DeliveryState::Delivered,
        DeliveryState::Failed => api::DeliveryState::Failed,
        DeliveryState::Dropped => api::DeliveryState::Dropped,
    };
    api::Delivery {
        id: delivery.id.to_string(),
        user_id: delivery.user_id,
        channel: delivery.channel.name().to_owned(),
        target: delivery.target,
        sequence: delivery.sequence,
        state: state.into(),
        reason: delivery.reason,
        due_at_us: delivery.due_us,
        created_at_us: delivery.created_at_us,
        ended_at_us: delivery.ended_at_us,
        attempts: attempts.into_iter().map(to_attempt).collect(),
    }
}

fn to_attempt(attempt: Attempt) -> api::DeliveryAttempt {
    let small = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    api::DeliveryAttempt {
        number: small(attempt.number),
        began_at_us: attempt.began_at_us,
        took_us: attempt.took_us,
        status: small(attempt.status),
        reason: attempt.reason,
    }
}
