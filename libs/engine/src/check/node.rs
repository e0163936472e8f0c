//! Reading one node.

use std::time::Duration;

use pathway_kernel::Backoff;
use pathway_resilience::BreakerConfig;
use serde_json::{Map, Value};

use super::mistakes::{Mistakes, duration, join};
use super::template;
use crate::definition::{Call, Fallback, Node, OnError, Retry};
use crate::format::NODE;
use crate::journal::OnUnknown;
use crate::template::Template;

/// How far a wait between attempts may fall short, so that those who failed together do not come back together.
const JITTER: f64 = 0.5;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a breaker's probes must succeed before it closes.
const PROBES: u32 = 1;

pub(super) fn node(name: &str, entry: &Map<String, Value>, path: &str, mistakes: &mut Mistakes) -> Node {
    if !is_node_name(name) {
        let hint = "a node's name has 1 to 100 letters, digits and _, and starts with a letter";
        mistakes.add("INVALID_NAME", path, "is no name for a node", hint);
    }
    mistakes.fields(entry, NODE, path);
    let mut gate = |key: &str| {
        let value = entry.get(key).filter(|value| value.is_string() || value.is_boolean())?;
        mistakes.expression(value, &join(path, key))
    };
    let (when, for_each) = (gate("when"), gate("for_each"));
    Node {
        name: name.to_owned(),
        call: call(entry, path, mistakes),
        needs: needs(entry, path, mistakes),
        level: 0,
        when,
        for_each,
        max_parallel: entry.get("max_parallel").and_then(count).unwrap_or(usize::MAX),
        retry: retry(entry.get("retry"), path, mistakes),
        timeout: entry.get("timeout").and_then(duration),
        breaker: entry.get("breaker").and_then(breaker),
        on_error: on_error(entry, path, mistakes),
        on_unknown: match entry.get("on_unknown").and_then(Value::as_str) {
            Some("retry") => OnUnknown::Retry,
            Some("skip") => OnUnknown::Skip,
            _ => OnUnknown::Ask,
        },
    }
}

fn call(entry: &Map<String, Value>, path: &str, mistakes: &mut Mistakes) -> Call {
    let tool = entry.get("use").and_then(Value::as_str).unwrap_or_default().to_owned();
    let with = match entry.get("with") {
        None => Template::Object(Vec::new()),
        Some(with) if with.is_object() => template(with, &join(path, "with"), mistakes),
        // What is no mapping has been told; no argument is missed in it.
        Some(_) => Template::Literal(Value::Null),
    };
    Call { tool, with }
}

fn needs(entry: &Map<String, Value>, path: &str, mistakes: &mut Mistakes) -> Vec<String> {
    let listed = entry.get("needs").and_then(Value::as_array).into_iter().flatten();
    let mut needs: Vec<String> = Vec::new();
    for need in listed.filter_map(Value::as_str) {
        if needs.iter().any(|known| known == need) {
            mistakes.add(
                "DUPLICATE_NEED",
                join(path, "needs"),
                format!("names `{need}` twice"),
                "name it once",
            );
        } else {
            needs.push(need.to_owned());
        }
    }
    needs
}

fn retry(retry: Option<&Value>, path: &str, mistakes: &mut Mistakes) -> Retry {
    let Some(retry) = retry.filter(|retry| retry.is_object()) else { return Retry::default() };
    let wait = |key: &str, usual| retry.get(key).and_then(duration).unwrap_or(usual);
    let (first, longest) = (wait("first", FIRST_WAIT), wait("longest", LONGEST_WAIT));
    let backoff = Backoff::try_new(first, longest, JITTER).unwrap_or_else(|_| {
        let message = "the first wait is longer than the longest";
        mistakes.add("OUT_OF_RANGE", join(path, "retry.first"), message, "make `longest` longer");
        Backoff::default()
    });
    let attempts = retry.get("attempts").and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
    Retry { attempts: attempts.unwrap_or(1), backoff }
}

fn breaker(breaker: &Value) -> Option<BreakerConfig> {
    let failures = u32::try_from(breaker.get("failures")?.as_u64()?).ok()?;
    let rest = duration(breaker.get("rest")?)?;
    Some(BreakerConfig::consecutive(failures, rest, PROBES))
}

fn on_error(entry: &Map<String, Value>, path: &str, mistakes: &mut Mistakes) -> OnError {
    let (wanted, fallback) = (entry.get("on_error").and_then(Value::as_str), entry.get("fallback"));
    let (path, given) = (join(path, "fallback"), fallback.and_then(Value::as_object));
    match (wanted, given) {
        (Some("fallback"), Some(given)) => {
            let value = given.get("value").map(|value| template(value, &join(&path, "value"), mistakes));
            match (value, given.contains_key("use")) {
                (Some(value), false) if !given.contains_key("with") => {
                    return OnError::Fallback(Box::new(Fallback::Value(value)));
                }
                (None, true) => {
                    return OnError::Fallback(Box::new(Fallback::Call(call(given, &path, mistakes))));
                }
                _ => mistakes.add(
                    "CONFLICT",
                    path,
                    "is not one answer",
                    "give either `value`, or `use` and `with`",
                ),
            }
        }
        (Some("fallback"), None) if fallback.is_none() => {
            let hint = "give `fallback: { value: ... }` or `fallback: { use: ..., with: ... }`";
            mistakes.add("MISSING_FIELD", path, "is missing beside `on_error: fallback`", hint);
        }
        (Some("continue"), None) => return OnError::Continue,
        (_, Some(_)) => {
            let hint = "add `on_error: fallback`, or remove it";
            mistakes.add("CONFLICT", path, "is never used", hint);
        }
        _ => {}
    }
    OnError::Fail
}

fn count(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|count| usize::try_from(count).ok())
}

fn is_node_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
