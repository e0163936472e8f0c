//! JSON in which no key stands twice.
//!
//! Of two amounts in one object a parser takes the last, another one the first, and the sender meant one of them. Nobody should guess which, so such an event
//! is refused. The check is made where the parser puts a key into its object, so it costs no second look at the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::{Entry, Map};
use serde_json::{Number, Value};

/// A value none of whose objects has a key twice.
pub(super) struct Distinct(pub(super) Value);

/// Reads one.
struct Reader;

/// The key under which `serde_json` hands out a number's text (its feature `arbitrary_precision`). A test of the events notices if that should change.
const NUMBER: &str = "$serde_json::private::Number";
/// How much of a key is told, in characters.
const SHOWN: usize = 64;

// === impl Distinct ===

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

// === impl Reader ===

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Distinct(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if fields.is_empty() && key == NUMBER {
                let digits: String = entries.next_value()?;
                return digits.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
            }
            let Distinct(value) = entries.next_value()?;
            match fields.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let shown: String = place.key().chars().take(SHOWN).collect();
                    return Err(A::Error::custom(format_args!("has the key `{shown}` twice")));
                }
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str(text).map(|Distinct(value)| value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_that_stands_twice_is_told() {
        for (text, key) in [
            (r#"{"amount":1,"amount":2}"#, "`amount`"),
            (r#"{"a":{"b":[{"c":1,"d":2,"c":1}]}}"#, "`c`"),
            // However it is written.
            (r#"{"id":"1","\u0069d":"1"}"#, "`id`"),
        ] {
            assert!(read(text).unwrap_err().contains(key), "{text}");
        }
        let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "k".repeat(10_000));
        assert!(read(&long).unwrap_err().len() < 200);
        assert!(read(r#"{"a":{"c":1},"b":{"c":1},"C":1,"c":1}"#).is_ok());
    }

    #[test]
    fn whatever_else_is_read_as_it_always_is() {
        for text in [
            r#"{"z":null,"a":[true,-1,18446744073709551616,0.10000000000000000001,1e999,"\u20ac \n"],"m":{}}"#,
            "-0",
            "12",
            r#""text""#,
            "[]",
        ] {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in
            ["", "{", "{\"a\"}", "{\"a\":1,}", "[1", "01", "+1", "1.", "nul", "\"\\x\"", "{} {}", "{a:1}"]
        {
            assert!(serde_json::from_str::<Value>(text).is_err() && read(text).is_err(), "{text}");
        }
        // As deep as the parser goes, and no deeper.
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("recursion"));
    }
}
