//! One batch: load what it touches, decide in memory, store what came of it.

use std::collections::{BTreeSet, HashSet};

use pathway_finance::{
    CivilDate, DEFAULT_THRESHOLDS, LineKind, PeriodKind, Totals, crossing, may_alert, z_score,
};
use pathway_kernel::Fault;
use pathway_store::{StoreError, Tx, Val};

use super::known::{Cell, Known, Numbered, cell_vals, standing};
use super::line::{Event, Key, Line};
use super::statements::{
    ADD_EVENT, ADD_EXECUTION, ADD_VERSION, DROP_FACT, FIRE, NODES, NOTIFY, PUT_FACT, PUT_RECORD, PUT_TOTALS,
    REACH, REACHED,
};

/// Events that share a transaction.
#[derive(Debug)]
pub(super) struct Batch {
    first: i64,
    events: Vec<Event>,
    today: CivilDate,
    now_us: i64,
}

/// What there is to store.
#[derive(Debug, Default)]
struct Made {
    records: BTreeSet<Key>,
    cells: HashSet<Cell>,
    versions: Vec<Vec<Val>>,
    dropped: Vec<Vec<Val>>,
    facts: Vec<Vec<Val>>,
    fired: Vec<[Val; 4]>,
    notices: Vec<[Val; 5]>,
}

// === impl Batch ===

impl Batch {
    /// Reads the events from a position on.
    pub(super) fn read(
        first: u64,
        payloads: Vec<Vec<u8>>,
        today: CivilDate,
        now_us: i64,
    ) -> Result<Self, Fault> {
        let events = payloads.into_iter().map(Event::read).collect::<Result<_, _>>()?;
        Ok(Self { first: i64::try_from(first).map_err(Fault::internal)?, events, today, now_us })
    }

    /// Applies what has not been applied yet.
    pub(super) fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let reached = tx.query(REACHED, &[])?.first().map_or(Ok(0), |row| row.i64(0))?;
        let numbered = (self.first..).zip(&self.events).filter(|(position, _)| *position >= reached);
        let events: Vec<Numbered<'_>> = numbered.collect();
        let mut known = Known::load(tx, &events)?;
        let mut made = Made::default();
        for (position, event) in &events {
            self.take(&mut known, &mut made, *position, &event.key, &event.line);
        }
        store(tx, &known, &made)?;
        let rows: Vec<[Val; 2]> = events
            .iter()
            .map(|(position, event)| [(*position).into(), event.payload.as_slice().into()])
            .collect();
        tx.execute_many(ADD_EVENT, &rows)?;
        let execution = |(position, event): &Numbered<'_>| {
            [(*position).into(), (&event.key.1).into(), NODES.into(), self.now_us.into()]
        };
        let rows: Vec<[Val; 4]> = events.iter().map(execution).collect();
        tx.execute_many(ADD_EXECUTION, &rows)?;
        let end = self.first + i64::try_from(self.events.len()).unwrap_or(0);
        tx.execute(REACH, &[end.max(reached).into()])?;
        Ok(())
    }

    /// Takes one event: the line as it was is taken back, the line as it is now is added, and what that sets off is noted.
    fn take(&self, known: &mut Known, made: &mut Made, position: i64, key: &Key, line: &Line) {
        let before = known.records.get(key).cloned();
        if before.as_ref().is_some_and(|(_, before)| before == line) {
            return;
        }
        let version = before.as_ref().map_or(1, |(version, _)| version + 1);
        known.records.insert(key.clone(), (version, line.clone()));
        made.records.insert(key.clone());
        let mut vals: Vec<Val> = vec![(&key.0).into(), (&key.1).into(), version.into()];
        vals.extend(line.vals());
        vals.push(position.into());
        made.versions.push(vals);
        if let Some((_, before)) = &before {
            move_line(known, made, &key.0, before, Totals::remove);
            made.dropped.push(fact_key(key, before));
            if let Some(purchases) = known.purchases.get_mut(&(key.0.clone(), before.category.clone())) {
                purchases.remove(&(before.day, key.1.clone()));
            }
        }
        move_line(known, made, &key.0, line, Totals::add);
        self.crossed(known, made, key, line);
        self.unusual(known, made, key, line);
    }

    fn crossed(&self, known: &mut Known, made: &mut Made, (user, _): &Key, line: &Line) {
        let Some((key, period)) = standing(known, user, line) else { return };
        let limit = known.limits.get(&(user.clone(), line.category.clone())).copied().unwrap_or_default();
        let Some((spent, fired)) = known.standings.get_mut(&key) else { return };
        let crossing = crossing(*spent, limit, &DEFAULT_THRESHOLDS, fired);
        fired.extend(&crossing.fired);
        let [user_val, category, start] = cell_vals(&key);
        for threshold in crossing.fired {
            made.fired.push([user_val.clone(), category.clone(), start.clone(), threshold.into()]);
        }
        if let Some(threshold) = crossing.notify.filter(|_| may_alert(true, period, self.today)) {
            let dedup_key = format!("budget:{}:{}:{threshold}", line.category, period.start());
            let message = format!("You have spent {spent} of {limit} on {} in {period}.", line.category);
            made.notices.push([
                user_val,
                dedup_key.into(),
                "budget_warning".into(),
                message.into(),
                self.now_us.into(),
            ]);
        }
    }

    fn unusual(&self, known: &mut Known, made: &mut Made, (user, key): &Key, line: &Line) {
        made.facts.push({
            let mut vals = fact_key(&(user.clone(), key.clone()), line);
            vals.extend([line.kind.code().into(), line.minor.into(), Val::from(&line.currency)]);
            vals
        });
        if !line.is_purchase() {
            return;
        }
        let purchases = known.purchases.entry((user.clone(), line.category.clone())).or_default();
        let is_due =
            PeriodKind::MONTH.period_of(line.day).is_ok_and(|month| may_alert(true, month, self.today));
        let latest: Vec<i64> = purchases.values().rev().take(50).copied().collect();
        if is_due && let Some(anomaly) = z_score(line.minor, &latest) {
            let message =
                format!("{} on {}, your usual is {}.", line.minor, line.category, anomaly.baseline_minor);
            let dedup_key = format!("anomaly:{key}");
            made.notices.push([
                user.into(),
                dedup_key.into(),
                "transaction_alert".into(),
                message.into(),
                self.now_us.into(),
            ]);
        }
        purchases.insert((line.day, key.clone()), line.minor);
    }
}

fn move_line(
    known: &mut Known,
    made: &mut Made,
    user: &str,
    line: &Line,
    apply: fn(&mut Totals, LineKind, i64) -> Result<(), pathway_finance::Overflow>,
) {
    if !line.is_spending() {
        return;
    }
    let cell = (user.to_owned(), line.category.clone(), line.day);
    let totals = known.totals.entry(cell.clone()).or_default();
    let net = totals.net();
    // The amounts of a bench are far from any bound; a sum that were left out would be found by the comparison at the end.
    let _ = apply(totals, line.kind, line.minor);
    let moved = totals.net() - net;
    made.cells.insert(cell);
    if let Some((standing, _)) = standing(known, user, line)
        && let Some((spent, _)) = known.standings.get_mut(&standing)
    {
        *spent += moved;
    }
}

fn store(tx: &mut Tx<'_>, known: &Known, made: &Made) -> Result<(), StoreError> {
    let record = |key: &Key| {
        let (version, line) = known.records.get(key)?;
        let mut vals: Vec<Val> = vec![(&key.0).into(), (&key.1).into(), (*version).into()];
        vals.extend(line.vals());
        Some(vals)
    };
    let records: Vec<Vec<Val>> = made.records.iter().filter_map(record).collect();
    tx.execute_many(PUT_RECORD, &records)?;
    tx.execute_many(ADD_VERSION, &made.versions)?;
    // In the order of the events: a line that moved is dropped where it was before it is put where it is.
    tx.execute_many(DROP_FACT, &made.dropped)?;
    let standing = made.facts.iter().filter(|vals| is_current(known, vals)).collect::<Vec<_>>();
    tx.execute_many(PUT_FACT, &standing)?;
    let totals = |cell: &Cell| {
        let totals = known.totals.get(cell).copied().unwrap_or_default();
        let [user, category, day] = cell_vals(cell);
        [user, category, day, totals.gross().into(), totals.refunds().into(), totals.count().into()]
    };
    let cells: Vec<[Val; 6]> = made.cells.iter().map(totals).collect();
    tx.execute_many(PUT_TOTALS, &cells)?;
    tx.execute_many(FIRE, &made.fired)?;
    tx.execute_many(NOTIFY, &made.notices)?;
    Ok(())
}

/// Whether a fact is where its line stands in the end: within a batch it may have moved on.
fn is_current(known: &Known, vals: &[Val]) -> bool {
    let (Some(Val::Text(user)), Some(category), Some(day), Some(Val::Text(key))) =
        (vals.first(), vals.get(1), vals.get(2), vals.get(3))
    else {
        return false;
    };
    let standing = known.records.get(&(user.clone(), key.clone()));
    standing.is_some_and(|(_, line)| {
        *category == Val::from(&line.category) && *day == Val::from(line.day.epoch_days())
    })
}

fn fact_key((user, key): &Key, line: &Line) -> Vec<Val> {
    vec![user.into(), (&line.category).into(), line.day.epoch_days().into(), key.into()]
}
