//! What a service may rely on, whichever database it was given.

use futures_util::future::{join_all, try_join_all};
use pathway_store::testing::Scratch;
use pathway_store::{Db, StoreError, Val, suite};

use super::{INSERT, SCHEMA, ids, insert};

suite!(
    values_come_back_as_they_went_in,
    parameters_are_bound_by_number,
    a_wrong_number_of_parameters_is_an_error,
    a_malformed_statement_is_a_defect,
    batches_are_written_and_read,
    an_error_rolls_its_transaction_back,
    a_panic_rolls_back_and_harms_nobody_else,
    a_failed_statement_dooms_its_transaction,
    a_broken_constraint_is_told_apart,
    a_read_sees_one_snapshot,
    a_read_cannot_write,
    writers_do_not_lose_each_others_updates,
    locking_writers_queue,
    what_was_written_survives_a_reopening,
    a_closed_store_refuses,
);

async fn open(scratch: &Scratch) -> Db {
    Db::open(&scratch.config(), vec![SCHEMA]).await.unwrap()
}

async fn values_come_back_as_they_went_in(scratch: &Scratch) {
    let db = open(scratch).await;
    let sql = "INSERT INTO items (id, name, body, weight) VALUES ($1, $2, $3, $4)";
    let rows: Vec<Vec<Val>> = vec![
        vec![i64::MIN.into(), "Grüße 🚀".into(), [7_u8; 16].into(), 0.1.into()],
        vec![i64::MAX.into(), Val::Null, Val::Null, Val::Null],
        vec![0.into(), "".into(), Vec::<u8>::new().into(), (-2.5).into()],
    ];
    let written = rows.clone();
    db.write(move |tx| tx.execute_many(sql, &written)).await.unwrap();
    let found = db.query("SELECT id, name, body, weight FROM items ORDER BY id", Vec::new()).await.unwrap();
    assert_eq!(found[0].i64(0).unwrap(), i64::MIN);
    assert_eq!(found[0].text(1).unwrap(), "Grüße 🚀");
    assert_eq!(found[0].id(2).unwrap(), [7; 16]);
    assert_eq!(found[0].values()[3], Val::F64(0.1));
    assert_eq!(found[1].text(1).unwrap(), "");
    assert_eq!(found[1].blob(2).unwrap(), b"");
    assert_eq!(found[2].opt_text(1).unwrap(), None);
    assert!(matches!(found[2].text(1), Err(StoreError::Column { index: 1, .. })));
    assert!(matches!(found[2].i64(9), Err(StoreError::Column { index: 9, .. })));
}

async fn parameters_are_bound_by_number(scratch: &Scratch) {
    let db = open(scratch).await;
    insert(&db, 1).await.unwrap();
    // $2 stands before $1, and $1 twice: by position, or by first occurrence, this would answer something else.
    let sql = "UPDATE items SET name = $2 WHERE id = $1 AND id <= $1 RETURNING name";
    let rows = db.write(move |tx| tx.query(sql, &[1.into(), "new".into()])).await.unwrap();
    assert_eq!(rows[0].text(0).unwrap(), "new");
}

async fn a_wrong_number_of_parameters_is_an_error(scratch: &Scratch) {
    let db = open(scratch).await;
    for given in [vec![], vec![Val::I64(1)], vec![1.into(), "a".into(), "b".into()]] {
        let error = db.write(move |tx| tx.execute(INSERT, &given)).await.unwrap_err();
        assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
    }
    // The shorter row must not borrow from the one before it.
    let uneven: Vec<Vec<Val>> = vec![vec![1.into(), "a".into()], vec![2.into()]];
    db.write(move |tx| tx.execute_many(INSERT, &uneven)).await.unwrap_err();
    assert!(ids(&db).await.is_empty());
}

async fn a_malformed_statement_is_a_defect(scratch: &Scratch) {
    let db = open(scratch).await;
    let error = db.query("SELECT nonsense FROM items WHERE id = $1", vec![1.into()]).await.unwrap_err();
    assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
    assert!(!error.is_transient());
}

async fn batches_are_written_and_read(scratch: &Scratch) {
    let db = open(scratch).await;
    let rows: Vec<Vec<Val>> = (0..500).map(|id| vec![Val::I64(id), format!("n{id}").into()]).collect();
    assert_eq!(db.write(move |tx| tx.execute_many(INSERT, &rows)).await.unwrap(), 500);
    let keys: Vec<Vec<Val>> = (0..500).rev().map(|id| vec![Val::I64(id)]).collect();
    let found =
        db.read(move |tx| tx.query_many("SELECT name FROM items WHERE id = $1", &keys)).await.unwrap();
    assert_eq!(found.len(), 500);
    assert_eq!(found[0][0].text(0).unwrap(), "n499");
    let none: Vec<Vec<Val>> = Vec::new();
    assert_eq!(db.write(move |tx| tx.execute_many(INSERT, &none)).await.unwrap(), 0);
    let upsert = "INSERT INTO items (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name \
                  RETURNING id";
    let rows: Vec<Vec<Val>> = vec![vec![1.into(), "once".into()], vec![1.into(), "twice".into()]];
    assert_eq!(db.write(move |tx| tx.execute_many(upsert, &rows)).await.unwrap(), 2);
    let found = db.query("SELECT name FROM items WHERE id = 1", Vec::new()).await.unwrap();
    assert_eq!(found[0].text(0).unwrap(), "twice");
}

async fn an_error_rolls_its_transaction_back(scratch: &Scratch) {
    #[derive(Debug, thiserror::Error)]
    enum Refused {
        #[error("refused")]
        Refused,
        #[error("store")]
        Store(#[from] StoreError),
    }
    let db = open(scratch).await;
    let result: Result<(), Refused> = db
        .write(|tx| {
            tx.execute(INSERT, &[1.into(), "a".into()])?;
            Err(Refused::Refused)
        })
        .await;
    assert!(matches!(result, Err(Refused::Refused)));
    insert(&db, 2).await.unwrap();
    assert_eq!(ids(&db).await, [2]);
}

async fn a_panic_rolls_back_and_harms_nobody_else(scratch: &Scratch) {
    let db = open(scratch).await;
    for _ in 0..20 {
        let result: Result<(), StoreError> = db
            .write(|tx| {
                tx.execute(INSERT, &[1.into(), "a".into()])?;
                panic!("on purpose");
            })
            .await;
        assert!(matches!(result, Err(StoreError::Internal(_))), "{result:?}");
        let result: Result<(), StoreError> = db.read(|_| panic!("on purpose")).await;
        assert!(result.is_err());
    }
    insert(&db, 2).await.unwrap();
    assert_eq!(ids(&db).await, [2]);
}

async fn a_failed_statement_dooms_its_transaction(scratch: &Scratch) {
    let db = open(scratch).await;
    insert(&db, 1).await.unwrap();
    let result: Result<(), StoreError> = db
        .write(|tx| {
            tx.execute(INSERT, &[2.into(), "a".into()])?;
            let _ = tx.execute(INSERT, &[1.into(), "taken".into()]);
            assert!(tx.execute(INSERT, &[3.into(), "a".into()]).is_err());
            Ok(())
        })
        .await;
    assert!(matches!(result, Err(StoreError::Internal(_))), "{result:?}");
    assert_eq!(ids(&db).await, [1]);
}

async fn a_broken_constraint_is_told_apart(scratch: &Scratch) {
    let db = open(scratch).await;
    insert(&db, 1).await.unwrap();
    assert!(matches!(insert(&db, 1).await, Err(StoreError::Constraint(_))));
    // This one speaks up at the commit alone.
    let result = db.write(|tx| tx.execute("INSERT INTO parts (item) VALUES ($1)", &[9.into()])).await;
    assert!(matches!(result, Err(StoreError::Constraint(_))), "{result:?}");
    insert(&db, 2).await.unwrap();
    assert_eq!(ids(&db).await, [1, 2]);
}

async fn a_read_sees_one_snapshot(scratch: &Scratch) {
    let db = open(scratch).await;
    insert(&db, 1).await.unwrap();
    let (inside, writer) = (tokio::runtime::Handle::current(), db.clone());
    let count = "SELECT COUNT(*) FROM items";
    let counts = db
        .read(move |tx| {
            let before = tx.query(count, &[])?[0].i64(0)?;
            inside.block_on(insert(&writer, 2))?;
            let after = tx.query(count, &[])?[0].i64(0)?;
            Ok::<_, StoreError>((before, after))
        })
        .await
        .unwrap();
    assert_eq!(counts, (1, 1));
    assert_eq!(ids(&db).await, [1, 2]);
}

async fn a_read_cannot_write(scratch: &Scratch) {
    let db = open(scratch).await;
    db.read(|tx| tx.execute(INSERT, &[1.into(), "a".into()])).await.unwrap_err();
    assert!(ids(&db).await.is_empty());
}

const COUNT_UP: &str = "UPDATE items SET weight = $1 WHERE id = 1";
const COUNTED: &str = "SELECT weight FROM items WHERE id = 1";

async fn writers_do_not_lose_each_others_updates(scratch: &Scratch) {
    let db = open(scratch).await;
    db.write(|tx| tx.execute("INSERT INTO items (id, weight) VALUES (1, 0)", &[])).await.unwrap();
    // Read, then write what was read plus one: the anomaly that snapshots alone allow.
    let add = || {
        db.write(|tx| {
            let Some(Val::F64(weight)) = tx.query(COUNTED, &[])?[0].values().first().cloned() else {
                return Ok(0);
            };
            tx.execute(COUNT_UP, &[(weight + 1.0).into()])
        })
    };
    let won: f64 = join_all((0..12).map(|_| add()))
        .await
        .into_iter()
        .map(|result: Result<u64, StoreError>| match result {
            Ok(_) => 1.0,
            // Losing too often is an answer, as long as nothing of it was kept.
            Err(StoreError::Conflict(_)) => 0.0,
            Err(error) => panic!("{error:?}"),
        })
        .sum();
    let rows = db.query(COUNTED, Vec::new()).await.unwrap();
    assert_eq!(rows[0].values(), [Val::F64(won)]);
    assert!(won >= 1.0);
}

async fn locking_writers_queue(scratch: &Scratch) {
    let db = open(scratch).await;
    db.write(|tx| tx.execute("INSERT INTO items (id, weight) VALUES (1, 0)", &[])).await.unwrap();
    let sql = "UPDATE items SET weight = weight + 1 WHERE id = 1";
    try_join_all((0..40).map(|_| db.write_locking(move |tx| tx.execute(sql, &[])))).await.unwrap();
    let rows = db.query(COUNTED, Vec::new()).await.unwrap();
    assert_eq!(rows[0].values(), [Val::F64(40.0)]);
}

async fn what_was_written_survives_a_reopening(scratch: &Scratch) {
    let db = open(scratch).await;
    insert(&db, 1).await.unwrap();
    assert!(db.durable_commits() >= 1);
    db.close().await;
    assert_eq!(ids(&open(scratch).await).await, [1]);
}

async fn a_closed_store_refuses(scratch: &Scratch) {
    let db = open(scratch).await;
    let clone = db.clone();
    db.close().await;
    clone.close().await;
    assert!(matches!(insert(&clone, 1).await, Err(StoreError::Unavailable(_))));
    let read = clone.query("SELECT id FROM items", Vec::new()).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
}
