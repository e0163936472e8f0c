//! The limit: the same job done directly on SQLite, by one thread, in batches of 1,024.
//!
//! It is what somebody would write who needs this one job and nothing else: no processes, no network, no topic to read from, no definitions. It
//! does all that the four services do for an event, and durably: the event, the record with its version, the fact, the totals, the check of the
//! budget and of what stands out with the same rules (`pathway-finance`), a notice for each, the execution; idempotent by position and by the
//! line's identity; one commit with `synchronous=FULL` for each batch. As the services do, it loads what a batch touches, decides in memory, and
//! stores what came of it in prepared statements, each once for the whole batch; that is much faster than a statement at a time for each event.

mod batch;
mod known;
mod line;
mod statements;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use pathway_finance::CivilDate;
use pathway_kernel::{Clock, Fault};
use pathway_store::{Db, Migration, StoreConfig, StoreError, Val};
use tokio::time::Instant;

use super::events::{BUDGETS, Expected, Spend, Stream, Sums, user};
use super::verify::difference;
use batch::Batch;

const SCHEMA: Migration = Migration { number: 1, name: "limit", sql: include_str!("schema.sql") };
/// How many events share a transaction.
pub(super) const BATCH: usize = 1_024;
const SET_BUDGET: &str = "INSERT INTO budgets (user_id, category, minor) VALUES ($1, $2, $3)";
const TOTALS: &str =
    "SELECT category, CAST(SUM(gross) AS BIGINT), CAST(SUM(refunds) AS BIGINT), CAST(SUM(count) AS BIGINT)
     FROM day_totals WHERE user_id = $1 GROUP BY category HAVING SUM(count) > 0";

/// How fast it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) elapsed: Duration,
    pub(super) commits: u64,
}

/// Does the job for `count` events of a stream of `users`, and checks what came of it.
pub(super) async fn run(
    directory: &Path,
    mut stream: Stream,
    (count, users): (u64, u32),
    today: CivilDate,
    bar: &ProgressBar,
) -> Result<(Limit, Option<String>), Fault> {
    let config = StoreConfig::sqlite(directory.join("limit.db"));
    let db = Db::open(&config, vec![SCHEMA]).await?;
    set_budgets(&db, users).await?;
    let before = db.durable_commits();
    let again = stream.clone();
    let (mut sizes, mut position, mut elapsed) = (Vec::new(), 0, Duration::ZERO);
    let clock = Clock::system();
    while position < count {
        let size = usize::try_from(count - position).unwrap_or(BATCH).min(BATCH);
        let payloads = stream.batch(size).map_err(Fault::internal)?.iter().map(Spend::to_json).collect();
        let begun = Instant::now();
        let batch = Batch::read(position, payloads, today, clock.now_us())?;
        db.write(move |tx| batch.apply(tx)).await?;
        elapsed += begun.elapsed();
        sizes.push(size);
        position += size as u64;
        bar.set_position(position);
    }
    let limit = Limit { elapsed, commits: db.durable_commits() - before };
    let expected = super::events::recompute(again, &sizes).map_err(Fault::internal)?;
    let difference = verify(&db, expected, users).await?;
    db.close().await;
    Ok((limit, difference.map(|difference| format!("the limit: {difference}"))))
}

async fn set_budgets(db: &Db, users: u32) -> Result<(), StoreError> {
    let of_user =
        |number| BUDGETS.map(|(category, minor)| [user(number).into(), category.into(), Val::from(minor)]);
    let rows: Vec<[Val; 3]> = (0..users).flat_map(of_user).collect();
    db.write(move |tx| tx.execute_many(SET_BUDGET, &rows)).await?;
    Ok(())
}

async fn verify(db: &Db, expected: Expected, users: u32) -> Result<Option<String>, StoreError> {
    for number in 0..users {
        let mut stored: BTreeMap<String, Sums> = BTreeMap::new();
        for row in db.query(TOTALS, vec![user(number).into()]).await? {
            let sums = Sums { gross: row.i64(1)?, refunds: row.i64(2)?, count: row.i64(3)? };
            stored.insert(row.text(0)?.to_owned(), sums);
        }
        if let Some(difference) = difference(number, &expected, &stored) {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
