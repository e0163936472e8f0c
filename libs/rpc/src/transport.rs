//! What tonic answers by itself, in our words.
//!
//! It says so in a sentence alone. The sentences are tonic's to change, so what is not known here keeps its code and is named by it; that the ones below are
//! still known is tested over a real server (`tests/it/api`).

use pathway_kernel::{Code, Fault, Violation};
use tonic::Code as GrpcCode;

use crate::status::to_code;

/// How prost begins.
const UNDECODABLE: &str = "failed to decode Protobuf message: ";

/// A refusal that tonic made up.
pub(crate) fn of_transport(code: GrpcCode, message: &str) -> Fault {
    let (invalid, exhausted) = (Code::InvalidArgument, Code::ResourceExhausted);
    match code {
        GrpcCode::Internal if message.starts_with(UNDECODABLE) => {
            let (field, problem) = place(message.trim_start_matches(UNDECODABLE));
            let violation = Violation::new(field, format!("cannot be decoded: {problem}"));
            Fault::new(
                invalid,
                "UNDECODABLE_REQUEST",
                "the request is no message of this method: compare the client's .proto files",
            )
            .with_violations(vec![violation])
        }
        GrpcCode::Internal if is_broken_frame(message) => {
            Fault::new(invalid, "MALFORMED_REQUEST", format!("the request cannot be read: {message}"))
                .with_violations(vec![Violation::new("", message)])
        }
        GrpcCode::OutOfRange if message.contains("decoded message length too large") => {
            Fault::new(exhausted, "REQUEST_TOO_LARGE", format!("{}; send it in parts", sentence(message)))
        }
        GrpcCode::ResourceExhausted if message.contains("decompressing") => {
            Fault::new(exhausted, "REQUEST_TOO_LARGE", format!("{}; send it in parts", sentence(message)))
        }
        GrpcCode::OutOfRange | GrpcCode::ResourceExhausted if message.contains("encoded message length") => {
            Fault::new(exhausted, "ANSWER_TOO_LARGE", format!("{}; ask for less at once", sentence(message)))
        }
        GrpcCode::Unimplemented if message.is_empty() => {
            let message = "this server has no such method; server reflection lists those that there are";
            Fault::new(Code::Unimplemented, "UNKNOWN_METHOD", message)
        }
        GrpcCode::Unimplemented => {
            Fault::new(Code::Unimplemented, "UNSUPPORTED_ENCODING", message.to_owned())
        }
        other => {
            let code = to_code(other);
            Fault::new(code, code.name(), message.to_owned())
        }
    }
}

/// A message that never became one.
fn is_broken_frame(message: &str) -> bool {
    ["protocol error: ", "Missing request message", "Unexpected EOF", "Error decompressing"]
        .iter()
        .any(|beginning| message.starts_with(beginning))
}

fn sentence(message: &str) -> &str {
    message.trim_start_matches("Error, ").trim_start_matches("Error ")
}

/// The field at which decoding failed, and why it did: prost writes `Message.field: Message.field: why`.
fn place(text: &str) -> (String, &str) {
    let (mut fields, mut rest) = (Vec::new(), text);
    while let Some((head, tail)) = rest.split_once(": ") {
        let Some((message, field)) = head.split_once('.') else { break };
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_#".contains(c))
        };
        if !is_name(message) || !is_name(field) {
            break;
        }
        // The innermost comes first.
        fields.insert(0, field.trim_start_matches("r#"));
        rest = tail;
    }
    (fields.join("."), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_cannot_be_decoded_is_named() {
        let message = "failed to decode Protobuf message: Notice.user_id: SendNoticesRequest.notices: invalid string value";
        let fault = of_transport(GrpcCode::Internal, message);
        assert_eq!((fault.code(), fault.reason()), (Code::InvalidArgument, "UNDECODABLE_REQUEST"));
        assert_eq!(fault.violations()[0].field, "notices.user_id");
        assert_eq!(place("a.b: why: not"), ("b".to_owned(), "why: not"));
        assert_eq!(place("buffer underflow"), (String::new(), "buffer underflow"));
    }

    #[test]
    fn a_limit_is_named() {
        let message = "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes";
        let fault = of_transport(GrpcCode::OutOfRange, message);
        assert_eq!((fault.code(), fault.reason()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
        assert!(fault.message().contains("the limit is: 4 bytes"), "{fault}");
    }

    #[test]
    fn what_is_not_known_keeps_its_code() {
        let fault = of_transport(GrpcCode::Internal, "something new");
        assert_eq!((fault.code(), fault.reason()), (Code::Internal, "INTERNAL"));
    }
}
