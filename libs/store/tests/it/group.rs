//! Group commit: who shares a commit, and who shares a fate.

use std::sync::mpsc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use pathway_store::testing::Scratch;
use pathway_store::{Db, StoreError, Val};
use tokio::task::JoinHandle;

use super::{INSERT, SCHEMA, ids, insert};

type Written = JoinHandle<Result<(), StoreError>>;

/// A writer that is held inside a transaction, so that what follows gathers behind it in one group.
struct Held {
    release: mpsc::Sender<()>,
    first: Written,
}

async fn open(scratch: &Scratch) -> Db {
    Db::open(&scratch.config(), vec![SCHEMA]).await.unwrap()
}

/// Holds the writer in a transaction that writes item `id`.
async fn hold(db: &Db, id: i64) -> Held {
    let (release, released) = mpsc::channel();
    let (entered, inside) = tokio::sync::oneshot::channel();
    let entered = std::sync::Mutex::new(Some(entered));
    let db = db.clone();
    let first = tokio::spawn(async move {
        db.write(move |tx| {
            if let Some(entered) = entered.lock().unwrap().take() {
                let _ = entered.send(());
            }
            let _ = released.recv();
            tx.execute(INSERT, &[id.into(), "first".into()]).map(|_| ())
        })
        .await
    });
    inside.await.unwrap();
    Held { release, first }
}

/// Queues one transaction of these statements, and is back once it waits in the queue.
async fn queue(db: &Db, statements: Vec<(&'static str, Vec<Val>)>) -> Written {
    let mut write = Box::pin({
        let db = db.clone();
        async move {
            db.write(move |tx| {
                statements.iter().try_for_each(|(sql, params)| tx.execute(sql, params).map(|_| ()))
            })
            .await
        }
    });
    // The first poll puts it into the queue; the answer comes later.
    // Unconstrained, or a test that queues hundreds would be told to let others run, and be back before it is there.
    assert!(tokio::task::unconstrained(&mut write).now_or_never().is_none());
    tokio::spawn(write)
}

fn item(id: i64) -> Vec<(&'static str, Vec<Val>)> {
    vec![(INSERT, vec![id.into(), "x".into()])]
}

#[tokio::test]
async fn those_who_wait_together_share_one_commit() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 0).await;
    let mut waiting = Vec::new();
    for id in 1..=100 {
        waiting.push(queue(&db, item(id)).await);
    }
    assert!(ids(&db).await.is_empty(), "nothing is visible before the commit");
    held.release.send(()).unwrap();
    held.first.await.unwrap().unwrap();
    for written in waiting {
        written.await.unwrap().unwrap();
    }
    assert_eq!(db.durable_commits(), 1);
    assert_eq!(ids(&db).await.len(), 101);
}

#[tokio::test]
async fn a_group_is_bounded() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 0).await;
    let mut waiting = Vec::new();
    for id in 1..300 {
        waiting.push(queue(&db, item(id)).await);
    }
    held.release.send(()).unwrap();
    join_all(waiting).await;
    assert_eq!(db.durable_commits(), 2);
}

#[tokio::test]
async fn one_that_fails_leaves_its_group_as_it_was() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 1).await;
    let before = queue(&db, item(2)).await;
    // Its first statement works, and goes with the second.
    let taken = queue(&db, [item(10), item(2)].concat()).await;
    let after = queue(&db, item(3)).await;
    held.release.send(()).unwrap();
    held.first.await.unwrap().unwrap();
    before.await.unwrap().unwrap();
    assert!(matches!(taken.await.unwrap(), Err(StoreError::Constraint(_))));
    after.await.unwrap().unwrap();
    assert_eq!((ids(&db).await, db.durable_commits()), (vec![1, 2, 3], 1));
}

#[tokio::test]
async fn a_failed_commit_fails_all_of_the_group() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 1).await;
    let innocent = queue(&db, item(2)).await;
    // A deferred constraint is what makes a COMMIT fail at will.
    let orphan = queue(&db, vec![("INSERT INTO parts (item) VALUES ($1)", vec![99.into()])]).await;
    held.release.send(()).unwrap();
    for member in [held.first, innocent, orphan] {
        let result = member.await.unwrap();
        assert!(matches!(result, Err(StoreError::Constraint(_))), "{result:?}");
    }
    assert_eq!((ids(&db).await, db.durable_commits()), (vec![], 0));
    insert(&db, 4).await.unwrap();
    assert_eq!(ids(&db).await, [4], "the writer goes on");
}

#[tokio::test]
async fn a_group_that_sqlite_gave_up_is_acknowledged_to_nobody() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 1).await;
    // What a full disk does at a moment of its own choosing: all of the transaction goes, not the statement alone.
    let culprit = queue(&db, vec![("INSERT OR ROLLBACK INTO items (id) VALUES ($1)", vec![1.into()])]).await;
    let after = queue(&db, item(2)).await;
    held.release.send(()).unwrap();
    assert!(matches!(held.first.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert!(matches!(culprit.await.unwrap(), Err(StoreError::Constraint(_))));
    after.await.unwrap().unwrap();
    assert_eq!(ids(&db).await, [2], "who came after it is in the next group");
}

#[tokio::test]
async fn closing_finishes_what_waits() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let held = hold(&db, 1).await;
    let waiting = queue(&db, item(2)).await;
    held.release.send(()).unwrap();
    db.close().await;
    held.first.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(ids(&open(&scratch).await).await, [1, 2]);
}

#[tokio::test]
async fn a_transaction_may_own_the_last_handle() {
    let scratch = Scratch::sqlite();
    let db = open(&scratch).await;
    let ((release, released), (held, gone)) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    let inner = db.clone();
    let mut write = Box::pin(db.write(move |tx| {
        let _owned = (&inner, &held);
        let _ = released.recv();
        tx.execute(INSERT, &[1.into(), "x".into()])
    }));
    // Unconstrained, or a test that queues hundreds would be told to let others run, and be back before it is there.
    assert!(tokio::task::unconstrained(&mut write).now_or_never().is_none());
    drop(write);
    drop(db);
    // From here on the writer's thread alone keeps the store, and must not wait for itself when it lets go.
    release.send(()).unwrap();
    assert!(gone.recv().is_err());
    assert_eq!(ids(&open(&scratch).await).await, [1], "nobody waits for it, and it is kept all the same");
}
