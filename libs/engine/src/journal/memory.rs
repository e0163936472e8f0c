//! A journal in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::time::Instant;

use super::{Finalised, Journal, JournalFuture, Reservation, Standing};

/// A journal that lasts as long as it is held: for tests and rehearsals, where a crash ends everything anyway.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<HashMap<String, Option<Value>>>);

// === impl MemoryJournal ===

impl Journal for MemoryJournal {
    fn reserve(&self, calls: Vec<Reservation>, _: Option<Instant>) -> JournalFuture<'_, Vec<Standing>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = |call: Reservation| match known.get(&call.key) {
            Some(Some(answer)) => Standing::Answered(answer.clone()),
            Some(None) => Standing::Unknown,
            None => {
                known.insert(call.key, None);
                Standing::New
            }
        };
        let standings = calls.into_iter().map(standing).collect();
        Box::pin(async { Ok(standings) })
    }

    fn finalise(&self, calls: Vec<Finalised>) -> JournalFuture<'_, ()> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Finalised { call, answer } in calls {
            match answer {
                Some(answer) => known.insert(call.key, Some(answer)),
                None => known.remove(&call.key),
            };
        }
        Box::pin(async { Ok(()) })
    }
}
