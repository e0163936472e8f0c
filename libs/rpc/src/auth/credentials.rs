//! What a client shows: its own token.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, Ready, ready};
use http::{HeaderValue, Request, Response, header};
use pathway_kernel::{Clock, Code, Fault};
use serde_json::json;
use tokio::time::Instant;
use tonic::body::Body;
use tower::Service;

use super::Secret;
use crate::to_status;

/// A client's token; cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Source>);

enum Source {
    /// Signed by ourselves, and again before it ends.
    Minted {
        secret: Secret,
        name: String,
        issuer: String,
        audience: String,
        role_claim: String,
        clock: Clock,
        last: Mutex<Option<Minted>>,
    },
    /// Kept in a file, which others renew.
    File {
        path: PathBuf,
        last: Mutex<Option<(Instant, HeaderValue)>>,
    },
    Fixed(HeaderValue),
}

#[derive(Clone)]
struct Minted {
    header: HeaderValue,
    renew_at_us: i64,
}

/// Shows a token with each call.
#[derive(Debug, Clone)]
pub(crate) struct Signed<S> {
    inner: S,
    credentials: Credentials,
}

/// How long a token of our own holds.
const LIFE: Duration = Duration::from_secs(600);
/// How often a token's file is looked at.
const READ_EVERY: Duration = Duration::from_secs(10);

// === impl Credentials ===

impl Credentials {
    /// A service's own tokens, signed with the secret that its peers check them with.
    #[must_use]
    pub fn minted(
        secret: Secret,
        name: &str,
        issuer: &str,
        audience: &str,
        role_claim: &str,
        clock: Clock,
    ) -> Self {
        let (name, issuer, audience) = (name.to_owned(), issuer.to_owned(), audience.to_owned());
        let role_claim = role_claim.to_owned();
        Self(Arc::new(Source::Minted {
            secret,
            name,
            issuer,
            audience,
            role_claim,
            clock,
            last: Mutex::default(),
        }))
    }

    /// The token in a file, which is read again every few seconds.
    ///
    /// # Errors
    /// Where there is none now.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        let read = read(&path)?;
        Ok(Self(Arc::new(Source::File { path, last: Mutex::new(Some((Instant::now(), read))) })))
    }

    /// A token that stays.
    ///
    /// # Errors
    /// Where it cannot be one.
    pub fn fixed(token: &str) -> Result<Self, Fault> {
        Ok(Self(Arc::new(Source::Fixed(bearer(token)?))))
    }

    /// What to show now.
    fn header(&self) -> Result<HeaderValue, Fault> {
        match &*self.0 {
            Source::Fixed(header) => Ok(header.clone()),
            Source::Minted { secret, name, issuer, audience, role_claim, clock, last } => {
                let now_us = clock.now_us();
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                // A clock that was set back must not leave a token from the future in use.
                let life_us = i64::try_from(LIFE.as_micros()).unwrap_or(i64::MAX);
                if let Some(minted) = &*last
                    && (minted.renew_at_us - life_us..minted.renew_at_us).contains(&now_us)
                {
                    return Ok(minted.header.clone());
                }
                let now = now_us / 1_000_000;
                let expires = now + i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX);
                let mut claims = json!({"sub": name, "iat": now, "exp": expires});
                claims[role_claim] = "service".into();
                for (claim, value) in [("iss", issuer), ("aud", audience)] {
                    if !value.is_empty() {
                        claims[claim] = value.as_str().into();
                    }
                }
                let header = bearer(&secret.sign(&claims))?;
                *last = Some(Minted { header: header.clone(), renew_at_us: now_us + life_us / 2 });
                Ok(header)
            }
            Source::File { path, last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((at, header)) = &*last
                    && at.elapsed() < READ_EVERY
                {
                    return Ok(header.clone());
                }
                // A file that is gone for a moment does not take the token away that it had.
                let header = match (read(path), last.take()) {
                    (Ok(header), _) | (Err(_), Some((_, header))) => header,
                    (Err(fault), None) => return Err(fault),
                };
                *last = Some((Instant::now(), header.clone()));
                Ok(header)
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the token in {}: {error}", path.display());
        Fault::new(Code::FailedPrecondition, "NO_TOKEN", message)
    })?;
    bearer(text.trim())
}

fn bearer(token: &str) -> Result<HeaderValue, Fault> {
    let value = if token.is_empty() { None } else { HeaderValue::try_from(format!("Bearer {token}")).ok() };
    let mut value = value.ok_or_else(|| {
        Fault::new(Code::InvalidArgument, "INVALID_TOKEN", "the token is empty, or not one line of text")
    })?;
    // Kept out of header compression and of whatever prints headers.
    value.set_sensitive(true);
    Ok(value)
}

// === impl Signed ===

impl<S> Signed<S> {
    pub(crate) const fn new(inner: S, credentials: Credentials) -> Self {
        Self { inner, credentials }
    }
}

impl<S> Service<Request<Body>> for Signed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.credentials.header() {
            Ok(header) => {
                request.headers_mut().insert(header::AUTHORIZATION, header);
                Either::Left(self.inner.call(request))
            }
            Err(fault) => Either::Right(ready(Ok(to_status(&fault).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use pathway_kernel::ManualClock;

    use super::*;
    use crate::{AuthError, Role, examine};

    #[test]
    fn a_service_renews_its_own_token_before_it_ends() {
        let (manual, secret) = (ManualClock::at(0), Secret::new(&[7; 32]).unwrap());
        let credentials =
            Credentials::minted(secret.clone(), "processor", "", "", "role", Clock::manual(&manual));
        let shown =
            || credentials.header().unwrap().to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let first = shown();
        assert_eq!(examine(&first, &secret, 0), Ok(Role::Service));
        manual.set(299_000_000);
        assert_eq!(shown(), first);
        manual.set(301_000_000);
        let second = shown();
        assert_ne!(second, first);
        assert_eq!(examine(&first, &secret, 600_000_000), Err(AuthError::Expired));
        assert_eq!(examine(&second, &secret, 600_000_000), Ok(Role::Service));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tokens_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert_eq!(Credentials::file(&path).unwrap_err().reason(), "NO_TOKEN");
        std::fs::write(&path, "one\n").unwrap();
        let credentials = Credentials::file(&path).unwrap();
        assert_eq!(credentials.header().unwrap(), "Bearer one");
        std::fs::write(&path, "two\n").unwrap();
        assert_eq!(credentials.header().unwrap(), "Bearer one");
        tokio::time::advance(READ_EVERY).await;
        assert_eq!(credentials.header().unwrap(), "Bearer two");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(READ_EVERY).await;
        assert_eq!(credentials.header().unwrap(), "Bearer two");
        assert!(!format!("{credentials:?} {:?}", credentials.header()).contains("two"));
    }
}
