//! Exact amounts.
//!
//! An amount is an integer in its currency's minor unit. It is read from decimal text digit by digit: a float cannot hold 0.10, and what it
//! holds instead is a wrong total a thousand lines later.

use std::cmp::Ordering;
use std::fmt;

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

/// An amount of money: an integer count of its currency's minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why a text or a number is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is not a decimal number.
    #[error("is not a decimal number: write it like 12.34")]
    NotANumber,
    /// It has more fractional digits than the currency.
    #[error("has too many decimals: {currency} has {digits}")]
    TooManyDecimals {
        /// The currency's code.
        currency: &'static str,
        /// How many it has.
        digits: u32,
    },
    /// It has more fractional digits than any currency.
    #[error("has too many decimals: no currency has more than 4")]
    TooManyDecimalsForAny,
    /// It is too large for one line.
    #[error("is out of range: a line has at most 1000000000000000 of the currency's smallest unit")]
    TooLargeForALine,
    /// It is too large to be kept.
    #[error("is out of range: at most 9223372036854775807 of the currency's smallest unit")]
    OutOfRange,
    /// There is no such currency.
    #[error("is no currency: give an ISO 4217 code such as USD or INR")]
    UnknownCurrency,
    /// Two amounts of different currencies were to be added.
    #[error("amounts of different currencies cannot be added")]
    CurrencyMismatch,
}

// === impl Currency ===

impl Currency {
    /// A currency by its code, in capitals.
    ///
    /// # Errors
    /// Where there is none.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code).map(Self).ok_or(MoneyError::UnknownCurrency)
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits its amounts have (ISO 4217: 0, 2 or 3, rarely 4).
    #[must_use]
    pub fn digits(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

// By code.
impl Ord for Currency {
    fn cmp(&self, other: &Self) -> Ordering {
        self.code().cmp(other.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The largest amount of a line, in the currency's smallest unit: ten trillion dollars. It takes 9223 such lines to exhaust a sum.
pub const LARGEST_LINE: u64 = 1_000_000_000_000_000;

/// The most decimal digits that a currency has.
const MOST_DIGITS: u32 = 4;

/// A decimal number as it was written: `digits` times ten to the `power`. Zero has no digits.
struct Decimal {
    negative: bool,
    /// Without zeros at either end.
    digits: String,
    power: i64,
}

// === impl Money ===

impl Money {
    /// `minor` of the currency's smallest unit.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads decimal text such as `-12.34`. An exponent (`1.2e3`) is read exactly, because JSON numbers may have one.
    ///
    /// # Errors
    /// Where it is no number, has more decimals than the currency (zeros at the end do not count), or is too large (G1).
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let Decimal { negative, digits, power } = Decimal::parse(text)?;
        if digits.is_empty() {
            return Ok(Self::new(0, currency));
        }
        let power = power + i64::from(currency.digits());
        if power < 0 {
            return Err(MoneyError::TooManyDecimals { currency: currency.code(), digits: currency.digits() });
        }
        let power = u32::try_from(power).map_err(|_| MoneyError::OutOfRange)?;
        let value: i128 = digits.parse().map_err(|_| MoneyError::OutOfRange)?;
        let scale = 10_i128.checked_pow(power).ok_or(MoneyError::OutOfRange)?;
        let value = value.checked_mul(scale).ok_or(MoneyError::OutOfRange)?;
        let minor =
            i64::try_from(if negative { -value } else { value }).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Self::new(minor, currency))
    }

    /// Reads the amount of one line: as [`parse`](Self::parse), within the bound of [`of_line`](Self::of_line).
    ///
    /// # Errors
    /// As those two; whatever is too large is told the bound of a line.
    pub fn parse_line(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        match Self::parse(text, currency) {
            Err(MoneyError::OutOfRange) => Err(MoneyError::TooLargeForALine),
            parsed => parsed?.of_line(),
        }
    }

    /// Whether a text can be the amount of a line in any currency: for where the currency is wrong as well, and both are to be told at once.
    ///
    /// # Errors
    /// Where no currency has such an amount.
    pub fn check_line(text: &str) -> Result<(), MoneyError> {
        let Decimal { digits, power, .. } = Decimal::parse(text)?;
        if digits.is_empty() {
            return Ok(());
        }
        let too_large = || MoneyError::TooLargeForALine;
        let value: u128 = digits.parse().map_err(|_| too_large())?;
        let scale = u32::try_from(power.unsigned_abs()).map_err(|_| too_large())?;
        // In a currency without a smaller unit it is the fewest of the smallest unit that it can be.
        let fewest = if power < 0 {
            if scale > MOST_DIGITS {
                return Err(MoneyError::TooManyDecimalsForAny);
            }
            value / 10_u128.pow(scale)
        } else {
            10_u128.checked_pow(scale).and_then(|scale| value.checked_mul(scale)).ok_or_else(too_large)?
        };
        if fewest > u128::from(LARGEST_LINE) { Err(too_large()) } else { Ok(()) }
    }

    /// The same, as the amount of one line. A line is bounded far below what a sum can hold, so that no mistake of a few digits in one line can keep
    /// a user's other lines from being counted.
    ///
    /// # Errors
    /// Where it is beyond [`LARGEST_LINE`].
    pub fn of_line(self) -> Result<Self, MoneyError> {
        if self.minor.unsigned_abs() <= LARGEST_LINE { Ok(self) } else { Err(MoneyError::TooLargeForALine) }
    }

    /// How many of the currency's smallest unit.
    #[must_use]
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// Where it is too large or the currencies differ.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference.
    ///
    /// # Errors
    /// Where it is too large or the currencies differ.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// The same in the other direction.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.minor.checked_neg().map(|minor| Self { minor, ..self }).ok_or(MoneyError::OutOfRange)
    }

    fn combine(self, other: Self, with: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        with(self.minor, other.minor).map(|minor| Self { minor, ..self }).ok_or(MoneyError::OutOfRange)
    }

    /// Decimal text with the currency's digits: `12.30`.
    #[must_use]
    pub fn to_decimal_string(self) -> String {
        let digits = self.currency.digits();
        let scale = 10_u64.pow(digits);
        let (sign, size) = (if self.minor < 0 { "-" } else { "" }, self.minor.unsigned_abs());
        if digits == 0 {
            return format!("{sign}{size}");
        }
        let width = usize::try_from(digits).unwrap_or_default();
        format!("{sign}{}.{:0width$}", size / scale, size % scale)
    }

    /// Whole units and billionths, both of one sign, as `google.type.Money` has them.
    #[must_use]
    pub fn units_nanos(self) -> (i64, i32) {
        let scale = 10_i64.pow(self.currency.digits());
        let nanos = (self.minor % scale) * (1_000_000_000 / scale);
        // Less than a billion by construction.
        (self.minor / scale, i32::try_from(nanos).unwrap_or_default())
    }

    /// The amount of a `google.type.Money`.
    ///
    /// # Errors
    /// Where the signs differ, the billionths are no billionths, they do not end at the currency's smallest unit, or it is too large.
    pub fn from_units_nanos(units: i64, nanos: i32, currency: Currency) -> Result<Self, MoneyError> {
        let mixed = (units > 0 && nanos < 0) || (units < 0 && nanos > 0);
        if mixed || nanos.unsigned_abs() >= 1_000_000_000 {
            return Err(MoneyError::NotANumber);
        }
        let scale = 10_i64.pow(currency.digits());
        let nanos_per_minor = 1_000_000_000 / scale;
        let nanos = i64::from(nanos);
        if nanos % nanos_per_minor != 0 {
            return Err(MoneyError::TooManyDecimals { currency: currency.code(), digits: currency.digits() });
        }
        let minor = units.checked_mul(scale).and_then(|whole| whole.checked_add(nanos / nanos_per_minor));
        minor.map(|minor| Self::new(minor, currency)).ok_or(MoneyError::OutOfRange)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal_string(), self.currency)
    }
}

// === impl Decimal ===

impl Decimal {
    fn parse(text: &str) -> Result<Self, MoneyError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes() {
            [b'-', ..] => (true, &mantissa[1..]),
            [b'+', ..] => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return Err(MoneyError::NotANumber),
            Some((whole, fraction)) => (whole, fraction),
            None => (digits, ""),
        };
        if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit()) {
            return Err(MoneyError::NotANumber);
        }
        let significant: String = format!("{whole}{fraction}");
        let significant = significant.trim_start_matches('0');
        let trimmed = significant.trim_end_matches('0');
        let dropped = i64::try_from(significant.len() - trimmed.len()).map_err(|_| MoneyError::OutOfRange)?;
        let fraction = i64::try_from(fraction.len()).map_err(|_| MoneyError::OutOfRange)?;
        Ok(Self { negative, digits: trimmed.to_owned(), power: exponent - fraction + dropped })
    }
}

/// An exponent; one that no amount can have is only known to be large or small.
fn parse_exponent(text: &str) -> Result<i64, MoneyError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MoneyError::NotANumber);
    }
    let size: i64 = digits.parse().unwrap_or(i64::from(u32::MAX)).min(i64::from(u32::MAX));
    Ok(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn minor(text: &str, code: &str) -> Result<i64, MoneyError> {
        Money::parse(text, currency(code)).map(Money::minor)
    }

    #[test]
    fn g01_an_amount_is_read_exactly() {
        for (text, code, expected) in [
            ("12.34", "USD", 1234),
            ("-0.01", "USD", -1),
            ("+5", "USD", 500),
            ("007.10", "USD", 710),
            ("1.500", "USD", 150),
            ("1e2", "USD", 10_000),
            ("1.234E+1", "USD", 1234),
            ("12300e-2", "USD", 12_300),
            ("0e999", "USD", 0),
            ("12", "JPY", 12),
            ("1.234", "BHD", 1234),
            ("-92233720368547758.08", "USD", i64::MIN),
        ] {
            assert_eq!(minor(text, code), Ok(expected), "{text} {code}");
        }
    }

    #[test]
    fn g01_what_is_no_amount_is_refused() {
        for text in
            ["", " ", "NaN", "inf", "1,000", "1.", ".5", "1.2.3", "0x10", "1e", "1e1.5", "--1", "１２", "1 "]
        {
            assert_eq!(minor(text, "USD"), Err(MoneyError::NotANumber), "{text:?}");
        }
        let too_many = |currency, digits| Err(MoneyError::TooManyDecimals { currency, digits });
        assert_eq!(minor("1.005", "USD"), too_many("USD", 2));
        assert_eq!(minor("1e-999", "USD"), too_many("USD", 2));
        assert_eq!(minor("0.5", "JPY"), too_many("JPY", 0));
        for text in [
            "1e999",
            "1e999999999999999999999",
            "92233720368547758.08",
            "99999999999999999999999999999999999999999999",
        ] {
            assert_eq!(minor(text, "USD"), Err(MoneyError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn g01_a_line_is_bounded_far_below_a_sum() {
        let usd = |minor| Money::new(minor, currency("USD")).of_line();
        assert!(usd(1_000_000_000_000_000).is_ok() && usd(-1_000_000_000_000_000).is_ok());
        for minor in [1_000_000_000_000_001, i64::MAX, i64::MIN] {
            assert_eq!(usd(minor), Err(MoneyError::TooLargeForALine));
        }
    }

    #[test]
    fn g01_the_amount_of_a_line_is_told_the_bound_of_a_line() {
        let line = |text| Money::parse_line(text, currency("USD")).map(Money::minor);
        assert_eq!(line("10000000000000.00"), Ok(1_000_000_000_000_000));
        for text in ["10000000000000.01", "1e15", "1e30", "-1e999"] {
            assert_eq!(line(text), Err(MoneyError::TooLargeForALine), "{text}");
        }
    }

    #[test]
    fn g01_an_amount_is_checked_also_where_its_currency_is_wrong() {
        for text in ["0", "0e999", "12.34", "1.2345", "-1e15", "1000000000000000.9"] {
            assert_eq!(Money::check_line(text), Ok(()), "{text}");
        }
        for text in [
            "1000000000000001",
            "1e16",
            "1e30",
            "1e999999999999",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(Money::check_line(text), Err(MoneyError::TooLargeForALine), "{text}");
        }
        assert_eq!(Money::check_line("soon"), Err(MoneyError::NotANumber));
        assert_eq!(Money::check_line("1.23456"), Err(MoneyError::TooManyDecimalsForAny));
    }

    #[test]
    fn g01_sums_are_checked() {
        let usd = |minor| Money::new(minor, currency("USD"));
        assert_eq!(usd(1).checked_add(usd(2)), Ok(usd(3)));
        assert_eq!(usd(i64::MAX).checked_add(usd(1)), Err(MoneyError::OutOfRange));
        assert_eq!(usd(i64::MIN).checked_sub(usd(1)), Err(MoneyError::OutOfRange));
        assert_eq!(usd(i64::MIN).checked_neg(), Err(MoneyError::OutOfRange));
        assert_eq!(usd(1).checked_add(Money::new(1, currency("INR"))), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn g01_wire_amounts_of_mixed_sign_are_refused() {
        let usd = currency("USD");
        assert_eq!(Money::from_units_nanos(-1, -750_000_000, usd).unwrap().minor(), -175);
        assert!(Money::from_units_nanos(1, -1, usd).is_err());
        assert!(Money::from_units_nanos(0, 1, usd).is_err());
        assert!(Money::from_units_nanos(i64::MAX, 0, usd).is_err());
    }

    proptest! {
        #[test]
        fn g01_text_and_wire_round_trip(minor: i64, code in prop::sample::select(vec!["USD", "INR", "JPY", "BHD"])) {
            let money = Money::new(minor, currency(code));
            prop_assert_eq!(Money::parse(&money.to_decimal_string(), money.currency()), Ok(money));
            let (units, nanos) = money.units_nanos();
            prop_assert_eq!(Money::from_units_nanos(units, nanos, money.currency()), Ok(money));
        }

        #[test]
        fn g01_what_a_currency_takes_no_check_refuses(minor: i64, code in prop::sample::select(vec!["USD", "JPY", "BHD", "CLF"])) {
            let text = Money::new(minor, currency(code)).to_decimal_string();
            let taken = Money::parse_line(&text, currency(code));
            prop_assert!(taken.is_err() || Money::check_line(&text).is_ok(), "{}", text);
        }

        #[test]
        fn g01_no_text_panics(text: String) {
            let _ = Money::parse(&text, currency("USD"));
            let _ = Money::check_line(&text);
        }
    }
}
