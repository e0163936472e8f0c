//! `http.request`: one HTTP call, which cannot be led to the inside.
//!
//! # What a status means
//! | status | is | so |
//! |---|---|---|
//! | 2xx | an answer | the node has answered |
//! | 3xx | refused | the event fails: redirects are not followed, since the second place was never agreed on |
//! | 408, 425, 429, 503 | not now | tried again, after `Retry-After` where that is given |
//! | 502, 504 | a gateway's word | tried again; where the call must not be made twice, nobody knows |
//! | another 4xx | refused | the event fails |
//! | another 5xx | a defect of theirs | the event fails; where the call must not be made twice, nobody knows |
//!
//! A host that answers 500 or above (501 excepted), or not at all, has failed: after some of these its [breaker](pathway_outbound::Hosts) opens, and it is not asked for a while.
//!
//! # What may be done twice
//! By HTTP's own rule GET, HEAD, OPTIONS, PUT and DELETE may; POST and PATCH may not, and go through the journal. Every call that changes something has the header
//! `Idempotency-Key`; who knows that the other side honours it says `idempotent: true` and saves the journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pathway_engine::{Answer, ArgSpec, CallContext, Effect, Kind, Tool, ToolFuture, ToolItem};
use pathway_kernel::{Check, Clock, Code, Fault, Violation, stable_id};
use pathway_outbound::{Client, Request, Response};
use serde_json::{Map, Value, json};

use super::text;

/// Calls HTTP servers.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    client: Client,
    secrets: Secrets,
    clock: Clock,
}

/// Values that no definition holds, by name: each is a file's content, read for each call, so that it can be changed without a restart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, PathBuf>);

/// How many calls of a batch are under way at once.
const SIDE_BY_SIDE: usize = 32;
/// The name of a call, as the draft `draft-ietf-httpapi-idempotency-key-header` has it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

// === impl HttpRequest ===

impl HttpRequest {
    pub(crate) const fn new(client: Client, secrets: Secrets, clock: Clock) -> Self {
        Self { client, secrets, clock }
    }

    async fn send(&self, context: &CallContext, item: ToolItem) -> Result<Value, Fault> {
        let request = self.request(context, &item).await?;
        answer(&self.client.send(request).await?, self.clock.now_us())
    }

    async fn request(&self, context: &CallContext, item: &ToolItem) -> Result<Request, Fault> {
        let (args, mut check) = (&item.args, Check::default());
        let method = check.take("method", method(args)).unwrap_or_default();
        let mut headers = headers(args, &mut check);
        for (name, secret) in entries(args, "secrets") {
            let value = match secret.as_str() {
                Some(secret) => self.secrets.read(secret).await,
                None => Err("is no text; give a secret's name".to_owned()),
            };
            let field = format!("secrets.{name}");
            if let (Some(value), Some(name)) =
                (check.take(&field, value), check.take(&field, header_name(name)))
            {
                headers.insert(name, value);
            }
        }
        check.done().map_err(Fault::invalid)?;
        let body = match args.get("body") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(body)) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
                body.clone().into_bytes()
            }
            Some(body) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                body.to_string().into_bytes()
            }
        };
        if !method.is_safe() {
            // The key itself tells of this system's inside; its hash is as unique.
            let key = stable_id(0, &[&item.key]).to_string();
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(key).map_err(Fault::internal)?);
        }
        Ok(Request { method, url: text(args, "url"), headers, body: body.into(), until: context.deadline })
    }
}

impl Tool for HttpRequest {
    fn name(&self) -> &'static str {
        "http.request"
    }

    fn effect(&self, args: &Value) -> Effect {
        let is_idempotent = args.get("idempotent") == Some(&Value::Bool(true))
            || method(args).is_ok_and(|m| m.is_idempotent());
        if is_idempotent { Effect::Idempotent } else { Effect::Once }
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("status", Kind::Number), ("headers", Kind::Object), ("body", Kind::Any)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const {
            &[
                ArgSpec::required("url", Kind::Text),
                ArgSpec::optional("method", Kind::Text),
                ArgSpec::optional("headers", Kind::Object),
                ArgSpec::optional("secrets", Kind::Object),
                ArgSpec::optional("body", Kind::Any),
                ArgSpec::optional("idempotent", Kind::Boolean),
            ]
        }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        let mut check = Check::default();
        check.take("method", method(args));
        headers(args, &mut check);
        check.done().err().unwrap_or_default()
    }

    fn call<'a>(&'a self, context: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(async move {
            let calls = items.into_iter().map(|item| self.send(context, item));
            Ok(iter(calls).buffered(SIDE_BY_SIDE).collect().await)
        })
    }
}

// === impl Secrets ===

impl Secrets {
    async fn read(&self, name: &str) -> Result<HeaderValue, String> {
        let unknown = || format!("there is no secret `{name}`: name a file for it in [outbound.secrets]");
        let path = self.0.get(name).ok_or_else(unknown)?;
        let content = tokio::fs::read_to_string(path).await;
        let content = content.map_err(|error| format!("the secret `{name}` cannot be read: {error}"))?;
        let value = HeaderValue::from_str(content.trim());
        let mut value = value.map_err(|_| format!("the secret `{name}` is no value of a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn answer(response: &Response, now_us: i64) -> Result<Value, Fault> {
    let status = StatusCode::from_u16(response.status).unwrap_or_default();
    if !status.is_success() {
        return Err(refusal(status, response.retry_after(now_us)));
    }
    let is_json = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim_end().ends_with("json"));
    let parsed: Option<Value> = if is_json { serde_json::from_slice(&response.body).ok() } else { None };
    let body = parsed.unwrap_or_else(|| String::from_utf8_lossy(&response.body).into_owned().into());
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &response.headers {
        if let Ok(value) = value.to_str() {
            headers.insert(name.to_string(), value.into());
        }
    }
    Ok(json!({"status": response.status, "headers": headers, "body": body}))
}

fn refusal(status: StatusCode, retry_after: Option<Duration>) -> Fault {
    let code = match status.as_u16() {
        400 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 | 410 => Code::NotFound,
        408 | 425 | 503 => Code::Unavailable,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        502 | 504 => Code::DeadlineExceeded,
        500..=599 => Code::Internal,
        _ => Code::FailedPrecondition,
    };
    let what = if status.is_redirection() {
        "a redirect, which is not followed: call the place that it names"
    } else {
        "no success"
    };
    let fault =
        Fault::new(code, format!("HTTP_{}", status.as_u16()), format!("the host answered {status}: {what}"));
    match retry_after {
        Some(after) => fault.with_retry_after(after),
        None => fault,
    }
}

/// The method; GET where none is given.
fn method(args: &Value) -> Result<Method, String> {
    let Some(given) = args.get("method").and_then(Value::as_str) else { return Ok(Method::GET) };
    let known = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let found = known.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(given));
    found.ok_or_else(|| format!("`{given}` is none of GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE"))
}

fn headers(args: &Value, check: &mut Check) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in entries(args, "headers") {
        let field = format!("headers.{name}");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => String::new(),
        };
        let value = HeaderValue::from_str(&text).map_err(|_| "is no value of a header".to_owned());
        if let (Some(name), Some(value)) = (check.take(&field, header_name(name)), check.take(&field, value))
        {
            headers.insert(name, value);
        }
    }
    headers
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is no name of a header".to_owned())
}

fn entries<'a>(args: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    args.get(field).and_then(Value::as_object).into_iter().flatten()
}
