use proptest::prelude::*;

use super::*;

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn day(rates: &[(&str, &str, &str)]) -> DayRates {
    let mut day = DayRates::default();
    for (base, quote, rate) in rates {
        let pair = RatePair { base: currency(base), quote: currency(quote) };
        day.insert(pair, Rate::parse(rate).unwrap());
    }
    day
}

fn converted(rates: &DayRates, minor: i64, from: &str, to: &str) -> Option<i64> {
    Some(rates.conversion(currency(from), currency(to))?.convert(minor).unwrap().minor())
}

#[test]
fn g12_a_rate_is_read_exactly() {
    for (text, shown) in [
        ("1.0845", "1.0845"),
        ("1.08450", "1.0845"),
        ("0.000000000001", "0.000000000001"),
        ("100", "100"),
        ("999999999999", "999999999999"),
        ("007.5", "7.5"),
    ] {
        assert_eq!(Rate::parse(text).unwrap().to_string(), shown, "{text}");
    }
    for text in ["", "1.", ".5", "1,5", "1e2", "NaN", "+1", " 1", "--1"] {
        assert_eq!(Rate::parse(text), Err(RateError::NotANumber), "{text:?}");
    }
    for text in ["0", "0.000", "-1.5"] {
        assert_eq!(Rate::parse(text), Err(RateError::NotPositive), "{text:?}");
    }
    for text in ["1234567890123", "0.0000000000001", "1.2345678901234"] {
        assert_eq!(Rate::parse(text), Err(RateError::TooManyDigits), "{text:?}");
    }
}

#[test]
fn g12_an_amount_is_rounded_half_to_even_to_the_smallest_unit() {
    let rates = day(&[("USD", "EUR", "0.5"), ("USD", "JPY", "150.5"), ("BHD", "USD", "2.5")]);
    assert_eq!(
        [1, 3, 5, -1, -3].map(|minor| converted(&rates, minor, "USD", "EUR").unwrap()),
        [0, 2, 2, 0, -2]
    );
    assert_eq!(converted(&rates, 100, "USD", "JPY"), Some(150), "150.5 yen is 150: half to even");
    assert_eq!(converted(&rates, 300, "USD", "JPY"), Some(452), "451.5 yen is 452");
    assert_eq!(converted(&rates, 1234, "BHD", "USD"), Some(308), "1.234 dinar is 3.085 dollars");
}

#[test]
fn g12_the_rate_itself_is_taken_before_its_inverse_and_that_before_a_third_currency() {
    let direct =
        day(&[("USD", "INR", "80"), ("INR", "USD", "0.01"), ("EUR", "USD", "1"), ("EUR", "INR", "90")]);
    assert_eq!(converted(&direct, 100, "USD", "INR"), Some(8000));
    let inverse = day(&[("INR", "USD", "0.01"), ("EUR", "USD", "1"), ("EUR", "INR", "90")]);
    assert_eq!(converted(&inverse, 100, "USD", "INR"), Some(10_000));
    let over =
        day(&[("EUR", "USD", "1.25"), ("EUR", "INR", "90"), ("GBP", "USD", "1"), ("GBP", "INR", "50")]);
    assert_eq!(converted(&over, 100, "USD", "INR"), Some(7200), "over the first by code");
    let conversion = over.conversion(currency("USD"), currency("INR")).unwrap();
    let path: Vec<String> =
        conversion.path().iter().map(|(pair, rate)| format!("{}{} {rate}", pair.base, pair.quote)).collect();
    assert_eq!(path, ["EURUSD 1.25", "EURINR 90"]);
}

#[test]
fn g12_without_a_rate_nothing_is_converted() {
    let rates = day(&[("EUR", "USD", "1.25"), ("GBP", "INR", "50")]);
    assert_eq!(converted(&rates, 100, "USD", "INR"), None);
    assert_eq!(
        converted(&DayRates::default(), 100, "USD", "USD"),
        Some(100),
        "what is one currency needs no rate"
    );
}

#[test]
fn g01_what_is_too_large_is_an_error() {
    let rates = day(&[("USD", "IDR", "999999999999")]);
    let conversion = rates.conversion(currency("USD"), currency("IDR")).unwrap();
    assert_eq!(conversion.convert(i64::MAX), Err(MoneyError::OutOfRange));
    assert_eq!(conversion.convert(i64::MIN), Err(MoneyError::OutOfRange));
}

proptest! {
    /// The finest of rates, over a third currency, beside a division digit by digit.
    #[test]
    fn g12_a_conversion_is_one_exact_fraction_and_one_rounding(
        minor: i64, first in 1_u64..1_000_000_000_000, second in 1_u64..1_000_000_000_000, decimals in 0_u32..=12,
    ) {
        let conversion = Conversion {
            to: currency("USD"),
            numerator: u128::from(first) * 10_u128.pow(decimals),
            denominator: u128::from(second) * 10_u128.pow(12),
            path: Vec::new(),
        };
        let size = u128::from(minor.unsigned_abs());
        let (mut quotient, mut remainder) = (0_u128, 0_u128);
        // Long multiplication and division over the bits of the amount.
        for bit in (0..64).rev() {
            remainder = remainder * 2 + if (size >> bit) & 1 == 1 { conversion.numerator % conversion.denominator } else { 0 };
            quotient = quotient * 2 + remainder / conversion.denominator;
            remainder %= conversion.denominator;
        }
        quotient += size * (conversion.numerator / conversion.denominator);
        let twice = remainder * 2;
        let is_up = twice > conversion.denominator || (twice == conversion.denominator && quotient % 2 == 1);
        let expected = i64::try_from(i128::try_from(quotient + u128::from(is_up)).unwrap() * if minor < 0 { -1 } else { 1 });
        prop_assert_eq!(conversion.convert(minor).map(Money::minor).ok(), expected.ok());
    }

    #[test]
    fn g12_no_text_panics(text: String) {
        let _ = Rate::parse(&text);
    }
}
