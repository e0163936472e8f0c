//! Splitting and pairing in one transaction: load, decide, store.

use std::collections::HashSet;
use std::sync::Arc;

use pathway_finance::{Leg, Period, pair_transfers};
use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::batch;
use super::rows::{self, record_columns};
use crate::error::DatasyncError;
use crate::records::{Known, Ledger, LinkError, Naming, Part, Record, Replayed};

/// Lines as they were tied, and the feed's last change of history then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tied {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) sequence: i64,
}

/// What was paired, and what has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paired {
    /// The leg that the money left, and the other.
    pub(crate) pairs: Vec<[Arc<Record>; 2]>,
    pub(crate) ties: Vec<Vec<Arc<Record>>>,
    pub(crate) sequence: i64,
}

/// Lines that may be legs: neither deleted nor tied to others, of a known account, and no adjustment, which is kind 4.
const LEGS: &str = concat!(
    "SELECT ",
    record_columns!("r"),
    ", r.log_epoch, r.log_partition, r.log_offset, r.retired FROM records r",
    " WHERE r.user_id = $1 AND r.day >= $2 AND r.day < $3 AND r.deleted = 0 AND r.kind <> 4 AND r.held_in <> ''",
    " AND r.is_split = 0 AND r.split_of IS NULL AND r.paired_with IS NULL ORDER BY r.day, r.id"
);
const UNPAIRED: &str = "SELECT high FROM unpaired WHERE low = $1";
const PUT_UNPAIRED: &str = "INSERT INTO unpaired (low, high) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// Splits a user's line; answers it and its parts.
pub(super) fn split(
    tx: &mut Tx<'_>,
    user_id: &str,
    id: Uuid,
    parts: &[Part],
    now_us: i64,
) -> Result<Tied, DatasyncError> {
    let mut known = Vec::new();
    batch::add_by_id(tx, &[(user_id.to_owned(), id)], &mut known)?;
    batch::add_parts(tx, &[[user_id.into(), id.into_bytes().into()]], &mut known)?;
    tie(tx, known, now_us, |ledger| {
        let mut ids = vec![id];
        ids.extend(ledger.split(id, parts)?);
        Ok(ids)
    })
}

/// Pairs two of a user's lines; answers the leg that the money left, then the other.
pub(super) fn pair(
    tx: &mut Tx<'_>,
    user_id: &str,
    [one, other]: [Uuid; 2],
    now_us: i64,
) -> Result<Tied, DatasyncError> {
    let mut known = Vec::new();
    batch::add_by_id(tx, &[(user_id.to_owned(), one), (user_id.to_owned(), other)], &mut known)?;
    tie(tx, known, now_us, |ledger| {
        ledger.pair(one, other)?;
        let left = ledger.by_id(one).is_some_and(|record| record.leg().inflow < 0);
        Ok(if left { vec![one, other] } else { vec![other, one] })
    })
}

/// Takes a user's pair apart; answers the line that was named, then the other.
pub(super) fn unpair(tx: &mut Tx<'_>, user_id: &str, id: Uuid, now_us: i64) -> Result<Tied, DatasyncError> {
    let mut known = Vec::new();
    batch::add_by_id(tx, &[(user_id.to_owned(), id)], &mut known)?;
    batch::load_linked(tx, &mut known)?;
    let tied = tie(tx, known, now_us, |ledger| Ok(vec![id, ledger.unpair(id)?]))?;
    let mut ids: Vec<Uuid> = tied.records.iter().map(|record| record.id).collect();
    ids.sort();
    let vals: Vec<Val> = ids.into_iter().map(|id| id.into_bytes().into()).collect();
    tx.execute(PUT_UNPAIRED, &vals)?;
    Ok(tied)
}

/// Pairs the legs of a user's transfers in a period, where it is certain which they are.
pub(super) fn pair_all(
    tx: &mut Tx<'_>,
    user_id: &str,
    period: Period,
    now_us: i64,
) -> Result<Paired, DatasyncError> {
    let span = [user_id.into(), period.start().epoch_days().into(), period.end().epoch_days().into()];
    let known = tx.query(LEGS, &span)?.iter().map(rows::known).collect::<Result<Vec<_>, _>>()?;
    let barred = load_unpaired(tx, &known)?;
    let ids: Vec<Uuid> = known.iter().map(|known| known.record.id).collect();
    let legs: Vec<Leg> = known.iter().map(|known| known.record.leg()).collect();
    let pairing =
        pair_transfers(&legs, |from, to| barred.contains(&(ids[from].min(ids[to]), ids[from].max(ids[to]))));
    let found: Vec<Arc<Record>> = known.iter().map(|known| Arc::clone(&known.record)).collect();
    let ties = pairing.ties.iter().map(|tie| tie.iter().map(|place| Arc::clone(&found[*place])).collect());
    let ties = ties.collect();
    let tied = tie(tx, known, now_us, |ledger| {
        let mut made = Vec::with_capacity(pairing.pairs.len() * 2);
        for (from, to) in &pairing.pairs {
            ledger.pair(ids[*from], ids[*to])?;
            made.extend([ids[*from], ids[*to]]);
        }
        Ok(made)
    })?;
    let pairs = tied.records.chunks_exact(2).map(|pair| [Arc::clone(&pair[0]), Arc::clone(&pair[1])]);
    Ok(Paired { pairs: pairs.collect(), ties, sequence: tied.sequence })
}

/// Which of these lines somebody took apart from which, the smaller id first.
fn load_unpaired(tx: &mut Tx<'_>, known: &[Known]) -> Result<HashSet<(Uuid, Uuid)>, DatasyncError> {
    let keys: Vec<[Val; 1]> = known.iter().map(|known| [known.record.id.into_bytes().into()]).collect();
    let mut unpaired = HashSet::new();
    for (known, rows) in known.iter().zip(tx.query_many(UNPAIRED, &keys)?) {
        for row in rows {
            unpaired.insert((known.record.id, Uuid::from_bytes(row.id(0)?)));
        }
    }
    Ok(unpaired)
}

/// Lets a ledger tie what is known, stores what comes of it, and answers the lines that it names.
fn tie(
    tx: &mut Tx<'_>,
    known: Vec<Known>,
    now_us: i64,
    decide: impl FnOnce(&mut Ledger) -> Result<Vec<Uuid>, LinkError>,
) -> Result<Tied, DatasyncError> {
    let mut ledger = Ledger::new(known, Naming::default(), Replayed::default(), now_us);
    let ids = decide(&mut ledger)?;
    let records = ids.into_iter().map(|id| ledger.by_id(id).ok_or(DatasyncError::Corrupt("link")));
    let records = records.collect::<Result<_, _>>()?;
    batch::store(tx, &mut ledger.finish())?;
    Ok(Tied { records, sequence: batch::last_of_history(tx)? })
}
