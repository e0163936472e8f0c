//! Pathways between the API's messages and this service's words.

use pathway_kernel::{Check, Fault};
use pathway_proto::pathway::processor::v1 as api;
use pathway_rpc::status;
use tonic::Status as GrpcStatus;

use crate::pathways::Source;
use crate::processing::{History, Kept};
use crate::store::Origin;

/// The longest definition or schema, in bytes.
const LONGEST_DEFINITION: usize = 256 * 1024;
/// The most schemas of a definition.
const MOST_SCHEMAS: usize = 64;
/// The most activations that are told.
const MOST_ACTIVATIONS: usize = 100;

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

pub(super) fn to_history(history: &History) -> api::GetPathwayResponse {
    let active = history.activations.last().and_then(|last| last.version.clone());
    let is_active = |version: &str| active.as_deref() == Some(version);
    let versions = history.versions.iter().map(|kept| api::PathwayVersion {
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
    }
}

const fn to_origin(origin: Origin) -> api::PathwayOrigin {
    match origin {
        Origin::Shipped => api::PathwayOrigin::Shipped,
        Origin::File => api::PathwayOrigin::File,
        Origin::Api => api::PathwayOrigin::Api,
    }
}
