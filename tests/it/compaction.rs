//! Compaction, expiry and garbage: when they are due, what they keep, what they leave.

mod offline;
mod space;

use std::sync::Arc;
use std::time::Duration;

use elanus_engine::api::{
    Collection, CompactMode, Engine, NewCollection, RowOrder, Rows, Selection, Snapshot,
};
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::runtime::{Clock, ManualClock, SystemClock};
use elanus_engine::core::settings::Settings;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::rows::{Row, random_row, to_batch};
use crate::harness::{files, folder, open, options, schema, small_settings};

/// Writes rows of these keys.
pub async fn insert(collection: &Collection, from: i64, to: i64) {
    let mut rng = StdRng::seed_from_u64(from as u64);
    let rows: Vec<(Key, Row)> =
        (from..to).map(|k| (Key::Int(k), random_row(&mut rng, "", 0))).collect();
    let rows = Rows { columns: to_batch(&rows), partition: None };
    collection.insert(rows).await.expect("rows");
}

pub async fn delete(collection: &Collection, from: i64, to: i64) {
    let keys: Vec<Key> = (from..to).map(Key::Int).collect();
    let keys = Keys::from_keys(&keys).expect("keys");
    let done = collection.delete_keys(keys, &Default::default()).await.expect("a delete");
    assert_eq!(done.count, (to - from) as u64);
}

/// The keys of a snapshot in order.
pub async fn keys(snapshot: &Snapshot) -> Vec<i64> {
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    let batch = snapshot.fetch(&rows, &["id".into()]).await.expect("keys");
    let keys = Keys::from_array(batch.column(0).as_ref()).expect("keys");
    (0..keys.len())
        .map(|at| match keys.get(at) {
            Key::Int(key) => key,
            Key::Text(_) => unreachable!("a text key"),
        })
        .collect()
}

pub fn settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 100_000;
    settings
}

pub async fn store(place: &std::path::Path, settings: &Settings) -> (Engine, Collection) {
    let engine = open(place, settings).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = engine.create_collection("default", new).await.expect("a collection");
    (engine, collection)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_past_their_time_to_live_go() {
    let place = folder();
    let clock = Arc::new(ManualClock::at(SystemClock.now_ms()));
    let engine = Engine::open_with_clock(options(place.path(), &settings()), clock.clone()).await;
    let engine = engine.expect("a store");
    let properties = [("collection.ttl.seconds".to_string(), "3600".to_string())].into();
    let new = NewCollection { properties, ..NewCollection::new("c", schema(false, false)) };
    let c = engine.create_collection("default", new).await.expect("a collection");
    insert(&c, 0, 100).await;
    c.flush().await.expect("a flush");
    clock.advance(Duration::from_secs(1_800));
    insert(&c, 100, 150).await;
    c.flush().await.expect("a flush");
    insert(&c, 150, 200).await;
    let before = c.snapshot();
    assert_eq!(keys(&before).await.len(), 200);
    let report = c.compact(CompactMode::Planned).await.expect("a compaction");
    assert_eq!(report.jobs, 0, "nothing is past its time");

    clock.advance(Duration::from_secs(1_801));
    assert_eq!(keys(&c.snapshot()).await, (100..200).collect::<Vec<_>>());
    let report = c.compact(CompactMode::Planned).await.expect("a compaction");
    assert_eq!((report.jobs, report.rows_written, report.segments_after), (1, 0, 1));
    c.collect_garbage().await.expect("garbage collected");
    assert_eq!(keys(&c.snapshot()).await, (100..200).collect::<Vec<_>>());
    assert_eq!(keys(&before).await.len(), 200, "the old snapshot sees its own moment");
    insert(&c, 0, 10).await;
    assert_eq!(keys(&c.snapshot()).await.len(), 110, "an expired key is written again");

    clock.advance(Duration::from_secs(3_601));
    assert_eq!(keys(&c.snapshot()).await, Vec::<i64>::new(), "in memtables too");
    c.flush().await.expect("a flush");
    c.compact(CompactMode::All).await.expect("a compaction");
    assert_eq!(c.stats().rows_stored, 0);
    drop(before);
    c.collect_garbage().await.expect("garbage collected");
    let left = files(&place.path().join("collections"));
    assert!(left.iter().all(|f| f.to_string_lossy().contains("/manifest/")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_rewritten_when_its_share_of_deletes_is_reached() {
    let place = folder();
    let mut settings = settings();
    settings.compaction.deleted_percent = 20;
    let (_engine, c) = store(place.path(), &settings).await;
    insert(&c, 0, 1_000).await;
    c.flush().await.expect("a flush");
    delete(&c, 0, 199).await;
    let report = c.compact(CompactMode::Planned).await.expect("a compaction");
    assert_eq!(report.jobs, 0, "19.9 %");
    delete(&c, 199, 200).await;
    let report = c.compact(CompactMode::Planned).await.expect("a compaction");
    assert_eq!((report.jobs, report.rows_written), (1, 800), "20 %");
    let stats = c.stats();
    assert_eq!((stats.rows_stored, stats.segments[0].deleted_rows), (800, 0));
    delete(&c, 200, 1_000).await;
    c.compact(CompactMode::Planned).await.expect("a compaction");
    assert_eq!(c.stats().segments.len(), 0, "a segment without rows is gone");
}

/// Deletes and upserts at the very moment when a merge has read its first rows: the merge cannot have seen
/// them, so they must follow the rows into the new segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn writes_during_a_merge_are_kept() {
    let place = folder();
    let settings = settings();
    let (engine, c) = store(place.path(), &settings).await;
    for at in 0..4 {
        insert(&c, at * 100, at * 100 + 100).await;
        c.flush().await.expect("a flush");
    }
    let (begun, wait_begun) = tokio::sync::oneshot::channel();
    let (written, wait_written) = std::sync::mpsc::channel();
    let (begun, wait_written) =
        (std::sync::Mutex::new(Some(begun)), std::sync::Mutex::new(wait_written));
    let merging = c.clone();
    let merge = tokio::spawn(async move {
        let progress = |_rows: u64| {
            if let Some(begun) = begun.lock().expect("a lock").take() {
                begun.send(()).expect("the test");
                wait_written.lock().expect("a lock").recv().expect("the test");
            }
        };
        merging.compact_with_progress(CompactMode::All, &progress).await
    });
    wait_begun.await.expect("the merge");
    delete(&c, 0, 10).await;
    delete(&c, 390, 400).await;
    insert(&c, 150, 160).await;
    let held = c.snapshot();
    c.flush().await.expect("a flush during the merge");
    delete(&c, 210, 220).await;
    written.send(()).expect("the merge");
    let report = merge.await.expect("the merge").expect("a compaction");
    assert_eq!(report.jobs, 1);
    let without = |gone: &[std::ops::Range<i64>]| -> Vec<i64> {
        (0..400).filter(|k| !gone.iter().any(|r| r.contains(k))).collect()
    };
    let now = without(&[0..10, 390..400, 210..220]);
    assert_eq!(keys(&c.snapshot()).await, now);
    assert_eq!(keys(&held).await, without(&[0..10, 390..400]));
    let stats = c.stats();
    assert_eq!((stats.segments.len(), stats.live_rows), (2, now.len() as u64));
    drop((engine, c, held));
    // And after a crash: the deletes come from the delete set or the log.
    let engine = open(place.path(), &settings).await.expect("the store again");
    let c = engine.collection("default", "c").expect("the collection");
    assert_eq!(keys(&c.snapshot()).await, now);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_collection_leaves_what_a_snapshot_needs() {
    let place = folder();
    let (_engine, c) = store(place.path(), &settings()).await;
    insert(&c, 0, 300).await;
    c.flush().await.expect("a flush");
    let held = c.snapshot();
    let data = || {
        let all = files(&place.path().join("collections"));
        all.iter().filter(|f| f.ends_with("data.lance")).count()
    };
    delete(&c, 0, 200).await;
    c.compact(CompactMode::All).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    assert_eq!(data(), 2);
    assert_eq!(keys(&held).await, (0..300).collect::<Vec<_>>());
    c.truncate().await.expect("a truncation");
    c.collect_garbage().await.expect("garbage collected");
    assert_eq!(data(), 1, "the segment of the snapshot");
    assert_eq!(keys(&held).await.len(), 300);
    drop(held);
    c.collect_garbage().await.expect("garbage collected");
    assert_eq!(data(), 0);
}

/// A flush that is under way when its collection is dropped: its bytes are counted off once. (Twice made
/// the count of all memtables negative, and every writer of the store waited for ever.)
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_drop_during_a_flush_keeps_the_count_of_bytes() {
    let place = folder();
    let mut settings = settings();
    settings.memtable.stop_timeout_ms = 300;
    let (engine, c) = store(place.path(), &settings).await;
    for round in 0..20u64 {
        let name = format!("d{round}");
        let new = NewCollection::new(&name, schema(false, false));
        let dropped = engine.create_collection("default", new).await.expect("a collection");
        insert(&dropped, 0, 500).await;
        let flushing = dropped.clone();
        let flush = tokio::spawn(async move { flushing.flush().await.map(|_| ()) });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        engine.drop_collection("default", &name).await.expect("a drop");
        // Done before, or told that the collection is gone.
        flush.await.expect("the flush").ok();
        insert(&c, round as i64, round as i64 + 1).await;
    }
    assert_eq!(keys(&c.snapshot()).await, (0..20).collect::<Vec<_>>());
}
