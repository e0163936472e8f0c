//! Whether the database answers.

use std::sync::Arc;

use pathway_store::testing::Scratch;
use pathway_store::{Db, StoreConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[tokio::test]
async fn a_file_answers() {
    let scratch = Scratch::sqlite();
    let db = Db::open(&scratch.config(), Vec::new()).await.unwrap();
    db.ping().await.unwrap();
    db.close().await;
    assert!(db.ping().await.is_err());
}

/// A way to the server that can be cut.
async fn way(open: watch::Receiver<bool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(open);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut open = watch::Receiver::clone(&open);
            tokio::spawn(async move {
                if !*open.borrow_and_update() {
                    return;
                }
                let Ok(mut far) = TcpStream::connect("127.0.0.1:5432").await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = open.wait_for(|open| !open) => {}
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_does_not_answer_and_one_that_is_back_does() {
    if std::env::var_os("PATHWAY_TEST_POSTGRES").is_some() {
        eprintln!("SKIPPED: the way that is cut leads to 127.0.0.1:5432 only");
        return;
    }
    let Some(scratch) = Scratch::postgres().await else { return };
    let (cut, open) = watch::channel(true);
    let port = way(open).await;
    let StoreConfig::Postgres { url, schema } = scratch.config() else { panic!("not PostgreSQL") };
    let db =
        Db::open(&StoreConfig::postgres(format!("{url} port={port}"), schema), Vec::new()).await.unwrap();
    for _ in 0..2 {
        db.ping().await.unwrap();
        cut.send(false).unwrap();
        assert!(db.ping().await.is_err());
        cut.send(true).unwrap();
        // The connection that was cut is found out when it is used.
        while db.ping().await.is_err() {}
    }
    scratch.discard().await;
}
