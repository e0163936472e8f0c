//! `pathway bench history`: whether what is stored already makes an event dearer, a start slower or a process larger.
//!
//! The history is made as every history is: through the API, so that all stores grow as they would. At each power of ten a window of events is
//! measured. Processor time for an event is the figure to compare: on a shared machine it moves far less than a rate does.

use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_kernel::Fault;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::events::{Stream, recompute};
use super::load::saturate;
use super::mesh::Rig;
use super::report::{self, Usages, count, mib, rounded};
use super::transactions::{budgets_of, phase, today, wrong};
use super::verify;
use crate::cli::BenchHistory;
use crate::client::Mesh;
use crate::output::{Output, progress, table};

/// Over how many days the history is spread, in their order: what comes is of today, as it was when it came.
const DAYS: i64 = 365;
/// The first point that is measured.
const FIRST: u64 = 10_000;
/// Events of a window, or a tenth of the whole history where that is less.
const WINDOW: u64 = 20_000;
/// How often the services are started again on the whole history.
const STARTS: usize = 5;

/// A window of events.
#[derive(Debug)]
struct Point {
    /// How many were stored when it began.
    stored: u64,
    events: u64,
    elapsed: Duration,
    used: Usages,
}

// === impl Point ===

impl Point {
    fn cpu_us_per_event(&self) -> f64 {
        count(report::total(&self.used).cpu_ms) * 1e3 / count(self.events)
    }

    fn document(&self) -> Value {
        let resident: Vec<Value> = self
            .used
            .iter()
            .map(|(name, usage)| {
                let mut process = report::per_1000(*usage, self.events);
                process.insert("name".to_owned(), json!(format!("pathway-{name}")));
                process.insert("rss_mib".to_owned(), json!(mib(usage.resident_kib)));
                Value::Object(process)
            })
            .collect();
        let mut document = json!({
            "stored": self.stored,
            "events_per_second": rounded(count(self.events) / self.elapsed.as_secs_f64(), 0),
            "cpu_us_per_event": rounded(self.cpu_us_per_event(), 1),
            "processes": resident,
        });
        if let Some(fields) = document.as_object_mut() {
            fields.extend(report::per_1000(report::total(&self.used), self.events));
        }
        document
    }
}

pub(crate) async fn run(out: &Output, args: &BenchHistory) -> Result<ExitCode, Fault> {
    let bar = progress("services starting");
    let (mut rig, mesh) = Rig::start(args.dir.as_deref()).await?;
    let measured = measure(args, &mut rig, &mesh, &bar).await;
    bar.finish_and_clear();
    let (document, difference) = measured.map_err(|fault| rig.explain(fault))?;
    out.answer(&document, || text(&document))?;
    difference.map_or(Ok(ExitCode::SUCCESS), |difference| Err(wrong(&difference)))
}

async fn measure(
    args: &BenchHistory,
    rig: &mut Rig,
    mesh: &Mesh,
    bar: &ProgressBar,
) -> Result<(Value, Option<String>), Fault> {
    let today = today()?;
    let fresh = Stream::new(args.users, today, DAYS).advancing(args.history);
    let (mut stream, mut sizes) = (fresh.clone(), Vec::new());
    budgets_of(mesh, args.users).await?;

    let window = WINDOW.min(args.history / 10);
    let (mut points, mut stored) = (Vec::new(), 0);
    phase(bar, "events stored");
    for mark in marks(args.history) {
        // The marks are reached with the window before them included.
        let missing = mark.saturating_sub(stored);
        saturate(mesh, &mut stream, &mut sizes, missing, bar).await?.processed(mesh).await?;
        let (before, begun) = (rig.usage()?, Instant::now());
        saturate(mesh, &mut stream, &mut sizes, window, bar).await?.processed(mesh).await?;
        let elapsed = begun.elapsed();
        let used = report::between(&before, &rig.usage()?);
        stored += missing;
        points.push(Point { stored, events: window, elapsed, used });
        stored += window;
    }
    phase(bar, "checking the totals");
    let expected = recompute(fresh.clone(), &sizes).map_err(Fault::internal)?;
    let span = fresh.span().map_err(Fault::internal)?;
    let difference = verify::first_difference(mesh, expected, args.users, span).await?;

    phase(bar, "starts on the whole history");
    let mut starts: Vec<(&'static str, Vec<Duration>)> = Vec::new();
    for _ in 0..STARTS {
        for (name, ready) in rig.restart().await? {
            match starts.iter_mut().find(|(other, _)| *other == name) {
                Some((_, taken)) => taken.push(ready),
                None => starts.push((name, vec![ready])),
            }
        }
        bar.inc(1);
    }
    Ok((document(&points, &starts, difference.as_deref()), difference))
}

/// The points that are measured: the powers of ten up to the whole history, and the whole.
fn marks(history: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(FIRST), |mark| mark.checked_mul(10));
    let mut marks: Vec<u64> = powers.take_while(|mark| *mark < history).collect();
    marks.push(history);
    marks
}

fn document(points: &[Point], starts: &[(&'static str, Vec<Duration>)], difference: Option<&str>) -> Value {
    let cost = |point: Option<&Point>| point.map_or(0.0, Point::cpu_us_per_event);
    let ready: Vec<Value> = starts
        .iter()
        .map(|(name, taken)| {
            let mut taken = taken.clone();
            taken.sort();
            let median = taken.get(taken.len() / 2).map_or(0.0, Duration::as_secs_f64);
            json!({"name": format!("pathway-{name}"), "ready_ms": rounded(median * 1e3, 1)})
        })
        .collect();
    json!({
        "points": points.iter().map(Point::document).collect::<Vec<_>>(),
        "cost_ratio": rounded(cost(points.last()) / cost(points.first()).max(f64::MIN_POSITIVE), 3),
        "starts": ready,
        "verified": difference.is_none(),
        "difference": difference,
    })
}

fn text(document: &Value) -> String {
    let list = |field: &str| document[field].as_array().cloned().unwrap_or_default();
    let rows = list("points").into_iter().map(|point| {
        let resident = point["processes"].as_array().into_iter().flatten();
        let resident: Vec<String> = resident.map(|process| process["rss_mib"].to_string()).collect();
        let figures =
            ["stored", "events_per_second", "cpu_us_per_event", "fsyncs_per_1000", "bytes_written_per_1000"];
        let mut row: Vec<String> = figures.map(|figure| point[figure].to_string()).to_vec();
        row.push(resident.join(", "));
        row
    });
    let header = [
        "stored",
        "events/s",
        "CPU us/event",
        "fsyncs/1000",
        "bytes/1000",
        "resident MiB (datasync, analytics, notifications, processor)",
    ];
    let starts = list("starts").into_iter().map(|start| {
        vec![start["name"].as_str().unwrap_or_default().to_owned(), start["ready_ms"].to_string()]
    });
    format!(
        "{}\n\ncost of an event, last to first: {}; totals verified: {}\n\n{}",
        table(&header, &[0, 1, 2, 3, 4], rows),
        document["cost_ratio"],
        document["verified"],
        table(&["started again", "ready ms"], &[1], starts)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_power_of_ten_is_measured_and_the_end() {
        assert_eq!(marks(1_000_000), [10_000, 100_000, 1_000_000]);
        assert_eq!(marks(250_000), [10_000, 100_000, 250_000]);
        assert_eq!(marks(5_000), [5_000]);
    }
}
