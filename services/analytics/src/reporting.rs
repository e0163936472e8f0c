//! Figures over several currencies, in one that is asked for (G12).
//!
//! Nothing of this is stored: lines are kept in their own currencies, rates by their days, and what is asked for is made of both. So a rate that is
//! corrected changes the next answer and nothing else: a budget counts the lines of its own currency, and what a user was told stays told.
//!
//! Each line is converted for itself by a rate of its own day. A line whose day has none is in no figure: its currency, its amount and its day are named
//! beside them.

use std::collections::{BTreeMap, BTreeSet};

use pathway_finance::{
    CivilDate, Conversion, Currency, DayRates, LineKind, Money, Overflow, Period, Rate, RatePair, Totals,
};

use crate::error::AnalyticsError;
use crate::service::Figures;
use crate::store::{Explanation, Question, RatesQuestion, RatesSet, Scope, Spending};
use crate::summary::{Summary, TrendQuestion, Trends};

/// A rate of a day, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatedRate {
    pub(crate) day: CivilDate,
    pub(crate) pair: RatePair,
    pub(crate) rate: Rate,
    pub(crate) source: String,
}

/// How figures were converted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reporting {
    pub(crate) converted: BTreeMap<Currency, Converted>,
    pub(crate) unconverted: BTreeMap<Currency, Unconverted>,
}

/// Sums of spending and income.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) spending: Totals,
    pub(crate) income: i64,
    pub(crate) count: i64,
}

/// The lines of a currency that were converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Converted {
    /// As they are.
    pub(crate) own: Sums,
    /// In the reporting currency.
    pub(crate) reported: Sums,
    pub(crate) first: CivilDate,
    pub(crate) last: CivilDate,
    pub(crate) sources: BTreeSet<String>,
}

/// The lines of a currency that were not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unconverted {
    pub(crate) own: Sums,
    pub(crate) days: BTreeSet<CivilDate>,
}

/// How one line was converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineConversion {
    pub(crate) amount: Money,
    pub(crate) rates: Vec<DatedRate>,
}

/// A line as far as sums go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) day: CivilDate,
    pub(crate) kind: LineKind,
    pub(crate) amount: Money,
}

/// Converts lines, and keeps account of it.
#[derive(Debug)]
pub(crate) struct Converter {
    to: Currency,
    days: BTreeMap<CivilDate, (DayRates, BTreeMap<RatePair, String>)>,
    /// How each currency is converted on each day that was met; none where it is not.
    known: BTreeMap<(Currency, CivilDate), Option<Conversion>>,
    reporting: Reporting,
}

// === impl Sums ===

impl Sums {
    fn add(&mut self, kind: LineKind, minor: i64) -> Result<(), Overflow> {
        self.spending.add(kind, minor)?;
        if kind == LineKind::Income {
            self.income = self.income.checked_add(minor).ok_or(Overflow)?;
        }
        self.count += 1;
        Ok(())
    }
}

// === impl Converter ===

impl Converter {
    /// Converts to a currency by these rates.
    pub(crate) fn new(to: Currency, rates: Vec<DatedRate>) -> Self {
        let mut days: BTreeMap<CivilDate, (DayRates, BTreeMap<RatePair, String>)> = BTreeMap::new();
        for DatedRate { day, pair, rate, source } in rates {
            let (rates, sources) = days.entry(day).or_default();
            rates.insert(pair, rate);
            sources.insert(pair, source);
        }
        Self { to, days, known: BTreeMap::new(), reporting: Reporting::default() }
    }

    /// The line's amount in the reporting currency; none where its day has no rate.
    pub(crate) fn take(&mut self, line: Counted) -> Result<Option<i64>, AnalyticsError> {
        let Counted { day, kind, amount } = line;
        let (currency, minor) = (amount.currency(), amount.minor());
        if currency == self.to {
            return Ok(Some(minor));
        }
        let Some(conversion) = self.conversion(currency, day) else {
            let left = self.reporting.unconverted.entry(currency).or_default();
            left.own.add(kind, minor)?;
            left.days.insert(day);
            return Ok(None);
        };
        let reported = conversion.convert(minor).map_err(|_| AnalyticsError::ConversionOutOfRange)?.minor();
        let pairs: Vec<RatePair> = conversion.path().iter().map(|(pair, _)| *pair).collect();
        let sources = self.days.get(&day).map(|(_, sources)| sources);
        let named = pairs.iter().filter_map(|pair| sources?.get(pair)).cloned();
        let part = self.reporting.converted.entry(currency).or_insert_with(|| Converted::on(day));
        part.sources.extend(named);
        (part.first, part.last) = (part.first.min(day), part.last.max(day));
        part.own.add(kind, minor)?;
        part.reported.add(kind, reported).map_err(|_| AnalyticsError::ConversionOutOfRange)?;
        Ok(Some(reported))
    }

    /// How one line is converted; none where it is not, or need not be.
    pub(crate) fn line(
        &mut self,
        amount: Money,
        day: CivilDate,
    ) -> Result<Option<LineConversion>, AnalyticsError> {
        if amount.currency() == self.to {
            return Ok(None);
        }
        let Some(conversion) = self.conversion(amount.currency(), day).cloned() else { return Ok(None) };
        let converted =
            conversion.convert(amount.minor()).map_err(|_| AnalyticsError::ConversionOutOfRange)?;
        let sources = self.days.get(&day).map(|(_, sources)| sources);
        let source =
            |pair: &RatePair| sources.and_then(|sources| sources.get(pair)).cloned().unwrap_or_default();
        let rates = conversion.path().iter();
        let rates =
            rates.map(|(pair, rate)| DatedRate { day, pair: *pair, rate: *rate, source: source(pair) });
        Ok(Some(LineConversion { amount: converted, rates: rates.collect() }))
    }

    /// How what was taken was converted.
    pub(crate) fn finish(self) -> Reporting {
        self.reporting
    }

    fn conversion(&mut self, from: Currency, day: CivilDate) -> Option<&Conversion> {
        let (days, to) = (&self.days, self.to);
        let find = || days.get(&day).and_then(|(rates, _)| rates.conversion(from, to));
        self.known.entry((from, day)).or_insert_with(find).as_ref()
    }
}

// === impl Converted ===

impl Converted {
    fn on(day: CivilDate) -> Self {
        let (own, reported) = (Sums::default(), Sums::default());
        Self { own, reported, first: day, last: day, sources: BTreeSet::new() }
    }
}

// === impl Figures ===

impl Figures {
    /// Stores rates.
    pub(crate) async fn set_rates(&self, rates: Vec<DatedRate>) -> Result<RatesSet, AnalyticsError> {
        self.store.set_rates(rates, self.now_us()).await
    }

    /// The rates that are stored.
    pub(crate) async fn rates(&self, question: RatesQuestion) -> Result<Vec<DatedRate>, AnalyticsError> {
        self.store.rates(question).await
    }

    /// A user's spending in a period, in the scope's currency.
    pub(crate) async fn reported_spending(
        &self,
        scope: Scope,
        to: Currency,
    ) -> Result<(Spending, Reporting), AnalyticsError> {
        self.store.reported_spending(scope, to).await
    }

    /// Trends over a range, in one currency.
    pub(crate) async fn reported_trends(
        &self,
        question: TrendQuestion,
        to: Currency,
    ) -> Result<(Trends, Reporting), AnalyticsError> {
        self.store.reported_trends(question, to).await
    }

    /// A period beside the one before it, in one currency.
    pub(crate) async fn reported_summary(
        &self,
        user_id: String,
        period: Option<Period>,
        to: Currency,
    ) -> Result<(Summary, [Reporting; 2]), AnalyticsError> {
        self.store.reported_summary(user_id, period, to, self.now_us()).await
    }

    /// The lines behind a number in one currency.
    pub(crate) async fn reported_explanation(
        &self,
        question: Question,
        to: Currency,
    ) -> Result<(Explanation, Vec<Option<LineConversion>>, Reporting), AnalyticsError> {
        self.store.reported_explanation(question, to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn day(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    fn rate(on: &str, base: &str, quote: &str, rate: &str) -> DatedRate {
        let pair = RatePair { base: currency(base), quote: currency(quote) };
        DatedRate { day: day(on), pair, rate: Rate::parse(rate).unwrap(), source: format!("{base} bank") }
    }

    fn line(on: &str, minor: i64, code: &str) -> Counted {
        Counted { day: day(on), kind: LineKind::Expense, amount: Money::new(minor, currency(code)) }
    }

    #[test]
    fn g12_a_line_is_converted_by_the_rate_of_its_own_day_and_no_other() {
        let rates = vec![rate("2026-11-02", "EUR", "USD", "1.25"), rate("2026-11-03", "EUR", "USD", "2")];
        let mut converter = Converter::new(currency("USD"), rates);
        assert_eq!(converter.take(line("2026-11-01", 100, "EUR")).unwrap(), None, "the day before");
        assert_eq!(converter.take(line("2026-11-02", 100, "EUR")).unwrap(), Some(125));
        assert_eq!(converter.take(line("2026-11-03", -100, "EUR")).unwrap(), Some(-200));
        assert_eq!(converter.take(line("2026-11-04", 100, "EUR")).unwrap(), None, "the day after");
        assert_eq!(converter.take(line("2026-11-04", 7, "USD")).unwrap(), Some(7));
        let reporting = converter.finish();
        let part = &reporting.converted[&currency("EUR")];
        assert_eq!((part.own.spending.net(), part.reported.spending.net(), part.own.count), (0, -75, 2));
        assert_eq!((part.first, part.last), (day("2026-11-02"), day("2026-11-03")));
        assert_eq!(part.sources, BTreeSet::from(["EUR bank".to_owned()]));
        let left = &reporting.unconverted[&currency("EUR")];
        assert_eq!((left.own.spending.net(), left.own.count), (200, 2), "shown apart, neither 0 nor 1:1");
        assert_eq!(left.days, BTreeSet::from([day("2026-11-01"), day("2026-11-04")]));
        assert!(!reporting.converted.contains_key(&currency("USD")), "what needs no rate is not converted");
    }

    #[test]
    fn g12_lines_are_rounded_one_by_one_so_that_parts_add_up() {
        let mut converter = Converter::new(currency("EUR"), vec![rate("2026-11-02", "USD", "EUR", "0.5")]);
        let parts: Vec<i64> =
            (0..4).map(|_| converter.take(line("2026-11-02", 1, "USD")).unwrap().unwrap()).collect();
        assert_eq!(parts, [0; 4], "half a cent is rounded to even for each");
        assert_eq!(converter.finish().converted[&currency("USD")].reported.spending.net(), 0);
    }

    #[test]
    fn g12_an_explanation_names_the_rates_and_whose_they_are() {
        let rates = vec![rate("2026-11-02", "EUR", "USD", "1.25"), rate("2026-11-02", "EUR", "INR", "90")];
        let mut converter = Converter::new(currency("INR"), rates.clone());
        let found = converter.line(Money::new(100, currency("USD")), day("2026-11-02")).unwrap().unwrap();
        assert_eq!((found.amount.minor(), found.rates), (7200, rates));
        assert_eq!(converter.line(Money::new(100, currency("INR")), day("2026-11-02")).unwrap(), None);
    }
}
