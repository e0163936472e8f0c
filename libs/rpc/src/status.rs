//! The one table between faults and gRPC statuses.
//!
//! The details are `google.rpc` messages: `ErrorInfo` has the reason and the domain, `BadRequest` every violation, `RetryInfo` when to come back, and
//! `RequestInfo` the trace or an id, which is what to ask the operator about. A fault that crosses the mesh arrives as it left.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use http::HeaderMap;
use pathway_kernel::{Code, Fault, Violation};
use pathway_proto::google::rpc::Status as ItemStatus;
use pathway_resilience::REASON_HEADER;
use prost::Message as _;
use tonic::{Code as GrpcCode, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tracing::Span;

use crate::details::request_id;

/// Who says the reasons.
const DOMAIN: &str = "pathway";

/// A fault as a status.
#[must_use]
pub fn to_status(fault: &Fault) -> Status {
    Status::with_error_details(to_grpc(fault.code()), fault.message(), details(fault))
}

fn details(fault: &Fault) -> ErrorDetails {
    let mut details = ErrorDetails::new();
    details.set_error_info(fault.reason(), DOMAIN, HashMap::new());
    if !fault.violations().is_empty() {
        let violations = fault.violations().iter();
        details.set_bad_request(
            violations.map(|v| FieldViolation::new(&v.field, &v.description)).collect::<Vec<_>>(),
        );
    }
    if let Some(after) = fault.retry_after() {
        details.set_retry_info(Some(after));
    }
    details
}

/// What a handler answers for an error. A defect is logged here, once, with its whole chain of causes; the caller does not get to see that.
pub fn status(error: impl Into<Fault>) -> Status {
    let fault = error.into();
    if fault.code() == Code::Internal {
        let mut causes = Vec::new();
        let mut cause = fault.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        // What the caller is told leads to this line.
        let request = request_id(&Span::current());
        tracing::error!(request, reason = fault.reason(), causes = ?causes, "a call failed by a defect");
        let mut details = details(&fault);
        details.set_request_info(request, "");
        return Status::with_error_details(to_grpc(fault.code()), fault.message(), details);
    }
    to_status(&fault)
}

/// A status as a fault. One that our own transport made up, because the peer cannot be reached or broke off, is UNAVAILABLE.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
pub fn from_status(status: Status) -> Fault {
    // What came over the wire has no source; what tonic made of a transport's error has.
    if let Some(source) = status.source() {
        let timed_out = source.is::<tonic::TimeoutExpired>();
        let cause = source.to_string();
        return if timed_out || status.code() == GrpcCode::DeadlineExceeded {
            Fault::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline has passed")
                .with_source(cause)
        } else {
            Fault::new(Code::Unavailable, "PEER_UNREACHABLE", "the service cannot be reached")
                .with_source(cause)
        };
    }
    let details = status.get_error_details();
    // A layer of our own that answered in the peer's place says why in a header.
    let layer = status.metadata().get(REASON_HEADER).and_then(|value| value.to_str().ok());
    let reason =
        details.error_info().map(|info| info.reason.as_str()).or(layer).unwrap_or("UNKNOWN").to_owned();
    let violations = details.bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations.iter().map(|v| Violation::new(&v.field, &v.description)).collect()
    });
    let mut fault =
        Fault::new(to_code(status.code()), reason, status.message().to_owned()).with_violations(violations);
    let hint = details.retry_info().and_then(|info| info.retry_delay);
    if let Some(after) = hint.or_else(|| pushback(status.metadata().as_ref())) {
        fault = fault.with_retry_after(after);
    }
    fault
}

/// A fault as the status of one item of a batch; it names the call's trace, where there is one.
#[must_use]
pub fn to_item_status(fault: &Fault) -> ItemStatus {
    let mut details = details(fault);
    let trace = pathway_telemetry::trace_id(&Span::current());
    if !trace.is_empty() {
        details.set_request_info(trace, "");
    }
    // tonic keeps the details as a serialised google.rpc.Status: the very message that an item carries.
    let status = Status::with_error_details(to_grpc(fault.code()), fault.message(), details);
    ItemStatus::decode(status.details()).unwrap_or_else(|_| ItemStatus {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// The status of an item that succeeded.
#[must_use]
pub fn ok_item_status() -> ItemStatus {
    ItemStatus { code: GrpcCode::Ok.into(), message: String::new(), details: Vec::new() }
}

/// The status of one item of a batch as a fault.
#[must_use]
pub fn from_item_status(status: ItemStatus) -> Fault {
    let details = status.encode_to_vec();
    from_status(Status::with_details(GrpcCode::from_i32(status.code), status.message, details.into()))
}

/// When a layer said to come back.
pub(crate) fn pushback(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-retry-pushback-ms")?;
    value.to_str().ok()?.parse().ok().map(Duration::from_millis)
}

const fn to_grpc(code: Code) -> GrpcCode {
    match code {
        Code::InvalidArgument => GrpcCode::InvalidArgument,
        Code::NotFound => GrpcCode::NotFound,
        Code::AlreadyExists => GrpcCode::AlreadyExists,
        Code::FailedPrecondition => GrpcCode::FailedPrecondition,
        Code::OutOfRange => GrpcCode::OutOfRange,
        Code::Unauthenticated => GrpcCode::Unauthenticated,
        Code::PermissionDenied => GrpcCode::PermissionDenied,
        Code::ResourceExhausted => GrpcCode::ResourceExhausted,
        Code::Aborted => GrpcCode::Aborted,
        Code::Unavailable => GrpcCode::Unavailable,
        Code::DeadlineExceeded => GrpcCode::DeadlineExceeded,
        Code::Cancelled => GrpcCode::Cancelled,
        Code::Unimplemented => GrpcCode::Unimplemented,
        Code::Internal => GrpcCode::Internal,
    }
}

pub(crate) const fn to_code(code: GrpcCode) -> Code {
    match code {
        GrpcCode::InvalidArgument => Code::InvalidArgument,
        GrpcCode::NotFound => Code::NotFound,
        GrpcCode::AlreadyExists => Code::AlreadyExists,
        GrpcCode::FailedPrecondition => Code::FailedPrecondition,
        GrpcCode::OutOfRange => Code::OutOfRange,
        GrpcCode::Unauthenticated => Code::Unauthenticated,
        GrpcCode::PermissionDenied => Code::PermissionDenied,
        GrpcCode::ResourceExhausted => Code::ResourceExhausted,
        GrpcCode::Aborted => Code::Aborted,
        // No service of ours answers UNKNOWN: it is what remains of a call that broke off.
        GrpcCode::Unavailable | GrpcCode::Unknown => Code::Unavailable,
        GrpcCode::DeadlineExceeded => Code::DeadlineExceeded,
        GrpcCode::Cancelled => Code::Cancelled,
        GrpcCode::Unimplemented => Code::Unimplemented,
        GrpcCode::Internal | GrpcCode::DataLoss | GrpcCode::Ok => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_arrives_as_it_left() {
        for code in Code::ALL {
            let sent = Fault::new(code, "WHY", "what to do")
                .with_violations(vec![Violation::new("events[1].amount", "is missing")])
                .with_retry_after(Duration::from_millis(1500));
            for got in [from_status(to_status(&sent)), from_item_status(to_item_status(&sent))] {
                assert_eq!((got.code(), got.reason(), got.message()), (code, "WHY", "what to do"));
                assert_eq!(got.violations(), sent.violations());
                assert_eq!(got.retry_after(), sent.retry_after());
            }
        }
    }

    #[test]
    fn the_cause_of_a_defect_stays_here() {
        let status = status(Fault::internal("secret"));
        assert!(!format!("{status:?}").contains("secret"));
    }
}
