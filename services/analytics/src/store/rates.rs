//! Rates of exchange, by the days that they are of.

use std::collections::BTreeSet;

use pathway_finance::{CivilDate, Currency, Rate, RatePair};
use pathway_store::{Row, Tx, Val};

use super::{Store, rows};
use crate::error::AnalyticsError;
use crate::reporting::DatedRate;

/// What became of rates that were to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RatesSet {
    pub(crate) added: i32,
    pub(crate) corrected: i32,
    pub(crate) unchanged: i32,
}

/// Which rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RatesQuestion {
    pub(crate) base: Option<Currency>,
    pub(crate) quote: Option<Currency>,
    pub(crate) first: Option<CivilDate>,
    /// The day after the last.
    pub(crate) end: Option<CivilDate>,
    /// Where the page before ended.
    pub(crate) after: Option<RatePlace>,
    pub(crate) limit: i64,
}

/// A place among rates: newest day first, then by base and quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RatePlace {
    pub(crate) day: i64,
    pub(crate) base: String,
    pub(crate) quote: String,
}

const KNOWN: &str = "SELECT rate, source FROM rates WHERE day = $1 AND base = $2 AND quote = $3";
const PUT: &str = "INSERT INTO rates (day, base, quote, rate, source, set_at_us) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (day, base, quote) DO UPDATE SET rate = excluded.rate, source = excluded.source, set_at_us = excluded.set_at_us";
const OF_DAY: &str = "SELECT day, base, quote, rate, source FROM rates WHERE day = $1";
const LIST: &str = "SELECT day, base, quote, rate, source FROM rates
     WHERE day >= $1 AND day < $2 AND (base = $3 OR $3 = '') AND (quote = $4 OR $4 = '')
     AND day <= $5 AND (day < $5 OR base > $6 OR (base = $6 AND quote > $7))
     ORDER BY day DESC, base, quote LIMIT $8";

// === impl Store ===

impl Store {
    /// Stores rates; those that are stored as they are stay so.
    pub(crate) async fn set_rates(
        &self,
        rates: Vec<DatedRate>,
        now_us: i64,
    ) -> Result<RatesSet, AnalyticsError> {
        self.db.write_locking(move |tx| set(tx, &rates, now_us)).await
    }

    /// The rates that are stored.
    pub(crate) async fn rates(&self, question: RatesQuestion) -> Result<Vec<DatedRate>, AnalyticsError> {
        self.db.read(move |tx| list(tx, &question)).await
    }
}

fn set(tx: &mut Tx<'_>, rates: &[DatedRate], now_us: i64) -> Result<RatesSet, AnalyticsError> {
    let keys: Vec<[Val; 3]> = rates.iter().map(key).collect();
    let (mut set, mut new) = (RatesSet::default(), Vec::new());
    for ((rate, key), known) in rates.iter().zip(&keys).zip(tx.query_many(KNOWN, &keys)?) {
        let text = rate.rate.to_string();
        match known.first() {
            Some(row) if (row.text(0)?, row.text(1)?) == (&*text, &*rate.source) => {
                set.unchanged += 1;
                continue;
            }
            Some(_) => set.corrected += 1,
            None => set.added += 1,
        }
        let mut vals = key.to_vec();
        vals.extend([Val::from(text), (&rate.source).into(), now_us.into()]);
        new.push(vals);
    }
    tx.execute_many(PUT, &new)?;
    Ok(set)
}

/// All rates of some days.
pub(super) fn of_days(tx: &mut Tx<'_>, days: &BTreeSet<CivilDate>) -> Result<Vec<DatedRate>, AnalyticsError> {
    let keys: Vec<[Val; 1]> = days.iter().map(|day| [day.epoch_days().into()]).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    tx.query_many(OF_DAY, &keys)?.iter().flatten().map(rate).collect()
}

fn list(tx: &mut Tx<'_>, question: &RatesQuestion) -> Result<Vec<DatedRate>, AnalyticsError> {
    let after = question.after.clone().unwrap_or(RatePlace {
        day: i64::MAX,
        base: String::new(),
        quote: String::new(),
    });
    let code = |currency: Option<Currency>| currency.map_or("", Currency::code);
    let key: [Val; 8] = [
        question.first.map_or(i64::MIN, CivilDate::epoch_days).into(),
        question.end.map_or(i64::MAX, CivilDate::epoch_days).into(),
        code(question.base).into(),
        code(question.quote).into(),
        after.day.into(),
        after.base.into(),
        after.quote.into(),
        question.limit.into(),
    ];
    tx.query(LIST, &key)?.iter().map(rate).collect()
}

fn key(rate: &DatedRate) -> [Val; 3] {
    [rate.day.epoch_days().into(), rate.pair.base.code().into(), rate.pair.quote.code().into()]
}

fn rate(row: &Row) -> Result<DatedRate, AnalyticsError> {
    let pair = RatePair { base: rows::currency(row.text(1)?)?, quote: rows::currency(row.text(2)?)? };
    let rate = Rate::parse(row.text(3)?).map_err(|_| AnalyticsError::Corrupt("rate"))?;
    Ok(DatedRate { day: rows::day(row.i64(0)?)?, pair, rate, source: row.text(4)?.to_owned() })
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
