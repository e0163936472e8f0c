//! A collector: it takes OTLP over gRPC, and keeps all of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What processes have sent; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
}

/// A span as a test wants to see it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) service: String,
    pub(super) span: Span,
}

// === impl Collector ===

impl Collector {
    /// One that listens; answers where.
    pub(super) async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .add_service(MetricsServiceServer::new(collector.clone()))
            .add_service(LogsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        (collector, endpoint)
    }

    /// The spans of a trace.
    pub(super) fn trace(&self, id: &str) -> Vec<Seen> {
        self.spans().into_iter().filter(|seen| hex(&seen.span.trace_id) == id).collect()
    }

    /// Every span.
    pub(super) fn spans(&self) -> Vec<Seen> {
        let received = self.lock();
        let resources = received.traces.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|resource| {
            let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice());
            let service = text(attributes.unwrap_or_default(), "service.name");
            let spans = resource.scope_spans.iter().flat_map(|scope| scope.spans.clone());
            spans.map(move |span| Seen { service: service.clone(), span })
        });
        spans.collect()
    }

    /// The names of the metrics of each service.
    pub(super) fn metrics(&self) -> BTreeMap<String, Vec<String>> {
        let received = self.lock();
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for resource in received.metrics.iter().flat_map(|request| &request.resource_metrics) {
            let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice());
            let service = names.entry(text(attributes.unwrap_or_default(), "service.name")).or_default();
            let metrics = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            service.extend(metrics.map(|metric| metric.name.clone()));
        }
        names
    }

    /// How many log records there are.
    pub(super) fn logs(&self) -> usize {
        let received = self.lock();
        let resources = received.logs.iter().flat_map(|request| &request.resource_logs);
        resources.flat_map(|resource| &resource.scope_logs).map(|scope| scope.log_records.len()).sum()
    }

    /// Everything, as text to look for words in.
    pub(super) fn text(&self) -> String {
        let received = self.lock();
        format!("{:?}", *received)
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.lock().traces.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.lock().metrics.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.lock().logs.push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    pub(super) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// The attributes of what happened within it under this name, in order; each as text, empty where it is absent.
    pub(super) fn events(&self, name: &str, keys: &[&str]) -> Vec<Vec<String>> {
        let events = self.span.events.iter().filter(|event| event.name == name);
        events.map(|event| keys.iter().map(|key| text(&event.attributes, key)).collect()).collect()
    }

    /// An attribute as text; empty where it is absent.
    pub(super) fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}
