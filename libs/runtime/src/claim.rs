//! One process for each data directory.
//!
//! An embedded store is one process's: what another one writes it would not hear of, and what another one deletes it would go on writing into. The
//! operating system holds the claim as a lock on a file, so that it ends with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use toml::Table;

/// A service's claim on its data directory; given up when it is dropped.
#[derive(Debug)]
pub struct Claim {
    /// Locked as long as it is open.
    _file: File,
}

/// Why a data directory cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process has it.
    #[error(
        "{service} in {directory} is in use by process {holder}; give this one another --data-dir, or end that one"
    )]
    Taken {
        /// The service.
        service: String,
        /// The directory.
        directory: PathBuf,
        /// The other process's id, as far as it is known.
        holder: String,
    },
    /// The directory or the file in it cannot be made.
    #[error("cannot use the data directory {directory}")]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

// === impl Claim ===

impl Claim {
    /// Claims a data directory for a service.
    ///
    /// # Errors
    /// Where another process has it, or it cannot be made.
    pub fn take(service: &str, directory: &Path) -> Result<Self, ClaimError> {
        let unusable = |source| ClaimError::Unusable { directory: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let path = directory.join(format!("{service}.lock"));
        let opened = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = opened.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(ClaimError::Taken {
                    service: service.to_owned(),
                    directory: directory.to_owned(),
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        file.rewind().and_then(|()| file.set_len(0)).map_err(unusable)?;
        writeln!(file, "{}", process::id()).map_err(unusable)?;
        Ok(Self { _file: file })
    }

    /// The claim that a configuration needs: none where the store is a server.
    ///
    /// # Errors
    /// As [`Claim::take`].
    pub fn for_config(service: &str, config: &Table) -> Result<Option<Self>, ClaimError> {
        let store = config.get("store").and_then(|store| store.get("kind")).and_then(toml::Value::as_str);
        if store != Some("sqlite") {
            return Ok(None);
        }
        let directory = config.get("data_dir").and_then(toml::Value::as_str).unwrap_or_default();
        Self::take(service, Path::new(directory)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_claimed_once_at_a_time_for_each_service() {
        let directory = tempfile::tempdir().unwrap();
        let claim = Claim::take("datasync", directory.path()).unwrap();
        let refused = Claim::take("datasync", directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&process::id().to_string()) && refused.contains("--data-dir"), "{refused}");
        assert!(Claim::take("analytics", directory.path()).is_ok());
        drop(claim);
        assert!(Claim::take("datasync", directory.path()).is_ok());
    }

    #[test]
    fn a_store_on_a_server_needs_no_claim() {
        let config: Table = "data_dir = '/nowhere'\n[store]\nkind = 'postgres'".parse().unwrap();
        assert!(Claim::for_config("datasync", &config).unwrap().is_none());
    }
}
