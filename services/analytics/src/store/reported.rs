//! Figures over all of a user's currencies, in one that is asked for, from one snapshot.
//!
//! Lines are read one by one, from the index that has what is counted of them: a sum of lines that are each rounded is not a sum of days that are. What
//! that costs grows with the lines of the range that is asked about, and not with all that there are.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{Currency, LineKind, Money, Overflow, Period, PeriodKind, Totals, previous};
use pathway_store::{Tx, Val};

use super::explain::{self, Explanation, LINES, Place, Question};
use super::spending::{Scope, Spending, span_vals};
use super::{Store, periods, rates, rows};
use crate::error::AnalyticsError;
use crate::reporting::{Converter, Counted, LineConversion, Reporting};
use crate::summary::{PeriodFigures, Summary, TrendQuestion, Trends};

/// A user's currencies, each looked up behind the one before it.
const CURRENCIES: &str = "SELECT MIN(currency) FROM facts WHERE user_id = $1 AND currency > $2";
/// Kinds 1 and 2 are expenses and incomes.
const COUNTED: &str = "SELECT day, kind, category, minor FROM facts
     WHERE user_id = $1 AND currency = $2 AND day >= $3 AND day < $4 AND deleted = 0 AND kind <= 2 ORDER BY day, record_id";

/// A line in the reporting currency.
#[derive(Debug)]
struct Reported {
    line: Counted,
    category: String,
    minor: i64,
}

// === impl Store ===

impl Store {
    /// A user's spending in a period.
    pub(crate) async fn reported_spending(
        &self,
        scope: Scope,
        to: Currency,
    ) -> Result<(Spending, Reporting), AnalyticsError> {
        let read = move |tx: &mut Tx<'_>| figures(tx, &scope, to);
        let (figures, reporting) = self.db.read(read).await?;
        Ok((figures.spending, reporting))
    }

    /// Trends over a range.
    pub(crate) async fn reported_trends(
        &self,
        question: TrendQuestion,
        to: Currency,
    ) -> Result<(Trends, Reporting), AnalyticsError> {
        self.db.read(move |tx| trends(tx, &question, to)).await
    }

    /// A period, without one the month that it is for the user, beside the one before it.
    pub(crate) async fn reported_summary(
        &self,
        user_id: String,
        period: Option<Period>,
        to: Currency,
        now_us: i64,
    ) -> Result<(Summary, [Reporting; 2]), AnalyticsError> {
        self.db.read(move |tx| summary(tx, &user_id, period, to, now_us)).await
    }

    /// The lines behind a number, as they are, and how each is converted.
    pub(crate) async fn reported_explanation(
        &self,
        question: Question,
        to: Currency,
    ) -> Result<(Explanation, Vec<Option<LineConversion>>, Reporting), AnalyticsError> {
        self.db.read(move |tx| explanation(tx, &question, to)).await
    }
}

fn trends(
    tx: &mut Tx<'_>,
    question: &TrendQuestion,
    to: Currency,
) -> Result<(Trends, Reporting), AnalyticsError> {
    let mut trends = Trends::empty(question, to);
    let wanted = |kind: LineKind, category: &str| {
        question.wants_total() || (kind.is_spending() && question.wants(category))
    };
    let (lines, reporting) = lines(tx, &question.scope, to, wanted)?;
    for Reported { line, category, minor } in lines {
        if line.kind == LineKind::Income {
            trends.add_income(question, line.day, minor)?;
        } else {
            let mut totals = Totals::default();
            totals.add(line.kind, minor)?;
            trends.add(question, line.day, &category, totals)?;
        }
    }
    Ok((trends, reporting))
}

/// There are no limits in it: a budget counts its own currency only.
fn summary(
    tx: &mut Tx<'_>,
    user_id: &str,
    period: Option<Period>,
    to: Currency,
    now_us: i64,
) -> Result<(Summary, [Reporting; 2]), AnalyticsError> {
    let period = match period {
        Some(period) => period,
        None => PeriodKind::MONTH.period_of(periods::today(tx, user_id, now_us)?)?,
    };
    let before = previous(period)
        .map_err(|_| AnalyticsError::invalid("start", "has no such period before it in the calendar"))?;
    let scope = |period| Scope { user_id: user_id.to_owned(), period, currency: Some(to) };
    let (current, reporting) = figures(tx, &scope(period), to)?;
    let (previous, previous_reporting) = figures(tx, &scope(before), to)?;
    Ok((Summary { current, previous, limits: BTreeMap::new() }, [reporting, previous_reporting]))
}

fn explanation(
    tx: &mut Tx<'_>,
    question: &Question,
    to: Currency,
) -> Result<(Explanation, Vec<Option<LineConversion>>, Reporting), AnalyticsError> {
    let names: Option<BTreeSet<&str>> = question.category.as_deref().map(|names| names.split(',').collect());
    let is_in = |kind: LineKind, category: &str| {
        kind.is_spending() && names.as_ref().is_none_or(|names| names.contains(category))
    };
    let (counted, reporting) = lines(tx, &question.scope, to, is_in)?;
    let mut totals = Totals::default();
    for Reported { line, minor, .. } in counted {
        totals.add(line.kind, minor)?;
    }
    let [start, end] = span_vals(&question.scope);
    let after = question.after.unwrap_or(Place::FIRST);
    let mut page = Vec::new();
    for currency in currencies(tx, &question.scope.user_id)? {
        let key: [Val; 9] = [
            (&question.scope.user_id).into(),
            currency.code().into(),
            start.clone(),
            end.clone(),
            question.category.as_deref().unwrap_or_default().into(),
            question.category.is_none().into(),
            after.day.into(),
            after.record_id.into_bytes().into(),
            question.limit.into(),
        ];
        for row in tx.query(LINES, &key)? {
            page.push(explain::line(&row)?);
        }
    }
    // Each currency's newest are there; the newest of all are among them.
    page.sort_by_key(|line| std::cmp::Reverse((line.line.day, line.record_id)));
    page.truncate(usize::try_from(question.limit).unwrap_or(usize::MAX));
    let days: BTreeSet<_> =
        page.iter().filter(|line| line.line.amount.currency() != to).map(|line| line.line.day).collect();
    let mut converter = Converter::new(to, rates::of_days(tx, &days)?);
    let conversions = page.iter().map(|line| converter.line(line.line.amount, line.line.day));
    let conversions = conversions.collect::<Result<Vec<_>, _>>()?;
    Ok((Explanation { currency: to, totals, lines: page }, conversions, reporting))
}

fn figures(
    tx: &mut Tx<'_>,
    scope: &Scope,
    to: Currency,
) -> Result<(PeriodFigures, Reporting), AnalyticsError> {
    let (lines, reporting) = lines(tx, scope, to, |_, _| true)?;
    let (mut total, mut income) = (Totals::default(), 0_i64);
    let mut categories: BTreeMap<String, Totals> = BTreeMap::new();
    for Reported { line, category, minor } in lines {
        if line.kind == LineKind::Income {
            income = income.checked_add(minor).ok_or(Overflow)?;
        } else {
            total.add(line.kind, minor)?;
            categories.entry(category).or_default().add(line.kind, minor)?;
        }
    }
    let mut categories: Vec<(String, Totals)> = categories.into_iter().collect();
    categories.sort_by(|(a, x), (b, y)| y.net().cmp(&x.net()).then_with(|| a.cmp(b)));
    let spending = Spending { currency: to, total, categories, others: Vec::new() };
    Ok((PeriodFigures { period: scope.period, spending, income }, reporting))
}

/// The lines of a scope that are in a figure, converted; those that cannot be are named beside them.
fn lines(
    tx: &mut Tx<'_>,
    scope: &Scope,
    to: Currency,
    is_in: impl Fn(LineKind, &str) -> bool,
) -> Result<(Vec<Reported>, Reporting), AnalyticsError> {
    let [start, end] = span_vals(scope);
    let mut found: Vec<(Counted, String)> = Vec::new();
    for currency in currencies(tx, &scope.user_id)? {
        let key = [(&scope.user_id).into(), currency.code().into(), start.clone(), end.clone()];
        for row in tx.query(COUNTED, &key)? {
            let kind = LineKind::from_code(row.i64(1)?).ok_or(AnalyticsError::Corrupt("kind of a line"))?;
            if is_in(kind, row.text(2)?) {
                let (day, amount) = (rows::day(row.i64(0)?)?, Money::new(row.i64(3)?, currency));
                found.push((Counted { day, kind, amount }, row.text(2)?.to_owned()));
            }
        }
    }
    let foreign = found.iter().filter(|(line, _)| line.amount.currency() != to);
    let days: BTreeSet<_> = foreign.map(|(line, _)| line.day).collect();
    let mut converter = Converter::new(to, rates::of_days(tx, &days)?);
    let mut lines = Vec::with_capacity(found.len());
    for (line, category) in found {
        let minor = converter.take(line)?;
        lines.extend(minor.map(|minor| Reported { line, category, minor }));
    }
    Ok((lines, converter.finish()))
}

/// The currencies that a user has lines in. A tombstone has none.
fn currencies(tx: &mut Tx<'_>, user_id: &str) -> Result<Vec<Currency>, AnalyticsError> {
    let mut found: Vec<Currency> = Vec::new();
    loop {
        let last = found.last().map_or("", |currency| currency.code());
        let rows = tx.query(CURRENCIES, &[user_id.into(), last.into()])?;
        let next = rows.first().map(|row| row.opt_text(0)).transpose()?.flatten();
        let Some(code) = next else { return Ok(found) };
        found.push(rows::currency(code)?);
    }
}
