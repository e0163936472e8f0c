//! Dead letters: listed, shown, and what became of them.

use pathway_kernel::Check;
use pathway_proto::google::rpc::Status;
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{ok_item_status, status, to_item_status};
use pathway_topics::Position;
use tonic::{Response, Status as GrpcStatus};

use super::LONGEST_NAME;
use super::checks::{Page, mask, refuse, required_id};
use super::convert::{from_letter_filter, to_dead_letter, to_group, to_position, to_whole_dead_letter};
use crate::error::ProcessorError;
use crate::processing::Processing;
use crate::store::LetterFilter;

pub(super) fn to_redrive_result(redriven: Result<(String, Position), ProcessorError>) -> api::RedriveResult {
    use api::redrive_result::Result as Item;
    let result = match redriven {
        Ok((topic, position)) => {
            let position = Some(to_position(position.partition, position.offset));
            Item::Redriven(api::Redriven { topic, position })
        }
        Err(error) => Item::Error(to_item_status(&error.into())),
    };
    api::RedriveResult { result: Some(result) }
}

pub(super) fn to_discard_status(discarded: Result<(), ProcessorError>) -> Status {
    discarded.map_or_else(|error| to_item_status(&error.into()), |()| ok_item_status())
}

/// A page of dead letters.
pub(super) async fn list(
    processing: &Processing,
    request: api::ListDeadLettersRequest,
) -> Result<Response<api::ListDeadLettersResponse>, GrpcStatus> {
    let page = Page::of_dead_letters(&request)?;
    let mask = mask(request.read_mask.as_ref(), "pathway.processor.v1.DeadLetter")?;
    let filter = from_letter_filter(request);
    let (letters, total) =
        processing.store.dead_letters(page.before, filter, page.limit).await.map_err(status)?;
    let next_page_token = page.token_behind(letters.last().map(|letter| letter.id), letters.len());
    let dead_letters = letters.into_iter().map(|letter| mask.apply(to_dead_letter(letter))).collect();
    Ok(Response::new(api::ListDeadLettersResponse { dead_letters, next_page_token, total }))
}

/// The dead letters by cause.
pub(super) async fn groups(
    processing: &Processing,
    request: api::ListDeadLetterGroupsRequest,
) -> Result<Response<api::ListDeadLetterGroupsResponse>, GrpcStatus> {
    let filter = LetterFilter { pathway: request.pathway, ..LetterFilter::default() };
    let mut check = Check::default();
    check.text("pathway", &filter.pathway, LONGEST_NAME);
    refuse(check)?;
    let groups = processing.store.dead_letter_groups(&filter).await.map_err(status)?;
    let groups = groups.into_iter().map(to_group).collect();
    Ok(Response::new(api::ListDeadLetterGroupsResponse { groups }))
}

/// One dead letter, whole.
pub(super) async fn get(
    processing: &Processing,
    request: api::GetDeadLetterRequest,
) -> Result<Response<api::GetDeadLetterResponse>, GrpcStatus> {
    let id = required_id(&request.id)?;
    let found = processing.store.find_dead_letters(&[id]).await.map_err(status)?.pop().flatten();
    let letter = found.ok_or_else(|| status(ProcessorError::UnknownDeadLetter))?;
    Ok(Response::new(api::GetDeadLetterResponse { dead_letter: Some(to_whole_dead_letter(letter)) }))
}
