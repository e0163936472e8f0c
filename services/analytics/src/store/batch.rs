//! A batch of changes in one transaction: lock, load, apply, store.
//!
//! The rows of the users come first, in order of their names: whoever has them may count on nobody else touching what belongs to these
//! users, and two batches never wait for each other in a circle. So a batch needs no isolation beyond reading what is committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pathway_finance::{CivilDate, Totals};
use pathway_store::{Tx, Val};
use uuid::Uuid;

use super::{closing, goals, purchases, rows, told, touched};
use crate::error::AnalyticsError;
use crate::fact::{Change, Fact};
use crate::insight::Insight;
use crate::ledger::{
    Applied, BudgetPeriod, Budgets, Cell, Known, Ledger, Needs, Owner, Purse, Settled, Standing,
};

const LOCK_OWNER: &str = "INSERT INTO owners (user_id, time_zone, sequence) VALUES ($1, 'UTC', 1)
     ON CONFLICT (user_id) DO UPDATE SET sequence = owners.sequence + 1, unscanned = 1
     RETURNING time_zone, sequence, watched_until_us, due_at_us, has_goals";
const REVISIONS: &str =
    "SELECT category, revision, effective_from, minor, currency, time_zone, period_kind, start_day,
     anchor, length_days, thresholds, rollover, pace, members
     FROM budget_revisions WHERE user_id = $1 ORDER BY category, revision";
pub(super) const FIND_FACT: &str =
    "SELECT version, deleted, user_id, kind, minor, currency, category, day, merchant, account
     FROM facts WHERE record_id = $1";
const ANSWERED: &str = "SELECT content FROM insights WHERE record_id = $1 AND version = $2";
const PURSE: &str = "SELECT gross, refunds, count FROM lifetime_totals WHERE user_id = $1 AND currency = $2";
const CELL: &str = "SELECT gross, refunds, count FROM day_totals
     WHERE user_id = $1 AND currency = $2 AND category = $3 AND day = $4";
const SPENT: &str =
    "SELECT CAST(COALESCE(SUM(gross), 0) AS BIGINT), CAST(COALESCE(SUM(refunds), 0) AS BIGINT),
     CAST(COALESCE(SUM(count), 0) AS BIGINT)
     FROM day_totals WHERE user_id = $1 AND currency = $2 AND category = $3 AND day >= $4 AND day < $5";
const FIRED: &str = "SELECT threshold, notified FROM crossings
     WHERE user_id = $1 AND category = $2 AND revision = $3 AND period_start = $4";

const PUT_FACT: &str = "INSERT INTO facts
     (record_id, version, deleted, user_id, kind, minor, currency, category, day, merchant, account, live)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     ON CONFLICT (record_id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted, live = excluded.live,
     kind = excluded.kind, minor = excluded.minor, currency = excluded.currency, category = excluded.category,
     day = excluded.day, merchant = excluded.merchant, account = excluded.account";
const PUT_PURSE: &str = "INSERT INTO lifetime_totals (user_id, currency, gross, refunds, count)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (user_id, currency) DO UPDATE SET gross = excluded.gross, refunds = excluded.refunds,
     count = excluded.count";
const PUT_CELL: &str = "INSERT INTO day_totals (user_id, currency, category, day, gross, refunds, count)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (user_id, currency, day, category) DO UPDATE SET gross = excluded.gross,
     refunds = excluded.refunds, count = excluded.count";
const PUT_FIRED: &str = "INSERT INTO crossings
     (user_id, category, revision, period_start, threshold, notified, crossed_at_us)
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const PUT_INSIGHTS: &str = "INSERT INTO insights (record_id, version, content) VALUES ($1, $2, $3)";

/// Applies a batch, in order, and answers for each change what became of it, and how much the outbox has got.
pub(super) fn apply(
    tx: &mut Tx<'_>,
    changes: &[Change],
    now_us: i64,
) -> Result<(Vec<Applied>, usize), AnalyticsError> {
    let users: BTreeSet<&str> = changes.iter().map(|change| change.fact.user_id.as_str()).collect();
    let (mut known, mut followed) = (Known::default(), BTreeMap::new());
    for user_id in users {
        let (owner, sequence) = lock_owner(tx, user_id, now_us)?;
        followed.extend(sequence.map(|sequence| (user_id.to_owned(), sequence)));
        known.owners.insert(user_id.to_owned(), owner);
    }
    known.facts = load_facts(tx, changes)?;
    known.answered = load_answered(tx, changes, &known.facts)?;
    let needs = known.needs(changes);
    load(tx, needs, &mut known)?;

    let mut ledger = Ledger::new(known);
    let mut applied: Vec<Applied> =
        changes.iter().map(|change| ledger.apply(change)).collect::<Result<_, _>>()?;
    let mut settled = ledger.finish();
    told::drop_expected(tx, &mut settled.insights, &mut applied)?;
    store(tx, &settled, now_us)?;
    closing::correct(tx, &settled.late, now_us)?;
    goals::store(tx, &settled.goals, &settled.reached, now_us)?;
    let announced = told::announce(tx, &settled.milestones.iter().collect::<Vec<_>>(), now_us)?;
    touched::note(tx, &followed, &settled.cells.keys().collect::<Vec<_>>())?;
    Ok((applied, announced))
}

/// A user's row, locked until the transaction ends, with the budgets, and with the transaction's number where somebody follows the user.
pub(super) fn lock_owner(
    tx: &mut Tx<'_>,
    user_id: &str,
    now_us: i64,
) -> Result<(Owner, Option<i64>), AnalyticsError> {
    let locked = tx.query(LOCK_OWNER, &[user_id.into()])?;
    let row = locked.first().ok_or(AnalyticsError::Corrupt("owner"))?;
    let zone = rows::zone(row.text(0)?)?;
    let sequence = if row.i64(2)? > now_us { Some(row.i64(1)?) } else { None };
    let today = CivilDate::from_instant_us(now_us, &zone)?;
    let mut budgets = load_budgets(tx, user_id, now_us)?;
    // What has ended is written down before anything else is counted.
    if row.opt_i64(3)?.is_some_and(|due| due <= now_us) {
        closing::close(tx, user_id, &mut budgets, now_us)?;
    }
    let goals = if row.bool(4)? { goals::all(tx, user_id)? } else { Vec::new() };
    Ok((Owner { zone, today, budgets, goals }, sequence))
}

/// A user's budgets, with what was carried on to the periods under way.
pub(super) fn load_budgets(tx: &mut Tx<'_>, user_id: &str, now_us: i64) -> Result<Budgets, AnalyticsError> {
    let revisions = rows::revisions(&tx.query(REVISIONS, &[user_id.into()])?)?;
    let mut budgets = Budgets::new(revisions, now_us);
    closing::load_carried(tx, user_id, &mut budgets)?;
    Ok(budgets)
}

/// What is spent in each budget's period, and what has fired.
pub(super) fn load_standings(
    tx: &mut Tx<'_>,
    standings: HashMap<BudgetPeriod, Standing>,
) -> Result<HashMap<BudgetPeriod, Standing>, AnalyticsError> {
    let mut standings: Vec<(BudgetPeriod, Standing)> = standings.into_iter().collect();
    let spent = load_spent(tx, &standings.iter().map(|(key, standing)| (key, standing)).collect::<Vec<_>>())?;
    let keys: Vec<Vec<Val>> = standings.iter().map(|(key, _)| rows::budget_period_vals(key)).collect();
    let fired = tx.query_many(FIRED, &keys)?;
    for ((_, standing), (spent, fired)) in standings.iter_mut().zip(spent.into_iter().zip(&fired)) {
        standing.spent = spent;
        for row in fired {
            let threshold = row.i64(0)?;
            standing.fired.push(threshold);
            standing.told.extend(row.bool(1)?.then_some(threshold).filter(|threshold| *threshold > 0));
        }
        // A negative one says that the user was told that it is over.
        let over: Vec<i64> = standing.fired.iter().map(|threshold| -threshold).collect();
        standing.told.retain(|threshold| !over.contains(threshold));
    }
    Ok(standings.into_iter().collect())
}

/// What is spent in each budget's period, over all categories that count.
pub(super) fn load_spent(
    tx: &mut Tx<'_>,
    standings: &[(&BudgetPeriod, &Standing)],
) -> Result<Vec<Totals>, AnalyticsError> {
    let spans = standings.iter().flat_map(|(key, standing)| {
        standing.members.iter().map(|category| span_vals(&key.user_id, category, standing))
    });
    let mut found = tx.query_many(SPENT, &spans.collect::<Vec<_>>())?.into_iter();
    let mut spent = Vec::with_capacity(standings.len());
    for (_, standing) in standings {
        let mut sum = Totals::default();
        for rows in found.by_ref().take(standing.members.len()) {
            let part = rows::totals(rows.first().ok_or(AnalyticsError::Corrupt("sum"))?, 0)?;
            sum = sum.checked_add(part)?;
        }
        spent.push(sum);
    }
    Ok(spent)
}

/// Stores a threshold that has fired.
pub(super) fn fired_vals(budget: &BudgetPeriod, threshold: i64, notified: bool, now_us: i64) -> Vec<Val> {
    let mut vals = rows::budget_period_vals(budget);
    vals.extend([Val::from(threshold), notified.into(), now_us.into()]);
    vals
}

/// Stores thresholds that have fired.
pub(super) fn put_fired(tx: &mut Tx<'_>, fired: &[Vec<Val>]) -> Result<(), AnalyticsError> {
    tx.execute_many(PUT_FIRED, fired)?;
    Ok(())
}

fn load_facts(tx: &mut Tx<'_>, changes: &[Change]) -> Result<HashMap<Uuid, Fact>, AnalyticsError> {
    let ids: BTreeSet<Uuid> = changes.iter().map(|change| change.record_id).collect();
    let keys: Vec<[Val; 1]> = ids.iter().map(|id| [id.into_bytes().into()]).collect();
    let found = tx.query_many(FIND_FACT, &keys)?;
    let known = ids.into_iter().zip(&found).filter_map(|(id, rows)| Some((id, rows.first()?)));
    known.map(|(id, row)| Ok((id, rows::fact(row)?))).collect()
}

/// What the changes that are known gave rise to when they came first.
fn load_answered(
    tx: &mut Tx<'_>,
    changes: &[Change],
    facts: &HashMap<Uuid, Fact>,
) -> Result<HashMap<(Uuid, i64), Vec<Insight>>, AnalyticsError> {
    let is_known = |change: &&Change| {
        facts.get(&change.record_id).is_some_and(|fact| fact.version >= change.fact.version)
    };
    let versions: BTreeSet<(Uuid, i64)> =
        changes.iter().filter(is_known).map(|change| (change.record_id, change.fact.version)).collect();
    let keys: Vec<[Val; 2]> =
        versions.iter().map(|(id, version)| [id.into_bytes().into(), (*version).into()]).collect();
    let found = tx.query_many(ANSWERED, &keys)?;
    let mut answered = HashMap::new();
    for (key, rows) in versions.into_iter().zip(&found) {
        if let Some(row) = rows.first() {
            let insights = serde_json::from_str(row.text(0)?);
            answered.insert(key, insights.map_err(|_| AnalyticsError::Corrupt("insight"))?);
        }
    }
    Ok(answered)
}

fn load(tx: &mut Tx<'_>, needs: Needs, known: &mut Known) -> Result<(), AnalyticsError> {
    let purses: Vec<Purse> = needs.purses.into_iter().collect();
    let keys: Vec<Vec<Val>> = purses.iter().map(rows::purse_vals).collect();
    known.purses = purses.into_iter().zip(load_totals(tx, PURSE, &keys)?).collect();

    let cells: Vec<Cell> = needs.cells.into_iter().collect();
    let keys: Vec<Vec<Val>> = cells.iter().map(rows::cell_vals).collect();
    known.cells = cells.into_iter().zip(load_totals(tx, CELL, &keys)?).collect();

    known.standings = load_standings(tx, needs.standings)?;

    known.purchases = purchases::load(tx, needs.purchases)?;
    purchases::forget(tx, &needs.outdated)
}

/// The sums under each key; zero where there is no row yet.
fn load_totals(tx: &mut Tx<'_>, sql: &'static str, keys: &[Vec<Val>]) -> Result<Vec<Totals>, AnalyticsError> {
    let found = tx.query_many(sql, keys)?;
    let sums =
        found.iter().map(|rows| rows.first().map_or(Ok(Totals::default()), |row| rows::totals(row, 0)));
    sums.collect()
}

fn span_vals(user_id: &str, category: &str, standing: &Standing) -> Vec<Val> {
    vec![
        user_id.into(),
        standing.limit.currency().code().into(),
        category.into(),
        standing.period.start().epoch_days().into(),
        standing.period.end().epoch_days().into(),
    ]
}

fn store(tx: &mut Tx<'_>, settled: &Settled, now_us: i64) -> Result<(), AnalyticsError> {
    // In the order of their ids, which is that of time: an index on them grows at one end.
    let facts: BTreeMap<&Uuid, &Fact> = settled.facts.iter().collect();
    let facts: Vec<_> =
        facts.into_iter().map(|(id, fact)| rows::fact_vals(*id, fact, settled.live.contains(id))).collect();
    tx.execute_many(PUT_FACT, &facts)?;
    let with_totals = |mut key: Vec<Val>, totals: &Totals| {
        key.extend(rows::totals_vals(*totals));
        key
    };
    let purses = settled.purses.iter().map(|(purse, totals)| with_totals(rows::purse_vals(purse), totals));
    tx.execute_many(PUT_PURSE, &purses.collect::<Vec<_>>())?;
    let cells = settled.cells.iter().map(|(cell, totals)| with_totals(rows::cell_vals(cell), totals));
    tx.execute_many(PUT_CELL, &cells.collect::<Vec<_>>())?;
    let fired = settled.fired.iter();
    let fired: Vec<_> =
        fired.map(|fired| fired_vals(&fired.budget, fired.threshold, fired.notified, now_us)).collect();
    put_fired(tx, &fired)?;
    let mut insights: Vec<[Val; 3]> = Vec::with_capacity(settled.insights.len());
    for (id, version, told) in &settled.insights {
        let content = serde_json::to_string(told).map_err(|_| AnalyticsError::Corrupt("insight"))?;
        insights.push([id.into_bytes().into(), (*version).into(), content.into()]);
    }
    tx.execute_many(PUT_INSIGHTS, &insights)?;
    purchases::keep(tx, &settled.recent)
}
