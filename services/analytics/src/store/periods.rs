//! Periods beside each other, read over one snapshot.

use std::collections::BTreeMap;

use pathway_finance::{
    CivilDate, Currency, Money, Overflow, Period, PeriodKind, TimeZone, in_force, previous,
};
use pathway_store::{Tx, Val};

use super::spending::{Scope, choose_currency, span_vals, spending};
use super::{Store, batch, rows};
use crate::error::AnalyticsError;
use crate::summary::{PeriodFigures, Summary, TrendQuestion, Trends};

const DAYS: &str = "SELECT day, category, gross, refunds, count FROM day_totals
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4";
/// Kind 2 is income.
const INCOME: &str = "SELECT day, minor FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4 AND deleted = 0 AND kind = 2";
const ZONE: &str = "SELECT time_zone FROM owners WHERE user_id = $1";

// === impl Store ===

impl Store {
    /// Trends over a range.
    pub(crate) async fn trends(
        &self,
        question: TrendQuestion,
        default: Currency,
    ) -> Result<Trends, AnalyticsError> {
        self.db.read(move |tx| trends(tx, &question, default)).await
    }

    /// A period, without one the month that it is for the user, beside the one before it and the budgets.
    pub(crate) async fn summary(
        &self,
        user_id: String,
        period: Option<Period>,
        currency: Option<Currency>,
        default: Currency,
        now_us: i64,
    ) -> Result<Summary, AnalyticsError> {
        self.db.read(move |tx| summary(tx, &user_id, period, currency, default, now_us)).await
    }
}

/// Trends over a range.
fn trends(tx: &mut Tx<'_>, question: &TrendQuestion, default: Currency) -> Result<Trends, AnalyticsError> {
    let currency = choose_currency(tx, &question.scope, default)?;
    let mut trends = Trends::empty(question, currency);
    let key = keys(&question.scope, currency);
    for row in tx.query(DAYS, &key)? {
        trends.add(question, rows::day(row.i64(0)?)?, row.text(1)?, rows::totals(&row, 2)?)?;
    }
    if question.wants_total() {
        for row in tx.query(INCOME, &key)? {
            trends.add_income(question, rows::day(row.i64(0)?)?, row.i64(1)?)?;
        }
    }
    Ok(trends)
}

/// A period, without one the month that it is for the user, beside the one before it and the budgets.
fn summary(
    tx: &mut Tx<'_>,
    user_id: &str,
    period: Option<Period>,
    currency: Option<Currency>,
    default: Currency,
    now_us: i64,
) -> Result<Summary, AnalyticsError> {
    let period = match period {
        Some(period) => period,
        None => PeriodKind::MONTH.period_of(today(tx, user_id, now_us)?)?,
    };
    let mut scope = Scope { user_id: user_id.to_owned(), period, currency };
    scope.currency = Some(choose_currency(tx, &scope, default)?);
    let current = figures(tx, &scope, default)?;
    let before = previous(period)
        .map_err(|_| AnalyticsError::invalid("start", "has no such period before it in the calendar"))?;
    let previous = figures(tx, &Scope { period: before, ..scope.clone() }, default)?;
    let limits = limits(tx, &scope, now_us)?;
    Ok(Summary { current, previous, limits })
}

/// The day that it is for a user.
pub(super) fn today(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<CivilDate, AnalyticsError> {
    let zone = match tx.query(ZONE, &[user_id.into()])?.first() {
        Some(row) => rows::zone(row.text(0)?)?,
        None => TimeZone::utc(),
    };
    Ok(CivilDate::from_instant_us(now_us, &zone)?)
}

fn figures(tx: &mut Tx<'_>, scope: &Scope, default: Currency) -> Result<PeriodFigures, AnalyticsError> {
    let spending = spending(tx, scope, default)?;
    let mut income: i64 = 0;
    for row in tx.query(INCOME, &keys(scope, spending.currency))? {
        income = income.checked_add(row.i64(1)?).ok_or(Overflow)?;
    }
    Ok(PeriodFigures { period: scope.period, spending, income })
}

/// The limits in the scope's currency whose period is the scope's.
fn limits(tx: &mut Tx<'_>, scope: &Scope, now_us: i64) -> Result<BTreeMap<String, Money>, AnalyticsError> {
    let budgets = batch::load_budgets(tx, &scope.user_id, now_us)?;
    let limit = |(category, revisions): (&String, &Vec<_>)| {
        let revision = in_force(revisions, scope.period.start())?;
        let limit = revision.terms.limit;
        let is_this = revision.period_of(scope.period.start()) == Ok(scope.period);
        (is_this && Some(limit.currency()) == scope.currency).then(|| (category.clone(), limit))
    };
    Ok(budgets.iter().filter_map(limit).collect())
}

fn keys(scope: &Scope, currency: Currency) -> [Val; 4] {
    let [start, end] = span_vals(scope);
    [(&scope.user_id).into(), currency.code().into(), start, end]
}
