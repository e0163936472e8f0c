//! What was spent in a period, and in which currency the answer is.

use pathway_finance::{Currency, Period, Totals};
use pathway_store::{Tx, Val};

use super::{Store, rows};
use crate::error::AnalyticsError;

/// Which lines a figure is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) user_id: String,
    pub(crate) period: Period,
    /// None for the user's own.
    pub(crate) currency: Option<Currency>,
}

/// A user's spending in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spending {
    pub(crate) currency: Currency,
    pub(crate) total: Totals,
    /// By net, largest first, then by name.
    pub(crate) categories: Vec<(String, Totals)>,
    /// Other currencies with lines in the period.
    pub(crate) others: Vec<String>,
}

const BUDGET_CURRENCY: &str = "SELECT currency FROM owners WHERE user_id = $1 AND currency IS NOT NULL";
const USUAL_CURRENCY: &str = "SELECT currency FROM lifetime_totals WHERE user_id = $1 AND count > 0 ORDER BY count DESC, currency LIMIT 1";
const CATEGORIES: &str = "SELECT category, CAST(SUM(gross) AS BIGINT), CAST(SUM(refunds) AS BIGINT),
     CAST(SUM(count) AS BIGINT)
     FROM day_totals WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4
     GROUP BY category HAVING SUM(count) > 0";
const CURRENCIES: &str = "SELECT l.currency FROM lifetime_totals l WHERE l.user_id = $1 AND EXISTS (
         SELECT 1 FROM day_totals d WHERE d.user_id = l.user_id AND d.currency = l.currency
         AND d.day >= $2 AND d.day < $3 AND d.count > 0)
     ORDER BY l.currency";

// === impl Store ===

impl Store {
    /// A user's spending in a period.
    pub(crate) async fn spending(&self, scope: Scope, default: Currency) -> Result<Spending, AnalyticsError> {
        self.db.read(move |tx| spending(tx, &scope, default)).await
    }
}

/// The currency of an answer: the one that was asked for, else that of the user's budget, else that of most lines.
pub(super) fn choose_currency(
    tx: &mut Tx<'_>,
    scope: &Scope,
    default: Currency,
) -> Result<Currency, AnalyticsError> {
    if let Some(currency) = scope.currency {
        return Ok(currency);
    }
    for sql in [BUDGET_CURRENCY, USUAL_CURRENCY] {
        if let Some(row) = tx.query(sql, &[(&scope.user_id).into()])?.first() {
            return rows::currency(row.text(0)?);
        }
    }
    Ok(default)
}

pub(super) fn span_vals(scope: &Scope) -> [Val; 2] {
    [scope.period.start().epoch_days().into(), scope.period.end().epoch_days().into()]
}

pub(super) fn spending(
    tx: &mut Tx<'_>,
    scope: &Scope,
    default: Currency,
) -> Result<Spending, AnalyticsError> {
    let currency = choose_currency(tx, scope, default)?;
    let [start, end] = span_vals(scope);
    let key = [(&scope.user_id).into(), currency.code().into(), start.clone(), end.clone()];
    let mut categories: Vec<(String, Totals)> = Vec::new();
    for row in tx.query(CATEGORIES, &key)? {
        categories.push((row.text(0)?.to_owned(), rows::totals(&row, 1)?));
    }
    categories.sort_by(|(a, x), (b, y)| y.net().cmp(&x.net()).then_with(|| a.cmp(b)));
    let total = categories.iter().try_fold(Totals::default(), |sum, (_, totals)| sum.checked_add(*totals))?;
    let mut others = Vec::new();
    for row in tx.query(CURRENCIES, &[(&scope.user_id).into(), start, end])? {
        others.push(row.text(0)?.to_owned());
    }
    others.retain(|code| code != currency.code());
    Ok(Spending { currency, total, categories, others })
}
