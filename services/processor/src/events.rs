//! Events: as they are published, and as they are kept in a topic.

mod distinct;

use pathway_kernel::{Check, Violation};
use pathway_telemetry::Carried;
use prost::Message;
use serde_json::Value;

use distinct::Distinct;

/// The largest event, in bytes.
pub(crate) const LARGEST_EVENT: usize = 1024 * 1024;
/// The longest of the texts beside the data, in bytes. They are kept with each execution.
pub(crate) const LONGEST_TEXT: usize = 1024;

/// An event as it is kept: a `CloudEvent` with the trace in which it was published.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Envelope {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) source: String,
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
    #[prost(string, tag = "4")]
    pub(crate) subject: String,
    #[prost(int64, tag = "5")]
    pub(crate) time_us: i64,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) data: Vec<u8>,
    #[prost(string, tag = "7")]
    pub(crate) partition_key: String,
    #[prost(string, tag = "8")]
    pub(crate) traceparent: String,
    /// What the nodes answered that succeeded before the event failed and was redriven: a JSON object.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) done: Vec<u8>,
    /// The version of the pathway that they belong to.
    #[prost(string, tag = "10")]
    pub(crate) done_version: String,
    /// What the tracing systems on the way to its publishing had added to the trace.
    #[prost(string, tag = "11")]
    pub(crate) tracestate: String,
}

// === impl Envelope ===

impl Envelope {
    /// The same, published in a trace.
    pub(crate) fn within(self, trace: &Carried) -> Self {
        Self { traceparent: trace.traceparent.clone(), tracestate: trace.tracestate.clone(), ..self }
    }

    /// The trace in which it was published.
    pub(crate) fn trace(&self) -> Carried {
        Carried { traceparent: self.traceparent.clone(), tracestate: self.tracestate.clone() }
    }

    /// The data as JSON, or what is wrong with it.
    pub(crate) fn parse(&self) -> Result<Value, Violation> {
        if self.data.len() > LARGEST_EVENT {
            let what = format!("has {} bytes; an event may have 1 MiB", self.data.len());
            return Err(Violation::new("data", what));
        }
        let Distinct(value) = serde_json::from_slice(&self.data).map_err(|error| {
            // What is JSON has a key twice.
            let what = if error.is_data() { error.to_string() } else { format!("is not JSON: {error}") };
            Violation::new("data", what)
        })?;
        if value.is_object() { Ok(value) } else { Err(Violation::new("data", "is not a JSON object")) }
    }

    /// What is wrong with the texts beside the data.
    pub(crate) fn check(&self, partition_key: &str) -> Vec<Violation> {
        let mut check = Check::default();
        check.text("id", &self.id, LONGEST_TEXT);
        check.text("source", &self.source, LONGEST_TEXT);
        check.text("type", &self.kind, LONGEST_TEXT);
        check.text("subject", &self.subject, LONGEST_TEXT);
        check.text("partition_key", partition_key, LONGEST_TEXT);
        check.done().err().unwrap_or_default()
    }

    /// The same with other data, where there is any. An id that came from the data comes from the new data.
    pub(crate) fn corrected(mut self, data: Option<Vec<u8>>) -> Self {
        let Some(data) = data else { return self };
        // Other data, other answers.
        self.done.clear();
        self.done_version.clear();
        let was_taken = self.parse().is_ok_and(|old| old.get("id").and_then(Value::as_str) == Some(&self.id));
        if was_taken {
            self.id.clear();
        }
        self.data = data;
        self
    }

    /// The same with what its sender left out.
    pub(crate) fn completed(mut self, topic: &str, data: &Value, now_us: i64) -> Self {
        let fill = |field: &mut String, value: &str| {
            if field.is_empty() {
                value.clone_into(field);
            }
        };
        fill(&mut self.id, data.get("id").and_then(Value::as_str).unwrap_or_default());
        fill(&mut self.source, "pathway");
        fill(&mut self.kind, topic);
        if self.time_us == 0 {
            self.time_us = now_us;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Result<Value, Violation> {
        Envelope { data: data.to_vec(), ..Envelope::default() }.parse()
    }

    #[test]
    fn data_is_a_json_object_of_bounded_size() {
        assert!(parse(br#"{"id":"1"}"#).is_ok());
        assert!(parse(b"[1]").unwrap_err().description.contains("object"));
        assert!(parse(br#"{"amount":NaN}"#).unwrap_err().description.contains("JSON"));
        assert!(parse(&vec![b' '; LARGEST_EVENT + 1]).unwrap_err().description.contains("1 MiB"));
        assert!(parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        let violation = parse(br#"{"amount":1,"amount":2}"#).unwrap_err();
        assert_eq!(
            (violation.field.as_str(), violation.description.contains("`amount` twice")),
            ("data", true)
        );
        assert!(!violation.description.contains("is not JSON"), "{violation:?}");
    }

    #[test]
    fn a_number_keeps_its_decimal_text() {
        let value = parse(br#"{"amount":0.10000000000000000001}"#).unwrap();
        assert_eq!(value["amount"].to_string(), "0.10000000000000000001");
    }
}
