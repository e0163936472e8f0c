//! What is made of files, and made again when they change.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pathway_kernel::{Code, Fault};
use tokio::time::Instant;

/// What is made of the contents of files, in their order.
type Make<T> = dyn Fn(&[Vec<u8>]) -> Result<Arc<T>, String> + Send + Sync;

/// What is made of files.
pub(super) struct Reloaded<T> {
    files: Vec<PathBuf>,
    every: Duration,
    make: Box<Make<T>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    made: Arc<T>,
    of: Vec<Vec<u8>>,
    looked_at: Instant,
}

// === impl Reloaded ===

impl<T> Reloaded<T> {
    /// Makes it for the first time. Afterwards the files are looked at again where that is `every` ago.
    pub(super) fn new(
        files: Vec<PathBuf>,
        every: Duration,
        make: impl Fn(&[Vec<u8>]) -> Result<Arc<T>, String> + Send + Sync + 'static,
    ) -> Result<Self, Fault> {
        let unusable = |problem: String| Fault::new(Code::InvalidArgument, "INVALID_CERTIFICATE", problem);
        let of = read(&files).map_err(unusable)?;
        let made = make(&of).map_err(unusable)?;
        let state = Mutex::new(State { made, of, looked_at: Instant::now() });
        Ok(Self { files, every, make: Box::new(make), state })
    }

    /// What the files make now. Where they make nothing, what they made before: a half-written certificate ends no service.
    pub(super) fn current(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() < self.every {
            return Arc::clone(&state.made);
        }
        state.looked_at = Instant::now();
        match read(&self.files) {
            Ok(of) if of == state.of => {}
            Ok(of) => {
                match (self.make)(&of) {
                    Ok(made) => {
                        tracing::info!("took up renewed certificates");
                        state.made = made;
                    }
                    Err(problem) => {
                        tracing::warn!(problem, "cannot use the certificates, going on with the last ones");
                    }
                }
                // What cannot be used is told once.
                state.of = of;
            }
            Err(problem) => {
                tracing::warn!(problem, "cannot use the certificates, going on with the last ones");
            }
        }
        Arc::clone(&state.made)
    }
}

impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    files.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_taken_up_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "1").unwrap();
        let make = |of: &[Vec<u8>]| {
            let text = String::from_utf8_lossy(&of[0]).into_owned();
            text.parse::<u32>().map(Arc::new).map_err(|error| error.to_string())
        };
        let every = Duration::from_secs(5);
        let reloaded = Reloaded::new(vec![path.clone()], every, make).unwrap();
        std::fs::write(&path, "2").unwrap();
        assert_eq!(*reloaded.current(), 1, "not looked at yet");
        tokio::time::advance(every).await;
        assert_eq!(*reloaded.current(), 2);
        for broken in ["", "x"] {
            std::fs::write(&path, broken).unwrap();
            tokio::time::advance(every).await;
            assert_eq!(*reloaded.current(), 2);
        }
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(every).await;
        assert_eq!(*reloaded.current(), 2);
        std::fs::write(&path, "3").unwrap();
        tokio::time::advance(every).await;
        assert_eq!(*reloaded.current(), 3);
        assert!(
            Reloaded::new(vec!["/nowhere".into()], every, make).unwrap_err().to_string().contains("/nowhere")
        );
    }
}
