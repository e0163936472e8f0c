//! A batch of writes in one transaction: load, decide, store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::Imported;
use super::rows::{self, change_columns, change_tables, record_columns};
use crate::error::DatasyncError;
use crate::import::Line;
use crate::records::{
    Change, Effect, Identity, Known, Ledger, Made, Origin, Outcome, Position, Replayed, Settled, Write,
};

const FIND: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    ", r.log_epoch, r.log_partition, r.log_offset FROM records r",
    " WHERE r.user_id = $1 AND r.source = $2 AND r.account = $3 AND r.line_key = $4"
);
const FIND_REPLAYED: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE v.record_id = $1 AND v.log_epoch = $2 AND v.log_partition = $3 AND v.log_offset = $4"
);
/// How a record stood before an event of the same log: as the last event before it that changed it left it.
const FIND_STANDING: &str = concat!(
    "SELECT ",
    change_columns!(),
    " FROM ",
    change_tables!(),
    " WHERE v.record_id = $1 AND v.log_epoch = $2 AND v.log_partition = $3 AND v.log_offset < $4 ORDER BY v.version DESC LIMIT 1"
);
const TAKE_SEQUENCES: &str = "UPDATE feed SET sequence = sequence + $1 WHERE id = 1 RETURNING sequence";
const INSERT_RECORD: &str = "INSERT INTO records (id, user_id, source, account, line_key, \
     version, deleted, kind, minor, currency, category, day, merchant, description, occurred_at_us, \
     log_epoch, log_partition, log_offset) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
const UPDATE_RECORD: &str = "UPDATE records SET \
     version = $2, deleted = $3, kind = $4, minor = $5, currency = $6, category = $7, day = $8, merchant = $9, \
     description = $10, occurred_at_us = $11, log_epoch = $12, log_partition = $13, log_offset = $14 WHERE id = $1";
const INSERT_VERSION: &str = "INSERT INTO versions (sequence, record_id, origin, changed_at_us, \
     version, deleted, kind, minor, currency, category, day, merchant, description, occurred_at_us, \
     log_epoch, log_partition, log_offset) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
const LAST_OF_HISTORY: &str = "SELECT sequence FROM versions WHERE origin = 2 ORDER BY sequence DESC LIMIT 1";
const QUARANTINE: &str = "INSERT INTO quarantine (user_id, source, account, line_key, \
     minor, currency, day, kind, category, merchant, description, occurred_at_us, record_id, first_seen_us) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";

/// Writes a batch, in order, and answers as many outcomes.
pub(super) fn write(tx: &mut Tx<'_>, writes: &[Write], now_us: i64) -> Result<Vec<Outcome>, DatasyncError> {
    let known = load(tx, &writes.iter().map(|write| &*write.identity).collect::<Vec<_>>())?;
    let replayed = load_replayed(tx, writes, &known)?;
    let mut ledger = Ledger::new(known, replayed, now_us);
    let effects: Vec<Effect> = writes.iter().map(|write| ledger.apply(write)).collect();
    let mut settled = ledger.finish();
    store(tx, &mut settled)?;
    Ok(effects.into_iter().map(|effect| outcome(effect, &settled.made)).collect())
}

/// Imports a statement's lines. A line that is known stays as it is: what a user made of it since is not overwritten.
pub(super) fn import(tx: &mut Tx<'_>, lines: &[Line], now_us: i64) -> Result<Imported, DatasyncError> {
    let known = load(tx, &lines.iter().map(|line| &*line.identity).collect::<Vec<_>>())?;
    let mut ledger = Ledger::new(known, Replayed::default(), now_us);
    let mut imported = Imported::default();
    let mut quarantined: Vec<Vec<Val>> = Vec::new();
    for line in lines {
        let Some(record) = ledger.find(&line.identity) else {
            let (identity, content) = (Arc::clone(&line.identity), Some(line.content.clone()));
            ledger.apply(&Write { identity, content, position: None, origin: Origin::History });
            imported.added += 1;
            continue;
        };
        if line.is_conflict(&record.content) {
            quarantined.push(quarantine_vals(line, record.id, now_us));
            imported.quarantined += 1;
        } else {
            imported.unchanged += 1;
        }
    }
    store(tx, &mut ledger.finish())?;
    tx.execute_many(QUARANTINE, &quarantined)?;
    let last = tx.query(LAST_OF_HISTORY, &[])?;
    imported.sequence = last.first().map_or(Ok(0), |row| row.i64(0))?;
    Ok(imported)
}

/// What the store knows of these records, each once.
fn load(tx: &mut Tx<'_>, identities: &[&Identity]) -> Result<Vec<Known>, DatasyncError> {
    let mut seen = HashSet::new();
    let each_once = identities.iter().filter(|identity| seen.insert(**identity));
    let keys: Vec<Vec<Val>> = each_once.map(|identity| rows::identity_vals(identity)).collect();
    tx.query_many(FIND, &keys)?.iter().flatten().map(rows::known).collect()
}

/// What redelivered events of the batch came to when they came first.
fn load_replayed(tx: &mut Tx<'_>, writes: &[Write], known: &[Known]) -> Result<Replayed, DatasyncError> {
    let known: HashMap<&Identity, &Known> =
        known.iter().map(|known| (&*known.record.identity, known)).collect();
    let wanted = |write: &Write| {
        let (known, position) = (known.get(&*write.identity)?, write.position.clone()?);
        known.may_have_seen(&position).then_some((known.record.id, position))
    };
    let places: Vec<(Uuid, Position)> = writes.iter().filter_map(wanted).collect();
    let key = |(id, position): &(Uuid, Position)| {
        let mut vals: Vec<Val> = vec![id.into_bytes().into()];
        vals.extend(rows::position_vals(Some(position)));
        vals
    };
    let keys: Vec<Vec<Val>> = places.iter().map(key).collect();
    let mut replayed = Replayed::default();
    let (mut changed_nothing, mut keys_left) = (Vec::new(), Vec::new());
    for ((place, key), found) in
        places.into_iter().zip(keys.clone()).zip(tx.query_many(FIND_REPLAYED, &keys)?)
    {
        if let Some(row) = found.first() {
            replayed.changes.insert(place, rows::change(row)?);
        } else {
            changed_nothing.push(place);
            keys_left.push(key);
        }
    }
    for (place, found) in changed_nothing.into_iter().zip(tx.query_many(FIND_STANDING, &keys_left)?) {
        let then = found.first().map(rows::change).transpose()?.map(|change| change.after);
        replayed.standing.insert(place, then);
    }
    Ok(replayed)
}

/// Gives changes their sequences and stores what came of a batch.
fn store(tx: &mut Tx<'_>, settled: &mut Settled) -> Result<(), DatasyncError> {
    if !settled.made.is_empty() {
        let count =
            i64::try_from(settled.made.len()).map_err(|_| DatasyncError::Corrupt("count of changes"))?;
        let rows = tx.query(TAKE_SEQUENCES, &[count.into()])?;
        let last = rows.first().ok_or(DatasyncError::Corrupt("feed"))?.i64(0)?;
        for (sequence, made) in (last - count + 1..).zip(&mut settled.made) {
            made.change.sequence = sequence;
        }
    }
    let insert = |known: &Known| {
        let mut vals: Vec<Val> = vec![known.record.id.into_bytes().into()];
        vals.extend(rows::identity_vals(&known.record.identity));
        vals.extend(rows::state_vals(&known.record));
        vals.extend(rows::position_vals(known.last.as_ref()));
        vals
    };
    let update = |known: &Known| {
        let mut vals: Vec<Val> = vec![known.record.id.into_bytes().into()];
        vals.extend(rows::state_vals(&known.record));
        vals.extend(rows::position_vals(known.last.as_ref()));
        vals
    };
    let version = |made: &Made| {
        let change = &made.change;
        let mut vals: Vec<Val> = vec![
            change.sequence.into(),
            change.after.id.into_bytes().into(),
            rows::origin_code(change.origin).into(),
            change.changed_at_us.into(),
        ];
        vals.extend(rows::state_vals(&change.after));
        vals.extend(rows::position_vals(made.position.as_ref()));
        vals
    };
    tx.execute_many(INSERT_RECORD, &settled.inserted.iter().map(insert).collect::<Vec<_>>())?;
    tx.execute_many(UPDATE_RECORD, &settled.updated.iter().map(update).collect::<Vec<_>>())?;
    tx.execute_many(INSERT_VERSION, &settled.made.iter().map(version).collect::<Vec<_>>())?;
    Ok(())
}

fn outcome(effect: Effect, made: &[Made]) -> Outcome {
    match effect {
        Effect::Made(index) => of_change(made[index].change.clone()),
        Effect::Replayed(change) => of_change(change),
        Effect::Nothing(record) => Outcome { change: None, record },
    }
}

fn of_change(change: Change) -> Outcome {
    Outcome { record: Some(Arc::clone(&change.after)), change: Some(change) }
}

fn quarantine_vals(line: &Line, record_id: Uuid, now_us: i64) -> Vec<Val> {
    let content = &line.content;
    let mut vals = rows::identity_vals(&line.identity);
    vals.extend([
        content.amount.minor().into(),
        content.amount.currency().code().into(),
        content.date.epoch_days().into(),
        content.kind.code().into(),
        (&content.category).into(),
        (&content.merchant).into(),
        (&content.description).into(),
        content.occurred_at_us.into(),
        record_id.into_bytes().into(),
        now_us.into(),
    ]);
    vals
}
