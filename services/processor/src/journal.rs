//! The engine's journal, on this service's store.
//!
//! A reservation says whose it is. Where the store belongs to one process, a reservation of another owner is one of a process that died, and its outcome is unknown at
//! once. Where several share it, the other may be in the middle of the call; so may this process itself, where a replay meets the worker at the same event. Both wait until
//! the call must have ended, and only then is it unknown.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pathway_engine::{Finalised, Journal, JournalFuture, Reservation, Standing};
use pathway_kernel::{Clock, Code, Fault, new_id};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::{Reserving, Stood, Store};

/// How long a call is taken to be under way whose node has no timeout.
const USUAL: Duration = Duration::from_secs(60);

/// The journal of one process.
#[derive(Debug)]
pub(crate) struct StoredJournal {
    store: Store,
    clock: Clock,
    owner: Uuid,
    tokens: AtomicI64,
}

// === impl StoredJournal ===

impl StoredJournal {
    pub(crate) fn new(store: Store, clock: Clock) -> Self {
        let owner = new_id(clock.now_us());
        Self { store, clock, owner, tokens: AtomicI64::new(0) }
    }

    /// A reservation that is nobody else's.
    pub(crate) fn reserving(&self, until: Option<Instant>) -> Reserving {
        let left = until.map_or(USUAL, |until| until.saturating_duration_since(Instant::now()));
        let left_us = i64::try_from(left.as_micros()).unwrap_or(i64::MAX);
        let now_us = self.clock.now_us();
        Reserving {
            owner: self.owner,
            token: self.tokens.fetch_add(1, Ordering::Relaxed),
            now_us,
            until_us: now_us.saturating_add(left_us),
        }
    }

    async fn standings(
        &self,
        calls: Vec<Reservation>,
        until: Option<Instant>,
    ) -> Result<Vec<Standing>, Fault> {
        let who = self.reserving(until);
        let kept = calls.clone();
        let stood = self.store.reserve(calls, who).await?;
        let busy = stood.iter().filter_map(|stood| match stood {
            Stood::UnderWay { until_us } => Some(*until_us),
            Stood::Known(_) => None,
        });
        let Some(until_us) = busy.max() else {
            let known = |stood| match stood {
                Stood::Known(standing) => standing,
                Stood::UnderWay { .. } => Standing::Unknown,
            };
            return Ok(stood.into_iter().map(known).collect());
        };
        // Nothing is called now, so what was reserved beside it is given back.
        let is_new = |stood: &Stood| *stood == Stood::Known(Standing::New);
        let fresh = kept.into_iter().zip(&stood).filter(|(_, stood)| is_new(stood));
        let fresh: Vec<Finalised> = fresh.map(|(call, _)| Finalised { call, answer: None }).collect();
        self.store.finalise(fresh).await?;
        let wait = Duration::from_micros(u64::try_from(until_us - who.now_us).unwrap_or(0));
        let message = "this call is being made already: its answer is waited for";
        Err(Fault::new(Code::Unavailable, "CALL_UNDER_WAY", message).with_retry_after(wait))
    }
}

impl Journal for StoredJournal {
    fn reserve(&self, calls: Vec<Reservation>, until: Option<Instant>) -> JournalFuture<'_, Vec<Standing>> {
        Box::pin(self.standings(calls, until))
    }

    fn finalise(&self, calls: Vec<Finalised>) -> JournalFuture<'_, ()> {
        Box::pin(async { Ok(self.store.finalise(calls).await?) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pathway_engine::Position;
    use pathway_kernel::ManualClock;
    use pathway_store::StoreConfig;
    use serde_json::json;

    use super::*;

    struct Table {
        clock: ManualClock,
        store: Store,
        _directory: tempfile::TempDir,
    }

    async fn table() -> Table {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig::sqlite(directory.path().join("processor.db"));
        let store = Store::open(&config).await.unwrap();
        Table { clock: ManualClock::at(1_000_000), store, _directory: directory }
    }

    // === impl Table ===

    impl Table {
        fn journal(&self) -> StoredJournal {
            StoredJournal::new(self.store.clone(), Clock::manual(&self.clock))
        }
    }

    fn call(offset: i64) -> Reservation {
        let position = Position { epoch: Arc::from("e/t"), partition: 2, offset };
        Reservation { key: format!("e/t/2/{offset}/p/pay"), position }
    }

    async fn reserve(journal: &StoredJournal, offset: i64) -> Standing {
        journal.reserve(vec![call(offset)], None).await.unwrap().pop().unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_kept_and_a_refusal_is_not() {
        let table = table().await;
        let journal = table.journal();
        assert_eq!(reserve(&journal, 1).await, Standing::New);
        let answer = json!({"receipt": "a"});
        journal.finalise(vec![Finalised { call: call(1), answer: Some(answer.clone()) }]).await.unwrap();
        assert_eq!(reserve(&journal, 1).await, Standing::Answered(answer));
        assert_eq!(reserve(&journal, 2).await, Standing::New);
        journal.finalise(vec![Finalised { call: call(2), answer: None }]).await.unwrap();
        assert_eq!(reserve(&journal, 2).await, Standing::New);
    }

    #[tokio::test]
    async fn what_a_dead_process_reserved_is_not_known() {
        let table = table().await;
        assert_eq!(reserve(&table.journal(), 1).await, Standing::New);
        assert_eq!(reserve(&table.journal(), 1).await, Standing::Unknown);
    }

    #[tokio::test]
    async fn what_this_process_is_doing_is_waited_for_and_nothing_beside_it_is_held() {
        let table = table().await;
        let journal = table.journal();
        assert_eq!(reserve(&journal, 1).await, Standing::New);
        let busy = journal.reserve(vec![call(1), call(2)], None).await.unwrap_err();
        assert_eq!((busy.reason(), busy.retry_after()), ("CALL_UNDER_WAY", Some(USUAL)));
        assert_eq!(reserve(&journal, 2).await, Standing::New, "it was given back");
        table.clock.set(1_000_000 + 60_000_000);
        assert_eq!(reserve(&journal, 1).await, Standing::Unknown);
    }

    #[tokio::test]
    async fn calls_are_forgotten_with_their_events() {
        let table = table().await;
        let journal = table.journal();
        for offset in [1, 2] {
            assert_eq!(reserve(&journal, offset).await, Standing::New);
        }
        assert_eq!(table.store.forget_calls("e/t".to_owned(), 2, 2).await.unwrap(), 1);
        assert_eq!(reserve(&table.journal(), 1).await, Standing::New);
        assert_eq!(reserve(&table.journal(), 2).await, Standing::Unknown);
    }
}
