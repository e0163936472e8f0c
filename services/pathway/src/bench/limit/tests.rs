use super::*;

fn stream() -> Stream {
    Stream::new(2, CivilDate::new(2026, 3, 20).unwrap(), 19)
}

async fn counts(db: &Db) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "SELECT COUNT(*) FROM events",
        "SELECT COUNT(*) FROM executions",
        "SELECT COUNT(*) FROM records",
        "SELECT COUNT(*) FROM facts",
        "SELECT COUNT(*) FROM notices",
    ] {
        counts.push(db.query(sql, Vec::new()).await.unwrap()[0].i64(0).unwrap());
    }
    counts
}

#[tokio::test]
async fn a_batch_that_comes_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&StoreConfig::sqlite(directory.path().join("x.db")), vec![SCHEMA]).await.unwrap();
    set_budgets(&db, 2).await.unwrap();
    let today = CivilDate::new(2026, 3, 20).unwrap();
    let mut events = stream();
    for round in 0..2 {
        let payloads: Vec<Vec<u8>> = events.batch(500).unwrap().iter().map(Spend::to_json).collect();
        for _ in 0..=round {
            let batch = Batch::read(round * 500, payloads.clone(), today, 1).unwrap();
            db.write(move |tx| batch.apply(tx)).await.unwrap();
        }
    }
    let counts = counts(&db).await;
    assert_eq!(counts[..2], [1_000, 1_000]);
    assert_eq!(counts[2], counts[3], "each line has one fact");
    assert!(counts[4] >= 4, "both budgets of both users are crossed: {counts:?}");
    let expected = super::super::events::recompute(stream(), &[500, 500]).unwrap();
    assert_eq!(verify(&db, expected, 2).await.unwrap(), None);
    db.close().await;
}

#[tokio::test]
async fn the_limit_checks_itself() {
    let directory = tempfile::tempdir().unwrap();
    let today = CivilDate::new(2026, 3, 20).unwrap();
    let bar = ProgressBar::hidden();
    let (limit, difference) = run(directory.path(), stream(), (3_000, 2), today, &bar).await.unwrap();
    assert_eq!((limit.commits, difference), (3, None));
}
