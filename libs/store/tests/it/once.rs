//! Calls that are done once.

use pathway_store::testing::Scratch;
use pathway_store::{Db, Migration, Once, REQUESTS, StoreError, WINDOW};

pathway_store::suite!(
    a_call_is_done_once_and_answered_as_before,
    another_request_under_a_known_id_is_refused,
    calls_at_once_are_done_once,
    what_failed_may_be_done_again,
    an_answer_is_kept_for_its_window,
);

const COUNT: Migration =
    Migration { number: 1, name: "count", sql: "CREATE TABLE done (n BIGINT NOT NULL PRIMARY KEY)" };

async fn open(scratch: &Scratch) -> Db {
    Db::open(&scratch.config(), vec![COUNT, REQUESTS]).await.unwrap()
}

/// Does something that can be counted, and answers its number.
async fn call(db: &Db, once: Once) -> Result<Vec<u8>, StoreError> {
    db.write_locking(move |tx| {
        if let Some(answer) = once.begin(tx)? {
            return Ok(answer);
        }
        let number = tx.query("SELECT COUNT(*) FROM done", &[])?[0].i64(0)?;
        tx.execute("INSERT INTO done (n) VALUES ($1)", &[number.into()])?;
        let answer = number.to_string().into_bytes();
        once.end(tx, &answer)?;
        Ok(answer)
    })
    .await
}

async fn done(db: &Db) -> i64 {
    db.query("SELECT COUNT(*) FROM done", vec![]).await.unwrap()[0].i64(0).unwrap()
}

async fn a_call_is_done_once_and_answered_as_before(scratch: &Scratch) {
    let db = open(scratch).await;
    let once = Once::new("Publish", "A", b"events", 1);
    assert_eq!(call(&db, once.clone()).await.unwrap(), b"0");
    // Upper or lower case is one id, as it is one UUID.
    assert_eq!(call(&db, Once::new("Publish", "a", b"events", 2)).await.unwrap(), b"0");
    assert_eq!(call(&db, Once::new("Publish", "b", b"events", 3)).await.unwrap(), b"1");
    assert_eq!(call(&db, Once::new("Replay", "a", b"events", 4)).await.unwrap(), b"2");
    let again = open(scratch).await;
    assert_eq!(call(&again, once).await.unwrap(), b"0", "after a restart");
    assert_eq!(done(&db).await, 3);
}

async fn another_request_under_a_known_id_is_refused(scratch: &Scratch) {
    let db = open(scratch).await;
    call(&db, Once::new("Publish", "a", b"events", 1)).await.unwrap();
    let refused = call(&db, Once::new("Publish", "a", b"others", 1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::RequestIdReused), "{refused:?}");
    assert_eq!(done(&db).await, 1);
}

async fn calls_at_once_are_done_once(scratch: &Scratch) {
    let db = open(scratch).await;
    let calls = (0..8).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { call(&db, Once::new("Publish", "a", b"events", 1)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), b"0");
    }
    assert_eq!(done(&db).await, 1);
}

async fn what_failed_may_be_done_again(scratch: &Scratch) {
    let db = open(scratch).await;
    let once = Once::new("Publish", "a", b"events", 1);
    let failing = once.clone();
    let failed: Result<(), StoreError> = db
        .write_locking(move |tx| {
            failing.begin(tx)?;
            Err(StoreError::RequestIdReused)
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(call(&db, once).await.unwrap(), b"0");
}

async fn an_answer_is_kept_for_its_window(scratch: &Scratch) {
    let db = open(scratch).await;
    let window = i64::try_from(WINDOW.as_micros()).unwrap();
    call(&db, Once::new("Publish", "a", b"events", 1)).await.unwrap();
    assert_eq!(call(&db, Once::new("Publish", "a", b"events", 1 + window)).await.unwrap(), b"0");
    assert_eq!(call(&db, Once::new("Publish", "a", b"others", 2 + window)).await.unwrap(), b"1");
    let rows = db.query("SELECT request_id FROM requests", vec![]).await.unwrap();
    assert_eq!(rows.len(), 1);
}
