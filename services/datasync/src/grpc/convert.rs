//! Generated types into the domain's and back. What comes in is checked here, every violation at once; what is inside is valid.

use std::sync::Arc;

use pathway_finance::{Currency, LineKind, category_key};
use pathway_kernel::{Check, Violation};
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_proto::pathway::types::v1 as types;
use pathway_rpc::{Mask, Pages, from_date, from_money, to_date, to_money};
use uuid::Uuid;

use crate::error::DatasyncError;
use crate::import::Format;
use crate::limits;
use crate::records::{Change, Content, Identity, Origin, Outcome, Position, Record, Write};
use crate::service::StatementFile;
use crate::store::{Listing, Place};

/// The largest statement.
const LONGEST_STATEMENT: usize = 32 * 1024 * 1024;

/// The source of parts, which only a split makes.
const PARTS: &str = "split";

/// The places of one listing as tokens.
#[derive(Debug)]
pub(super) struct PageToken(Pages);

/// A page of a record's versions.
#[derive(Debug)]
pub(super) struct VersionPage {
    /// The versions of the page are larger.
    pub(super) after: i64,
    pub(super) limit: i64,
    pages: Pages,
}

// === impl PageToken ===

impl PageToken {
    fn of(listing: &Listing) -> Self {
        // A category's key is never `*`.
        let category = listing.category.as_deref().unwrap_or("*");
        let deleted = if listing.show_deleted { "deleted" } else { "" };
        Self(Pages::of("ListRecords", &[&listing.user_id, category, deleted]))
    }

    /// The token of the page after this record.
    pub(super) fn after(&self, record: &Record) -> String {
        self.0.token(&format!("{}.{}", record.content.date.epoch_days(), record.id.simple()))
    }

    fn place(&self, token: &str) -> Result<Option<Place>, &'static str> {
        let Some(text) = self.0.place(token)? else { return Ok(None) };
        let read = || {
            let (day, id) = text.split_once('.')?;
            Some(Place { day: day.parse().ok()?, id: Uuid::parse_str(id).ok()? })
        };
        read().map(Some).ok_or("is of another listing: begin again with an empty one")
    }
}

// === impl VersionPage ===

impl VersionPage {
    pub(super) fn of(request: &pb::ListRecordVersionsRequest) -> Result<Self, DatasyncError> {
        let mut check = of_record(&request.user_id, &request.record_id);
        let pages = Pages::of("ListRecordVersions", &[&request.user_id, &request.record_id]);
        let limit = check.page_size("page_size", request.page_size, 50, 1000);
        let place = check.take("page_token", pages.place(&request.page_token)).flatten();
        check.done()?;
        let after = place.and_then(|version| version.parse().ok()).unwrap_or_default();
        Ok(Self { after, limit, pages })
    }

    /// The token of the page after this version.
    pub(super) fn token(&self, change: &Change) -> String {
        self.pages.token(&change.after.version.to_string())
    }
}

/// Which record, and whose.
fn of_record(user_id: &str, record_id: &str) -> Check {
    let mut check = Check::default();
    check.required("user_id", user_id, limits::USER_ID);
    check.required("record_id", record_id, limits::KEY);
    check
}

/// A write, or everything that is wrong with it.
pub(super) fn write(item: pb::RecordWrite) -> Result<Write, Vec<Violation>> {
    let mut check = Check::default();
    let Some(record) = item.record else {
        return Err(vec![Violation::new("record", "is required")]);
    };
    let identity = record.identity.clone().unwrap_or_default();
    check.required("record.user_id", &record.user_id, limits::USER_ID);
    check.required("record.identity.source", &identity.source, limits::SOURCE);
    check.text("record.identity.account", &identity.account, limits::ACCOUNT);
    check.required("record.identity.key", &identity.key, limits::KEY);
    let is_part = identity.source == PARTS;
    check
        .note("record.identity.source", is_part.then_some("names the parts of split lines; use SplitRecord"));
    let replaces = item.replaces.map(|replaced| {
        check.required("replaces.source", &replaced.source, limits::SOURCE);
        check.text("replaces.account", &replaced.account, limits::ACCOUNT);
        check.required("replaces.key", &replaced.key, limits::KEY);
        let user_id = record.user_id.clone();
        Arc::new(Identity { user_id, source: replaced.source, account: replaced.account, key: replaced.key })
    });
    let origin = check.take("origin", origin(item.origin));
    let position = item.position.map(|position| {
        check.required("position.epoch", &position.epoch, limits::EPOCH);
        Position { epoch: position.epoch, partition: position.partition, offset: position.offset }
    });
    let user_id = record.user_id.clone();
    let content = if record.deleted { None } else { content(record, &identity.account, &mut check) };
    match origin {
        Some(origin) if check.is_clean() => {
            let identity =
                Identity { user_id, source: identity.source, account: identity.account, key: identity.key };
            Ok(Write { identity: Arc::new(identity), content, position, origin, replaces })
        }
        _ => Err(check.done().err().unwrap_or_default()),
    }
}

fn content(record: types::Record, account: &str, check: &mut Check) -> Option<Content> {
    check.text("record.account", &record.account, limits::ACCOUNT);
    check.text("record.category", &record.category, limits::CATEGORY);
    check.text("record.merchant", &record.merchant, limits::FREE_TEXT);
    check.text("record.description", &record.description, limits::FREE_TEXT);
    let kind = check.take("record.kind", kind(record.kind));
    let amount = from_money(record.amount.as_ref());
    let amount = amount.and_then(|amount| amount.of_line().map_err(|error| error.to_string()));
    let amount = check.take("record.amount", amount);
    let date = check.take("record.date", from_date(record.date.as_ref()));
    Some(Content {
        kind: kind?,
        amount: amount?,
        category: category_key(&record.category),
        date: date?,
        merchant: record.merchant,
        description: record.description,
        occurred_at_us: record.occurred_at_us,
        account: if record.account.is_empty() { account.to_owned() } else { record.account },
        pending: record.pending,
    })
}

fn kind(code: i32) -> Result<LineKind, &'static str> {
    match types::LineKind::try_from(code) {
        Ok(types::LineKind::Unspecified | types::LineKind::Expense) => Ok(LineKind::Expense),
        Ok(types::LineKind::Income) => Ok(LineKind::Income),
        Ok(types::LineKind::Transfer) => Ok(LineKind::Transfer),
        Ok(types::LineKind::Adjustment) => Ok(LineKind::Adjustment),
        Err(_) => Err("is no kind of line"),
    }
}

fn origin(code: i32) -> Result<Origin, &'static str> {
    match types::Origin::try_from(code) {
        Ok(types::Origin::Unspecified | types::Origin::Live) => Ok(Origin::Live),
        Ok(types::Origin::History) => Ok(Origin::History),
        Err(_) => Err("is no origin"),
    }
}

/// Which records to list, one more than the page has, and what makes the token of the next page.
pub(super) fn listing(request: pb::ListRecordsRequest) -> Result<(Listing, PageToken, Mask), DatasyncError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, limits::USER_ID);
    let limit = check.page_size("page_size", request.page_size, 100, 1000) + 1;
    let mask = Mask::read(&mut check, "read_mask", request.read_mask.as_ref(), "pathway.types.v1.Record");
    let (user_id, show_deleted) = (request.user_id, request.show_deleted);
    if let Some(category) = &request.category {
        check.text("category", category, limits::CATEGORY);
    }
    let category = request.category.map(|category| category_key(&category));
    let mut listing = Listing { user_id, category, show_deleted, after: None, limit };
    let token = PageToken::of(&listing);
    listing.after = check.take("page_token", token.place(&request.page_token)).flatten();
    check.done()?;
    Ok((listing, token, mask))
}

/// Which changes of the feed to read, and how many at once. A stream has no page size: it gives 0.
pub(super) fn feed(
    after: i64,
    filter: Option<i32>,
    page_size: i32,
) -> Result<(Option<Origin>, i64), DatasyncError> {
    let mut check = Check::default();
    let limit = check.page_size("page_size", page_size, 512, 4096);
    check.note("after_sequence", (after < 0).then_some("must not be negative"));
    let filter = filter.and_then(|code| check.take("origin", origin(code)));
    check.done()?;
    Ok((filter, limit))
}

/// A statement to import.
pub(super) fn statement_file(request: pb::ImportStatementRequest) -> Result<StatementFile, DatasyncError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, limits::USER_ID);
    check.required("account", &request.account, limits::ACCOUNT);
    let currency = match &*request.currency_code {
        "" => None,
        code => check.take("currency_code", Currency::parse(code)),
    };
    let format = check.take("format", format(request.format));
    let size = request.content.len();
    check.note(
        "content",
        (size > LONGEST_STATEMENT).then(|| format!("has {size} bytes; {LONGEST_STATEMENT} is the limit")),
    );
    check.done()?;
    let format = format.unwrap_or(Format::Auto);
    Ok(StatementFile {
        user_id: request.user_id,
        account: request.account,
        currency,
        format,
        content: request.content,
    })
}

fn format(code: i32) -> Result<Format, &'static str> {
    match pb::StatementFormat::try_from(code) {
        Ok(pb::StatementFormat::Unspecified) => Ok(Format::Auto),
        Ok(pb::StatementFormat::Csv) => Ok(Format::Csv),
        Ok(pb::StatementFormat::Ofx) => Ok(Format::Ofx),
        Err(_) => Err("is no format of a statement"),
    }
}

/// A record as it is sent.
pub(super) fn record(record: &Record) -> types::Record {
    let content = &record.content;
    let kind = match content.kind {
        LineKind::Expense => types::LineKind::Expense,
        LineKind::Income => types::LineKind::Income,
        LineKind::Transfer => types::LineKind::Transfer,
        LineKind::Adjustment => types::LineKind::Adjustment,
    };
    types::Record {
        record_id: record.id.to_string(),
        user_id: record.identity.user_id.clone(),
        identity: Some(types::RecordIdentity {
            source: record.identity.source.clone(),
            account: record.identity.account.clone(),
            key: record.identity.key.clone(),
        }),
        version: record.version,
        kind: kind.into(),
        amount: Some(to_money(content.amount)),
        category: content.category.clone(),
        date: Some(to_date(content.date)),
        merchant: content.merchant.clone(),
        description: content.description.clone(),
        occurred_at_us: content.occurred_at_us,
        deleted: record.deleted,
        account: content.account.clone(),
        pending: content.pending,
        split_of: record.links.split_of.map_or_else(String::new, |id| id.to_string()),
        is_split: record.links.is_split,
        paired_with: record.links.paired_with.map_or_else(String::new, |id| id.to_string()),
    }
}

/// A change as it is sent.
pub(super) fn change(change: &Change) -> types::RecordChange {
    let origin = match change.origin {
        Origin::Live => types::Origin::Live,
        Origin::History => types::Origin::History,
    };
    types::RecordChange {
        sequence: change.sequence,
        before: change.before.as_deref().map(record),
        after: Some(record(&change.after)),
        origin: origin.into(),
        changed_at_us: change.changed_at_us,
    }
}

/// An outcome as it is sent.
pub(super) fn outcome(outcome: &Outcome) -> pb::WriteOutcome {
    pb::WriteOutcome {
        change: outcome.change.as_ref().map(change),
        record: outcome.record.as_deref().map(record),
    }
}
