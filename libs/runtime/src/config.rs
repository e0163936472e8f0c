//! Layered configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::redact::is_secret;

/// The options that every service takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Arguments {
    /// A configuration file (TOML); its keys override the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the service keeps its files.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The address to serve on.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Print the configuration in force and end.
    #[arg(long)]
    pub print_config: bool,
    /// Allow an address that other machines can reach, although nothing checks who calls.
    #[arg(long)]
    pub insecure: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not TOML.
    #[error("{origin} is not TOML: {message}")]
    Malformed {
        /// Where the text is from.
        origin: String,
        /// What is wrong.
        message: String,
    },
    /// There is no such key.
    #[error("{origin} sets `{key}`, which does not exist; --print-config shows every key")]
    UnknownKey {
        /// Where it was set.
        origin: String,
        /// Its path.
        key: String,
    },
    /// A file that a key ending in `_file` names cannot be read.
    #[error("cannot read {path}, which {origin} names for `{key}`")]
    UnreadableValue {
        /// Who names it.
        origin: String,
        /// The key whose value it has.
        key: String,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A secret stands in a configuration file.
    #[error(
        "{origin} holds the secret `{key}`: put it into a file of its own and give `{key}_file`, or into the environment"
    )]
    SecretInFile {
        /// The configuration file.
        origin: String,
        /// The secret's key.
        key: String,
    },
    /// A value is not what its key takes.
    #[error("the configuration does not fit: {0}")]
    Invalid(String),
}

/// The configuration in force: `defaults`, then the file, then `PATHWAY_<NAME>__KEY` variables (`__` before each level), then the command line.
/// Where a text's key with `_file` behind it is set instead, the value is what that file holds, without white space around it.
///
/// # Errors
/// Where a layer cannot be read, names a key that the defaults lack, or holds a value of the wrong kind.
pub fn load<C: DeserializeOwned>(
    name: &str,
    defaults: &str,
    arguments: &Arguments,
) -> Result<C, ConfigError> {
    let environment = environment();
    let table = load_table(name, defaults, arguments, &environment)?;
    table.try_into().map_err(|error| ConfigError::Invalid(error.message().to_owned()))
}

/// The environment; what is not text in it is nobody's configuration.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// The same as a table, with the environment passed in.
///
/// # Errors
/// As [`load`], except for wrong values.
pub fn load_table(
    name: &str,
    defaults: &str,
    arguments: &Arguments,
    environment: &[(String, String)],
) -> Result<Table, ConfigError> {
    let known = parse(defaults, "the built-in configuration")?;
    let mut table = known.clone();
    if let Some(path) = &arguments.config {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: origin.clone(), source })?;
        merge(&mut table, Some(&known), parse(&text, &origin)?, &origin, "")?;
    }
    let prefix = format!("PATHWAY_{}__", name.to_uppercase());
    for (variable, text) in environment {
        if let Some(path) = variable.strip_prefix(&prefix) {
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            set(&mut table, &known, &path, text, variable)?;
        }
    }
    let flags = [
        ("listen", arguments.listen.clone(), "--listen"),
        ("data_dir", arguments.data_dir.as_ref().map(|path| path.display().to_string()), "--data-dir"),
    ];
    for (key, value, origin) in flags {
        if let Some(text) = value {
            set(&mut table, &known, &[key.to_owned()], &text, origin)?;
        }
    }
    Ok(table)
}

fn parse(text: &str, origin: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Malformed {
        origin: origin.to_owned(),
        message: error.message().to_owned(),
    })
}

/// A table that is empty by default is one whose keys are the operator's own, such as names of servers.
fn is_open(known: Option<&Table>) -> bool {
    known.is_some_and(Table::is_empty)
}

fn below<'a>(known: Option<&'a Table>, key: &str) -> Option<&'a Table> {
    known.and_then(|known| known.get(key)).and_then(Value::as_table)
}

fn merge(
    base: &mut Table,
    known: Option<&Table>,
    layer: Table,
    origin: &str,
    above: &str,
) -> Result<(), ConfigError> {
    for (key, value) in layer {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match (base.get_mut(&key), value) {
            (None, value) if is_open(known) => {
                base.insert(key, value);
            }
            (None, value) => {
                let unknown = || ConfigError::UnknownKey { origin: origin.to_owned(), key: path.clone() };
                let file = value.as_str().ok_or_else(unknown)?;
                if !set_from_file(base, &key, file, origin)? {
                    return Err(unknown());
                }
            }
            (Some(Value::String(_)), Value::String(text)) if is_secret(&key) && !text.is_empty() => {
                return Err(ConfigError::SecretInFile { origin: origin.to_owned(), key: path });
            }
            (Some(Value::Table(base)), Value::Table(layer)) => {
                merge(base, below(known, &key), layer, origin, &path)?;
            }
            (Some(slot), value) => *slot = value,
        }
    }
    Ok(())
}

/// Sets one key from text, read as what its default is.
fn set(
    table: &mut Table,
    known: &Table,
    path: &[String],
    text: &str,
    origin: &str,
) -> Result<(), ConfigError> {
    let unknown = || ConfigError::UnknownKey { origin: origin.to_owned(), key: path.join(".") };
    let (last, levels) = path.split_last().ok_or_else(unknown)?;
    let (mut table, mut known) = (table, Some(known));
    for level in levels {
        known = below(known, level);
        table = table.get_mut(level).and_then(Value::as_table_mut).ok_or_else(unknown)?;
    }
    if is_open(known) {
        table.insert(last.clone(), Value::String(text.to_owned()));
        return Ok(());
    }
    if !table.contains_key(last) && set_from_file(table, last, text, origin)? {
        return Ok(());
    }
    let slot = table.get_mut(last).ok_or_else(unknown)?;
    let wrong = |kind: &str| ConfigError::Invalid(format!("{origin} must be {kind}"));
    *slot = match slot {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Value::Float(_) => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        Value::Datetime(_) | Value::Table(_) => return Err(wrong("set in a file")),
    };
    Ok(())
}

/// Sets the text whose key with `_file` behind it is `key` from that file; answers whether there is such a text.
fn set_from_file(table: &mut Table, key: &str, file: &str, origin: &str) -> Result<bool, ConfigError> {
    let Some(key) = key.strip_suffix("_file") else { return Ok(false) };
    let Some(Value::String(text)) = table.get_mut(key) else { return Ok(false) };
    let read = std::fs::read_to_string(file).map_err(|source| ConfigError::UnreadableValue {
        origin: origin.to_owned(),
        key: key.to_owned(),
        path: file.to_owned(),
        source,
    })?;
    read.trim().clone_into(text);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "listen = '127.0.0.1:1'\ndata_dir = 'data'\norigins = []\nsecret = ''\n[store]\nkind = 'sqlite'\nsize = 4\n[store.names]\n";

    fn with(environment: &[(&str, &str)], file: Option<&str>) -> Result<Table, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let mut arguments = Arguments::default();
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
            arguments.config = Some(path);
        }
        arguments.data_dir = Some("/flag".into());
        let environment: Vec<(String, String)> =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        load_table("datasync", DEFAULTS, &arguments, &environment)
    }

    #[test]
    fn later_layers_win() {
        let environment = [("PATHWAY_DATASYNC__STORE__SIZE", "9"), ("PATHWAY_DATASYNC__ORIGINS", "a, b")];
        let table = with(&environment, Some("listen = 'x'\n[store]\nsize = 7\n")).unwrap();
        assert_eq!(table["listen"].as_str(), Some("x"));
        assert_eq!(table["data_dir"].as_str(), Some("/flag"));
        assert_eq!(table["store"]["size"].as_integer(), Some(9));
        assert_eq!(table["store"]["kind"].as_str(), Some("sqlite"));
        assert_eq!(table["origins"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn unknown_keys_are_refused_with_their_path() {
        let error = with(&[], Some("[store]\nsise = 7\n")).unwrap_err().to_string();
        assert!(error.contains("store.sise"), "{error}");
        let error = with(&[("PATHWAY_DATASYNC__STORE__SISE", "1")], None).unwrap_err().to_string();
        assert!(error.contains("store.sise") && error.contains("PATHWAY_DATASYNC__STORE__SISE"), "{error}");
        assert!(with(&[("PATHWAY_ANALYTICS__STORE__SISE", "1")], None).is_ok(), "another service's");
    }

    #[test]
    fn the_keys_of_an_empty_table_are_the_operators_own() {
        let environment =
            [("PATHWAY_DATASYNC__STORE__NAMES__LEDGER", "b"), ("PATHWAY_DATASYNC__STORE__NAMES__X", "c")];
        let table = with(&environment, Some("[store.names]\nledger = 'a'\nother = 'd'\n")).unwrap();
        let names = table["store"]["names"].as_table().unwrap();
        let found: Vec<&str> = ["ledger", "x", "other"].map(|name| names[name].as_str().unwrap()).to_vec();
        assert_eq!(found, ["b", "c", "d"]);
        assert!(with(&[], Some("[store.other]\na = 1\n")).is_err());
    }

    #[test]
    fn a_text_may_come_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kind");
        std::fs::write(&path, "postgres\n").unwrap();
        let path = path.to_str().unwrap();
        let table = with(&[("PATHWAY_DATASYNC__STORE__KIND_FILE", path)], None).unwrap();
        assert_eq!(table["store"]["kind"].as_str(), Some("postgres"));
        let table = with(&[], Some(&format!("[store]\nkind_file = '{path}'"))).unwrap();
        assert_eq!(table["store"]["kind"].as_str(), Some("postgres"));
        let error =
            with(&[("PATHWAY_DATASYNC__STORE__KIND_FILE", "/nowhere")], None).unwrap_err().to_string();
        assert!(error.contains("/nowhere") && error.contains("KIND_FILE"), "{error}");
        assert!(with(&[("PATHWAY_DATASYNC__STORE__SIZE_FILE", path)], None).is_err(), "no text");
    }

    #[test]
    fn a_secret_in_a_configuration_file_is_refused_and_not_repeated() {
        let error = with(&[], Some("secret = 'canary'")).unwrap_err().to_string();
        assert!(error.contains("`secret_file`") && !error.contains("canary"), "{error}");
        let table = with(&[("PATHWAY_DATASYNC__SECRET", "canary")], Some("secret = ''")).unwrap();
        assert_eq!(table["secret"].as_str(), Some("canary"));
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        let error = with(&[("PATHWAY_DATASYNC__STORE__SIZE", "many")], None).unwrap_err().to_string();
        assert!(error.contains("whole number"), "{error}");
    }
}
