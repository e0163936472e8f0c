//! Pathways between the API's messages and this service's words.

use pathway_engine::{Action, PlannedNode};
use pathway_kernel::{Check, Fault, Violation};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::{status, to_item_status};
use tonic::{Response, Status as GrpcStatus};

use super::checks::NamedPage;
use crate::error::ProcessorError;
use crate::events::Envelope;
use crate::pathways::Source;
use crate::processing::{History, Kept, Processing};
use crate::store::{Origin, Version};

/// The longest definition or schema, in bytes.
const LONGEST_DEFINITION: usize = 256 * 1024;
/// The most schemas of a definition.
const MOST_SCHEMAS: usize = 64;
/// The most activations that are told.
const MOST_ACTIVATIONS: usize = 100;

/// A page of pathways.
pub(super) async fn list(
    processing: &Processing,
    request: api::ListPathwaysRequest,
) -> Result<Response<api::ListPathwaysResponse>, GrpcStatus> {
    let page = NamedPage::of_pathways(&request)?;
    let after = page.after.as_deref().unwrap_or_default();
    let (found, has_more) = processing.pathways(after, page.limit).await.map_err(status)?;
    let last = found.last().filter(|_| has_more).map(|(kept, _)| kept.version.name.as_str());
    let next_page_token = page.token(last);
    let pathways = found.iter().map(|(kept, active)| to_pathway(kept, *active)).collect();
    Ok(Response::new(api::ListPathwaysResponse { pathways, next_page_token }))
}

pub(super) fn from_registration(request: api::RegisterPathwayRequest) -> Result<Source, GrpcStatus> {
    let mut check = Check::default();
    check.required("definition", &request.definition, LONGEST_DEFINITION);
    check.at_most("schemas", request.schemas.len(), MOST_SCHEMAS);
    for (name, schema) in &request.schemas {
        check.text(&format!("schemas.{name}"), schema, LONGEST_DEFINITION);
    }
    check.done().map_err(|violations| status(Fault::invalid(violations)))?;
    Ok(Source {
        file: String::new(),
        origin: Origin::Api,
        definition: request.definition,
        schemas: request.schemas.into_iter().collect(),
    })
}

/// What is wrong with a definition, as violations of the request that it came in.
pub(super) fn refusal(error: ProcessorError) -> GrpcStatus {
    let fault = Fault::from(error);
    let in_request = |violation: &Violation| match &*violation.field {
        "definition" => violation.clone(),
        path => Violation::new(format!("definition.{path}"), violation.description.clone()),
    };
    let violations = fault.violations().iter().map(in_request).collect();
    status(fault.with_violations(violations))
}

pub(super) fn to_pathway(kept: &Kept, active: bool) -> api::Pathway {
    let nodes = kept.pathway.definition().nodes().iter().map(|node| api::PathwayNode {
        name: node.name().to_owned(),
        tool: node.tool().to_owned(),
        needs: node.needs().to_vec(),
    });
    api::Pathway {
        name: kept.version.name.clone(),
        version: kept.version.version.clone(),
        topic: kept.topic.clone(),
        nodes: nodes.collect(),
        active,
        origin: to_origin(kept.version.origin).into(),
        registered_at_us: kept.version.registered_at_us,
    }
}

pub(super) fn to_history(history: &History, page: &NamedPage) -> api::GetPathwayResponse {
    let active = history.activations.last().and_then(|last| last.version.clone());
    let is_active = |version: &str| active.as_deref() == Some(version);
    let versions: &[Version] = match &page.after {
        None => &history.versions,
        // A version is never removed: behind one that is not there is nothing.
        Some(last) => history.versions.split(|kept| kept.version == *last).nth(1).unwrap_or_default(),
    };
    let size = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let shown = versions.get(..size).unwrap_or(versions);
    let last = shown.last().filter(|_| shown.len() < versions.len()).map(|kept| kept.version.as_str());
    let next_page_token = page.token(last);
    let versions = shown.iter().map(|kept| api::PathwayVersion {
        version: kept.version.clone(),
        origin: to_origin(kept.origin).into(),
        registered_at_us: kept.registered_at_us,
        active: is_active(&kept.version),
    });
    let activations = history.activations.iter().rev().take(MOST_ACTIVATIONS);
    let activations = activations.map(|activation| api::PathwayActivation {
        version: activation.version.clone().unwrap_or_default(),
        activated_at_us: activation.activated_at_us,
    });
    let chosen = &history.chosen;
    api::GetPathwayResponse {
        pathway: Some(to_pathway(chosen, is_active(&chosen.version.version))),
        definition: chosen.version.definition.clone(),
        schemas: chosen.version.schemas.clone().into_iter().collect(),
        versions: versions.collect(),
        activations: activations.collect(),
        next_page_token,
    }
}

/// What would happen to an event, from the checks of a publish on.
pub(super) fn to_dry_run(kept: &Kept, event: &Envelope) -> api::DryRunResponse {
    let definition = kept.pathway.definition();
    let version = kept.version.version.clone();
    let data = match event.parse() {
        Ok(data) => data,
        Err(violation) => {
            let error = Some(to_item_status(&Fault::invalid(vec![violation])));
            return api::DryRunResponse { version, error, ..api::DryRunResponse::default() };
        }
    };
    let plan = kept.pathway.plan(&data);
    let error = (!plan.violations.is_empty()).then(|| to_item_status(&Fault::invalid(plan.violations)));
    api::DryRunResponse {
        version,
        error,
        partition_key: definition.key(&data).unwrap_or_default(),
        nodes: plan.nodes.into_iter().map(to_planned_node).collect(),
    }
}

fn to_planned_node(node: PlannedNode) -> api::PlannedNode {
    let json = |arguments: &serde_json::Value| arguments.to_string().into_bytes();
    let (plan, arguments, error) = match node.action {
        Action::Run(arguments) => (api::NodePlan::Runs, arguments.iter().map(json).collect(), None),
        Action::Skip => (api::NodePlan::Skipped, Vec::new(), None),
        Action::Unknown => (api::NodePlan::Unknown, Vec::new(), None),
        Action::Fail(fault) => (api::NodePlan::Fails, Vec::new(), Some(to_item_status(&fault))),
    };
    api::PlannedNode { node: node.node, tool: node.tool, plan: plan.into(), arguments, error }
}

const fn to_origin(origin: Origin) -> api::PathwayOrigin {
    match origin {
        Origin::Shipped => api::PathwayOrigin::Shipped,
        Origin::File => api::PathwayOrigin::File,
        Origin::Api => api::PathwayOrigin::Api,
    }
}
