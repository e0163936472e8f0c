//! The fuzz targets without a fuzzer: each over its seeds and a few hundred mutations of them, so that no target rots and what is easily found is found by everybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::from_environment;

#[expect(unreachable_pub, reason = "public for the targets, whose crate this file is the library of")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Pieces that mean something to one reader or another.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"'",
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b":",
    b",",
    b"<",
    b">",
    b"</",
    b"&amp;",
    b"${",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"-",
    b"0",
    b"1e999",
    b"99999999999999999999",
];

/// The seeds of a target.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The order of a folder is its own; with a seed of chance the mutations are to be the same.
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A few changes anywhere.
fn mutated(seeds: &[Vec<u8>], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut data = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..=4) {
        let (at, end) = (rng.usize(..=data.len()), rng.usize(..=data.len()));
        let (at, end) = (at.min(end), at.max(end));
        match rng.u8(..6) {
            0 => drop(data.splice(at..at, rng.choice(PIECES).unwrap().iter().copied())),
            1 => drop(data.splice(at..(at + 1).min(data.len()), [rng.u8(..)])),
            2 => drop(data.drain(at..end.min(at + 20))),
            3 => data.extend_from_within(at..end.min(at + 40)),
            4 => {
                let piece = data[at..end.min(at + 40)].to_vec();
                let to = rng.usize(..=data.len());
                data.splice(to..to, piece);
            }
            _ => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data
}

fn run(name: &str, times: u64, target: fn(&[u8])) {
    let (times, seed) =
        (from_environment("PATHWAY_FUZZ", times), from_environment("PATHWAY_SEED", fastrand::u64(..)));
    eprintln!("{name}: {times} mutations, PATHWAY_SEED={seed}");
    let (seeds, mut rng) = (seeds(name), fastrand::Rng::with_seed(seed));
    let mutations =
        std::iter::repeat_with(|| mutated(&seeds, &mut rng)).take(usize::try_from(times).unwrap());
    for data in seeds.iter().cloned().chain(mutations) {
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&data)));
        assert!(
            outcome.is_ok(),
            "PATHWAY_SEED={seed}, the target `{name}` panicked at \"{}\"",
            data.escape_ascii()
        );
    }
}

#[test]
fn any_definition_is_taken_apart() {
    run("definition", 300, targets::definition);
}

#[test]
fn any_expression_is_taken_apart() {
    run("expression", 300, targets::expression);
}

#[test]
fn any_event_is_taken_apart() {
    run("event", 200, targets::event);
}

#[test]
fn any_statement_is_taken_apart() {
    run("statement", 1_000, targets::statement);
}

#[test]
fn any_token_is_taken_apart() {
    run("token", 2_000, targets::token);
}

#[test]
fn any_key_set_is_taken_apart() {
    run("keys", 2_000, targets::keys);
}

#[test]
fn any_timeout_is_taken_apart() {
    run("timeout", 2_000, targets::timeout);
}

#[test]
fn any_trace_context_is_taken_apart() {
    run("traceparent", 2_000, targets::traceparent);
}

#[test]
fn any_page_token_is_taken_apart() {
    run("page", 2_000, targets::page);
}

#[test]
fn any_certificate_is_taken_apart() {
    run("pem", 2_000, targets::pem);
}

#[test]
fn any_request_is_taken_apart() {
    run("request", 400, targets::request);
}
