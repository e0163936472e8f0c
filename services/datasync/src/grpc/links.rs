//! What ties lines to each other, into the domain's types and back.

use std::sync::Arc;

use pathway_finance::{Period, category_key};
use pathway_kernel::Check;
use pathway_proto::pathway::datasync::v1 as pb;
use pathway_rpc::{from_date, from_money};
use uuid::Uuid;

use super::convert;
use crate::error::DatasyncError;
use crate::limits;
use crate::records::{Part, Record};
use crate::store::{Paired, Tied};

/// The most parts of a line.
const MOST_PARTS: usize = 100;
/// The most days among which transfers are looked for at once.
const MOST_DAYS: i64 = 400;

/// Which line to split, and how.
pub(super) fn split(request: pb::SplitRecordRequest) -> Result<(String, Uuid, Vec<Part>), DatasyncError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, limits::USER_ID);
    check.at_most("parts", request.parts.len(), MOST_PARTS);
    check.note("parts", (request.parts.len() == 1).then_some("must be at least two, or none"));
    let mut parts = Vec::with_capacity(request.parts.len());
    for (index, part) in request.parts.into_iter().enumerate() {
        check.text(&format!("parts[{index}].category"), &part.category, limits::CATEGORY);
        check.text(&format!("parts[{index}].description"), &part.description, limits::FREE_TEXT);
        let amount = from_money(part.amount.as_ref());
        let amount = amount.and_then(|amount| amount.of_line().map_err(|error| error.to_string()));
        let amount = check.take(&format!("parts[{index}].amount"), amount);
        let (category, description) = (category_key(&part.category), part.description);
        parts.extend(amount.map(|amount| Part { amount, category, description }));
    }
    check.done()?;
    Ok((request.user_id, record_id(&request.record_id)?, parts))
}

/// Among which of a user's lines to look for transfers.
pub(super) fn span(request: pb::PairTransfersRequest) -> Result<(String, Period), DatasyncError> {
    let mut check = Check::default();
    check.required("user_id", &request.user_id, limits::USER_ID);
    let start = check.take("start", from_date(request.start.as_ref()));
    let end = check.take("end", from_date(request.end.as_ref()));
    let period = match (start, end) {
        (Some(start), Some(end)) => {
            check.take("end", Period::new(start, end).map_err(|_| "must be after the first day"))
        }
        _ => None,
    };
    let is_long =
        period.is_some_and(|period| period.end().epoch_days() - period.start().epoch_days() > MOST_DAYS);
    check.note("end", is_long.then(|| format!("must be at most {MOST_DAYS} days after the first day")));
    check.done()?;
    let period = period.ok_or_else(|| DatasyncError::invalid("end", "must be after the first day"))?;
    Ok((request.user_id, period))
}

/// A user's records by their ids. What is no id names no record.
pub(super) fn ids<const N: usize>(user_id: &str, ids: [&str; N]) -> Result<[Uuid; N], DatasyncError> {
    let mut check = Check::default();
    check.required("user_id", user_id, limits::USER_ID);
    check.done()?;
    let mut read = [Uuid::nil(); N];
    for (read, text) in read.iter_mut().zip(ids) {
        *read = record_id(text)?;
    }
    Ok(read)
}

fn record_id(text: &str) -> Result<Uuid, DatasyncError> {
    Uuid::parse_str(text).map_err(|_| DatasyncError::UnknownRecord)
}

/// A line as it was split: itself, then its parts.
pub(super) fn as_split(tied: &Tied) -> pb::SplitRecordResponse {
    let mut records = tied.records.iter().map(|record| convert::record(record));
    pb::SplitRecordResponse { record: records.next(), parts: records.collect(), sequence: tied.sequence }
}

/// What was paired, and what has to be asked.
pub(super) fn as_paired(paired: &Paired) -> pb::PairTransfersResponse {
    let tie = |tie: &Vec<Arc<Record>>| pb::TransferTie {
        records: tie.iter().map(|record| convert::record(record)).collect(),
    };
    pb::PairTransfersResponse {
        pairs: paired.pairs.iter().filter_map(|legs| pair(legs)).collect(),
        ties: paired.ties.iter().map(tie).collect(),
        sequence: paired.sequence,
    }
}

/// Two legs: the one that the money left first.
pub(super) fn pair(legs: &[Arc<Record>]) -> Option<pb::TransferPair> {
    let [from, to] = legs else { return None };
    Some(pb::TransferPair { from: Some(convert::record(from)), to: Some(convert::record(to)) })
}
