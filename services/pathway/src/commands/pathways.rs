//! `pathway pathways`: checking, registering and choosing what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use pathway_kernel::{Code, Fault};
use pathway_proto::pathway::processor::v1 as api;
use serde_json::{Value, json};

use super::dead_letters;
use crate::cli::{PathwayAction, Pathways};
use crate::client::{Mesh, answer, request};
use crate::output::{Output, instant, table};

/// How much of a version a person needs to see.
const SHORT: usize = 12;

/// A definition with the schemas that lie beside it.
struct Files {
    definition: String,
    schemas: BTreeMap<String, String>,
}

pub(crate) async fn run(
    connect: impl FnOnce() -> Result<Mesh, Fault>,
    out: &Output,
    args: &Pathways,
) -> Result<ExitCode, Fault> {
    match &args.action {
        // Needs no server.
        Some(PathwayAction::Validate { file }) => validate(out, file),
        None | Some(PathwayAction::List) => list(&connect()?, out).await,
        Some(PathwayAction::Show { name, version, definition }) => {
            let version = version.as_deref().unwrap_or_default();
            show(&connect()?, out, name, version, *definition).await
        }
        Some(PathwayAction::Register { file, activate }) => register(&connect()?, out, file, *activate).await,
        Some(PathwayAction::Activate { name, version }) => activate(&connect()?, out, name, version).await,
        Some(PathwayAction::DryRun { name, data, version }) => {
            let version = version.as_deref().unwrap_or_default();
            dead_letters::dry_run(&connect()?, out, name, version, data.clone().into_bytes()).await
        }
        Some(PathwayAction::Deactivate { name }) => deactivate(&connect()?, out, name).await,
    }
}

/// Checks a definition as a processor would.
fn validate(out: &Output, file: &Path) -> Result<ExitCode, Fault> {
    let files = read(file)?;
    let definition = pathway_processor::validate(&files.definition, &files.schemas)?;
    let mut nodes = Vec::new();
    for node in definition.nodes() {
        nodes.push(node.name());
    }
    let (name, version, topic) = (definition.name(), definition.version(), definition.topic());
    let document = json!({"name": name, "version": version, "topic": topic, "nodes": nodes});
    out.answer(&document, || {
        format!("valid: {name} {version}, for the topic {topic}: {}", nodes.join(" -> "))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(mesh: &Mesh, out: &Output) -> Result<ExitCode, Fault> {
    let (mut found, mut message) = (Vec::new(), api::ListPathwaysRequest::default());
    loop {
        let page = answer(mesh.processor.clone().list_pathways(request(message)).await)?;
        found.extend(page.pathways);
        if page.next_page_token.is_empty() {
            break;
        }
        message = api::ListPathwaysRequest { page_token: page.next_page_token, ..Default::default() };
    }
    let pathways: Vec<Value> = found.iter().map(document).collect();
    out.answer(&json!({"pathways": pathways}), || {
        let rows = found.iter().map(|pathway| {
            let nodes: Vec<&str> = pathway.nodes.iter().map(|node| node.name.as_str()).collect();
            vec![
                pathway.name.clone(),
                short(&pathway.version),
                state(pathway.active),
                origin(pathway.origin()).to_owned(),
                pathway.topic.clone(),
                nodes.join(" -> "),
            ]
        });
        table(&["pathway", "version", "", "from", "topic", "nodes"], &[], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(
    mesh: &Mesh,
    out: &Output,
    name: &str,
    version: &str,
    definition: bool,
) -> Result<ExitCode, Fault> {
    let mut message =
        api::GetPathwayRequest { name: name.to_owned(), version: version.to_owned(), ..Default::default() };
    let mut found = answer(mesh.processor.clone().get_pathway(request(message.clone())).await)?;
    while !found.next_page_token.is_empty() {
        message.page_token = std::mem::take(&mut found.next_page_token);
        let more = answer(mesh.processor.clone().get_pathway(request(message.clone())).await)?;
        found.versions.extend(more.versions);
        found.next_page_token = more.next_page_token;
    }
    let pathway = found.pathway.clone().unwrap_or_default();
    let versions = found.versions.iter().map(|version| {
        json!({
            "version": version.version,
            "active": version.active,
            "origin": origin(version.origin()),
            "registered_at": instant(version.registered_at_us),
        })
    });
    let activations = found.activations.iter().map(|activation| {
        let version = (!activation.version.is_empty()).then_some(&activation.version);
        json!({"version": version, "activated_at": instant(activation.activated_at_us)})
    });
    let mut json = document(&pathway);
    json["definition"] = found.definition.clone().into();
    json["schemas"] =
        found.schemas.iter().map(|(name, schema)| (name.clone(), Value::from(schema.as_str()))).collect();
    json["versions"] = versions.collect();
    json["activations"] = activations.collect();
    out.answer(&json, || {
        if definition {
            return found.definition.trim_end().to_owned();
        }
        let rows = found.versions.iter().map(|version| {
            let registered = instant(version.registered_at_us);
            let origin = origin(version.origin()).to_owned();
            vec![short(&version.version), state(version.active), origin, registered]
        });
        let versions = table(&["version", "", "from", "registered"], &[], rows);
        let rows = found.activations.iter().map(|activation| {
            let version =
                if activation.version.is_empty() { "none".to_owned() } else { short(&activation.version) };
            vec![instant(activation.activated_at_us), version]
        });
        let activations = table(&["since", "runs"], &[], rows);
        let rows = pathway
            .nodes
            .iter()
            .map(|node| vec![node.name.clone(), node.tool.clone(), node.needs.join(", ")]);
        let nodes = table(&["node", "uses", "needs"], &[], rows);
        format!("{} for the topic {}\n\n{nodes}\n\n{versions}\n\n{activations}", pathway.name, pathway.topic)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn register(mesh: &Mesh, out: &Output, file: &Path, activate: bool) -> Result<ExitCode, Fault> {
    let files = read(file)?;
    let message = api::RegisterPathwayRequest {
        definition: files.definition,
        schemas: files.schemas.into_iter().collect(),
        activate,
        validate_only: false,
    };
    let kept = answer(mesh.processor.clone().register_pathway(request(message)).await)?;
    let pathway = kept.pathway.unwrap_or_default();
    let mut json = document(&pathway);
    json["created"] = kept.created.into();
    out.answer(&json, || {
        let what = if kept.created { "registered" } else { "was registered before:" };
        let (name, version) = (&pathway.name, &pathway.version);
        if pathway.active {
            return format!("{what} {name} {version}; it is active");
        }
        format!("{what} {name} {version}; `pathway pathways activate {name} {}` lets it run", short(version))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn activate(mesh: &Mesh, out: &Output, name: &str, version: &str) -> Result<ExitCode, Fault> {
    let message = api::ActivatePathwayRequest { name: name.to_owned(), version: version.to_owned() };
    let activated = answer(mesh.processor.clone().activate_pathway(request(message)).await)?;
    let pathway = activated.pathway.unwrap_or_default();
    let previous = activated.previous_version;
    let mut json = document(&pathway);
    json["previous_version"] = (!previous.is_empty()).then_some(previous.as_str()).into();
    out.answer(&json, || {
        let now = format!("{name} {} runs the events that are published from now on", pathway.version);
        if previous.is_empty() || previous == pathway.version {
            return now;
        }
        format!("{now}; to go back: `pathway pathways activate {name} {}`", short(&previous))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn deactivate(mesh: &Mesh, out: &Output, name: &str) -> Result<ExitCode, Fault> {
    let message = api::DeactivatePathwayRequest { name: name.to_owned() };
    let previous =
        answer(mesh.processor.clone().deactivate_pathway(request(message)).await)?.previous_version;
    out.answer(&json!({"name": name, "previous_version": previous}), || {
        let back = short(&previous);
        format!("{name} takes no more events; to go back: `pathway pathways activate {name} {back}`")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a definition and the schemas beside it that it names.
fn read(file: &Path) -> Result<Files, Fault> {
    let unreadable = |path: &Path, error: std::io::Error| {
        let message = format!("cannot read {}: {error}", path.display());
        Fault::new(Code::InvalidArgument, "CANNOT_READ", message)
    };
    let definition = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut schemas = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.ends_with(".json") && definition.contains(name) {
            let schema = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            schemas.insert(name.to_owned(), schema);
        }
    }
    Ok(Files { definition, schemas })
}

fn document(pathway: &api::Pathway) -> Value {
    let node = |node: &api::PathwayNode| json!({"name": node.name, "tool": node.tool, "needs": node.needs});
    json!({
        "name": pathway.name,
        "version": pathway.version,
        "active": pathway.active,
        "origin": origin(pathway.origin()),
        "topic": pathway.topic,
        "nodes": pathway.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn short(version: &str) -> String {
    version.chars().take(SHORT).collect()
}

fn state(active: bool) -> String {
    if active { "active" } else { "" }.to_owned()
}

const fn origin(origin: api::PathwayOrigin) -> &'static str {
    match origin {
        api::PathwayOrigin::Unspecified => "unknown",
        api::PathwayOrigin::Shipped => "shipped",
        api::PathwayOrigin::File => "file",
        api::PathwayOrigin::Api => "api",
    }
}
