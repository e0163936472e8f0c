//! Categories are data: any text names one, and its key is what figures are kept under.

/// The bucket of lines without a category: in the total, never in a category's budget (G11).
pub const UNCATEGORIZED: &str = "uncategorized";

/// A category's key: its name in lower case with every run of other characters turned into one `_`. `Mortgage & Rent` -> `mortgage_rent`. Empty
/// where the name has neither letters nor digits.
#[must_use]
pub fn category_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            key.push(character);
        } else if !key.is_empty() && !key.ends_with('_') {
            key.push('_');
        }
    }
    key.truncate(key.trim_end_matches('_').len());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_keys() {
        for (name, key) in [
            ("Mortgage & Rent", "mortgage_rent"),
            ("Movies & DVDs", "movies_dvds"),
            ("dining", "dining"),
            ("emergency_fund", "emergency_fund"),
            ("  --Gas/Fuel-- ", "gas_fuel"),
            ("किराना", "किराना"),
            ("&&", ""),
        ] {
            assert_eq!(category_key(name), key.to_owned(), "{name}");
        }
    }
}
