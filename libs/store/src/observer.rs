//! What a store tells of itself.
//!
//! A transaction is a span and a duration, however many rows it takes; what it did is said by a summary of its statements, `INSERT records; UPDATE
//! cursors`, which has no values in it. The summary is gathered only where the span is there.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use pathway_telemetry::{SPANS, Telemetry, note, rename, seconds};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field};

use crate::Tx;

/// What a store tells of itself, and to whom once that is known.
#[derive(Debug)]
pub(crate) struct Observer {
    system: &'static str,
    commits: AtomicU64,
    instruments: OnceLock<Instruments>,
}

#[derive(Debug)]
struct Instruments {
    duration: Histogram<f64>,
    wait: Histogram<f64>,
    commit: Histogram<f64>,
    group: Histogram<u64>,
}

/// The longest summary, in bytes; what comes after is not said.
const LONGEST_SUMMARY: usize = 255;
/// Most transactions are over before the first boundary of a call.
const FINE: [f64; 5] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5];

// === impl Observer ===

impl Observer {
    pub(crate) const fn new(system: &'static str) -> Self {
        Self { system, commits: AtomicU64::new(0), instruments: OnceLock::new() }
    }

    /// From now on, tells `telemetry`. Only the first one is told.
    pub(crate) fn tell(&self, telemetry: &Telemetry) {
        let seconds = |name, what| seconds(telemetry, name, what, &FINE);
        let instruments = Instruments {
            duration: seconds("db.client.operation.duration", "How long transactions took, waits included"),
            wait: seconds("pathway.store.queue.wait", "How long transactions waited for the writer"),
            commit: seconds(
                "pathway.store.commit.duration",
                "How long durable commits took, the fsync included",
            ),
            group: telemetry
                .meter()
                .u64_histogram("pathway.store.commit.transactions")
                .with_unit("{transaction}")
                .with_description("Transactions that shared a durable commit")
                .with_boundaries(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
                .build(),
        };
        let _ = self.instruments.set(instruments);
    }

    /// How many durable commits there have been.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// One more, which so many transactions shared.
    pub(crate) fn committed(&self, transactions: usize, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(instruments) = self.instruments.get() {
            let attributes = [KeyValue::new("db.system.name", self.system)];
            instruments.commit.record(took.as_secs_f64(), &attributes);
            instruments.group.record(u64::try_from(transactions).unwrap_or(u64::MAX), &attributes);
        }
    }

    /// A transaction has got to the writer.
    pub(crate) fn waited(&self, wait: Duration) {
        if let Some(instruments) = self.instruments.get() {
            let attributes = [KeyValue::new("db.system.name", self.system)];
            instruments.wait.record(wait.as_secs_f64(), &attributes);
        }
    }

    /// Runs a transaction, in a span of its own.
    pub(crate) async fn observe<T, E, F>(&self, operation: &'static str, span: Span, run: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let begun = Instant::now();
        let result = run.instrument(span.clone()).await;
        if let Some(instruments) = self.instruments.get() {
            let mut attributes = vec![
                KeyValue::new("db.system.name", self.system),
                KeyValue::new("db.operation.name", operation),
            ];
            if result.is_err() {
                attributes.push(KeyValue::new("error.type", "_OTHER"));
            }
            instruments.duration.record(begun.elapsed().as_secs_f64(), &attributes);
        }
        if result.is_err() {
            span.record("error.type", "_OTHER");
        }
        result
    }

    pub(crate) fn span(&self, operation: &'static str) -> Span {
        tracing::info_span!(
            target: SPANS,
            "transaction",
            otel.name = operation,
            otel.kind = "client",
            db.system.name = self.system,
            db.operation.name = operation,
            db.query.summary = field::Empty,
            error.type = field::Empty,
        )
    }
}

/// A transaction whose span says what it did.
pub(crate) fn summarized<T, E, F>(
    span: Span,
    transaction: F,
) -> impl Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static
where
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
{
    let runs = AtomicU32::new(0);
    move |tx| {
        if span.is_disabled() {
            return transaction(tx);
        }
        let run = runs.fetch_add(1, Ordering::Relaxed) + 1;
        if run > 1 {
            note(&span, "retry", || vec![KeyValue::new("pathway.db.run", i64::from(run))]);
        }
        tx.remember_statements();
        let answer = transaction(tx);
        let summary = summary(tx.statements());
        if !summary.is_empty() {
            rename(&span, &summary);
            span.record("db.query.summary", summary.as_str());
        }
        answer
    }
}

/// The verbs of statements and what they are about, each once in a row.
fn summary(statements: &[&'static str]) -> String {
    let mut summary = String::new();
    let mut last = None;
    for statement in statements {
        let part = part(statement);
        if last == Some(part) {
            continue;
        }
        if summary.len() + part.0.len() + part.1.len() + 3 > LONGEST_SUMMARY {
            break;
        }
        let between = if summary.is_empty() { "" } else { "; " };
        let _ = write!(summary, "{between}{} {}", part.0, part.1);
        last = Some(part);
    }
    summary
}

/// The verb of a statement and its table: the word behind INTO, UPDATE or FROM.
fn part(statement: &'static str) -> (&'static str, &'static str) {
    let mut words = statement.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let is_before = |word: &str| match verb {
        "INSERT" => word == "INTO",
        _ => word == "FROM",
    };
    let table = if verb == "UPDATE" {
        words.next()
    } else {
        words.find(|word| is_before(word)).and_then(|_| words.next())
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let table = table.unwrap_or_default();
    let end = table.find(|c| !is_name(c)).unwrap_or(table.len());
    (verb, &table[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_what_was_done_to_which_table_and_no_value() {
        let statements = [
            "SELECT id, amount FROM records WHERE user_id = $1",
            "INSERT INTO records(id, amount) VALUES ($1, $2)",
            "INSERT INTO records(id, amount) VALUES ($1, $2)",
            "UPDATE cursors\n SET position = $1",
            "DELETE FROM executions WHERE id = 'x'",
        ];
        assert_eq!(summary(&statements), "SELECT records; INSERT records; UPDATE cursors; DELETE executions");
        assert_eq!(summary(&[]), "");
        assert!(summary(&["SELECT 1 FROM a", "SELECT 1 FROM b"].repeat(100)).len() <= LONGEST_SUMMARY);
    }
}
