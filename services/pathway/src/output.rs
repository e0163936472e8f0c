//! Printing: tables for people, or one JSON document.
//!
//! Answers go to standard output, everything else to standard error, so that `--json` can be piped.

use std::error::Error as _;
use std::io::{ErrorKind, Write as _};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use pathway_kernel::{Code, Fault};
use serde_json::Value;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

// === impl Output ===

impl Output {
    /// JSON where `json` is set, tables otherwise.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the answer is JSON.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints the answer: `document` with `--json`, else what `human` makes.
    ///
    /// # Errors
    /// As [`line()`].
    pub fn answer(&self, document: &Value, human: impl FnOnce() -> String) -> Result<(), Fault> {
        let text = if self.json { document.to_string() } else { human() };
        line(&text)
    }
}

/// The reason of a fault that says only that nobody reads the output any more: how a reader such as `head` says "enough".
pub const OUTPUT_CLOSED: &str = "OUTPUT_CLOSED";

/// Prints lines to standard output, with control characters made visible: what somebody else named must not command a terminal.
///
/// # Errors
/// Where the output is closed ([`OUTPUT_CLOSED`]) or cannot take it.
pub fn line(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", visible(text)).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => {
            Fault::new(Code::Cancelled, OUTPUT_CLOSED, "nobody reads the output any more")
        }
        _ => {
            let message = format!("cannot write to standard output: {error}");
            Fault::new(Code::FailedPrecondition, "CANNOT_WRITE", message)
        }
    })
}

/// Prints lines to standard error, control characters made visible. Where nobody reads it any more, there is nobody to tell so, and the work goes on.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", visible(text));
}

fn visible(text: &str) -> String {
    let escaped = |c: char| match c {
        '\n' | '\t' => String::from(c),
        c if c.is_control() => c.escape_default().to_string(),
        c => String::from(c),
    };
    text.chars().map(escaped).collect()
}

/// A counter on standard error for work that may take long; not shown where that is no terminal.
#[must_use]
pub fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    // The template is ours and well formed; the default one would do as well.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} in {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// A table with a header; the columns in `right` are aligned to the right.
#[must_use]
pub fn table(header: &[&str], right: &[usize], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// What follows a list of the newest: how to see more, where there are more or, `total` not being known, may be.
#[must_use]
pub fn more(shown: usize, total: Option<i64>) -> String {
    match total {
        Some(total) if usize::try_from(total).is_ok_and(|total| total <= shown) => String::new(),
        Some(total) => format!("\n{shown} of {total} are shown, the newest: `--limit N` shows more"),
        None => format!("\n{shown} are shown, the newest: `--limit N` shows more, if there are"),
    }
}

/// Prints a fault to standard error: what is wrong with its causes, or every violation, and what to do.
pub fn print_fault(fault: &Fault) {
    for violation in fault.violations() {
        note(&format!("error: {violation}"));
    }
    if fault.violations().is_empty() {
        let mut parts = vec![fault.message().to_owned()];
        let mut cause = fault.source();
        if fault.code() == Code::Internal && cause.is_some() {
            // A defect's message is for callers far from its log; here the causes say more.
            parts.clear();
        }
        while let Some(error) = cause {
            parts.push(error.to_string());
            cause = error.source();
        }
        note(&format!("error: {}", parts.join(": ")));
    }
}

/// Microseconds since the Unix epoch as RFC 3339, in UTC.
#[must_use]
pub fn instant(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).map_or_else(|_| us.to_string(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(visible("a\u{1b}[2J\0\r\tb\n\u{9b}"), "a\\u{1b}[2J\\u{0}\\r\tb\n\\u{9b}");
        assert_eq!(visible("किराना ₹"), "किराना ₹");
    }
}
