//! The pathways that ship.

use pathway_engine::{Definition, Pathway, Tools};
use serde_json::Value;

use crate::config::TopicsSettings;
use crate::error::ProcessorError;

const TRANSACTIONS: &str = include_str!("../pathways/transactions.yaml");
const TRANSACTION_SCHEMA: &str = include_str!("../pathways/transaction.schema.json");

/// A pathway and the topic that it reads, which the configuration may have renamed.
#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) topic: String,
    pub(crate) pathway: Pathway,
}

/// All that ship, with their tools.
pub(crate) fn shipped(topics: &TopicsSettings, tools: &Tools) -> Result<Vec<Shipped>, ProcessorError> {
    let definition = Definition::parse(TRANSACTIONS, &schema).map_err(ProcessorError::Definition)?;
    let pathway = Pathway::new(definition, tools).map_err(ProcessorError::Definition)?;
    Ok(vec![Shipped { topic: topics.transactions.clone(), pathway }])
}

fn schema(name: &str) -> Option<Value> {
    match name {
        "transaction.schema.json" => serde_json::from_str(TRANSACTION_SCHEMA).ok(),
        _ => None,
    }
}
