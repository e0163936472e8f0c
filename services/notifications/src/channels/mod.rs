//! The ways to the outside: one file for each channel.

mod email;
mod push;
mod push_encryption;
mod webhook;

use pathway_outbound::{OutboundError, Response};

use crate::delivery::Outcome;
pub(crate) use email::EmailSender;
pub(crate) use push::{PushSender, Vapid};
pub(crate) use webhook::WebhookSender;

/// Whether a text is so many bytes in URL-safe base64, as a browser gives its keys.
pub(crate) fn is_push_key(text: &str, length: usize) -> bool {
    push_encryption::decode(text).is_some_and(|bytes| bytes.len() == length)
}

/// What an answer of HTTP says of a message: taken, gone, or to come again, not before a time where it says so.
fn judged(answer: Result<Response, OutboundError>, now_us: i64) -> Outcome {
    let later = |reason: String| Outcome::Later { status: 0, reason, after: None };
    match answer {
        Ok(response) => match response.status {
            200..=299 => Outcome::Delivered { status: response.status.into() },
            410 => Outcome::Gone { status: 410 },
            status => Outcome::Later {
                status: status.into(),
                reason: format!("the answer was {status}"),
                after: response.retry_after(now_us),
            },
        },
        // The inside stays the inside, and what is no URL becomes none by waiting.
        Err(
            error @ (OutboundError::Forbidden
            | OutboundError::InvalidUrl(_)
            | OutboundError::InvalidNetwork(_)),
        ) => Outcome::Refused { status: 0, reason: error.to_string() },
        Err(OutboundError::NotAsked(after)) => {
            let reason = OutboundError::NotAsked(after).to_string();
            Outcome::Later { status: 0, reason, after: Some(after) }
        }
        Err(error) => later(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use jiff::Timestamp;

    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Result<Response, OutboundError> {
        let headers: HeaderMap = retry_after
            .map(|value| (http::header::RETRY_AFTER, value.parse().unwrap()))
            .into_iter()
            .collect();
        Ok(Response { status, headers, body: bytes::Bytes::new() })
    }

    #[test]
    fn an_answer_is_taken_gone_or_later() {
        assert_eq!(judged(answer(204, None), 0), Outcome::Delivered { status: 204 });
        assert_eq!(judged(answer(410, None), 0), Outcome::Gone { status: 410 });
        for status in [302, 400, 404, 500] {
            assert!(
                matches!(judged(answer(status, None), 0), Outcome::Later { after: None, .. }),
                "{status}"
            );
        }
        assert!(matches!(judged(Err(OutboundError::Forbidden), 0), Outcome::Refused { .. }));
        assert!(matches!(judged(Err(OutboundError::TimedOut), 0), Outcome::Later { .. }));
    }

    #[test]
    fn a_receiver_may_say_when_in_seconds_or_by_date() {
        let after = |value, now_us| match judged(answer(503, Some(value)), now_us) {
            Outcome::Later { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("120", 0), Some(Duration::from_secs(120)));
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        assert_eq!(
            after("Wed, 21 Oct 2015 07:28:00 GMT", now.as_microsecond()),
            Some(Duration::from_secs(60))
        );
        assert_eq!(after("soon", 0), None);
    }
}
