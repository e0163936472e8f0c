//! `pathway bench transactions`: the main job, from publish to the notice.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_finance::{CivilDate, TimeZone};
use pathway_kernel::{Clock, Code, Fault};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::events::{BUDGETS, Stream, recompute, user};
use super::latency::{self, Latencies, OneInFlight};
use super::limit::{self, Limit};
use super::load::{BATCH, IN_FLIGHT, saturate, set_budgets};
use super::mesh::Rig;
use super::report::{self, PROCESS_HEADER, Usages, count, rounded};
use super::usage::Usage;
use super::verify;
use crate::cli::BenchTransactions;
use crate::client::Mesh;
use crate::output::{Output, progress, table};

/// How many days back the events reach: most lie in the current month, so that budgets count, and some in one that is over.
const DAYS: i64 = 28;
/// Events that find connections, caches and files cold, and do not count.
const WARM_UP: u64 = 2_048;
/// How often the disk alone is measured.
const SYNCS: usize = 200;

/// What was measured.
#[derive(Debug)]
struct Measured {
    elapsed: Duration,
    used: Usages,
    /// What the publisher used meanwhile.
    own: Usage,
    disk: Latencies,
    one: OneInFlight,
    loaded: Latencies,
    limit: Limit,
    /// The first difference between what was published and what is answered.
    difference: Option<String>,
}

pub(crate) async fn run(out: &Output, args: &BenchTransactions) -> Result<ExitCode, Fault> {
    let measured = measure(args).await?;
    let document = document(args, &measured);
    out.answer(&document, || text(args, &measured, &document))?;
    match measured.difference {
        None => Ok(ExitCode::SUCCESS),
        Some(difference) => Err(wrong(&difference)),
    }
}

/// What a run that does not add up ends with.
pub(super) fn wrong(difference: &str) -> Fault {
    Fault::new(
        Code::Internal,
        "NOT_VERIFIED",
        format!("the totals are not those of what was published: {difference}"),
    )
}

/// The day that it is, in UTC.
pub(super) fn today() -> Result<CivilDate, Fault> {
    CivilDate::from_instant_us(Clock::system().now_us(), &TimeZone::utc()).map_err(Fault::internal)
}

/// Limits for the users of a stream.
pub(super) async fn budgets_of(mesh: &Mesh, users: u32) -> Result<(), Fault> {
    let limits = || BUDGETS.map(|(category, minor)| (category.to_owned(), minor)).to_vec();
    set_budgets(mesh, (0..users).map(|number| (user(number), limits()))).await
}

async fn measure(args: &BenchTransactions) -> Result<Measured, Fault> {
    let bar = progress("services starting");
    let (mut rig, mesh) = Rig::start(args.dir.as_deref()).await?;
    let measured = measure_with(args, &mut rig, &mesh, &bar).await;
    bar.finish_and_clear();
    measured.map_err(|fault| rig.explain(fault))
}

async fn measure_with(
    args: &BenchTransactions,
    rig: &mut Rig,
    mesh: &Mesh,
    bar: &ProgressBar,
) -> Result<Measured, Fault> {
    let today = today()?;
    let fresh = Stream::new(args.users, today, DAYS);
    let (mut stream, mut sizes) = (fresh.clone(), Vec::new());
    budgets_of(mesh, args.users).await?;
    let warm =
        saturate(mesh, &mut stream, &mut sizes, WARM_UP.min(args.events), &ProgressBar::hidden()).await?;
    warm.processed(mesh).await?;

    phase(bar, "notices, one event in flight");
    let disk = fdatasyncs(rig.directory()).map_err(Fault::internal)?;
    let one = latency::one_in_flight(mesh, today, args.samples, bar).await?;
    phase(bar, "events at the given rate");
    let load = (args.samples, args.rate);
    let loaded = latency::loaded(mesh, today, load, (&mut stream, &mut sizes), bar).await?;

    phase(bar, "events published at saturation");
    let (before, own_before) = (rig.usage()?, rig.own_usage()?);
    let begun = Instant::now();
    let last = saturate(mesh, &mut stream, &mut sizes, args.events, bar).await?;
    bar.set_message("events published, waiting until all are processed");
    last.processed(mesh).await?;
    let elapsed = begun.elapsed();
    let used = report::between(&before, &rig.usage()?);
    let own = rig.own_usage()?.since(own_before);

    phase(bar, "checking the totals");
    let expected = recompute(fresh.clone(), &sizes).map_err(Fault::internal)?;
    let span = fresh.span().map_err(Fault::internal)?;
    let difference = verify::first_difference(mesh, expected, args.users, span).await?;

    phase(bar, "events written directly to SQLite");
    // The limit has the machine for itself, as the services had.
    rig.stop();
    let size = (args.events, args.users);
    let (limit, limit_difference) = limit::run(rig.directory(), fresh, size, today, bar).await?;
    Ok(Measured { elapsed, used, own, disk, one, loaded, limit, difference: difference.or(limit_difference) })
}

/// How long the disk takes for a small write, right before it is waited for in earnest: what every latency here is a multiple of.
fn fdatasyncs(directory: &Path) -> std::io::Result<Latencies> {
    let mut file = File::create(directory.join("sync.bin"))?;
    let mut write = || {
        let begun = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..SYNCS).map(|_| write()).collect::<std::io::Result<_>>().map(Latencies::new)
}

pub(super) fn phase(bar: &ProgressBar, what: &'static str) {
    bar.set_position(0);
    bar.set_message(what);
}

fn document(args: &BenchTransactions, measured: &Measured) -> Value {
    let rate = |elapsed: Duration| count(args.events) / elapsed.as_secs_f64();
    let (reached, limit) = (rate(measured.elapsed), rate(measured.limit.elapsed));
    let latency = |latencies: &Latencies, percent| rounded(latencies.percentile_ms(percent), 3);
    let mut document = json!({
        "events": args.events,
        "users": args.users,
        "batch": BATCH,
        "batches_in_flight": IN_FLIGHT,
        "samples": args.samples,
        "events_per_second": rounded(reached, 0),
        "limit_events_per_second": rounded(limit, 0),
        "ratio": rounded(reached / limit, 3),
        "latency_ms": {"p50": latency(&measured.one.noticed, 50), "p99": latency(&measured.one.noticed, 99)},
        "accepted_ms": {"p50": latency(&measured.one.accepted, 50), "p99": latency(&measured.one.accepted, 99)},
        "fdatasync_ms": latency(&measured.disk, 50),
        "loaded_latency_ms": {
            "rate": args.rate,
            "p50": latency(&measured.loaded, 50),
            "p99": latency(&measured.loaded, 99),
        },
        "verified": measured.difference.is_none(),
        "difference": measured.difference,
        "processes": report::processes(&measured.used, args.events),
        "publisher_cpu_seconds": rounded(count(measured.own.cpu_ms) / 1e3, 2),
        "limit": report::of_limit(measured.limit, args.events),
    });
    if let Some(fields) = document.as_object_mut() {
        fields.extend(report::per_1000(report::total(&measured.used), args.events));
    }
    document
}

fn text(args: &BenchTransactions, measured: &Measured, document: &Value) -> String {
    let figure = |path: &str| document.pointer(path).map(ToString::to_string).unwrap_or_default();
    let latency = |path: &str| {
        format!("p50 {} ms, p99 {} ms", figure(&format!("{path}/p50")), figure(&format!("{path}/p99")))
    };
    let verdict = measured.difference.as_ref().map_or_else(|| "yes".to_owned(), |what| format!("NO: {what}"));
    let rows = [
        ("events processed to the end", format!("{} /s", figure("/events_per_second"))),
        ("the same directly on SQLite", format!("{} /s", figure("/limit_events_per_second"))),
        ("ratio", figure("/ratio")),
        ("fdatasync of 4 KiB, median", format!("{} ms", figure("/fdatasync_ms"))),
        ("publish to accepted, one in flight", latency("/accepted_ms")),
        ("publish to notice, one in flight", latency("/latency_ms")),
        ("publish to notice, loaded", format!("{} at {} events/s", latency("/loaded_latency_ms"), args.rate)),
        ("CPU of the publisher itself", format!("{} s", figure("/publisher_cpu_seconds"))),
        ("totals verified", verdict),
    ];
    let rows = rows.into_iter().map(|(what, figure)| vec![what.to_owned(), figure]);
    let measured_with = format!("{} events of {} users", args.events, args.users);
    let processes =
        table(&PROCESS_HEADER, &[1, 2, 3, 4, 5], report::process_rows(&measured.used, args.events));
    format!("{}\n\n{processes}", table(&["figure", &measured_with], &[], rows))
}
