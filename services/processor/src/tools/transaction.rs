//! The event `transactions` as a record.

use pathway_finance::{Currency, Money, TimeZone, category_key, parse_when};
use pathway_kernel::{Check, Violation};
use pathway_proto::pathway::types::v1::{LineKind, Record, RecordIdentity};
use pathway_rpc::{to_date, to_money};
use serde_json::Value;

use super::text;

/// Reads events.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// The currency of an event that names none.
    pub(crate) currency: Currency,
    /// The zone in which an instant becomes a date.
    pub(crate) zone: TimeZone,
}

/// How long texts may be, in bytes. Datasync has the same limits: what it would refuse is refused here already, when somebody can still be told.
const LONGEST: [(&str, usize); 7] = [
    ("user_id", 256),
    ("id", 512),
    ("replaces", 512),
    ("account", 256),
    ("category", 256),
    ("merchant", 64 * 1024),
    ("description", 64 * 1024),
];

// === impl Reader ===

impl Reader {
    /// The record, or everything that is wrong with the event.
    pub(crate) fn read(&self, event: &Value) -> Result<Record, Vec<Violation>> {
        let mut check = Check::default();
        for (field, longest) in LONGEST {
            check.text(field, &text(event, field), longest);
        }
        let mut record = Record {
            user_id: text(event, "user_id"),
            identity: Some(identity(text(event, "id"))),
            deleted: event.get("deleted") == Some(&Value::Bool(true)),
            ..Record::default()
        };
        if !record.deleted {
            self.content(event, &mut record, &mut check);
        }
        check.done()?;
        Ok(record)
    }

    /// The pending line that an event posts, by the id of the event that told of it.
    pub(crate) fn replaces(event: &Value) -> Option<RecordIdentity> {
        Some(text(event, "replaces")).filter(|id| !id.is_empty()).map(identity)
    }

    fn content(&self, event: &Value, record: &mut Record, check: &mut Check) {
        record.amount = self.amount(event, check).map(to_money);
        let when = check.take("transaction_date", parse_when(&text(event, "transaction_date"), &self.zone));
        if let Some((date, instant)) = when {
            record.date = Some(to_date(date));
            record.occurred_at_us = instant.unwrap_or_default();
        }
        record.kind = match event.get("kind").and_then(Value::as_str) {
            Some("income") => LineKind::Income,
            Some("transfer") => LineKind::Transfer,
            Some("adjustment") => LineKind::Adjustment,
            _ => LineKind::Expense,
        }
        .into();
        record.category = category_key(&text(event, "category"));
        record.merchant = text(event, "merchant");
        record.description = text(event, "description");
        record.account = text(event, "account");
        record.pending = event.get("pending") == Some(&Value::Bool(true));
    }

    /// The amount; none also where there is no number, which the schema has said already. Where the currency is wrong, the amount is checked all the same.
    fn amount(&self, event: &Value, check: &mut Check) -> Option<Money> {
        let currency = match event.get("currency") {
            None | Some(Value::Null) => Some(self.currency),
            Some(code) => check.take("currency", Currency::parse(code.as_str().unwrap_or_default())),
        };
        let digits = match event.get("amount") {
            Some(Value::String(digits)) => digits.clone(),
            // The number's own text: it never was a float.
            Some(Value::Number(number)) => number.to_string(),
            _ => return None,
        };
        match currency {
            Some(currency) => check.take("amount", Money::parse_line(&digits, currency)),
            None => {
                check.take("amount", Money::check_line(&digits));
                None
            }
        }
    }
}

/// What an event's id names.
fn identity(id: String) -> RecordIdentity {
    RecordIdentity { source: "event".to_owned(), account: String::new(), key: id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &str) -> Result<Record, Vec<String>> {
        let reader = Reader { currency: Currency::parse("USD").unwrap(), zone: TimeZone::utc() };
        let read = reader.read(&serde_json::from_str(event).unwrap());
        read.map_err(|violations| violations.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn an_amount_is_a_number_or_text() {
        for amount in ["12.5", "\"12.50\"", "1.25e1"] {
            let event = format!(
                r#"{{"id":"1","user_id":"u","amount":{amount},"category":"Eating Out","transaction_date":"2026-11-03"}}"#
            );
            let record = read(&event).unwrap();
            assert_eq!(record.amount.unwrap().nanos, 500_000_000, "{amount}");
            assert_eq!(record.category, "eating_out");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        let wrong =
            r#"{"id":"1","user_id":"u","amount":1e999,"category":"x","transaction_date":"2026-02-30"}"#;
        assert_eq!(read(wrong).unwrap_err(), ["amount", "transaction_date"]);
        let wrong = r#"{"id":"1","user_id":"u","amount":"NaN","currency":"INR","transaction_date":"soon"}"#;
        assert_eq!(read(wrong).unwrap_err(), ["amount", "transaction_date"]);
        let wrong = r#"{"id":"1","user_id":"u","amount":1,"currency":"XX","transaction_date":"2026-01-01"}"#;
        assert_eq!(read(wrong).unwrap_err(), ["currency"]);
        for amount in ["1e30", "\"much\"", "0.123456"] {
            let wrong = format!(
                r#"{{"id":"1","user_id":"u","amount":{amount},"currency":"XX","transaction_date":"2026-01-01"}}"#
            );
            assert_eq!(read(&wrong).unwrap_err(), ["currency", "amount"], "{amount}");
        }
    }

    #[test]
    fn an_amount_that_is_too_large_is_told_the_limit() {
        let reader = Reader { currency: Currency::parse("USD").unwrap(), zone: TimeZone::utc() };
        let event = r#"{"id":"1","user_id":"u","amount":1e30,"transaction_date":"2026-01-01"}"#;
        let violations = reader.read(&serde_json::from_str(event).unwrap()).unwrap_err();
        assert!(violations[0].description.contains("at most 1000000000000000 "), "{violations:?}");
    }

    #[test]
    fn g17_an_event_names_the_pending_line_that_it_posts() {
        let event = serde_json::json!({"id": "2", "replaces": "1"});
        assert_eq!(Reader::replaces(&event).unwrap().key, "1");
        assert_eq!(Reader::replaces(&serde_json::json!({"id": "2", "replaces": null})), None);
        let pending = r#"{"id":"1","user_id":"u","amount":1,"category":"x","transaction_date":"2026-11-03","account":"card","pending":true}"#;
        let record = read(pending).unwrap();
        assert_eq!((record.account.as_str(), record.pending), ("card", true));
    }

    #[test]
    fn a_removal_needs_no_more_than_its_name() {
        assert!(read(r#"{"id":"1","user_id":"u","deleted":true}"#).unwrap().deleted);
    }
}
