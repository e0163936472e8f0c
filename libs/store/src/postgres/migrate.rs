//! Bringing a schema up to date.

use tokio_postgres::Client;

use crate::{Migration, StoreError, dialect, migration};

/// Guards the schema while services that start together look at it; any number that nobody else in the database uses.
const LOCK: i64 = 0x0070_6174_6877_6179;

/// Applies what the schema lacks in one transaction: PostgreSQL rolls back a `CREATE TABLE` like anything else.
pub(super) async fn run(
    client: &mut Client,
    schema: &str,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}; {}", migration::TABLE)).await?;
    let rows = transaction.query(migration::APPLIED, &[]).await?;
    let applied: Vec<(i64, String)> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, StoreError>>()?;
    for migration in migration::pending(migrations, &applied)? {
        let ran = transaction.batch_execute(&dialect::for_postgres(migration.sql)).await;
        ran.map_err(|error| match error.as_db_error() {
            Some(answer) => migration.failed(answer),
            None => error.into(),
        })?;
        transaction
            .execute(migration::RECORD, &[&migration.number, &migration.name, &migration.checksum()])
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
