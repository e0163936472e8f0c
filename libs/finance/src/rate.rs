//! Rates of exchange, and amounts by them (G12).
//!
//! A rate is a decimal, kept digit by digit: 1.0845 is exactly that. Converting is one exact fraction and one rounding, half to even, to the smallest
//! unit of the currency that is asked for. **Each line is rounded for itself**, so that whatever adds lines up comes to the same: the days of a month to the
//! month, the categories to the total, the lines of an explanation to the number that it explains.
//!
//! A line is converted by a rate of its own day and by no other. Between two currencies that is the rate from one to the other, else the inverse of the rate
//! from the other to the one, else the way over one third currency; where there are several, over the first by code. Without any the line is not
//! converted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::{Currency, Money, MoneyError};

/// How much of one currency another is worth: a positive decimal of at most 12 digits, of which at most 12 are fractional.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Never zero, and never ending in one where there is a fraction.
    mantissa: u64,
    /// How many of its digits are fractional.
    decimals: u32,
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It is not a decimal number.
    #[error("is not a decimal number: write it like 1.0845")]
    NotANumber,
    /// It is zero or below.
    #[error("must be above zero")]
    NotPositive,
    /// It has too many digits.
    #[error("has too many digits: at most 12, of which at most 12 fractional")]
    TooManyDigits,
}

/// A currency in another: what one of it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RatePair {
    /// What is priced.
    pub base: Currency,
    /// What it is priced in.
    pub quote: Currency,
}

/// The rates of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayRates {
    rates: BTreeMap<RatePair, Rate>,
}

/// How to convert from one currency to another on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    to: Currency,
    /// Units of the smallest of one for units of the smallest of the other; below 10^28 each.
    numerator: u128,
    denominator: u128,
    /// The rates that it rests on, one or two.
    path: Vec<(RatePair, Rate)>,
}

/// The most digits of a rate, and the most of them behind the point.
const MOST_DIGITS: usize = 12;

// === impl Rate ===

impl Rate {
    /// Reads decimal text such as `1.0845`.
    ///
    /// # Errors
    /// Where it is no positive number, or has too many digits; zeros at the end of a fraction do not count.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(RateError::NotANumber),
            Some((whole, fraction)) => (whole, fraction),
            None => (digits, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(RateError::NotANumber);
        }
        let fraction = fraction.trim_end_matches('0');
        let significant = format!("{whole}{fraction}");
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() || text.starts_with('-') {
            return Err(RateError::NotPositive);
        }
        if significant.len() > MOST_DIGITS || fraction.len() > MOST_DIGITS {
            return Err(RateError::TooManyDigits);
        }
        let mantissa = significant.parse().map_err(|_| RateError::TooManyDigits)?;
        Ok(Self { mantissa, decimals: u32::try_from(fraction.len()).unwrap_or_default() })
    }

    /// As a fraction, both parts at most 10^12.
    fn fraction(self) -> (u128, u128) {
        (u128::from(self.mantissa), 10_u128.pow(self.decimals))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(self.decimals);
        if self.decimals == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let width = usize::try_from(self.decimals).unwrap_or_default();
        write!(f, "{}.{:0width$}", self.mantissa / scale, self.mantissa % scale)
    }
}

// === impl DayRates ===

impl DayRates {
    /// Adds a rate; one of the same pair is replaced.
    pub fn insert(&mut self, pair: RatePair, rate: Rate) {
        self.rates.insert(pair, rate);
    }

    /// How to convert from one currency to another by the rates of this day; none where they do not say.
    #[must_use]
    pub fn conversion(&self, from: Currency, to: Currency) -> Option<Conversion> {
        if from == to {
            return Some(Conversion::new(from, to, Vec::new(), (1, 1)));
        }
        if let Some((step, fraction)) = self.step(from, to) {
            return Some(Conversion::new(from, to, vec![step], fraction));
        }
        let over: BTreeSet<Currency> = self.rates.keys().flat_map(|pair| [pair.base, pair.quote]).collect();
        over.into_iter().find_map(|over| {
            let (first, (n, d)) = self.step(from, over)?;
            let (second, (m, e)) = self.step(over, to)?;
            Some(Conversion::new(from, to, vec![first, second], (n * m, d * e)))
        })
    }

    /// The rate between two currencies, or its inverse, with what one is worth.
    fn step(&self, from: Currency, to: Currency) -> Option<((RatePair, Rate), (u128, u128))> {
        let (pair, inverse) = (RatePair { base: from, quote: to }, RatePair { base: to, quote: from });
        if let Some(rate) = self.rates.get(&pair) {
            return Some(((pair, *rate), rate.fraction()));
        }
        let rate = self.rates.get(&inverse)?;
        let (numerator, denominator) = rate.fraction();
        Some(((inverse, *rate), (denominator, numerator)))
    }
}

// === impl Conversion ===

impl Conversion {
    fn new(
        from: Currency,
        to: Currency,
        path: Vec<(RatePair, Rate)>,
        (numerator, denominator): (u128, u128),
    ) -> Self {
        let scale = |digits: u32| 10_u128.pow(digits);
        let more = scale(to.digits().saturating_sub(from.digits()));
        let fewer = scale(from.digits().saturating_sub(to.digits()));
        Self { to, numerator: numerator * more, denominator: denominator * fewer, path }
    }

    /// The rates that it rests on: none within one currency, one, or two.
    #[must_use]
    pub fn path(&self) -> &[(RatePair, Rate)] {
        &self.path
    }

    /// An amount in the other currency, rounded half to even.
    ///
    /// # Errors
    /// Where it is too large to be kept.
    pub fn convert(&self, minor: i64) -> Result<Money, MoneyError> {
        let size = u128::from(minor.unsigned_abs());
        let rounded = i128::try_from(self.scaled(size)?).map_err(|_| MoneyError::OutOfRange)?;
        let signed = if minor < 0 { -rounded } else { rounded };
        i64::try_from(signed).map(|minor| Money::new(minor, self.to)).map_err(|_| MoneyError::OutOfRange)
    }

    /// `size * numerator / denominator`, rounded half to even. Divides in two steps of 32 bits, because the product may have 157.
    fn scaled(&self, size: u128) -> Result<u128, MoneyError> {
        let (whole, part) = (self.numerator / self.denominator, self.numerator % self.denominator);
        let whole = size.checked_mul(whole).ok_or(MoneyError::OutOfRange)?;
        let (mut quotient, mut remainder) = (0_u128, 0_u128);
        for digit in [size >> 32, size & 0xffff_ffff] {
            // A part is below the denominator, which is at most 10^28 and so below 2^94; the quotient of a digit is below 2^33.
            let dividend = (remainder << 32) + digit * part;
            quotient = (quotient << 32) + dividend / self.denominator;
            remainder = dividend % self.denominator;
        }
        let sum = whole.checked_add(quotient).ok_or(MoneyError::OutOfRange)?;
        let rest = self.denominator - remainder;
        let is_up = remainder > rest || (remainder == rest && sum % 2 == 1);
        Ok(sum + u128::from(is_up))
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
