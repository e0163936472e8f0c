//! Amounts and days on the wire: `google.type.Money` and `google.type.Date`, into the domain's own types and back.

use pathway_finance::{CivilDate, Currency, Money};
use pathway_proto::google::r#type as google;

/// An amount for the wire.
#[must_use]
pub fn to_money(money: Money) -> google::Money {
    let (units, nanos) = money.units_nanos();
    google::Money { currency_code: money.currency().code().to_owned(), units, nanos }
}

/// An amount from the wire.
///
/// # Errors
/// What is wrong with it, to be read after its field's name.
pub fn from_money(money: Option<&google::Money>) -> Result<Money, String> {
    let money = money.ok_or("is required")?;
    let currency = Currency::parse(&money.currency_code).map_err(|error| format!("currency_code {error}"))?;
    Money::from_units_nanos(money.units, money.nanos, currency).map_err(|error| error.to_string())
}

/// A day for the wire.
#[must_use]
pub fn to_date(date: CivilDate) -> google::Date {
    google::Date { year: date.year().into(), month: date.month().into(), day: date.day().into() }
}

/// A day from the wire.
///
/// # Errors
/// What is wrong with it, to be read after its field's name.
pub fn from_date(date: Option<&google::Date>) -> Result<CivilDate, String> {
    let date = date.ok_or("is required")?;
    let small = |number: i32| i8::try_from(number).ok();
    let parts = i16::try_from(date.year).ok().zip(small(date.month)).zip(small(date.day));
    let ((year, month), day) = parts.ok_or("is not a day of the calendar")?;
    CivilDate::new(year, month, day).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_days_come_back_as_they_went() {
        let money = Money::parse("-12.34", Currency::parse("USD").unwrap()).unwrap();
        assert_eq!(from_money(Some(&to_money(money))), Ok(money));
        let date = CivilDate::parse("2026-11-03").unwrap();
        assert_eq!(from_date(Some(&to_date(date))), Ok(date));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(from_money(None), Err("is required".to_owned()));
        let strange = google::Money { currency_code: "XX".to_owned(), ..google::Money::default() };
        assert!(from_money(Some(&strange)).unwrap_err().starts_with("currency_code"));
        let month = google::Date { year: 2026, month: 0, day: 0 };
        assert!(from_date(Some(&month)).unwrap_err().contains("calendar"));
        let far = google::Date { year: 70_000, month: 1, day: 1 };
        assert!(from_date(Some(&far)).unwrap_err().contains("calendar"));
    }
}
