//! What every refusal of a server says, whoever refused.
//!
//! A handler's fault has its details from [`status`](crate::status()). But a call may never reach a handler: a layer sheds it, its time runs out, its message
//! is too large or is none, or nobody has such a method. What tonic and the layers say then is a code and a sentence, and a program could only match on the
//! sentence. So this stands around all of them and completes what passes: a reason in `ErrorInfo`, violations of what could not be read, `RetryInfo` where a
//! layer said when to come back, and in `RequestInfo` the trace, or where nothing is traced an id that the log of a defect has too.
//!
//! # Why here and not in each layer
//! The layers know the numbers of gRPC and not its details; and what tonic answers by itself passes no layer of ours on its way in.
//!
//! # Why it is bounded
//! A status travels in headers, and a client that is sent more headers than it takes, 8 KiB in the usual ones, does not refuse the status: it closes the
//! connection, with everybody's calls. So a long message is cut, and of a hundred violations those are told that fit, and how many there are besides. The
//! statuses of items are part of the answer and tell all.
//!
//! # What tonic calls INTERNAL
//! gRPC has libraries answer INTERNAL for a message that cannot be decoded. To a caller that is a defect of the server, and it is none: it is
//! `INVALID_ARGUMENT` here, with the field as far as the decoder came. One that is too large is `RESOURCE_EXHAUSTED`, with the limit.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pathway_kernel::Fault;
use pathway_resilience::REASON_HEADER;
use pin_project_lite::pin_project;
use tonic::Status;
use tonic_types::{FieldViolation, StatusExt as _};
use tower::{Layer, Service};
use tracing::Span;
use uuid::Uuid;

use crate::status::{pushback, to_code, to_status};
use crate::transport::of_transport;

/// The longest message of a status, in bytes. Percent-encoding may treble it.
const LONGEST_MESSAGE: usize = 1024;
/// The largest details of a status, in bytes; as base64 they are a third larger.
const LARGEST_DETAILS: usize = 3072;
/// What is left of them for all but the violations.
const ROOM_FOR_THE_REST: usize = 512;
/// The longest path of a field, in bytes.
const LONGEST_FIELD: usize = 256;
/// The longest description of a violation, in bytes.
const LONGEST_DESCRIPTION: usize = 512;

/// Completes the details of what a server refuses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DetailsLayer;

/// Completes the refusals of the inner service.
#[derive(Debug, Clone)]
pub(crate) struct Details<S>(S);

pin_project! {
    /// The call.
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        inner: F,
        span: Span,
    }
}

pin_project! {
    /// A body whose trailers may be a refusal.
    #[derive(Debug)]
    pub(crate) struct Detailed<B> {
        #[pin]
        inner: B,
        span: Span,
    }
}

/// What names a call in its refusal: its trace, or a new id where nothing is traced.
pub(crate) fn request_id(span: &Span) -> String {
    let trace = pathway_telemetry::trace_id(span);
    if trace.is_empty() { Uuid::new_v4().simple().to_string() } else { trace }
}

// === impl DetailsLayer ===

impl<S> Layer<S> for DetailsLayer {
    type Service = Details<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Details(inner)
    }
}

// === impl Details ===

impl<S, A, B> Service<Request<A>> for Details<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Detailed<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        ResponseFuture { inner: self.0.call(request), span: Span::current() }
    }
}

// === impl ResponseFuture ===

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Detailed<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        complete(response.headers_mut(), this.span);
        let span = this.span.clone();
        Poll::Ready(Ok(response.map(|inner| Detailed { inner, span })))
    }
}

// === impl Detailed ===

impl<B: Body> Body for Detailed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let mut frame = ready!(this.inner.poll_frame(cx));
        if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
            complete(trailers, this.span);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Completes a refusal in headers or trailers; leaves all else as it is.
fn complete(headers: &mut HeaderMap, span: &Span) {
    if headers.get(Status::GRPC_STATUS).is_none_or(|status| status.as_bytes() == b"0") {
        return;
    }
    let Some(mut status) = Status::from_header_map(headers) else { return };
    let mut details = status.get_error_details();
    if details.error_info().is_none() {
        let layer = headers.get(REASON_HEADER).and_then(|value| value.to_str().ok());
        let fault = match layer {
            Some(reason) => {
                Fault::new(to_code(status.code()), reason.to_owned(), status.message().to_owned())
            }
            None => of_transport(status.code(), status.message()),
        };
        let pushback = pushback(headers);
        status = to_status(&pushback.into_iter().fold(fault, Fault::with_retry_after));
        details = status.get_error_details();
    }
    let is_told = details.request_info().is_some();
    if is_told && status.message().len() <= LONGEST_MESSAGE && status.details().len() <= LARGEST_DETAILS {
        return;
    }
    if !is_told {
        details.set_request_info(request_id(span), "");
    }
    if let Some(bad) = details.bad_request() {
        details.set_bad_request(fitting(&bad.field_violations));
    }
    status = Status::with_error_details(status.code(), cut(status.message(), LONGEST_MESSAGE), details);
    // Fails for a text that no header can hold; a status encodes its texts, so there is none.
    let _ = status.add_header(headers);
}

/// As many violations as fit, and how many there are besides.
fn fitting(violations: &[FieldViolation]) -> Vec<FieldViolation> {
    let (mut told, mut room) = (Vec::new(), LARGEST_DETAILS - ROOM_FOR_THE_REST);
    for violation in violations {
        let field = cut(&violation.field, LONGEST_FIELD);
        let description = cut(&violation.description, LONGEST_DESCRIPTION);
        // Each has its keys and lengths, too.
        let size = field.len() + description.len() + 16;
        let Some(left) = room.checked_sub(size) else { break };
        room = left;
        told.push(FieldViolation::new(field, description));
    }
    let besides = violations.len() - told.len();
    if besides > 0 {
        told.push(FieldViolation::new("", format!("{besides} violations more; correct these first")));
    }
    told
}

/// A text of at most so many bytes.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(longest.saturating_sub("...".len()));
    Cow::Owned(format!("{}...", &text[..end]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use pathway_kernel::{Code, Violation};
    use tonic_types::ErrorDetails;

    use super::*;

    fn completed(headers: &mut HeaderMap) -> (Status, ErrorDetails) {
        complete(headers, &Span::none());
        let status = Status::from_header_map(headers).unwrap();
        let details = status.get_error_details();
        (status, details)
    }

    #[test]
    fn what_a_layer_says_in_headers_becomes_details() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("8"));
        headers.insert("grpc-message", HeaderValue::from_static("too much"));
        headers.insert(REASON_HEADER, HeaderValue::from_static("BULKHEAD_FULL"));
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("100"));
        let (status, details) = completed(&mut headers);
        assert_eq!((status.code(), status.message()), (tonic::Code::ResourceExhausted, "too much"));
        assert_eq!(details.error_info().unwrap().reason, "BULKHEAD_FULL");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(100)));
        assert!(!details.request_info().unwrap().request_id.is_empty());
    }

    #[test]
    fn what_a_handler_said_stays() {
        let violations = vec![Violation::new("user_id", "is required")];
        let mut headers = HeaderMap::new();
        to_status(&Fault::invalid(violations)).add_header(&mut headers).unwrap();
        let (status, details) = completed(&mut headers);
        assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, "user_id: is required"));
        assert_eq!(details.error_info().unwrap().reason, "INVALID_INPUT");
        assert_eq!(details.bad_request().unwrap().field_violations.len(), 1);
        assert_eq!(details.request_info().unwrap().request_id.len(), 32);
        let before = headers.clone();
        complete(&mut headers, &Span::none());
        assert_eq!(headers, before, "who has an id keeps it");
    }

    #[test]
    fn a_status_fits_into_the_headers_of_any_client() {
        let violations: Vec<Violation> = (0..500)
            .map(|n| Violation::new(format!("events[{n}].{}", "é".repeat(n)), "is wrong ".repeat(n)))
            .collect();
        let mut headers = HeaderMap::new();
        to_status(&Fault::invalid(violations)).add_header(&mut headers).unwrap();
        let (_, details) = completed(&mut headers);
        let told = &details.bad_request().unwrap().field_violations;
        assert_eq!(told[0].field, "events[0].");
        let besides = told.last().unwrap().description.clone();
        assert_eq!(besides, format!("{} violations more; correct these first", 501 - told.len()));
        let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size <= 8 * 1024, "{size}");
    }

    #[test]
    fn success_and_nothing_are_left_alone() {
        for text in [None, Some("0")] {
            let mut headers = HeaderMap::new();
            headers.extend(text.map(|text| (Status::GRPC_STATUS, HeaderValue::from_static(text))));
            let before = headers.clone();
            complete(&mut headers, &Span::none());
            assert_eq!(headers, before);
        }
    }

    #[test]
    fn no_code_of_the_transport_is_passed_on_without_a_reason() {
        for code in 1..=16 {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", HeaderValue::from(code));
            let (status, details) = completed(&mut headers);
            assert!(
                Code::ALL.iter().any(|known| details.error_info().unwrap().reason == known.name())
                    || code == 12
            );
            assert_ne!(status.code(), tonic::Code::Unknown);
        }
    }
}
