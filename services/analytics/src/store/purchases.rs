//! The latest purchases of each series: what is kept of them, and the facts where that does not serve.

use std::collections::{BTreeMap, HashMap, HashSet};

use pathway_finance::CivilDate;
use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::rows;
use crate::error::AnalyticsError;
use crate::ledger::{COMPARED, Moves, PurchasePlace, Purchases, Recent, Series};

const RECENT: &str = "SELECT last_day, greatest_id, latest FROM recent_purchases
     WHERE user_id = $1 AND currency = $2 AND category = $3";
const LATEST: &str = "SELECT day, record_id, minor FROM facts
     WHERE user_id = $1 AND currency = $2 AND category = $3 AND deleted = 0 AND kind = 1 AND minor > 0
     ORDER BY day DESC, record_id DESC LIMIT $4";
const KEEP: &str = "INSERT INTO recent_purchases (user_id, currency, category, last_day, greatest_id, latest)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (user_id, currency, category) DO UPDATE SET last_day = excluded.last_day,
     greatest_id = excluded.greatest_id, latest = excluded.latest";
const CORRUPT: AnalyticsError = AnalyticsError::Corrupt("recent purchase");
const FORGET: &str = "DELETE FROM recent_purchases WHERE user_id = $1 AND currency = $2 AND category = $3";

/// The latest purchases of each series that will move.
pub(super) fn load(
    tx: &mut Tx<'_>,
    wanted: HashMap<Series, Moves>,
) -> Result<HashMap<Series, Purchases>, AnalyticsError> {
    let wanted: Vec<(Series, Moves)> = wanted.into_iter().collect();
    let keys: Vec<Vec<Val>> = wanted.iter().map(|(series, _)| rows::series_vals(series)).collect();
    let (mut known, mut rest) = (HashMap::new(), Vec::new());
    for ((series, moves), found) in wanted.into_iter().zip(tx.query_many(RECENT, &keys)?) {
        let kept = found.first().map(|row| {
            let (last_day, greatest) = (rows::day(row.i64(0)?)?, Uuid::from_bytes(row.id(1)?));
            let latest = unpacked(last_day, row.blob(2)?)?;
            Ok::<_, AnalyticsError>(Recent { last_day, greatest, latest })
        });
        match kept.transpose()?.filter(|recent| recent.serves(&moves)) {
            Some(recent) => {
                known.insert(series, Purchases::of_recent(recent));
            }
            None => rest.push((series, moves.count)),
        }
    }
    let keys: Vec<Vec<Val>> = rest.iter().map(|(series, count)| latest_vals(series, *count)).collect();
    for ((series, _), found) in rest.into_iter().zip(tx.query_many(LATEST, &keys)?) {
        let mut placed: BTreeMap<PurchasePlace, i64> = BTreeMap::new();
        for row in &found {
            placed.insert((rows::day(row.i64(0)?)?, Uuid::from_bytes(row.id(1)?)), row.i64(2)?);
        }
        known.insert(series, Purchases::of_facts(placed));
    }
    Ok(known)
}

/// Keeps what a batch left.
pub(super) fn keep(tx: &mut Tx<'_>, recent: &[(Series, Recent)]) -> Result<(), AnalyticsError> {
    let row = |(series, recent): &(Series, Recent)| {
        let mut vals = rows::series_vals(series);
        let latest = packed(recent.last_day, &recent.latest)?;
        vals.extend([
            Val::from(recent.last_day.epoch_days()),
            recent.greatest.into_bytes().into(),
            latest.into(),
        ]);
        Ok(vals)
    };
    let kept: Vec<Vec<Val>> = recent.iter().map(row).collect::<Result<_, AnalyticsError>>()?;
    tx.execute_many(KEEP, &kept)?;
    Ok(())
}

/// Drops what is kept of these series: the facts will be asked.
pub(super) fn forget(tx: &mut Tx<'_>, outdated: &HashSet<Series>) -> Result<(), AnalyticsError> {
    let keys: Vec<Vec<Val>> = outdated.iter().map(rows::series_vals).collect();
    tx.execute_many(FORGET, &keys)?;
    Ok(())
}

fn latest_vals(series: &Series, count: usize) -> Vec<Val> {
    let mut vals = rows::series_vals(series);
    vals.push(i64::try_from(count).unwrap_or(i64::MAX).into());
    vals
}

/// Purchases in few bytes: of each by how many days it lies before the one before it, the first before `last_day`, and its amount.
fn packed(last_day: CivilDate, latest: &[(CivilDate, i64)]) -> Result<Vec<u8>, AnalyticsError> {
    let mut bytes = Vec::with_capacity(latest.len() * 4);
    let mut later = last_day.epoch_days();
    for (day, minor) in latest {
        let day = day.epoch_days();
        for number in [later - day, *minor] {
            put_number(&mut bytes, u64::try_from(number).map_err(|_| CORRUPT)?);
        }
        later = day;
    }
    Ok(bytes)
}

fn unpacked(last_day: CivilDate, bytes: &[u8]) -> Result<Vec<(CivilDate, i64)>, AnalyticsError> {
    let (mut latest, mut later, mut rest) = (Vec::with_capacity(COMPARED), last_day.epoch_days(), bytes);
    while !rest.is_empty() {
        let before = take_number(&mut rest)?;
        later = later.checked_sub(before).ok_or(CORRUPT)?;
        latest.push((rows::day(later)?, take_number(&mut rest)?));
    }
    Ok(latest)
}

/// Seven bits in each byte, the lowest first, and the eighth where more follow.
fn put_number(bytes: &mut Vec<u8>, mut rest: u64) {
    while rest > 0x7f {
        let [low, ..] = rest.to_le_bytes();
        bytes.push(low | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Result<i64, AnalyticsError> {
    let (mut number, mut shift) = (0_u64, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first().ok_or(CORRUPT)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits).ok_or(CORRUPT)?;
        if byte & 0x80 == 0 {
            return i64::try_from(number).map_err(|_| CORRUPT);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CivilDate {
        CivilDate::parse(text).unwrap()
    }

    #[test]
    fn purchases_are_packed_and_unpacked() {
        let newest = day("2026-11-24");
        let amounts = [0, 1, 127, 128, 16_383, 16_384, 5_000_000, i64::MAX];
        let days = [
            "2026-11-24",
            "2026-11-24",
            "2026-11-20",
            "2026-01-01",
            "2020-02-29",
            "2020-02-29",
            "1999-12-31",
            "1970-01-01",
        ];
        let latest: Vec<(CivilDate, i64)> = days.map(day).into_iter().zip(amounts).collect();
        for count in 0..=latest.len() {
            let bytes = packed(newest, &latest[..count]).unwrap();
            assert_eq!(unpacked(newest, &bytes).unwrap(), latest[..count]);
        }
        assert_eq!(packed(newest, &[(newest, 300); 50]).unwrap().len(), 150);
    }

    #[test]
    fn what_is_no_purchase_is_refused() {
        let newest = day("2026-11-24");
        assert!(packed(newest, &[(newest, -1)]).is_err());
        assert!(packed(newest, &[(day("2026-11-25"), 1)]).is_err(), "it lies after the newest");
        let too_long = [&[0][..], &[0xff; 11]].concat();
        let too_large = [&[0][..], &[0xff; 9], &[1]].concat();
        for bytes in [&[0x80][..], &[1], &[1, 0xff], &too_long, &too_large] {
            assert!(unpacked(newest, bytes).is_err(), "{bytes:?}");
        }
    }
}
