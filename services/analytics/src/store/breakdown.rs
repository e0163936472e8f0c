//! Totals per account and per merchant.
//!
//! They are added up from the lines when somebody asks, by the index on a user's days, and nothing is kept: so a change costs nothing more for them, and they
//! equal a recompute because they are one. What is asked about is a user's period, some hundred lines of a month.

use std::collections::BTreeMap;

use pathway_finance::{Currency, LineKind, Overflow, Totals, payee_key};
use pathway_store::Tx;

use super::Store;
use super::spending::{Scope, choose_currency, span_vals};
use crate::error::AnalyticsError;

/// What a breakdown is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Account,
    /// The payee, whose name may differ from line to line by words that hold digits.
    Merchant,
}

/// A period's totals, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breakdown {
    pub(crate) currency: Currency,
    pub(crate) total: Part,
    /// By net spending, largest first, then by key.
    pub(crate) parts: Vec<(String, Part)>,
}

/// What one account or merchant comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Part {
    /// As its latest line names it.
    pub(crate) name: String,
    pub(crate) spending: Totals,
    pub(crate) income: i64,
    /// How many lines of income there are.
    pub(crate) incomes: i64,
}

/// Kinds 1 and 2 are expenses and income.
const LINES: &str = "SELECT account, merchant, kind, minor FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4 AND deleted = 0 AND kind IN (1, 2)
     ORDER BY day, record_id";

// === impl Store ===

impl Store {
    /// A period's totals, per account or per merchant.
    pub(crate) async fn breakdown(
        &self,
        scope: Scope,
        by: By,
        default: Currency,
    ) -> Result<Breakdown, AnalyticsError> {
        self.db.read(move |tx| breakdown(tx, &scope, by, default)).await
    }
}

fn breakdown(tx: &mut Tx<'_>, scope: &Scope, by: By, default: Currency) -> Result<Breakdown, AnalyticsError> {
    let currency = choose_currency(tx, scope, default)?;
    let [start, end] = span_vals(scope);
    let key = [(&scope.user_id).into(), currency.code().into(), start, end];
    let (mut total, mut parts): (Part, BTreeMap<String, Part>) = Default::default();
    for row in tx.query(LINES, &key)? {
        let (name, key) = match by {
            By::Account => (row.text(0)?, row.text(0)?.to_owned()),
            By::Merchant => (row.text(1)?, payee_key(row.text(1)?)),
        };
        let kind = LineKind::from_code(row.i64(2)?).ok_or(AnalyticsError::Corrupt("kind of a line"))?;
        let part = parts.entry(key).or_default();
        name.clone_into(&mut part.name);
        part.add(kind, row.i64(3)?)?;
        total.add(kind, row.i64(3)?)?;
    }
    let mut parts: Vec<(String, Part)> = parts.into_iter().collect();
    parts.sort_by(|(a, x), (b, y)| y.spending.net().cmp(&x.spending.net()).then_with(|| a.cmp(b)));
    Ok(Breakdown { currency, total, parts })
}

// === impl Part ===

impl Part {
    fn add(&mut self, kind: LineKind, minor: i64) -> Result<(), Overflow> {
        self.spending.add(kind, minor)?;
        if kind == LineKind::Income {
            self.income = self.income.checked_add(minor).ok_or(Overflow)?;
            self.incomes += 1;
        }
        Ok(())
    }

    /// Income less net spending.
    pub(crate) fn net(&self) -> Result<i64, Overflow> {
        self.income.checked_sub(self.spending.net()).ok_or(Overflow)
    }
}
