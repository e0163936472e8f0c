//! One attempt at one node for some of a batch's events.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pathway_kernel::{Code, Fault};
use pathway_resilience::Breaker;
use serde_json::Value;
use tokio::time::Instant;

use super::{Progress, Told, Within};
use crate::definition::Call;
use crate::expression::Scope;
use crate::journal::{OnUnknown, OnceCall, copy, in_time, is_unknown};
use crate::tool::Effect;
use crate::{CallContext, Node, Pathway, Tool, ToolItem, ToolResult};

/// What is called, for whom, and until when.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) pathway: &'a Pathway,
    pub(super) node: &'a Node,
    /// The node's own call, or its fallback's.
    pub(super) call: &'a Call,
    pub(super) tool: &'a Arc<dyn Tool>,
    pub(super) breaker: Option<&'a Breaker>,
    /// What the items' keys end in: the node's name, and for its fallback something more, since it does another work.
    pub(super) work: &'a str,
    pub(super) within: Within,
    /// Which attempt this is, from 1.
    pub(super) attempt: u32,
}

/// The items of a call, each with the event that it belongs to.
#[derive(Default)]
struct Items {
    items: Vec<ToolItem>,
    owners: Vec<usize>,
}

/// What became of each event, by its index.
type Answers = Vec<(usize, Told)>;

// === impl Attempt ===

impl Attempt<'_> {
    /// Runs the node for the events at `indices`, as many items at once as the node allows.
    pub(super) async fn run(&self, indices: &[usize], events: &[Progress]) -> Answers {
        let mut answers = Vec::with_capacity(indices.len());
        let mut waiting = Items::default();
        let most = self.node.max_parallel.max(1);
        for &index in indices {
            match self.items(&events[index]) {
                Ok(items) if items.is_empty() => answers.push((index, Told::Skipped)),
                Ok(items) if items.len() <= most => {
                    // An event's items stay together, so that it is answered once.
                    if waiting.items.len() + items.len() > most {
                        self.send(std::mem::take(&mut waiting), events, &mut answers).await;
                    }
                    waiting.add(index, items);
                }
                Ok(items) => {
                    // What waits may be of its key, and came before it.
                    self.send(std::mem::take(&mut waiting), events, &mut answers).await;
                    let answer = self.in_pieces(index, items, most).await;
                    answers.push((index, answer));
                }
                Err(fault) => answers.push((index, Told::Failed(fault))),
            }
        }
        self.send(waiting, events, &mut answers).await;
        answers
    }

    /// The items of one event; none where there is nothing to do.
    fn items(&self, event: &Progress) -> Result<Vec<ToolItem>, Fault> {
        let (node, scope) = (self.node, event.scope());
        if let Some(when) = &node.when
            && *when.evaluate(scope)?.as_ref() != Value::Bool(true)
        {
            return Ok(Vec::new());
        }
        let item = |key: String, args: Value| ToolItem { key, position: event.input.position.clone(), args };
        let key = format!("{}/{}/{}", event.key, self.pathway.definition.name, self.work);
        let Some(for_each) = &node.for_each else {
            return Ok(vec![item(key, self.call.with.render(scope)?)]);
        };
        let list = for_each.evaluate(scope)?;
        let elements = match list.as_ref() {
            Value::Array(elements) => elements.as_slice(),
            Value::Null => &[],
            _ => {
                let message = format!("`for_each` of the node `{}` is no list", node.name);
                return Err(Fault::new(Code::InvalidArgument, "NOT_A_LIST", message));
            }
        };
        let render = |(index, element): (usize, &Value)| {
            let args = self.call.with.render(Scope { item: Some(element), ..scope })?;
            Ok(item(format!("{key}/{index}"), args))
        };
        elements.iter().enumerate().map(render).collect()
    }

    /// One event with more items than may be with the tool at once.
    async fn in_pieces(&self, index: usize, mut items: Vec<ToolItem>, most: usize) -> Told {
        let (mut values, mut unknown) = (Vec::with_capacity(items.len()), None);
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(most));
            let piece = std::mem::replace(&mut items, rest);
            let owners = vec![index; piece.len()];
            let results = match self.call(piece).await {
                Ok(results) => results,
                Err(fault) => return Told::Failed(fault),
            };
            for (_, answer) in self.gather(&owners, results) {
                match answer {
                    Told::Value(Value::Array(piece)) => values.extend(piece),
                    Told::Value(value) => values.push(value),
                    Told::PassedOver(Value::Array(piece), fault) => {
                        values.extend(piece);
                        unknown = Some(fault);
                    }
                    // A piece of a list is a list.
                    Told::PassedOver(..) | Told::Skipped => {}
                    Told::Failed(fault) => return Told::Failed(fault),
                }
            }
        }
        let values = Value::Array(values);
        match unknown {
            None => Told::Value(values),
            Some(fault) => Told::PassedOver(values, fault),
        }
    }

    /// Sends one call. Where it is refused for good because of what is in it, it is taken apart until the guilty event stands alone.
    fn send<'a>(
        &'a self,
        items: Items,
        events: &'a [Progress],
        answers: &'a mut Answers,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let Items { items, owners } = items;
            if items.is_empty() {
                return;
            }
            let is_once = items.iter().any(|item| self.tool.effect(&item.args) == Effect::Once);
            let fault = match self.call(items).await {
                Ok(results) => return answers.extend(self.gather(&owners, results)),
                Err(fault) => fault,
            };
            let mut apart = owners;
            apart.dedup();
            if apart.len() == 1 || is_once || !may_be_one_items_fault(&fault) {
                return answers.extend(apart.into_iter().map(|owner| (owner, Told::Failed(copy(&fault)))));
            }
            let second = apart.split_off(apart.len() / 2);
            for half in [apart, second] {
                let mut items = Items::default();
                for index in half {
                    // They were rendered before, so they can be rendered again.
                    items.add(index, self.items(&events[index]).unwrap_or_default());
                }
                self.send(items, events, answers).await;
            }
        })
    }

    /// Calls the tool within the node's timeout, the batch's deadline and the breaker.
    async fn call(&self, items: Vec<ToolItem>) -> ToolResult {
        let admission = match self.breaker.map(Breaker::admit).transpose() {
            Ok(admission) => admission,
            Err(wait) => {
                let message = format!("the tool of the node `{}` rests after failures", self.node.name);
                return Err(Fault::new(Code::Unavailable, "BREAKER_OPEN", message).with_retry_after(wait));
            }
        };
        let count = items.len();
        let own = self.node.timeout.map(|timeout| Instant::now() + timeout);
        let deadline = [own, self.within.until].into_iter().flatten().min();
        let context = CallContext {
            pathway: self.pathway.definition.name.as_str().into(),
            node: self.node.name.as_str().into(),
            attempt: self.attempt,
            depth: self.within.depth,
            deadline,
        };
        let result = if items.iter().any(|item| self.tool.effect(&item.args) == Effect::Once) {
            let context = CallContext { deadline: self.within.until, ..context };
            let (tool, timeout, on_unknown) =
                (Arc::clone(self.tool), self.node.timeout, self.node.on_unknown);
            self.pathway.ledger.call(OnceCall { tool, context, timeout, items, on_unknown }).await
        } else {
            in_time(self.tool.as_ref(), &context, items).await
        };
        if let Some(admission) = admission {
            let is_away = |fault: &Fault| fault.is_transient() || is_unknown(fault);
            let went_well = match &result {
                Ok(results) => !results.iter().any(|result| result.as_ref().is_err_and(is_away)),
                Err(fault) => !is_away(fault),
            };
            admission.settle(went_well);
        }
        match result {
            Ok(results) if results.len() != count => {
                let what =
                    format!("{} answered {} results for {count} items", self.tool.name(), results.len());
                Err(Fault::internal(what))
            }
            result => result,
        }
    }

    /// Brings results back to their events. An event with several items has failed where one of them has; one that may pass counts more, so that the
    /// event is tried again as a whole.
    fn gather(&self, owners: &[usize], results: Vec<Result<Value, Fault>>) -> Answers {
        let mut answers = Vec::new();
        let mut results = owners.iter().copied().zip(results).peekable();
        while let Some((owner, first)) = results.next() {
            let (mut values, mut failure, mut unknown) = (Vec::<Value>::new(), None::<Fault>, None);
            let passes_over = self.node.on_unknown == OnUnknown::Skip;
            let mut take = |result: Result<Value, Fault>| match result {
                Ok(value) => values.push(value),
                Err(fault) if passes_over && is_unknown(&fault) => {
                    values.push(Value::Null);
                    unknown = Some(fault);
                }
                Err(fault) if fault.is_transient() => failure = Some(fault),
                Err(fault) => failure = failure.take().or(Some(fault)),
            };
            take(first);
            while let Some((_, result)) = results.next_if(|(next, _)| *next == owner) {
                take(result);
            }
            let is_list = self.node.for_each.is_some();
            let value = if is_list { Value::Array(values) } else { values.pop().unwrap_or_default() };
            let answer = match (failure, unknown) {
                (Some(fault), _) => Told::Failed(fault),
                (None, Some(fault)) => Told::PassedOver(value, fault),
                (None, None) => Told::Value(value),
            };
            answers.push((owner, answer));
        }
        answers
    }
}

// === impl Items ===

impl Items {
    fn add(&mut self, owner: usize, items: Vec<ToolItem>) {
        self.owners.extend(items.iter().map(|_| owner));
        self.items.extend(items);
    }
}

/// What must not be done twice is never tried in halves, whatever this says: the first call may be under way still.
fn may_be_one_items_fault(fault: &Fault) -> bool {
    matches!(fault.code(), Code::InvalidArgument | Code::OutOfRange | Code::Internal)
}
