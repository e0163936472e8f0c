//! What is appended, where, and how it is read back.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use pathway_kernel::{Clock, Code, Fault, ManualClock};
use pathway_store::testing::Scratch;
use pathway_store::{StoreError, suite};
use pathway_topics::{Position, Topics, TopicsConfig, TopicsError};

use super::{TOPIC, database, event, log};

suite!(
    a_batch_comes_back_in_order,
    a_key_keeps_its_partition,
    offsets_are_gapless_under_concurrency,
    what_is_visible_has_nothing_missing_before_it,
    a_refused_append_leaves_no_gap,
    topics_are_apart,
    a_fetch_is_bounded,
    appends_wake,
    the_epoch_belongs_to_the_database,
    another_number_of_partitions_is_refused,
    what_does_not_exist_is_named,
    the_log_survives_a_reopening,
);

async fn a_batch_comes_back_in_order(scratch: &Scratch) {
    let (topics, clock) = log(&database(scratch).await).await;
    clock.set(2_000);
    let events = (0..50).map(|n| event(&format!("user-{}", n % 7), &n.to_string())).collect::<Vec<_>>();
    let positions = topics.append(TOPIC, events.clone()).await.unwrap();
    assert_eq!(positions.len(), 50);
    for (event, position) in events.iter().zip(&positions) {
        assert_eq!(position.partition, topics.partition_of(&event.partition_key));
        let found = topics.fetch(TOPIC, position.partition, position.offset, 1).await.unwrap();
        assert_eq!(found[0].position(), *position);
        assert_eq!(found[0].payload, event.payload);
        assert_eq!(found[0].appended_at_us, 2_000);
    }
    assert_eq!(topics.append(TOPIC, Vec::new()).await.unwrap(), []);
}

async fn a_key_keeps_its_partition(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let mut offsets = Vec::new();
    for n in 0..5 {
        let positions = topics.append(TOPIC, vec![event("user-1", &n.to_string())]).await.unwrap();
        assert_eq!(positions[0].partition, topics.partition_of("user-1"));
        offsets.push(positions[0].offset);
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4]);
}

async fn offsets_are_gapless_under_concurrency(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let appenders = (0..24).map(|appender| {
        let topics = topics.clone();
        async move {
            // Several partitions each, in orders that cross.
            let batch =
                (0..10).map(|n| event(&format!("user-{}", (appender * 3 + n * 5) % 11), "x")).collect();
            topics.append(TOPIC, batch).await
        }
    });
    let mut found: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for Position { partition, offset } in try_join_all(appenders).await.unwrap().concat() {
        found.entry(partition).or_default().push(offset);
    }
    let mut total = 0;
    for (partition, mut offsets) in found {
        offsets.sort_unstable();
        total += offsets.len();
        let expected: Vec<i64> = (0..).take(offsets.len()).collect();
        assert_eq!(offsets, expected, "partition {partition}");
        let stored = topics.fetch(TOPIC, partition, 0, 1_000).await.unwrap();
        assert_eq!(stored.iter().map(|event| event.offset).collect::<Vec<_>>(), expected);
    }
    assert_eq!(total, 240);
}

async fn what_is_visible_has_nothing_missing_before_it(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let partition = topics.partition_of("user-1");
    let appenders = (0..8).map(|_| {
        let topics = topics.clone();
        async move {
            for _ in 0..10 {
                topics.append(TOPIC, vec![event("user-1", "x"), event("user-1", "x")]).await?;
            }
            Ok::<_, TopicsError>(())
        }
    });
    let reader = async {
        // A consumer that goes on from what it saw last must see every event once.
        let mut next = 0;
        while next < 160 {
            for event in topics.fetch(TOPIC, partition, next, 1_000).await? {
                assert_eq!(event.offset, next);
                next += 1;
            }
        }
        Ok(())
    };
    futures_util::future::try_join(try_join_all(appenders), reader).await.unwrap();
}

async fn a_refused_append_leaves_no_gap(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    topics.append(TOPIC, vec![event("user-1", "a")]).await.unwrap();
    let partition = topics.partition_of("user-1");
    // An event that is in the way makes the next append fail after it has moved the end.
    let block =
        "INSERT INTO topic_events (topic, part, pos, appended_at_us, payload) VALUES ($1, $2, 1, 0, $3)";
    let clear = "DELETE FROM topic_events WHERE topic = $1 AND part = $2 AND pos = 1";
    let params = [TOPIC.into(), partition.into(), vec![0_u8].into()];
    db.write(move |tx| tx.execute(block, &params)).await.unwrap();
    let error = topics.append(TOPIC, vec![event("user-1", "b"), event("user-2", "b")]).await.unwrap_err();
    assert!(matches!(error, TopicsError::Store(StoreError::Constraint(_))), "{error:?}");
    let params = [TOPIC.into(), partition.into()];
    db.write(move |tx| tx.execute(clear, &params)).await.unwrap();
    let positions = topics.append(TOPIC, vec![event("user-1", "c"), event("user-2", "c")]).await.unwrap();
    assert_eq!((positions[0].offset, positions[1].offset), (1, 0));
}

async fn topics_are_apart(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    topics.open("other").await.unwrap();
    topics.append(TOPIC, vec![event("user-1", "a")]).await.unwrap();
    let positions = topics.append("other", vec![event("user-1", "b")]).await.unwrap();
    assert_eq!(positions[0].offset, 0);
    let found = topics.fetch("other", positions[0].partition, 0, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].payload, b"b");
}

async fn a_fetch_is_bounded(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let batch = (0..20).map(|n| event("user-1", &n.to_string())).collect();
    let partition = topics.append(TOPIC, batch).await.unwrap()[0].partition;
    let offsets = |from, max| {
        let topics = topics.clone();
        async move {
            let found = topics.fetch(TOPIC, partition, from, max).await.unwrap();
            found.iter().map(|event| event.offset).collect::<Vec<_>>()
        }
    };
    assert_eq!(offsets(5, 3).await, [5, 6, 7]);
    assert_eq!(offsets(18, usize::MAX).await, [18, 19]);
    assert!(offsets(20, 3).await.is_empty());
    assert!(offsets(0, 0).await.is_empty());
}

async fn appends_wake(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let mut appends = topics.subscribe_appends(TOPIC);
    let clone = topics.clone();
    let append = async move { clone.append(TOPIC, vec![event("user-1", "a")]).await.unwrap() };
    let (woken, _) = futures_util::future::join(appends.changed(), append).await;
    woken.unwrap();
    assert!(!appends.has_changed().unwrap());
}

async fn the_epoch_belongs_to_the_database(scratch: &Scratch) {
    let db = database(scratch).await;
    let (first, second) = (log(&db).await.0, log(&db).await.0);
    assert_eq!(first.epoch(), second.epoch());
    assert_eq!(first.epoch().len(), 36);
    let elsewhere = Scratch::sqlite();
    assert_ne!(log(&database(&elsewhere).await).await.0.epoch(), first.epoch());
}

async fn another_number_of_partitions_is_refused(scratch: &Scratch) {
    let db = database(scratch).await;
    log(&db).await;
    let open =
        |partitions| Topics::new(db.clone(), TopicsConfig { partitions }, Clock::manual(&ManualClock::at(0)));
    let error = open(16).await.unwrap_err();
    assert!(matches!(error, TopicsError::PartitionCount { stored: 8, configured: 16 }));
    assert!(matches!(open(0).await.unwrap_err(), TopicsError::NoPartitions(0)));
}

async fn what_does_not_exist_is_named(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let fault = Fault::from(topics.append("nope", vec![event("k", "a")]).await.unwrap_err());
    assert_eq!((fault.code(), fault.reason()), (Code::NotFound, "TOPIC_NOT_FOUND"));
    assert!(fault.message().contains("nope"));
    let fault = Fault::from(topics.fetch(TOPIC, 8, 0, 1).await.unwrap_err());
    assert_eq!((fault.code(), fault.violations().len()), (Code::InvalidArgument, 1));
    for name in ["", "Upper", "a b", &"x".repeat(101)] {
        let fault = Fault::from(topics.open(name).await.unwrap_err());
        assert_eq!(fault.code(), Code::InvalidArgument, "{name}");
    }
}

async fn the_log_survives_a_reopening(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let position = topics.append(TOPIC, vec![event("user-1", "a")]).await.unwrap()[0];
    db.close().await;
    let (topics, _) = log(&database(scratch).await).await;
    assert_eq!(topics.fetch(TOPIC, position.partition, 0, 10).await.unwrap()[0].payload, b"a");
    assert_eq!(topics.append(TOPIC, vec![event("user-1", "b")]).await.unwrap()[0].offset, 1);
}
