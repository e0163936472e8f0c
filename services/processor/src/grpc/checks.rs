//! What a request must be before anything is asked of the service: every violation at once, and the pages of lists.

use pathway_kernel::{Check, Fault};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{Mask, Pages, status};
use pathway_store::Once;
use prost::Message;
use prost_types::FieldMask;
use tonic::Status as GrpcStatus;
use uuid::Uuid;

use super::{LONGEST_NAME, MOST_ITEMS};
use crate::events::LONGEST_TEXT;

/// A page of a list whose order is that of ids, newest first.
#[derive(Debug)]
pub(super) struct Page {
    /// The ids of the page are smaller.
    pub(super) before: Uuid,
    pub(super) limit: i64,
    pages: Pages,
}

/// A page of a list whose order is that of names.
#[derive(Debug)]
pub(super) struct NamedPage {
    /// The page begins behind this name; none for the first page.
    pub(super) after: Option<String>,
    pub(super) limit: i64,
    pages: Pages,
}

// === impl Page ===

impl Page {
    pub(super) fn of_executions(request: &api::ListExecutionsRequest) -> Result<Self, GrpcStatus> {
        let mut check = Check::default();
        check.text("pathway", &request.pathway, LONGEST_NAME);
        check.text("partition_key", &request.partition_key, LONGEST_TEXT);
        check.text("error_code", &request.error_code, LONGEST_NAME);
        check.text("event_id", &request.event_id, LONGEST_TEXT);
        check.text("topic", &request.topic, LONGEST_NAME);
        let is_status = api::ExecutionStatus::try_from(request.status).is_ok();
        check.note("status", (!is_status).then_some("is no status of an execution"));
        let numbers = [i64::from(request.status), request.started_from_us, request.started_before_us];
        let [status, from, before] = numbers.map(|number| number.to_string());
        let filters = [
            request.pathway.as_str(),
            &request.partition_key,
            &request.error_code,
            &request.event_id,
            &request.topic,
            &status,
            &from,
            &before,
        ];
        Self::checked(check, Pages::of("ListExecutions", &filters), &request.page_token, request.page_size)
    }

    pub(super) fn of_dead_letters(request: &api::ListDeadLettersRequest) -> Result<Self, GrpcStatus> {
        let mut check = Check::default();
        let filters = [
            ("pathway", request.pathway.as_str()),
            ("node", &request.node),
            ("error_code", &request.error_code),
            ("error_reason", &request.error_reason),
        ];
        for (field, text) in filters {
            check.text(field, text, LONGEST_NAME);
        }
        let pages = Pages::of("ListDeadLetters", &filters.map(|(_, text)| text));
        Self::checked(check, pages, &request.page_token, request.page_size)
    }

    pub(super) fn of_replays(request: &api::ListReplaysRequest) -> Result<Self, GrpcStatus> {
        Self::checked(Check::default(), Pages::of("ListReplays", &[]), &request.page_token, request.page_size)
    }

    /// The token of the page behind this one, if there is one.
    pub(super) fn token(&self, last: Option<Uuid>) -> String {
        last.map(|id| self.pages.token(&id.simple().to_string())).unwrap_or_default()
    }

    /// The same where only the page's length tells: a full one may have another behind it.
    pub(super) fn token_behind(&self, last: Option<Uuid>, count: usize) -> String {
        let is_full = i64::try_from(count).is_ok_and(|count| count >= self.limit);
        self.token(last.filter(|_| is_full))
    }

    fn checked(mut check: Check, pages: Pages, token: &str, size: i32) -> Result<Self, GrpcStatus> {
        let limit = check.page_size("page_size", size, 50, 1000);
        let place = check.take("page_token", pages.place(token)).flatten();
        refuse(check)?;
        let before = place.map_or(Uuid::max(), |id| Uuid::try_parse(&id).unwrap_or_default());
        Ok(Self { before, limit, pages })
    }
}

// === impl NamedPage ===

impl NamedPage {
    pub(super) fn of_pathways(request: &api::ListPathwaysRequest) -> Result<Self, GrpcStatus> {
        let pages = Pages::of("ListPathways", &[]);
        Self::checked(Check::default(), pages, &request.page_token, request.page_size)
    }

    pub(super) fn of_versions(request: &api::GetPathwayRequest) -> Result<Self, GrpcStatus> {
        let pages = Pages::of("GetPathway", &[&request.name]);
        let check = check_name("name", &request.name, &request.version);
        Self::checked(check, pages, &request.page_token, request.page_size)
    }

    /// The token of the page behind this name; empty where there is none.
    pub(super) fn token(&self, last: Option<&str>) -> String {
        last.map(|name| self.pages.token(name)).unwrap_or_default()
    }

    fn checked(mut check: Check, pages: Pages, token: &str, size: i32) -> Result<Self, GrpcStatus> {
        let limit = check.page_size("page_size", size, 50, 1000);
        let after = check.take("page_token", pages.place(token)).flatten();
        refuse(check)?;
        Ok(Self { after, limit, pages })
    }
}

/// The call of a request, if it has an id, without that.
pub(super) fn once<M: Message>(method: &'static str, id: &str, request: &M, now_us: i64) -> Option<Once> {
    (!id.is_empty()).then(|| Once::new(method, id, &request.encode_to_vec(), now_us))
}

/// The fields of each item that are wanted.
pub(super) fn mask(mask: Option<&FieldMask>, message: &str) -> Result<Mask, GrpcStatus> {
    let mut check = Check::default();
    let mask = Mask::read(&mut check, "read_mask", mask, message);
    refuse(check)?;
    Ok(mask)
}

/// Nothing, or the refusal that names everything that is wrong.
pub(super) fn refuse(check: Check) -> Result<(), GrpcStatus> {
    check.done().map_err(|violations| status(Fault::invalid(violations)))
}

/// Whether a list has no more items than a call may have.
pub(super) fn at_most(field: &str, count: usize) -> Result<(), GrpcStatus> {
    let mut check = Check::default();
    check.at_most(field, count, MOST_ITEMS);
    refuse(check)
}

/// The one id of a request. What is no id is nobody's: the nil one stands for it and is never found.
pub(super) fn required_id(id: &str) -> Result<Uuid, GrpcStatus> {
    let mut check = Check::default();
    check.required("id", id, LONGEST_NAME);
    refuse(check)?;
    Ok(super::id(id))
}

/// A name that is required and, for most methods, a version that may be left out.
pub(super) fn named(field: &str, name: &str, version: &str) -> Result<(), GrpcStatus> {
    refuse(check_name(field, name, version))
}

fn check_name(field: &str, name: &str, version: &str) -> Check {
    let mut check = Check::default();
    check.required(field, name, LONGEST_NAME);
    check.text("version", version, LONGEST_NAME);
    check
}

/// Positions that there can be.
pub(super) fn positions(field: &str, positions: &[api::EventPosition], partitions: i32, check: &mut Check) {
    check.at_most(field, positions.len(), MOST_ITEMS);
    for (index, place) in positions.iter().enumerate().take(MOST_ITEMS) {
        let is_there = (0..partitions).contains(&place.partition);
        let last = partitions - 1;
        check.note(
            &format!("{field}[{index}].partition"),
            (!is_there).then(|| format!("must be between 0 and {last}: there are {partitions} partitions")),
        );
        let is_negative = place.offset < 0;
        check.note(&format!("{field}[{index}].offset"), is_negative.then_some("must not be negative"));
    }
}
