//! What a batch touches, as it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pathway_finance::{CivilDate, Period, PeriodKind, Totals};
use pathway_store::{StoreError, Tx, Val};

use super::line::{Event, Key, Line};
use super::statements::{FIND_BUDGETS, FIND_RECORD, FIND_TOTALS, FIRED, PURCHASES, SPENT};

/// How many purchases an amount is compared with, and itself.
const COMPARED: i64 = 51;

/// An event with its position.
pub(super) type Numbered<'a> = (i64, &'a Event);
pub(super) type Cell = (String, String, CivilDate);
pub(super) type Series = (String, String);
pub(super) type Standing = (String, String, CivilDate);

/// What the batch touches, as it stands.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) records: HashMap<Key, (i64, Line)>,
    pub(super) totals: HashMap<Cell, Totals>,
    pub(super) limits: HashMap<Series, i64>,
    /// Spent in a budget's period, and what has fired.
    pub(super) standings: HashMap<Standing, (i64, Vec<i64>)>,
    pub(super) purchases: HashMap<Series, BTreeMap<(CivilDate, String), i64>>,
}

// === impl Known ===

impl Known {
    /// What a batch touches.
    pub(super) fn load(tx: &mut Tx<'_>, events: &[Numbered<'_>]) -> Result<Self, StoreError> {
        let mut known = Self::default();
        let keys: BTreeSet<&Key> = events.iter().map(|(_, event)| &event.key).collect();
        let params: Vec<[Val; 2]> = keys.iter().map(|(user, key)| [user.into(), key.into()]).collect();
        for (key, rows) in keys.iter().zip(tx.query_many(FIND_RECORD, &params)?) {
            if let Some(row) = rows.first() {
                known.records.insert((*key).clone(), (row.i64(0)?, Line::of(row, 1)?));
            }
        }
        let users: BTreeSet<&String> = keys.iter().map(|(user, _)| user).collect();
        let params: Vec<[Val; 1]> = users.iter().map(|user| [(*user).into()]).collect();
        for (user, rows) in users.iter().zip(tx.query_many(FIND_BUDGETS, &params)?) {
            for row in &rows {
                known.limits.insert(((*user).clone(), row.text(0)?.to_owned()), row.i64(1)?);
            }
        }
        known.load_sums(tx, events)?;
        Ok(known)
    }

    fn load_sums(&mut self, tx: &mut Tx<'_>, events: &[Numbered<'_>]) -> Result<(), StoreError> {
        let (mut cells, mut standings, mut series) = (HashSet::new(), HashSet::new(), HashMap::new());
        for (_, Event { key, line, .. }) in events {
            for line in self.records.get(key).map(|(_, before)| before).into_iter().chain([line]) {
                if !line.is_spending() {
                    continue;
                }
                cells.insert((key.0.clone(), line.category.clone(), line.day));
                if let Some((standing, _)) = standing(self, &key.0, line) {
                    standings.insert(standing);
                }
                if line.is_purchase() {
                    *series.entry((key.0.clone(), line.category.clone())).or_insert(COMPARED) += 1;
                }
            }
        }
        let cells: Vec<Cell> = cells.into_iter().collect();
        let params: Vec<[Val; 3]> = cells.iter().map(cell_vals).collect();
        for (cell, rows) in cells.into_iter().zip(tx.query_many(FIND_TOTALS, &params)?) {
            let totals = match rows.first() {
                Some(row) => Totals::from_parts(row.i64(0)?, row.i64(1)?, row.i64(2)?),
                None => Totals::default(),
            };
            self.totals.insert(cell, totals);
        }
        let standings: Vec<Standing> = standings.into_iter().collect();
        let spans: Vec<[Val; 4]> = standings.iter().map(span_vals).collect();
        let keys: Vec<[Val; 3]> = standings.iter().map(cell_vals).collect();
        let (spent, fired) = (tx.query_many(SPENT, &spans)?, tx.query_many(FIRED, &keys)?);
        for ((key, spent), fired) in standings.into_iter().zip(spent).zip(fired) {
            let fired = fired.iter().map(|row| row.i64(0)).collect::<Result<_, _>>()?;
            self.standings.insert(key, (spent.first().map_or(Ok(0), |row| row.i64(0))?, fired));
        }
        let series: Vec<(Series, i64)> = series.into_iter().collect();
        let params: Vec<[Val; 3]> = series
            .iter()
            .map(|((user, category), count)| [user.into(), category.into(), (*count).into()])
            .collect();
        for ((series, _), rows) in series.into_iter().zip(tx.query_many(PURCHASES, &params)?) {
            let mut purchases = BTreeMap::new();
            for row in &rows {
                let day = CivilDate::from_epoch_days(row.i64(0)?);
                let day = day.map_err(|_| StoreError::Column { index: 0, expected: "a day" })?;
                purchases.insert((day, row.text(1)?.to_owned()), row.i64(2)?);
            }
            self.purchases.insert(series, purchases);
        }
        Ok(())
    }
}

/// The budget's period that a line counts in, where there is a budget.
pub(super) fn standing(known: &Known, user: &str, line: &Line) -> Option<(Standing, Period)> {
    let is_budgeted =
        line.is_spending() && known.limits.contains_key(&(user.to_owned(), line.category.clone()));
    let period = PeriodKind::MONTH.period_of(line.day).ok().filter(|_| is_budgeted)?;
    Some(((user.to_owned(), line.category.clone(), period.start()), period))
}

fn span_vals(key: &Standing) -> [Val; 4] {
    // A budget's period was found for it, so it can be found again.
    let end = PeriodKind::MONTH.period_of(key.2).map_or(key.2, Period::end);
    let [user, category, start] = cell_vals(key);
    [user, category, start, end.epoch_days().into()]
}

pub(super) fn cell_vals((user, category, day): &Cell) -> [Val; 3] {
    [user.into(), category.into(), day.epoch_days().into()]
}
