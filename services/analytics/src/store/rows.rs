//! Rows into figures and back.

use std::collections::BTreeMap;

use pathway_finance::{
    BudgetTerms, CivilDate, Currency, LineKind, Money, PeriodKind, Revision, Rollover, Rules, TimeZone,
    Totals,
};
use pathway_store::{Row, Val};
use uuid::Uuid;

use crate::error::AnalyticsError;
use crate::fact::{Fact, Line};
use crate::ledger::{BudgetPeriod, Cell, Purse, Series};

/// A fact of `version, deleted, user_id`, then the columns of [`line()`].
pub(super) fn fact(row: &Row) -> Result<Fact, AnalyticsError> {
    let line = if row.bool(1)? { None } else { Some(line(row, 3)?) };
    Ok(Fact { version: row.i64(0)?, user_id: row.text(2)?.to_owned(), line })
}

/// A line of `kind, minor, currency, category, day, merchant, account`.
pub(super) fn line(row: &Row, at: usize) -> Result<Line, AnalyticsError> {
    Ok(Line {
        kind: LineKind::from_code(row.i64(at)?).ok_or(AnalyticsError::Corrupt("kind of a line"))?,
        amount: Money::new(row.i64(at + 1)?, currency(row.text(at + 2)?)?),
        category: row.text(at + 3)?.to_owned(),
        day: day(row.i64(at + 4)?)?,
        merchant: row.text(at + 5)?.to_owned(),
        account: row.text(at + 6)?.to_owned(),
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
            (&line.account).into(),
        ]),
        None => {
            vals.extend([
                0_i64.into(),
                0_i64.into(),
                "".into(),
                "".into(),
                0_i64.into(),
                "".into(),
                "".into(),
            ]);
        }
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

/// Revisions of `category, revision, effective_from, minor, currency, time_zone`, the four columns of [`kind`], then `thresholds, rollover, pace,
/// members`, ordered by the first two.
pub(super) fn revisions(rows: &[Row]) -> Result<BTreeMap<String, Vec<Revision>>, AnalyticsError> {
    let mut budgets: BTreeMap<String, Vec<Revision>> = BTreeMap::new();
    for row in rows {
        let rules = Rules {
            thresholds: thresholds(row.text(10)?)?,
            rollover: rollover(row.i64(11)?)?,
            pace: row.bool(12)?,
            members: row.text(13)?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        };
        let terms = BudgetTerms {
            limit: Money::new(row.i64(3)?, currency(row.text(4)?)?),
            kind: kind(row, 6)?,
            zone: zone(row.text(5)?)?,
            rules,
        };
        let revision = Revision { number: row.i64(1)?, effective_from: day(row.i64(2)?)?, terms };
        budgets.entry(row.text(0)?.to_owned()).or_default().push(revision);
    }
    Ok(budgets)
}

/// `user_id`, the columns of [`revisions`], then `created_at_us`.
pub(super) fn revision_vals(user_id: &str, category: &str, revision: &Revision, now_us: i64) -> Vec<Val> {
    let terms = &revision.terms;
    let thresholds: Vec<String> = terms.rules.thresholds.iter().map(ToString::to_string).collect();
    let mut vals: Vec<Val> = vec![
        user_id.into(),
        category.into(),
        revision.number.into(),
        revision.effective_from.epoch_days().into(),
        terms.limit.minor().into(),
        terms.limit.currency().code().into(),
        terms.zone.name().into(),
    ];
    vals.extend(kind_vals(terms.kind));
    vals.extend([
        thresholds.join(",").into(),
        terms.rules.rollover.code().into(),
        terms.rules.pace.into(),
        terms.rules.members.join(",").into(),
        now_us.into(),
    ]);
    vals
}

/// A kind of `period_kind, start_day, anchor, length_days`.
fn kind(row: &Row, at: usize) -> Result<PeriodKind, AnalyticsError> {
    let corrupt = || AnalyticsError::Corrupt("kind of a period");
    let start = i8::try_from(row.i64(at + 1)?).map_err(|_| corrupt())?;
    let anchor = || day(row.i64(at + 2)?);
    Ok(match row.i64(at)? {
        1 => PeriodKind::Week { start_weekday: start },
        2 => PeriodKind::Month { start_day: start },
        3 => PeriodKind::Quarter,
        4 => PeriodKind::Year,
        5 => PeriodKind::TwoWeeks { anchor: anchor()? },
        6 => PeriodKind::HalfMonth,
        7 => {
            let length = u16::try_from(row.i64(at + 3)?).map_err(|_| corrupt())?;
            PeriodKind::Days { length, anchor: anchor()? }
        }
        _ => return Err(corrupt()),
    })
}

fn kind_vals(kind: PeriodKind) -> [Val; 4] {
    let (code, start, anchor, length) = match kind {
        PeriodKind::Week { start_weekday } => (1, start_weekday, 0, 0),
        PeriodKind::Month { start_day } => (2, start_day, 0, 0),
        PeriodKind::Quarter => (3, 1, 0, 0),
        PeriodKind::Year => (4, 1, 0, 0),
        PeriodKind::TwoWeeks { anchor } => (5, 1, anchor.epoch_days(), 0),
        PeriodKind::HalfMonth => (6, 1, 0, 0),
        PeriodKind::Days { length, anchor } => (7, 1, anchor.epoch_days(), i64::from(length)),
    };
    [Val::I64(code), Val::I64(start.into()), anchor.into(), length.into()]
}

/// Percentages, joined by commas.
pub(super) fn thresholds(text: &str) -> Result<Vec<i64>, AnalyticsError> {
    let percents = text.split(',').filter(|text| !text.is_empty()).map(str::parse);
    percents.collect::<Result<_, _>>().map_err(|_| AnalyticsError::Corrupt("threshold"))
}

/// What was stored of what becomes of what is left.
pub(super) fn rollover(code: i64) -> Result<Rollover, AnalyticsError> {
    Rollover::from_code(code).ok_or(AnalyticsError::Corrupt("rollover"))
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
