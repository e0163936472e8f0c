//! An event as a line, and lines as rows.

use pathway_finance::{CivilDate, Currency, LineKind, Money};
use pathway_kernel::Fault;
use pathway_store::{Row, StoreError, Val};
use serde_json::Value;

/// What names a line: its user and its key.
pub(super) type Key = (String, String);

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: LineKind,
    pub(super) minor: i64,
    pub(super) currency: String,
    pub(super) category: String,
    pub(super) day: CivilDate,
    pub(super) merchant: String,
}

/// An event: what it says, and as it came.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) key: Key,
    pub(super) line: Line,
    pub(super) payload: Vec<u8>,
}

// === impl Event ===

impl Event {
    pub(super) fn read(payload: Vec<u8>) -> Result<Self, Fault> {
        let event: Value = serde_json::from_slice(&payload).map_err(Fault::internal)?;
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let currency = Currency::parse(super::super::events::CURRENCY).map_err(Fault::internal)?;
        let amount = Money::parse_line(&text("amount"), currency).map_err(Fault::internal)?;
        let line = Line {
            kind: if text("kind") == "income" { LineKind::Income } else { LineKind::Expense },
            minor: amount.minor(),
            currency: currency.code().to_owned(),
            category: text("category"),
            day: CivilDate::parse(&text("transaction_date")).map_err(Fault::internal)?,
            merchant: text("merchant"),
        };
        Ok(Self { key: (text("user_id"), text("id")), line, payload })
    }
}

// === impl Line ===

impl Line {
    /// A row of `kind, minor, currency, category, day, merchant`, from a column on.
    pub(super) fn of(row: &Row, at: usize) -> Result<Self, StoreError> {
        let wrong = |index, expected| StoreError::Column { index, expected };
        Ok(Self {
            kind: LineKind::from_code(row.i64(at)?).ok_or(wrong(at, "a kind of line"))?,
            minor: row.i64(at + 1)?,
            currency: row.text(at + 2)?.to_owned(),
            category: row.text(at + 3)?.to_owned(),
            day: CivilDate::from_epoch_days(row.i64(at + 4)?).map_err(|_| wrong(at + 4, "a day"))?,
            merchant: row.text(at + 5)?.to_owned(),
        })
    }

    /// The values of [`Line::of`].
    pub(super) fn vals(&self) -> [Val; 6] {
        [
            self.kind.code().into(),
            self.minor.into(),
            (&self.currency).into(),
            (&self.category).into(),
            self.day.epoch_days().into(),
            (&self.merchant).into(),
        ]
    }

    pub(super) fn is_spending(&self) -> bool {
        self.kind.is_spending()
    }

    pub(super) fn is_purchase(&self) -> bool {
        self.is_spending() && self.minor > 0
    }
}
