//! One file for each verb.

pub(crate) mod breakers;
pub(crate) mod budget;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod demo;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod goals;
pub(crate) mod import;
pub(crate) mod insights;
pub(crate) mod notifications;
pub(crate) mod pathways;
pub(crate) mod preferences;
pub(crate) mod publish;
pub(crate) mod push;
pub(crate) mod rates;
pub(crate) mod recurring;
pub(crate) mod replays;
pub(crate) mod reporting;
pub(crate) mod spending;
pub(crate) mod summary;
pub(crate) mod topics;
pub(crate) mod tree;
pub(crate) mod trends;
pub(crate) mod watch;
pub(crate) mod webhooks;
