//! The guard before a server's methods.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use pathway_kernel::Fault;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower::{Layer, Service};

use super::expiry::token_expired;
use super::roles::{self, Access, access};
use super::{Authenticator, Identity, Position, Role};
use crate::{Limits, to_status};

/// Who may come in, and how often; cheap to clone. The default lets everybody do everything.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    auth: Option<Arc<Authenticator>>,
    limits: Option<Arc<Limits>>,
    hides_reflection: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct GuardLayer(Guard);

/// Asks each caller who it is, and its handler only what that one may.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    guard: Guard,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

pin_project! {
    /// A call that is let through, or one whose caller is asked first.
    #[project = CallProjection]
    pub(crate) enum Call<F, E> {
        Through { #[pin] call: F },
        Asked { call: Answer<E> },
    }
}

pin_project! {
    /// A response that does not outlive its caller's token.
    struct Ending {
        #[pin]
        inner: Body,
        expired: Pin<Box<dyn Future<Output = ()> + Send>>,
        ended: bool,
    }
}

/// A stream that knows where it is ends by itself, and says where to go on. What does not know gets a moment more, and is cut.
const GRACE: Duration = Duration::from_secs(5);

// === impl Guard ===

impl Guard {
    /// A guard that asks for tokens.
    #[must_use]
    pub fn new(auth: Authenticator) -> Self {
        Self { auth: Some(Arc::new(auth)), ..Self::default() }
    }

    /// The same, which also bounds how often a user may call.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(Arc::new(limits));
        self
    }

    /// The same, which shows reflection to who has a token only.
    #[must_use]
    pub const fn hiding_reflection(mut self) -> Self {
        self.hides_reflection = true;
        self
    }

    /// Who calls, where it may call this.
    async fn admit(&self, auth: &Authenticator, path: &str, headers: &HeaderMap) -> Result<Identity, Fault> {
        let access = self.access(path);
        if access == Some(Access::Open) {
            return Ok(Identity::new(Role::Nobody, ""));
        }
        let caller = auth.authenticate(headers).await?;
        let is_hidden_reflection = access.is_none() && roles::is_reflection(path);
        if !is_hidden_reflection {
            roles::allow(&caller, access)?;
        }
        if let Some(limits) = &self.limits
            && caller.role() == Role::User
        {
            limits.admit(caller.subject())?;
        }
        Ok(caller)
    }

    fn access(&self, path: &str) -> Option<Access> {
        if self.hides_reflection && roles::is_reflection(path) { None } else { access(path) }
    }
}

// === impl GuardLayer ===

impl GuardLayer {
    pub(crate) const fn new(guard: Guard) -> Self {
        Self(guard)
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, guard: self.0.clone() }
    }
}

// === impl Guarded ===

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Call<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(auth) = self.guard.auth.clone() else {
            request.extensions_mut().insert(Identity::new(Role::Anyone, ""));
            return Call::Through { call: self.inner.call(request) };
        };
        let next = self.inner.clone();
        // The one that was found ready is the one to call.
        let mut inner = std::mem::replace(&mut self.inner, next);
        let guard = self.guard.clone();
        let call = Box::pin(async move {
            let path = request.uri().path().to_owned();
            let caller = match guard.admit(&auth, &path, request.headers()).await {
                Ok(caller) => caller,
                Err(fault) => return Ok(to_status(&fault).into_http()),
            };
            request.extensions_mut().insert(caller.clone());
            let response = inner.call(request).await?;
            Ok(if caller.ends() { response.map(|body| ending(body, caller)) } else { response })
        });
        Call::Asked { call }
    }
}

// === impl Call ===

impl<F, E> Future for Call<F, E>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CallProjection::Through { call } => call.poll(cx),
            CallProjection::Asked { call } => call.as_mut().poll(cx),
        }
    }
}

// === impl Ending ===

fn ending(inner: Body, caller: Identity) -> Body {
    if inner.is_end_stream() {
        return inner;
    }
    Body::new(Ending { inner, expired: Box::pin(caller.later(GRACE).expired()), ended: false })
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if this.expired.as_mut().poll(cx).is_ready() {
            *this.ended = true;
            let mut trailers = HeaderMap::new();
            // It fails only where a header cannot be written; then the stream just ends.
            let written = token_expired(Position::new()).add_header(&mut trailers);
            return Poll::Ready(written.is_ok().then(|| Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(ready!(this.inner.poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}
