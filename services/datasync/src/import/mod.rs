//! Statements into lines.
//!
//! A file is read whole before anything is stored. What makes the file as a whole unreadable (a column that is not known, an encoding, a
//! quote that is never closed) refuses it with nothing applied; what is wrong with one line rejects that line, by number and reason, and
//! the others are imported.
//!
//! # What names a line
//! The provider's id where there is one. Elsewhere a fingerprint of account, date, description, amount and direction with an occurrence
//! number: two equal purchases on one day are the first and the second of their kind, so both are kept, and a file that overlaps an earlier
//! one counts them the same way and adds nothing. The category is no part of it, because a user may edit that.

mod csv;
mod mapping;
mod ofx;
mod ofx_tokens;
mod text;

use std::sync::Arc;

use pathway_finance::{Currency, Fingerprints};

pub(crate) use mapping::Mapping;
pub use mapping::MappingError;

use crate::error::DatasyncError;
use crate::records::{Content, Identity};

/// How many lines of a file may be rejected: enough for any statement, and an answer that can still be sent and read.
const MOST_REJECTED: usize = 10_000;

/// The form of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Decided from the content.
    Auto,
    Csv,
    Ofx,
}

/// What the file need not say.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) user_id: String,
    pub(crate) account: String,
    pub(crate) currency: Currency,
}

/// A statement as read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) lines: Vec<Line>,
    pub(crate) rejected: Vec<Rejected>,
}

/// A line that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) identity: Arc<Identity>,
    /// Whether the provider named it, so that other money under the same name is a conflict.
    pub(crate) named_by_provider: bool,
    pub(crate) content: Content,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Counts from 1, the header included.
    pub(crate) line: u64,
    /// What is wrong and what would be right.
    pub(crate) reason: String,
}

/// What a statement holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// How many lines can be imported.
    pub lines: usize,
    /// How many cannot be read.
    pub rejected: usize,
}

/// Why a file as a whole cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StatementError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// There is a header and nothing below it.
    #[error("line {line}: the file has a header and no data lines")]
    NoLines {
        /// The header's line.
        line: u64,
    },
    /// It is not text that we can decode.
    #[error("line {line}: byte {byte} of the file is not UTF-8; save the file as UTF-8")]
    NotText {
        /// Where.
        line: u64,
        /// Where, counted from 1.
        byte: usize,
    },
    /// A line is longer than any line of a statement.
    #[error("line {line}: longer than {limit} bytes")]
    LongLine {
        /// Which.
        line: u64,
        /// How long a line may be.
        limit: usize,
    },
    /// A quoted field never ends.
    #[error("line {line}: a quote is opened and never closed")]
    OpenQuote {
        /// Where it is opened.
        line: u64,
    },
    /// The header does not fit.
    #[error("line {line}: {}", problems.join("; "))]
    Header {
        /// The header's line.
        line: u64,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// It is no OFX, or holds nothing that we can import.
    #[error("not an OFX bank or card statement: {0}")]
    NotOfx(&'static str),
    /// So much of it cannot be read that it is no statement.
    #[error(
        "line {line}: one more line that cannot be read after {limit} others; the file seems to be something else"
    )]
    TooManyRejected {
        /// Where we gave up.
        line: u64,
        /// How many are put up with.
        limit: usize,
    },
    /// A record could not be separated from the next.
    #[error("line {line}: the file cannot be split into fields")]
    Fields {
        /// Where.
        line: u64,
    },
}

/// A line before it has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draft {
    account: String,
    provider_id: Option<String>,
    /// What goes into the fingerprint besides account, date and currency: description, amount and direction.
    raw: [String; 3],
    content: Content,
}

/// What a format's reader answers.
#[derive(Debug, Default)]
struct Drafts {
    lines: Vec<Draft>,
    rejected: Vec<Rejected>,
}

// === impl Line ===

impl Line {
    /// Whether the provider says other money, or another date, under a name that stands for `known`.
    pub(crate) fn is_conflict(&self, known: &Content) -> bool {
        let money = |content: &Content| (content.inflow(), content.amount.currency(), content.date);
        self.named_by_provider && money(&self.content) != money(known)
    }
}

// === impl Drafts ===

impl Drafts {
    /// Rejects a line, or the file where too many have been.
    fn reject(&mut self, line: u64, problems: &[String]) -> Result<(), StatementError> {
        if self.rejected.len() == MOST_REJECTED {
            return Err(StatementError::TooManyRejected { line, limit: MOST_REJECTED });
        }
        self.rejected.push(Rejected { line, reason: problems.join("; ") });
        Ok(())
    }
}

/// Reads a statement as a datasync with the default configuration would, and imports nothing.
///
/// # Errors
/// Where the file as a whole cannot be read.
pub fn examine(content: &[u8]) -> Result<Examined, DatasyncError> {
    let currency = Currency::parse("USD").map_err(|_| DatasyncError::Corrupt("currency"))?;
    let defaults = Defaults { user_id: "nobody".to_owned(), account: "none".to_owned(), currency };
    let statement = read(content, Format::Auto, &defaults, &Mapping::load(None)?)?;
    Ok(Examined { lines: statement.lines.len(), rejected: statement.rejected.len() })
}

/// Reads a statement.
pub(crate) fn read(
    content: &[u8],
    format: Format,
    defaults: &Defaults,
    mapping: &Mapping,
) -> Result<Statement, StatementError> {
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(StatementError::Empty);
    }
    let is_ofx = match format {
        Format::Auto => looks_like_ofx(content),
        Format::Csv => false,
        Format::Ofx => true,
    };
    let (source, drafts) = if is_ofx {
        ("ofx", ofx::read(content, defaults, mapping)?)
    } else {
        ("csv", csv::read(content, defaults, mapping)?)
    };
    Ok(named(source, drafts, defaults))
}

fn named(source: &str, drafts: Drafts, defaults: &Defaults) -> Statement {
    let mut fingerprints = Fingerprints::default();
    let mut name = |draft: Draft| {
        let named_by_provider = draft.provider_id.is_some();
        let key = draft.provider_id.unwrap_or_else(|| {
            let (date, currency) = (draft.content.date.to_string(), draft.content.amount.currency());
            let [description, amount, direction] = &draft.raw;
            fingerprints.next(&[
                &*draft.account,
                &*date,
                currency.code(),
                &**description,
                &**amount,
                &**direction,
            ])
        });
        let (user_id, source) = (defaults.user_id.clone(), source.to_owned());
        let identity = Arc::new(Identity { user_id, source, account: draft.account, key });
        Line { identity, named_by_provider, content: draft.content }
    };
    Statement { lines: drafts.lines.into_iter().map(&mut name).collect(), rejected: drafts.rejected }
}

/// Whether the beginning of a file is that of OFX, 1.x or 2.x.
fn looks_like_ofx(content: &[u8]) -> bool {
    let start = content.get(..4096).unwrap_or(content).to_ascii_uppercase();
    let has = |mark: &[u8]| start.windows(mark.len()).any(|window| window == mark);
    has(b"OFXHEADER") || has(b"<OFX>") || has(b"<OFX ")
}
