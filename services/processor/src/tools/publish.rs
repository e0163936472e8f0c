//! `publish`: an event to a topic.
//!
//! The event and the note that this step has published it are one transaction, so a step that is run again publishes nothing: this is exactly once, not at least
//! once with a key that a consumer must know.

use pathway_engine::{Answer, ArgSpec, CallContext, Kind, Tool, ToolFuture, ToolItem, ToolResult};
use pathway_kernel::Violation;
use serde_json::{Value, json};

use super::{Home, text};
use crate::events::Envelope;
use crate::processing::StepEvent;

/// Publishes events.
#[derive(Debug)]
pub(crate) struct Publish(pub(crate) Home);

// === impl Publish ===

impl Publish {
    async fn publish(&self, items: Vec<ToolItem>) -> ToolResult {
        let processing = self.0.get()?;
        let positions = processing.publish_steps(items.into_iter().map(event).collect()).await?;
        let answer = |position: pathway_topics::Position| json!({"partition": position.partition, "offset": position.offset});
        Ok(positions.into_iter().map(|position| position.map(answer).map_err(Into::into)).collect())
    }
}

impl Tool for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn answer(&self) -> Answer {
        Answer::Object(&[("partition", Kind::Number), ("offset", Kind::Number)])
    }

    fn args(&self) -> &'static [ArgSpec] {
        const {
            &[
                ArgSpec::required("topic", Kind::Text),
                ArgSpec::required("data", Kind::Object),
                ArgSpec::optional("id", Kind::Text),
                ArgSpec::optional("key", Kind::Text),
            ]
        }
    }

    fn check(&self, args: &Value) -> Vec<Violation> {
        let empty = text(args, "topic").is_empty();
        empty.then(|| Violation::new("topic", "is empty; name a topic")).into_iter().collect()
    }

    fn call<'a>(&'a self, _: &'a CallContext, items: Vec<ToolItem>) -> ToolFuture<'a> {
        Box::pin(self.publish(items))
    }
}

/// An event without an id has its step's key for one, so that whoever looks at it finds where it came from.
fn event(item: ToolItem) -> StepEvent {
    let data = &item.args["data"];
    let given = [text(&item.args, "id"), text(data, "id")].into_iter().find(|id| !id.is_empty());
    StepEvent {
        topic: text(&item.args, "topic"),
        event: Envelope {
            id: given.unwrap_or_else(|| item.key.clone()),
            source: "pathway/publish".to_owned(),
            data: data.to_string().into_bytes(),
            partition_key: text(&item.args, "key"),
            ..Envelope::default()
        },
        key: item.key,
        position: item.position,
    }
}
