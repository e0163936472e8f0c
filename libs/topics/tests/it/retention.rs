//! What may be forgotten.

use pathway_store::suite;
use pathway_store::testing::Scratch;
use pathway_topics::Topics;

use super::{GROUP, TOPIC, commit, database, event, log};

suite!(
    only_what_is_old_and_processed_goes,
    the_slowest_group_decides,
    without_a_group_nothing_goes,
    much_goes_in_pieces,
    a_clock_set_back_leaves_no_hole,
    a_size_is_kept_to_and_what_waits_stays,
    figures_say_what_is_there_and_who_is_behind,
    a_time_has_an_offset,
);

async fn offsets(topics: &Topics, partition: i32) -> Vec<i64> {
    let found = topics.fetch(TOPIC, partition, 0, 10_000).await.unwrap();
    found.iter().map(|event| event.offset).collect()
}

async fn only_what_is_old_and_processed_goes(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, clock) = log(&db).await;
    let mut partition = 0;
    for at in [1_000, 2_000, 3_000, 4_000] {
        clock.set(at);
        partition = topics.append(TOPIC, vec![event("user-1", "x")]).await.unwrap()[0].partition;
    }
    commit(&topics, &db, GROUP, partition, 2).await;
    assert_eq!(topics.truncate(TOPIC, 1_500).await.unwrap(), 1, "the second is too young");
    assert_eq!(topics.truncate(TOPIC, 9_000).await.unwrap(), 1, "the third is not processed");
    assert_eq!(offsets(&topics, partition).await, [2, 3]);
    assert_eq!(topics.truncate(TOPIC, 9_000).await.unwrap(), 0);
    // Offsets go on from where they were, and a group that is new does not count what it cannot get.
    assert_eq!(topics.append(TOPIC, vec![event("user-1", "x")]).await.unwrap()[0].offset, 4);
    let lag = topics.lag(TOPIC, "newcomer").await.unwrap();
    assert_eq!(lag.iter().map(|partition| partition.events).sum::<i64>(), 3);
}

async fn the_slowest_group_decides(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let batch = (0..6).map(|_| event("user-1", "x")).collect();
    let partition = topics.append(TOPIC, batch).await.unwrap()[0].partition;
    commit(&topics, &db, "fast", partition, 6).await;
    commit(&topics, &db, "slow", partition, 2).await;
    assert_eq!(topics.truncate(TOPIC, 9_000).await.unwrap(), 2);
    // A group that has begun elsewhere has processed nothing here.
    commit(&topics, &db, "slow", partition, 6).await;
    commit(&topics, &db, "elsewhere", (partition + 1) % 8, 1).await;
    assert_eq!(topics.truncate(TOPIC, 9_000).await.unwrap(), 0);
    assert_eq!(offsets(&topics, partition).await, [2, 3, 4, 5]);
}

async fn without_a_group_nothing_goes(scratch: &Scratch) {
    let (topics, _) = log(&database(scratch).await).await;
    let partition = topics.append(TOPIC, vec![event("user-1", "x")]).await.unwrap()[0].partition;
    assert_eq!(topics.truncate(TOPIC, i64::MAX).await.unwrap(), 0);
    assert_eq!(offsets(&topics, partition).await, [0]);
}

async fn much_goes_in_pieces(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, clock) = log(&db).await;
    let old = (0..4_500).map(|_| event("user-1", "x")).collect();
    let partition = topics.append(TOPIC, old).await.unwrap()[0].partition;
    clock.set(5_000);
    topics.append(TOPIC, (0..10).map(|_| event("user-1", "y")).collect()).await.unwrap();
    commit(&topics, &db, GROUP, partition, 4_510).await;
    assert_eq!(topics.truncate(TOPIC, 5_000).await.unwrap(), 4_500);
    assert_eq!(offsets(&topics, partition).await, (4_500..4_510).collect::<Vec<_>>());
}

async fn a_clock_set_back_leaves_no_hole(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, clock) = log(&db).await;
    let mut partition = 0;
    for at in [1_000, 5_000, 2_000] {
        clock.set(at);
        partition = topics.append(TOPIC, vec![event("user-1", "x")]).await.unwrap()[0].partition;
    }
    commit(&topics, &db, GROUP, partition, 3).await;
    assert_eq!(topics.truncate(TOPIC, 3_000).await.unwrap(), 1);
    assert_eq!(offsets(&topics, partition).await, [1, 2]);
}

async fn a_size_is_kept_to_and_what_waits_stays(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, _) = log(&db).await;
    let batch = (0..2_000).map(|_| event("user-1", "0123456789")).collect();
    let partition = topics.append(TOPIC, batch).await.unwrap()[0].partition;
    let bytes = async || topics.figures(TOPIC).await.unwrap().partitions.iter().map(|p| p.bytes).sum::<i64>();
    assert_eq!(bytes().await, 20_000);
    assert_eq!(topics.truncate_to_size(TOPIC, 0).await.unwrap(), 0, "nobody has processed any");
    commit(&topics, &db, GROUP, partition, 1_500).await;
    // A partition may hold an eighth.
    let removed = topics.truncate_to_size(TOPIC, 8 * 10_000).await.unwrap();
    assert!((1_000..1_300).contains(&removed), "{removed}");
    assert_eq!(bytes().await, 20_000 - 10 * i64::try_from(removed).unwrap());
    assert_eq!(topics.truncate_to_size(TOPIC, 8 * 10_000).await.unwrap(), 0);
    assert_eq!(removed + topics.truncate_to_size(TOPIC, 0).await.unwrap(), 1_500, "what waits stays");
    assert_eq!(offsets(&topics, partition).await, (1_500..2_000).collect::<Vec<_>>());
}

async fn figures_say_what_is_there_and_who_is_behind(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, clock) = log(&db).await;
    let mut partition = 0;
    for at in [1_000, 2_000, 3_000] {
        clock.set(at);
        partition = topics.append(TOPIC, vec![event("user-1", "abc")]).await.unwrap()[0].partition;
    }
    commit(&topics, &db, "fast", partition, 3).await;
    commit(&topics, &db, "slow", partition, 1).await;
    let figures = topics.figures(TOPIC).await.unwrap();
    let ours = figures.partitions.iter().find(|figures| figures.partition == partition).unwrap();
    assert_eq!((figures.partitions.len(), ours.first, ours.end, ours.bytes), (8, 0, 3, 9));
    let groups: Vec<(&str, i64, Option<i64>)> =
        figures.groups.iter().map(|group| (group.group.as_str(), group.events, group.oldest_us)).collect();
    assert_eq!(groups, [("fast", 0, None), ("slow", 2, Some(2_000))]);
}

async fn a_time_has_an_offset(scratch: &Scratch) {
    let db = database(scratch).await;
    let (topics, clock) = log(&db).await;
    let mut partition = 0;
    for at in [1_000, 2_000, 2_000, 3_000, 4_000] {
        clock.set(at);
        partition = topics.append(TOPIC, vec![event("user-1", "x")]).await.unwrap()[0].partition;
    }
    for (at, expected) in [(0, 0), (1_000, 0), (1_001, 1), (2_000, 1), (2_001, 3), (4_000, 4), (4_001, 5)] {
        assert_eq!(topics.offset_at(TOPIC, partition, at).await.unwrap(), expected, "{at}");
    }
    commit(&topics, &db, GROUP, partition, 5).await;
    topics.truncate(TOPIC, 3_000).await.unwrap();
    assert_eq!(topics.offset_at(TOPIC, partition, 0).await.unwrap(), 3, "the first that is still there");
    assert_eq!(topics.offset_at(TOPIC, (partition + 1) % 8, 0).await.unwrap(), 0);
}
