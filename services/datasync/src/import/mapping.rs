//! What kind of line a statement's words stand for.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use pathway_finance::{LineKind, category_key};
use serde::Deserialize;

/// The mapping that applies where the configuration names no other.
const DEFAULT: &str = include_str!("../../mapping.toml");

/// What kind of line a statement's words stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    categories: HashMap<String, LineKind>,
    bank: HashMap<String, LineKind>,
    card: HashMap<String, LineKind>,
}

/// Why a mapping file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the mapping file {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no mapping.
    #[error("the mapping file {name} is not valid: {problem}")]
    Invalid {
        /// Which.
        name: String,
        /// Why, with the line.
        problem: String,
    },
}

/// The two sorts of account that OFX tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccountSort {
    Bank,
    Card,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    categories: BTreeMap<String, Kind>,
    #[serde(default)]
    ofx: Ofx,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ofx {
    bank: BTreeMap<String, Kind>,
    card: BTreeMap<String, Kind>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Expense,
    Income,
    Transfer,
    Adjustment,
}

// === impl Mapping ===

impl Mapping {
    /// The mapping in a file, or the one that is built in.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, MappingError> {
        let Some(path) = path else { return Self::parse("built in", DEFAULT) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| MappingError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, MappingError> {
        let file: File = toml::from_str(text)
            .map_err(|error| MappingError::Invalid { name: name.to_owned(), problem: error.to_string() })?;
        let by_type = |types: BTreeMap<String, Kind>| {
            types.into_iter().map(|(name, kind)| (name.to_ascii_uppercase(), kind.into())).collect()
        };
        // Compared by key, so that a difference in case or punctuation makes none in meaning.
        let categories =
            file.categories.into_iter().map(|(name, kind)| (category_key(&name), kind.into())).collect();
        Ok(Self { categories, bank: by_type(file.ofx.bank), card: by_type(file.ofx.card) })
    }

    /// The kind that a category stands for; an expense unless the mapping says otherwise.
    pub(super) fn of_category(&self, key: &str) -> LineKind {
        self.categories.get(key).copied().unwrap_or(LineKind::Expense)
    }

    /// The kind of an OFX line by its `TRNTYPE`. Income is only what comes in: interest that is charged is an expense.
    pub(super) fn of_ofx_type(&self, sort: AccountSort, name: &str, is_credit: bool) -> LineKind {
        let types = match sort {
            AccountSort::Bank => &self.bank,
            AccountSort::Card => &self.card,
        };
        match types.get(&name.to_ascii_uppercase()).copied() {
            Some(LineKind::Income) if !is_credit => LineKind::Expense,
            kind => kind.unwrap_or(LineKind::Expense),
        }
    }
}

impl From<Kind> for LineKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Expense => Self::Expense,
            Kind::Income => Self::Income,
            Kind::Transfer => Self::Transfer,
            Kind::Adjustment => Self::Adjustment,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_mapping_knows_payments_and_paychecks() {
        let mapping = Mapping::load(None).unwrap();
        assert_eq!(mapping.of_category("credit_card_payment"), LineKind::Transfer);
        assert_eq!(mapping.of_category("paycheck"), LineKind::Income);
        assert_eq!(mapping.of_category("groceries"), LineKind::Expense);
        assert_eq!(mapping.of_ofx_type(AccountSort::Bank, "int", true), LineKind::Income);
        assert_eq!(mapping.of_ofx_type(AccountSort::Bank, "INT", false), LineKind::Expense);
        assert_eq!(mapping.of_ofx_type(AccountSort::Card, "CREDIT", true), LineKind::Expense);
    }

    #[test]
    fn a_file_replaces_it_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mapping.toml");
        std::fs::write(&path, "[categories]\n\"Salary & Bonus\" = \"income\"\n").unwrap();
        let mapping = Mapping::load(Some(&path)).unwrap();
        assert_eq!(mapping.of_category("salary_bonus"), LineKind::Income);
        assert_eq!(mapping.of_category("paycheck"), LineKind::Expense);
    }

    #[test]
    fn a_bad_or_absent_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mapping.toml");
        assert!(Mapping::load(Some(&path)).unwrap_err().to_string().contains("mapping.toml"));
        std::fs::write(&path, "[categories]\nRent = \"spending\"\n").unwrap();
        let message = Mapping::load(Some(&path)).unwrap_err().to_string();
        assert!(message.contains("mapping.toml") && message.contains("spending"), "{message}");
    }
}
