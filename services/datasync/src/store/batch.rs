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
    Alias, Change, Effect, Identity, Known, Ledger, Made, Naming, Origin, Outcome, Position, Replayed,
    Settled, Write,
};

/// What [`rows::known`] reads beyond a record.
macro_rules! known_columns {
    () => {
        ", r.log_epoch, r.log_partition, r.log_offset, r.retired"
    };
}

const FIND: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    known_columns!(),
    " FROM records r WHERE r.user_id = $1 AND r.source = $2 AND r.account = $3 AND r.line_key = $4"
);
const FIND_BY_ID: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    known_columns!(),
    " FROM records r WHERE r.user_id = $1 AND r.id = $2"
);
const FIND_PARTS: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    known_columns!(),
    " FROM records r WHERE r.user_id = $1 AND r.split_of = $2"
);
const FIND_ALIAS: &str = "SELECT record_id, retired FROM aliases
     WHERE user_id = $1 AND source = $2 AND account = $3 AND line_key = $4";
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
     held_in, pending, split_of, is_split, paired_with, log_epoch, log_partition, log_offset, retired) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)";
const UPDATE_RECORD: &str = "UPDATE records SET \
     version = $2, deleted = $3, kind = $4, minor = $5, currency = $6, category = $7, day = $8, merchant = $9, \
     description = $10, occurred_at_us = $11, held_in = $12, pending = $13, split_of = $14, is_split = $15, \
     paired_with = $16, log_epoch = $17, log_partition = $18, log_offset = $19, retired = $20 WHERE id = $1";
const INSERT_VERSION: &str = "INSERT INTO versions (sequence, record_id, origin, changed_at_us, \
     version, deleted, kind, minor, currency, category, day, merchant, description, occurred_at_us, \
     held_in, pending, split_of, is_split, paired_with, log_epoch, log_partition, log_offset) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
const PUT_ALIAS: &str = "INSERT INTO aliases (user_id, source, account, line_key, record_id, retired)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (user_id, source, account, line_key) DO UPDATE SET retired = excluded.retired";
const LAST_OF_HISTORY: &str = "SELECT sequence FROM versions WHERE origin = 2 ORDER BY sequence DESC LIMIT 1";
const QUARANTINE: &str = "INSERT INTO quarantine (user_id, source, account, line_key, \
     minor, currency, day, kind, category, merchant, description, occurred_at_us, record_id, first_seen_us) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";

/// Writes a batch, in order, and answers as many outcomes.
pub(super) fn write(tx: &mut Tx<'_>, writes: &[Write], now_us: i64) -> Result<Vec<Outcome>, DatasyncError> {
    let named = writes.iter().flat_map(|write| [Some(&write.identity), write.replaces.as_ref()]);
    let (known, naming) = load(tx, &named.flatten().collect::<Vec<_>>())?;
    let replayed = load_replayed(tx, writes, &known, &naming)?;
    let mut ledger = Ledger::new(known, naming, replayed, now_us);
    let effects: Vec<Effect> = writes.iter().map(|write| ledger.apply(write)).collect();
    let mut settled = ledger.finish();
    store(tx, &mut settled)?;
    Ok(effects.into_iter().map(|effect| outcome(effect, &settled.made)).collect())
}

/// Imports a statement's lines. A line that is known stays as it is: what a user made of it since is not overwritten.
pub(super) fn import(tx: &mut Tx<'_>, lines: &[Line], now_us: i64) -> Result<Imported, DatasyncError> {
    let (known, naming) = load(tx, &lines.iter().map(|line| &line.identity).collect::<Vec<_>>())?;
    let mut ledger = Ledger::new(known, naming, Replayed::default(), now_us);
    let mut imported = Imported::default();
    let mut quarantined: Vec<Vec<Val>> = Vec::new();
    for line in lines {
        let Some(record) = ledger.find(&line.identity) else {
            let (identity, content) = (Arc::clone(&line.identity), Some(line.content.clone()));
            let (position, replaces) = (None, None);
            ledger.apply(&Write { identity, content, position, origin: Origin::History, replaces });
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
    imported.sequence = last_of_history(tx)?;
    Ok(imported)
}

/// The feed's last change of history.
pub(super) fn last_of_history(tx: &mut Tx<'_>) -> Result<i64, DatasyncError> {
    let last = tx.query(LAST_OF_HISTORY, &[])?;
    Ok(last.first().map_or(Ok(0), |row| row.i64(0))?)
}

/// What the store knows of the records with these names, each once, with what hangs on them, and the further names among them.
fn load(tx: &mut Tx<'_>, names: &[&Arc<Identity>]) -> Result<(Vec<Known>, Naming), DatasyncError> {
    let mut seen = HashSet::new();
    let names: Vec<&Arc<Identity>> = names.iter().copied().filter(|name| seen.insert(&***name)).collect();
    let keys: Vec<Vec<Val>> = names.iter().map(|name| rows::identity_vals(name)).collect();
    let (mut known, mut missing) = (Vec::new(), Vec::new());
    for ((name, key), found) in names.into_iter().zip(&keys).zip(tx.query_many(FIND, &keys)?) {
        match found.first() {
            Some(row) => known.push(rows::known(row)?),
            None => missing.push((name, key.clone())),
        }
    }
    let keys: Vec<Vec<Val>> = missing.iter().map(|(_, key)| key.clone()).collect();
    let mut aliases = HashMap::new();
    for ((name, _), found) in missing.into_iter().zip(tx.query_many(FIND_ALIAS, &keys)?) {
        if let Some(row) = found.first() {
            let (record_id, is_retired) = (Uuid::from_bytes(row.id(0)?), row.bool(1)?);
            aliases.insert(Arc::clone(name), Alias { record_id, is_retired });
        }
    }
    let by_alias = aliases.iter().map(|(name, alias)| (name.user_id.clone(), alias.record_id));
    let by_alias: Vec<(String, Uuid)> = by_alias.collect();
    add_by_id(tx, &by_alias, &mut known)?;
    load_linked(tx, &mut known)?;
    Ok((known, Naming::new(aliases)))
}

/// Adds a user's records that are not among the known.
pub(super) fn add_by_id(
    tx: &mut Tx<'_>,
    ids: &[(String, Uuid)],
    known: &mut Vec<Known>,
) -> Result<(), DatasyncError> {
    let mut seen: HashSet<Uuid> = known.iter().map(|known| known.record.id).collect();
    let wanted = ids.iter().filter(|(_, id)| seen.insert(*id));
    let keys: Vec<[Val; 2]> = wanted.map(|(user_id, id)| [user_id.into(), id.into_bytes().into()]).collect();
    for row in tx.query_many(FIND_BY_ID, &keys)?.iter().flatten() {
        known.push(rows::known(row)?);
    }
    Ok(())
}

/// Adds what hangs on the known: the parts of split lines, and the other legs of transfers.
pub(super) fn load_linked(tx: &mut Tx<'_>, known: &mut Vec<Known>) -> Result<(), DatasyncError> {
    let other =
        |known: &Known| Some((known.record.identity.user_id.clone(), known.record.links.paired_with?));
    let others: Vec<(String, Uuid)> = known.iter().filter_map(other).collect();
    add_by_id(tx, &others, known)?;
    let split = known.iter().filter(|known| known.record.links.is_split);
    let keys =
        split.map(|known| [(&known.record.identity.user_id).into(), known.record.id.into_bytes().into()]);
    let keys: Vec<[Val; 2]> = keys.collect();
    add_parts(tx, &keys, known)
}

/// Adds the parts that lines have or had, by user and line.
pub(super) fn add_parts(
    tx: &mut Tx<'_>,
    keys: &[[Val; 2]],
    known: &mut Vec<Known>,
) -> Result<(), DatasyncError> {
    let mut seen: HashSet<Uuid> = known.iter().map(|known| known.record.id).collect();
    for row in tx.query_many(FIND_PARTS, keys)?.iter().flatten() {
        let part = rows::known(row)?;
        if seen.insert(part.record.id) {
            known.push(part);
        }
    }
    Ok(())
}

/// What redelivered events of the batch came to when they came first.
fn load_replayed(
    tx: &mut Tx<'_>,
    writes: &[Write],
    known: &[Known],
    naming: &Naming,
) -> Result<Replayed, DatasyncError> {
    let by_name: HashMap<&Identity, &Known> =
        known.iter().map(|known| (&*known.record.identity, known)).collect();
    let by_id: HashMap<Uuid, &Known> = known.iter().map(|known| (known.record.id, known)).collect();
    let wanted = |write: &Write| {
        let by_alias = || by_id.get(&naming.find(&write.identity)?.record_id);
        let (known, position) = (by_name.get(&*write.identity).or_else(by_alias)?, write.position.clone()?);
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
pub(super) fn store(tx: &mut Tx<'_>, settled: &mut Settled) -> Result<(), DatasyncError> {
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
        vals.push(known.retired.into());
        vals
    };
    let update = |known: &Known| {
        let mut vals: Vec<Val> = vec![known.record.id.into_bytes().into()];
        vals.extend(rows::state_vals(&known.record));
        vals.extend(rows::position_vals(known.last.as_ref()));
        vals.push(known.retired.into());
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
    let alias = |(name, alias): &(Arc<Identity>, Alias)| {
        let mut vals = rows::identity_vals(name);
        vals.extend([alias.record_id.into_bytes().into(), alias.is_retired.into()]);
        vals
    };
    tx.execute_many(PUT_ALIAS, &settled.aliases.iter().map(alias).collect::<Vec<_>>())?;
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
