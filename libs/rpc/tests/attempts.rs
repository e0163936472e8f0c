//! Attempts as a trace shows them: each is a span, which says how many came before it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pathway_kernel::Backoff;
use pathway_proto::pathway::notifications::v1::ListNoticesRequest;
use pathway_proto::pathway::notifications::v1::notifications_service_client::NotificationsServiceClient;
use pathway_rpc::{Channel, ChannelConfig, RetryConfig, Routes, Server, ServerConfig, Target, memory};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Takes down the calls that are made.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<Vec<Option<u64>>>>);

struct Previous(Option<u64>);

impl Visit for Previous {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "pathway.rpc.previous_attempts" {
            self.0 = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl Subscriber for Calls {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "call"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut previous = Previous(None);
        attributes.record(&mut previous);
        let mut calls = self.0.lock().unwrap();
        calls.push(previous.0);
        Id::from_u64(calls.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_span_and_says_how_many_came_before() {
    let calls = Calls::default();
    let _told = tracing::subscriber::set_default(calls.clone());
    let (connector, listener) = memory();
    // It takes nothing on, and says when to come again.
    let config = ServerConfig { unary_calls: 0, ..ServerConfig::default() };
    tokio::spawn(Server::new(config, Routes::default()).serve(listener, std::future::pending()));
    let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30), 0.0).unwrap();
    let retry = RetryConfig { attempts: 3, backoff, ..RetryConfig::default() };
    let config = ChannelConfig { retry, ..ChannelConfig::default() };
    let channel = Channel::new("peer", Target::Memory(connector), config);
    let refused = NotificationsServiceClient::new(channel)
        .list_notices(ListNoticesRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    assert_eq!(*calls.0.lock().unwrap(), [None, Some(1), Some(2)]);
}
