//! Figures as a document and as a table.

use serde_json::{Map, Value, json};

use super::limit::Limit;
use super::mesh::SERVICES;
use super::usage::Usage;

/// What each process used, by name.
pub(super) type Usages = Vec<(&'static str, Usage)>;

/// What each process used between two looks; the peaks are those of the second.
pub(super) fn between(before: &Usages, after: &Usages) -> Usages {
    let used = |(name, after): &(&'static str, Usage)| {
        let before = before.iter().find(|(other, _)| other == name).map(|(_, usage)| *usage);
        (*name, after.since(before.unwrap_or_default()))
    };
    SERVICES.iter().filter_map(|name| after.iter().find(|(other, _)| other == name)).map(used).collect()
}

/// The sum over all processes.
pub(super) fn total(usages: &Usages) -> Usage {
    usages.iter().fold(Usage::default(), |sum, (_, usage)| Usage {
        cpu_ms: sum.cpu_ms + usage.cpu_ms,
        written: sum.written + usage.written,
        commits: sum.commits + usage.commits,
        log_restarts: sum.log_restarts + usage.log_restarts,
        peak_kib: sum.peak_kib + usage.peak_kib,
        resident_kib: sum.resident_kib + usage.resident_kib,
    })
}

/// What processes used for so many events.
pub(super) fn processes(usages: &Usages, events: u64) -> Value {
    let process = |(name, usage): &(&'static str, Usage)| {
        let mut fields = Map::from_iter([
            ("name".to_owned(), json!(format!("pathway-{name}"))),
            ("cpu_seconds".to_owned(), json!(rounded(ms(usage.cpu_ms) / 1e3, 2))),
            ("peak_rss_mib".to_owned(), json!(mib(usage.peak_kib))),
        ]);
        fields.extend(per_1000(*usage, events));
        Value::Object(fields)
    };
    usages.iter().map(process).collect()
}

/// What a thousand events cost.
pub(super) fn per_1000(usage: Usage, events: u64) -> Map<String, Value> {
    let share = |amount: f64| amount * 1e3 / count(events.max(1));
    Map::from_iter([
        ("cpu_seconds_per_1000".to_owned(), json!(rounded(share(ms(usage.cpu_ms) / 1e3), 4))),
        ("fsyncs_per_1000".to_owned(), json!(rounded(share(count(usage.fsyncs())), 2))),
        ("commits_per_1000".to_owned(), json!(rounded(share(count(usage.commits)), 2))),
        ("bytes_written_per_1000".to_owned(), json!(rounded(share(count(usage.written)), 0))),
    ])
}

/// What the limit took, as a thousand events' share.
pub(super) fn of_limit(limit: Limit, events: u64) -> Value {
    json!({
        "batch": super::limit::BATCH,
        "seconds": rounded(limit.elapsed.as_secs_f64(), 3),
        "commits_per_1000": rounded(count(limit.commits) * 1e3 / count(events.max(1)), 2),
    })
}

/// A table's row for each process and one for all.
pub(super) fn process_rows(usages: &Usages, events: u64) -> Vec<Vec<String>> {
    let row = |name: String, usage: Usage| {
        let per = per_1000(usage, events);
        let text = |field: &str| per.get(field).map(ToString::to_string).unwrap_or_default();
        vec![
            name,
            format!("{:.2}", ms(usage.cpu_ms) / 1e3),
            text("cpu_seconds_per_1000"),
            text("fsyncs_per_1000"),
            format!("{:.0}", count(usage.written) * 1e3 / count(events.max(1)) / 1024.0),
            format!("{:.1}", mib(usage.peak_kib)),
        ]
    };
    let mut rows: Vec<Vec<String>> =
        usages.iter().map(|(name, usage)| row(format!("pathway-{name}"), *usage)).collect();
    rows.push(row("all".to_owned(), total(usages)));
    rows
}

/// The header of [`process_rows`].
pub(super) const PROCESS_HEADER: [&str; 6] =
    ["process", "CPU s", "CPU s/1000", "fsyncs/1000", "KiB written/1000", "peak MiB"];

/// A count as a number to calculate with; exact to 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with a few digits")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

pub(super) fn mib(kib: u64) -> f64 {
    rounded(count(kib) / 1024.0, 1)
}

/// A figure with so many digits after the point.
pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn ms(ms: u64) -> f64 {
    count(ms)
}
