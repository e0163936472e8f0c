//! `pathway pathways`: the registered pathways.

use std::process::ExitCode;

use pathway_kernel::Fault;
use pathway_proto::pathway::processor::v1::ListPathwaysRequest;
use serde_json::{Value, json};

use crate::client::{Mesh, answer, request};
use crate::output::{Output, table};

pub(crate) async fn run(mesh: &Mesh, out: &Output) -> Result<ExitCode, Fault> {
    let response = answer(mesh.processor.clone().list_pathways(request(ListPathwaysRequest {})).await)?;
    let pathways: Vec<Value> = response
        .pathways
        .iter()
        .map(|pathway| {
            let nodes: Vec<Value> = pathway
                .nodes
                .iter()
                .map(|node| json!({"name": node.name, "tool": node.tool, "needs": node.needs}))
                .collect();
            json!({"name": pathway.name, "version": pathway.version, "topic": pathway.topic, "nodes": nodes})
        })
        .collect();
    out.answer(&json!({"pathways": pathways}), || {
        let rows = response.pathways.iter().map(|pathway| {
            let nodes: Vec<&str> = pathway.nodes.iter().map(|node| node.name.as_str()).collect();
            vec![pathway.name.clone(), pathway.version.clone(), pathway.topic.clone(), nodes.join(" -> ")]
        });
        table(&["pathway", "version", "topic", "nodes"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}
