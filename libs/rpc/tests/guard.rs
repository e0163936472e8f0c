//! What the guard does to calls that cross the wire: streams that end with a token, users who call too often, reflection that is hidden.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::num::NonZeroU32;
use std::time::Duration;

use pathway_kernel::{Clock, Code, ManualClock};
use pathway_rpc::{
    AuthConfig, Authenticator, Channel, ChannelConfig, Connector, Credentials, Guard, Limits, Routes, Secret,
    Server, ServerConfig, Target, from_status, memory,
};
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt as _;

const EXPIRES_US: i64 = 600_000_000;

fn secret() -> Secret {
    Secret::new(&[7; 32]).unwrap()
}

fn guard(clock: &ManualClock) -> Guard {
    let config = AuthConfig {
        secret: Some(secret()),
        jwks: None,
        issuer: String::new(),
        audience: String::new(),
        role_claim: "role".to_owned(),
        skew: Duration::ZERO,
    };
    Guard::new(Authenticator::new(config, Clock::manual(clock)))
}

fn serve(guard: Guard) -> Connector {
    let (connector, listener) = memory();
    let config = ServerConfig { guard, ..ServerConfig::default() };
    tokio::spawn(Server::new(config, Routes::default()).serve(listener, std::future::pending()));
    connector
}

fn channel(connector: &Connector, role: Option<&str>) -> Channel {
    let channel = Channel::new("peer", Target::Memory(connector.clone()), ChannelConfig::default());
    let Some(role) = role else { return channel };
    let token = secret().sign(&json!({"sub": "asha", "role": role, "exp": EXPIRES_US / 1_000_000}));
    channel.with_credentials(Credentials::fixed(&token).unwrap())
}

/// A stream that knows nothing of tokens, as any method's may be.
async fn reflection(
    channel: Channel,
) -> Result<tonic::Streaming<tonic_reflection::pb::v1::ServerReflectionResponse>, tonic::Status> {
    let asked = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let asks = tokio_stream::StreamExt::chain(tokio_stream::once(asked), tokio_stream::pending());
    ServerReflectionClient::new(channel).server_reflection_info(asks).await.map(tonic::Response::into_inner)
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_by_itself_is_ended_with_its_token() {
    let clock = ManualClock::at(0);
    let connector = serve(guard(&clock).hiding_reflection());
    let missing = from_status(reflection(channel(&connector, None)).await.unwrap_err());
    assert_eq!((missing.code(), missing.reason()), (Code::Unauthenticated, "TOKEN_MISSING"));

    let mut stream = reflection(channel(&connector, Some(""))).await.unwrap();
    assert!(stream.message().await.unwrap().is_some());
    // A moment is left to streams that can say where to go on.
    clock.set(EXPIRES_US + 6_000_000);
    let ended = stream.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unauthenticated);
    assert_eq!(ended.get_error_details().error_info().unwrap().reason, "TOKEN_EXPIRED");
}

#[tokio::test(start_paused = true)]
async fn health_needs_no_token() {
    let connector = serve(guard(&ManualClock::at(0)));
    for service in ["", "live"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(channel(&connector, None)).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_calls_too_often_is_told_when_to_come_again_and_a_service_is_not() {
    let two = NonZeroU32::new(2).unwrap();
    let limited = guard(&ManualClock::at(0)).hiding_reflection().with_limits(Limits::new(two, two));
    let connector = serve(limited);
    for _ in 0..2 {
        reflection(channel(&connector, Some(""))).await.unwrap();
    }
    let refused = from_status(reflection(channel(&connector, Some(""))).await.unwrap_err());
    assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, "RATE_LIMITED"));
    tokio::time::advance(refused.retry_after().unwrap()).await;
    reflection(channel(&connector, Some(""))).await.unwrap();
    for _ in 0..8 {
        reflection(channel(&connector, Some("service"))).await.unwrap();
    }
}
