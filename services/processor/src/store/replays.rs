//! Replays: events that are run once more.

use pathway_store::{Once, Row, Tx, Val};
use pathway_topics::Topics;
use uuid::Uuid;

use super::Store;
use crate::error::ProcessorError;

const ADD: &str = "INSERT INTO replays
     (id, topic, pathway, version, from_us, rate, ends, total, started_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const LIST: &str =
    "SELECT id, topic, pathway, version, from_us, rate, ends, total, done, failed, state, started_at_us,
     ended_at_us FROM replays WHERE id < $1 ORDER BY id DESC LIMIT $2";
const RUNNING: &str = "SELECT id, topic, pathway, version, from_us, rate, ends, total, done, failed, state,
     started_at_us, ended_at_us FROM replays WHERE state = 1 ORDER BY id";
const GET: &str =
    "SELECT id, topic, pathway, version, from_us, rate, ends, total, done, failed, state, started_at_us,
     ended_at_us FROM replays WHERE id = $1";
/// Only a replay that runs gets on: what comes late for one that was cancelled is refused with its whole transaction.
const ADVANCE: &str = "UPDATE replays SET done = done + $2, failed = failed + $3 WHERE id = $1 AND state = 1";
const END: &str = "UPDATE replays SET state = $2, ended_at_us = $3 WHERE id = $1 AND state = 1";

/// How the groups of replays begin.
const GROUP: &str = "replay/";

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplayState {
    Running,
    Done,
    Cancelled,
}

/// Events that are run once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) id: Uuid,
    pub(crate) topic: String,
    pub(crate) pathway: String,
    pub(crate) version: String,
    pub(crate) from_us: i64,
    /// Events a second; 0 for as fast as they run.
    pub(crate) rate: i64,
    /// For each partition the offset at which it ends.
    pub(crate) ends: Vec<i64>,
    pub(crate) total: i64,
    pub(crate) done: i64,
    pub(crate) failed: i64,
    pub(crate) state: ReplayState,
    pub(crate) started_at_us: i64,
    pub(crate) ended_at_us: i64,
}

/// What a batch of a replay adds to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayStep {
    pub(crate) id: Uuid,
    pub(crate) done: i64,
}

// === impl Store ===

impl Store {
    /// Keeps a new replay; its group begins at `starts`, from where on retention leaves its events alone. Where its call was done before, nothing is kept
    /// and what it was answered then comes back.
    pub(crate) async fn add_replay(
        &self,
        replay: &Replay,
        starts: Vec<i64>,
        once: Option<(Once, Vec<u8>)>,
    ) -> Result<Option<Vec<u8>>, ProcessorError> {
        let ends =
            serde_json::to_string(&replay.ends).map_err(|error| ProcessorError::Corrupt(error.into()))?;
        let row: Vec<Val> = vec![
            replay.id.into_bytes().into(),
            Val::from(&replay.topic),
            Val::from(&replay.pathway),
            Val::from(&replay.version),
            replay.from_us.into(),
            replay.rate.into(),
            ends.into(),
            replay.total.into(),
            replay.started_at_us.into(),
        ];
        let (topic, group) = (replay.topic.clone(), replay.group());
        self.db
            .write(move |tx| {
                if let Some((once, answer)) = &once {
                    if let Some(before) = once.begin(tx)? {
                        return Ok(Some(before));
                    }
                    once.end(tx, answer)?;
                }
                tx.execute(ADD, &row)?;
                for (partition, &start) in (0..).zip(&starts) {
                    Topics::commit_in(tx, &topic, &group, partition, start)?;
                }
                Ok(None)
            })
            .await
    }

    /// Replays before an id, newest first.
    pub(crate) async fn replays(&self, before: Uuid, limit: i64) -> Result<Vec<Replay>, ProcessorError> {
        let key = vec![before.into_bytes().into(), limit.into()];
        self.db.query(LIST, key).await?.iter().map(replay).collect()
    }

    /// Those that run.
    pub(crate) async fn running_replays(&self) -> Result<Vec<Replay>, ProcessorError> {
        self.db.query(RUNNING, Vec::new()).await?.iter().map(replay).collect()
    }

    /// One of them.
    pub(crate) async fn replay(&self, id: Uuid) -> Result<Option<Replay>, ProcessorError> {
        let rows = self.db.query(GET, vec![id.into_bytes().into()]).await?;
        rows.first().map(replay).transpose()
    }

    /// Ends a replay and forgets its group; false where it had ended before.
    pub(crate) async fn end_replay(
        &self,
        replay: &Replay,
        state: ReplayState,
        now_us: i64,
    ) -> Result<bool, ProcessorError> {
        let (id, topic, group) = (replay.id, replay.topic.clone(), replay.group());
        self.db
            .write(move |tx| {
                let ended = tx.execute(END, &[id.into_bytes().into(), state.code().into(), now_us.into()])?;
                Topics::forget_in(tx, &topic, &group)?;
                Ok(ended > 0)
            })
            .await
    }
}

// === impl Replay ===

impl Replay {
    /// The name of its group in the topic.
    pub(crate) fn group(&self) -> String {
        format!("{GROUP}{}", self.id)
    }
}

// === impl ReplayState ===

impl ReplayState {
    const fn code(self) -> i64 {
        match self {
            Self::Running => 1,
            Self::Done => 2,
            Self::Cancelled => 3,
        }
    }
}

// === impl ReplayStep ===

impl ReplayStep {
    /// Notes a batch in the transaction that keeps it.
    pub(super) fn keep(self, tx: &mut Tx<'_>, failed: usize) -> Result<(), ProcessorError> {
        let failed = i64::try_from(failed).unwrap_or(i64::MAX);
        let params = [self.id.into_bytes().into(), self.done.into(), failed.into()];
        if tx.execute(ADVANCE, &params)? == 0 { Err(ProcessorError::ReplayEnded) } else { Ok(()) }
    }
}

/// Whether a group of a topic is that of a replay. No pathway's name has a slash.
pub(crate) fn is_replay(group: &str) -> bool {
    group.starts_with(GROUP)
}

fn replay(row: &Row) -> Result<Replay, ProcessorError> {
    let state = match row.i64(10)? {
        1 => ReplayState::Running,
        2 => ReplayState::Done,
        3 => ReplayState::Cancelled,
        other => return Err(ProcessorError::Corrupt(format!("a replay in the state {other}").into())),
    };
    Ok(Replay {
        id: Uuid::from_bytes(row.id(0)?),
        topic: row.text(1)?.to_owned(),
        pathway: row.text(2)?.to_owned(),
        version: row.text(3)?.to_owned(),
        from_us: row.i64(4)?,
        rate: row.i64(5)?,
        ends: serde_json::from_str(row.text(6)?).map_err(|error| ProcessorError::Corrupt(error.into()))?,
        total: row.i64(7)?,
        done: row.i64(8)?,
        failed: row.i64(9)?,
        state,
        started_at_us: row.i64(11)?,
        ended_at_us: row.i64(12)?,
    })
}
