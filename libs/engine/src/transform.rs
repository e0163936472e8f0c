//! `transform`: answers what its template comes to.

use serde_json::json;

use crate::{Answer, ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem};

/// Gives a value another form; it calls nobody. The template is rendered as every node's arguments are, so all that is left is to answer it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Transform;

// === impl Transform ===

impl Tool for Transform {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("value", Kind::Any)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const { &[ArgSpec::required("value", Kind::Any)] }
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        let answer = |mut item: ToolItem| Ok(json!({"value": item.args["value"].take()}));
        Box::pin(async move { Ok(items.into_iter().map(answer).collect()) })
    }
}
