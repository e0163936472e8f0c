//! The layout that the design promises, read from the manifests and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SERVICES: [&str; 4] = ["processor", "datasync", "analytics", "notifications"];

/// A crate may depend on crates of a lower layer only, and on those beside it that are named.
const LAYERS: [(&str, u8); 18] = [
    ("pathway-kernel", 0),
    ("pathway-finance", 0),
    ("pathway-proto", 0),
    ("pathway-resilience", 1),
    ("pathway-telemetry", 1),
    ("pathway-outbound", 2),
    ("pathway-rpc", 3),
    ("pathway-runtime", 4),
    ("pathway-store", 4),
    ("pathway-engine", 4),
    ("pathway-topics", 5),
    ("pathway-processor", 6),
    ("pathway-datasync", 6),
    ("pathway-analytics", 6),
    ("pathway-notifications", 6),
    ("pathway", 7),
    ("pathway-testkit", 7),
    ("pathway-tests", 8),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Each of our crates with those that it depends on; tests' own dependencies do not count.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies.filter(|dependency| dependency["kind"].is_null()).map(name);
            (name(package), ours.filter(|name| name.starts_with("pathway")).collect())
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let layers = BTreeMap::from(LAYERS);
    for (name, dependencies) in crates() {
        let own =
            layers.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no layer: add it to LAYERS"));
        for dependency in dependencies {
            let other = layers[dependency.as_str()];
            assert!(other < *own, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn leaves_depend_on_nothing_of_ours() {
    let crates = crates();
    for leaf in ["pathway-kernel", "pathway-finance", "pathway-proto"] {
        assert_eq!(crates[leaf], BTreeSet::new(), "{leaf}");
    }
}

#[test]
fn every_crate_opts_into_the_lints() {
    for folder in ["libs", "services"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            if manifest.exists() {
                let text = std::fs::read_to_string(&manifest).unwrap();
                assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
            }
        }
    }
}

#[test]
fn every_service_has_the_same_files() {
    for service in SERVICES {
        let source = root().join("services").join(service);
        for file in ["lib.rs", "main.rs", "config.rs", "service.rs", "grpc.rs", "store.rs", "error.rs"] {
            assert!(source.join("src").join(file).exists(), "{service} lacks {file}");
        }
        assert!(source.join("migrations").is_dir() || source.join("src/migrations").is_dir(), "{service}");
    }
}

#[test]
fn statuses_are_made_in_one_crate() {
    for file in rust_files(&root().join("services")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for constructor in
            ["Status::internal(", "Status::invalid_argument(", "Status::unavailable(", "Status::new("]
        {
            assert!(!code.contains(constructor), "{} builds a status by hand", file.display());
        }
    }
}

#[test]
fn files_stay_small_enough_to_read() {
    for folder in ["libs", "services", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
            let lines =
                code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
            let count = lines.count();
            assert!(
                count <= 500,
                "{} has {count} lines of code: is there a second idea in it?",
                file.display()
            );
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("generated") && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
