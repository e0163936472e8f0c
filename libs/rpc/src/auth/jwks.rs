//! Keys that somebody else keeps: a JWK set, from a URL or a file.
//!
//! The set is kept and read again once it is old, so that keys may be rotated. One call at a time reads it; the others go on with what is there. A token
//! whose key is not in the set makes it be read again at once, because that is what a rotation looks like, but not more often than the cool-down says:
//! or else anybody could have us call the issuer by making up key ids. While the issuer is away the old set holds, because a revoked key is rarer than an
//! outage; there is an end to that too.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use pathway_kernel::Fault;
use pathway_outbound::{Client, ClientConfig, Guard, OutboundError, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::AuthError;
use super::keys::{Named, read_set};

/// A JWK set.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    times: JwksTimes,
    state: RwLock<State>,
    /// Who has the permit reads the set.
    reader: Semaphore,
}

/// When a set is read again.
#[derive(Debug, Clone, Copy)]
pub struct JwksTimes {
    /// How old a set may be before it is read again.
    pub fresh: Duration,
    /// How old it may be where it cannot be read again.
    pub oldest: Duration,
    /// How long after an attempt the next one is made because of an unknown key, or because there is no set.
    pub cool_down: Duration,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Client, String),
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<Vec<Named>>,
    /// When the keys were read.
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
}

// === impl JwksTimes ===

impl Default for JwksTimes {
    /// 5 minutes, a day, 30 seconds.
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(300),
            oldest: Duration::from_secs(86_400),
            cool_down: Duration::from_secs(30),
        }
    }
}

// === impl Jwks ===

impl Jwks {
    /// The set at `location`: an `https://` or `http://` URL, or a file.
    ///
    /// # Errors
    /// Where a client for the URL cannot be made.
    pub fn new(location: &str, times: JwksTimes) -> Result<Self, Fault> {
        let is_url = location.starts_with("https://") || location.starts_with("http://");
        let source = if is_url {
            // The operator's own choice, often a neighbour: no address is forbidden.
            let everywhere = ["0.0.0.0/0", "::/0"].map(str::parse).into_iter();
            let everywhere = everywhere.collect::<Result<Vec<_>, OutboundError>>()?;
            let config = ClientConfig { timeout: Duration::from_secs(10), ..ClientConfig::default() };
            Source::Url(Client::new(Guard::new(everywhere), config), location.to_owned())
        } else {
            Source::File(location.into())
        };
        Ok(Self { source, times, state: RwLock::default(), reader: Semaphore::new(1) })
    }

    /// Reads a file's set, so that a wrong one is found at the start. A URL is not called: who issues tokens may come up later than we.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn check(&self) -> Result<(), String> {
        match &self.source {
            Source::File(path) => read_file(path).map(|_| ()),
            Source::Url(..) => Ok(()),
        }
    }

    /// Runs `check` with the key of this id. Without an id the set must have one key only, or nobody could say which is meant.
    pub(super) async fn with_key<T>(
        &self,
        id: Option<&str>,
        check: impl FnOnce(&Named) -> T,
    ) -> Result<T, AuthError> {
        let mut keys = self.current(false).await?;
        if find(&keys, id).is_none() {
            keys = self.current(true).await?;
        }
        find(&keys, id).map(check).ok_or(AuthError::Refused)
    }

    /// The keys as they are known; `anew` asks for newer ones than that.
    async fn current(&self, anew: bool) -> Result<Arc<Vec<Named>>, AuthError> {
        let (keys, age, rested) = self.known();
        let is_due = match age {
            None => rested,
            Some(age) => rested && (anew || age > self.times.fresh),
        };
        if is_due {
            self.read_once(age.is_none() || anew).await;
        }
        let (keys, age) = if is_due {
            let (keys, age, _) = self.known();
            (keys, age)
        } else {
            (keys, age)
        };
        match age {
            Some(age) if age <= self.times.oldest => Ok(keys),
            _ => Err(AuthError::KeysUnavailable),
        }
    }

    /// The keys, how old they are, and whether enough time has passed since the last attempt.
    fn known(&self) -> (Arc<Vec<Named>>, Option<Duration>, bool) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let since = |at: Instant| Instant::now().saturating_duration_since(at);
        let rested = state.tried_at.is_none_or(|at| since(at) >= self.times.cool_down);
        (Arc::clone(&state.keys), state.read_at.map(since), rested)
    }

    /// Reads the set unless somebody does already; then waits for that, or, where there is something to go on with, does not.
    async fn read_once(&self, wait: bool) {
        let permit = if wait { self.reader.acquire().await.ok() } else { self.reader.try_acquire().ok() };
        // Whoever waited for another's attempt has its outcome.
        if permit.is_none() || !self.known().2 {
            return;
        }
        let read = match &self.source {
            Source::File(path) => read_file(path),
            Source::Url(client, url) => fetch(client, url).await,
        };
        let now = Instant::now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.tried_at = Some(now);
        match read {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "read the keys of tokens");
                state.keys = Arc::new(keys);
                state.read_at = Some(now);
            }
            Err(problem) => tracing::warn!(problem, "cannot read the keys of tokens"),
        }
    }
}

fn find<'a>(keys: &'a [Named], id: Option<&str>) -> Option<&'a Named> {
    match (id, keys) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(_), _) => keys.iter().find(|key| key.id.as_deref() == id),
    }
}

fn read_file(path: &Path) -> Result<Vec<Named>, String> {
    let text = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    read_set(&text).map_err(|problem| format!("{} {problem}", path.display()))
}

async fn fetch(client: &Client, url: &str) -> Result<Vec<Named>, String> {
    let request = Request {
        method: Method::GET,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        until: None,
    };
    let answer = client.send(request).await.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("the issuer answered {}", answer.status));
    }
    read_set(&answer.body).map_err(|problem| format!("the issuer's answer {problem}"))
}
