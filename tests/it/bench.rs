//! The bench measures, checks what it measured, and leaves nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pathway_testkit::{Run, eventually};

/// The command line's binary, in a directory of the build's or in another one.
fn pathway() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().and_then(Path::parent).unwrap().join("pathway")
}

/// A small run whose temporary directory is made in `place`.
fn bench(binary: &Path, place: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args([
        "bench",
        "transactions",
        "--events",
        "700",
        "--users",
        "5",
        "--samples",
        "4",
        "--rate",
        "200",
        "--json",
    ]);
    command.arg("--dir").arg(place);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A caller's own settings do not reach the bench's services.
    command.env("PATHWAY_ANALYTICS__STORE__KIND", "nonsense");
    command
}

fn finish(child: Child) -> Run {
    Run::from(child.wait_with_output().unwrap())
}

fn is_empty(place: &Path) -> bool {
    std::fs::read_dir(place).unwrap().next().is_none()
}

/// The processes that were started with something in `place`.
fn processes_of(place: &Path) -> Vec<String> {
    let place = place.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // One that ends meanwhile has no command line any more.
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(place) && line.contains("--data-dir")).collect()
}

#[test]
fn two_benches_side_by_side_add_up_and_leave_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    let runs = [0, 1].map(|_| bench(&pathway(), place.path()).spawn().unwrap());
    for run in runs {
        let document = finish(run).succeeded().json();
        assert_eq!(document["verified"], true, "{document}");
        let figures = [
            "/events_per_second",
            "/limit_events_per_second",
            "/ratio",
            "/accepted_ms/p50",
            "/latency_ms/p50",
            "/latency_ms/p99",
            "/loaded_latency_ms/p50",
            "/loaded_latency_ms/p99",
            "/cpu_seconds_per_1000",
            "/fsyncs_per_1000",
            "/bytes_written_per_1000",
            "/fdatasync_ms",
        ];
        for figure in figures {
            let value = document.pointer(figure).and_then(serde_json::Value::as_f64);
            assert!(value.is_some_and(|value| value > 0.0), "{figure} in {document}");
        }
        assert_eq!(document["loaded_latency_ms"]["rate"], 200);
        let processes = document["processes"].as_array().unwrap();
        let names: Vec<&str> = processes.iter().map(|process| process["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["pathway-datasync", "pathway-analytics", "pathway-notifications", "pathway-processor"]
        );
        for process in processes {
            assert!(process["cpu_seconds"].is_number(), "{process}");
            assert!(process["peak_rss_mib"].as_f64().unwrap() > 1.0, "{process}");
        }
    }
    assert!(is_empty(place.path()));
}

#[test]
fn an_interrupted_bench_takes_its_processes_and_its_directory_with_it() {
    let place = tempfile::tempdir().unwrap();
    let child = bench(&pathway(), place.path()).spawn().unwrap();
    eventually("all four are running", || (processes_of(place.path()).len() == 4).then_some(()));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(processes_of(place.path()), Vec::<String>::new());
    assert!(is_empty(place.path()));
}

#[test]
fn a_bench_without_its_binaries_says_how_to_build_them() {
    let place = tempfile::tempdir().unwrap();
    let alone = place.path().join("pathway");
    std::fs::copy(pathway(), &alone).unwrap();
    let run = finish(bench(&alone, place.path()).spawn().unwrap()).failed();
    assert!(run.stderr.contains("pathway-analytics") && run.stderr.contains("cargo build"), "{}", run.stderr);
}

#[test]
fn a_history_of_a_few_events_is_measured_to_its_end() {
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(pathway());
    command
        .args(["bench", "history", "--history", "1000", "--users", "3", "--json"])
        .arg("--dir")
        .arg(place.path());
    let document = Run::from(command.output().unwrap()).succeeded().json();
    assert_eq!(document["verified"], true, "{document}");
    assert_eq!(document["points"][0]["stored"], 1000);
    assert_eq!(document["starts"].as_array().unwrap().len(), 4);
    assert!(document["cost_ratio"].is_number() && is_empty(place.path()));
}

#[test]
fn every_question_is_measured_over_a_few_lines() {
    let place = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(pathway());
        command.args(["bench", "queries", "--facts", "3000", "--users", "6", "--samples", "5"]);
        command.args(more).arg("--dir").arg(place.path());
        // A caller's own settings do not reach the bench's service.
        command.env("PATHWAY_ANALYTICS__STORE__KIND", "nonsense");
        Run::from(command.output().unwrap()).succeeded()
    };
    let document = run(&["--json"]).json();
    assert_eq!((&document["facts"], &document["users"]), (&3000.into(), &6.into()));
    assert!(document["insights"].as_u64().is_some_and(|insights| insights > 0), "{document}");
    let questions = document["questions"].as_array().unwrap();
    let names: Vec<&str> = questions.iter().map(|entry| entry["question"].as_str().unwrap()).collect();
    let all = [
        "GetSpending",
        "GetSummary",
        "ListTrends, days",
        "ListTrends, year",
        "GetBudgetStatus",
        "ListInsights",
        "Explain",
    ];
    assert_eq!(names, all);
    for entry in questions {
        let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|key| entry[key].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{entry}");
    }
    let text = run(&[]).stdout;
    assert!(all.iter().all(|name| text.contains(name)), "{text}");
    assert!(is_empty(place.path()));
}
