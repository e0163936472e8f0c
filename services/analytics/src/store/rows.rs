//! Rows into figures and back.

use std::collections::BTreeMap;

use pathway_finance::{
    BudgetTerms, CivilDate, Currency, LineKind, Money, PeriodKind, Revision, TimeZone, Totals,
};
use pathway_store::{Row, Val};
use uuid::Uuid;

use crate::error::AnalyticsError;
use crate::fact::{Fact, Line};
use crate::ledger::{BudgetPeriod, Cell, Purse, Series};

/// How a kind of period is stored. None for one that no request can ask for yet.
const KINDS: [(i64, PeriodKind); 4] = [
    (1, PeriodKind::Week { start_weekday: 1 }),
    (2, PeriodKind::MONTH),
    (3, PeriodKind::Quarter),
    (4, PeriodKind::Year),
];

/// A fact of `version, deleted, user_id, kind, minor, currency, category, day, merchant`.
pub(super) fn fact(row: &Row) -> Result<Fact, AnalyticsError> {
    let line = if row.bool(1)? { None } else { Some(line(row, 3)?) };
    Ok(Fact { version: row.i64(0)?, user_id: row.text(2)?.to_owned(), line })
}

/// A line of `kind, minor, currency, category, day, merchant`.
pub(super) fn line(row: &Row, at: usize) -> Result<Line, AnalyticsError> {
    Ok(Line {
        kind: LineKind::from_code(row.i64(at)?).ok_or(AnalyticsError::Corrupt("kind of a line"))?,
        amount: Money::new(row.i64(at + 1)?, currency(row.text(at + 2)?)?),
        category: row.text(at + 3)?.to_owned(),
        day: day(row.i64(at + 4)?)?,
        merchant: row.text(at + 5)?.to_owned(),
    })
}

/// `record_id`, then the columns of [`fact`], then `live`. A tombstone has nothing else.
pub(super) fn fact_vals(id: Uuid, fact: &Fact, is_live: bool) -> Vec<Val> {
    let mut vals: Vec<Val> =
        vec![id.into_bytes().into(), fact.version.into(), fact.line.is_none().into(), (&fact.user_id).into()];
    match &fact.line {
        Some(line) => vals.extend([
            Val::from(line.kind.code()),
            line.amount.minor().into(),
            line.amount.currency().code().into(),
            (&line.category).into(),
            line.day.epoch_days().into(),
            (&line.merchant).into(),
        ]),
        None => vals.extend([0_i64.into(), 0_i64.into(), "".into(), "".into(), 0_i64.into(), "".into()]),
    }
    vals.push(is_live.into());
    vals
}

/// Sums of `gross, refunds, count`.
pub(super) fn totals(row: &Row, at: usize) -> Result<Totals, AnalyticsError> {
    Ok(Totals::from_parts(row.i64(at)?, row.i64(at + 1)?, row.i64(at + 2)?))
}

pub(super) fn totals_vals(totals: Totals) -> [Val; 3] {
    [totals.gross().into(), totals.refunds().into(), totals.count().into()]
}

pub(super) fn purse_vals(purse: &Purse) -> Vec<Val> {
    vec![(&purse.user_id).into(), purse.currency.code().into()]
}

pub(super) fn series_vals(series: &Series) -> Vec<Val> {
    vec![(&series.user_id).into(), series.currency.code().into(), (&series.category).into()]
}

pub(super) fn cell_vals(cell: &Cell) -> Vec<Val> {
    let mut vals = series_vals(&cell.series);
    vals.push(cell.day.epoch_days().into());
    vals
}

pub(super) fn budget_period_vals(budget: &BudgetPeriod) -> Vec<Val> {
    vec![
        (&budget.user_id).into(),
        (&budget.category).into(),
        budget.revision.into(),
        budget.start.epoch_days().into(),
    ]
}

/// Revisions of `category, revision, effective_from, minor, currency, period_kind, time_zone`, ordered by the first two.
pub(super) fn revisions(rows: &[Row]) -> Result<BTreeMap<String, Vec<Revision>>, AnalyticsError> {
    let mut budgets: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
    for row in rows {
        let code = row.i64(5)?;
        let kind = KINDS.iter().find(|(stored, _)| *stored == code).map(|(_, kind)| *kind);
        let terms = BudgetTerms {
            limit: Money::new(row.i64(3)?, currency(row.text(4)?)?),
            kind: kind.ok_or(AnalyticsError::Corrupt("kind of a period"))?,
            zone: zone(row.text(6)?)?,
        };
        let revision = Revision { number: row.i64(1)?, effective_from: day(row.i64(2)?)?, terms };
        budgets.entry(row.text(0)?.to_owned()).or_default().push(revision);
    }
    Ok(budgets)
}

/// `user_id`, the columns of [`revisions`], then `created_at_us`.
pub(super) fn revision_vals(
    user_id: &str,
    category: &str,
    revision: &Revision,
    now_us: i64,
) -> Result<Vec<Val>, AnalyticsError> {
    let terms = &revision.terms;
    let kind = KINDS.iter().find(|(_, kind)| *kind == terms.kind).map(|(code, _)| *code);
    Ok(vec![
        user_id.into(),
        category.into(),
        revision.number.into(),
        revision.effective_from.epoch_days().into(),
        terms.limit.minor().into(),
        terms.limit.currency().code().into(),
        kind.ok_or(AnalyticsError::Corrupt("kind of a period"))?.into(),
        terms.zone.name().into(),
        now_us.into(),
    ])
}

pub(super) fn currency(code: &str) -> Result<Currency, AnalyticsError> {
    Currency::parse(code).map_err(|_| AnalyticsError::Corrupt("currency"))
}

pub(super) fn zone(name: &str) -> Result<TimeZone, AnalyticsError> {
    TimeZone::parse(name).map_err(|_| AnalyticsError::Corrupt("time zone"))
}

pub(super) fn day(days: i64) -> Result<CivilDate, AnalyticsError> {
    CivilDate::from_epoch_days(days).map_err(|_| AnalyticsError::Corrupt("day"))
}
