//! Bounds: of segments, of bytes on the disk, of bytes rewritten.

use std::path::Path;
use std::time::Duration;

use elanus_engine::api::{CompactMode, NewCollection, Rows};
use elanus_engine::core::key::Key;
use elanus_engine::offline;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{delete, insert, keys, settings, store};
use crate::harness::rows::{random_row, to_batch};
use crate::harness::{files, folder, schema};

/// Bytes of the collections in the bucket.
fn size(place: &Path) -> u64 {
    let all = files(&place.join("collections"));
    all.iter().map(|f| f.metadata().expect("a file").len()).sum()
}

/// One-row flushes: segments grow with the logarithm of their number.
#[tokio::test(flavor = "multi_thread")]
async fn segments_stay_few_over_hundreds_of_flushes() {
    let place = folder();
    let mut settings = settings();
    settings.compaction.fan_in = 4;
    settings.compaction.min_tier_bytes = 8 << 10;
    let (_engine, c) = store(place.path(), &settings).await;
    let mut rewritten = 0;
    let flushes = 300;
    for at in 0..flushes {
        insert(&c, at, at + 1).await;
        c.flush().await.expect("a flush");
        let report = c.compact(CompactMode::Planned).await.expect("a compaction");
        rewritten += report.rows_written;
        let segments = c.stats().segments.len();
        // Every tier but the last holds fewer than `fan_in` segments.
        let tiers = (at as f64 + 1.0).log(4.0).ceil() as usize + 2;
        assert!(segments <= 4 * tiers, "{segments} segments after {at} flushes");
        if at % 100 == 0 {
            c.collect_garbage().await.expect("garbage collected");
        }
    }
    assert_eq!(keys(&c.snapshot()).await, (0..flushes).collect::<Vec<_>>());
    let each = rewritten as f64 / flushes as f64;
    println!("{} segments; each row was rewritten {each:.1} times", c.stats().segments.len());
    // Files of a few rows are all of one size, so they fill one tier again and again.
    assert!(each <= 12.0, "each row was rewritten {each} times");
}

/// Churn, then what the planner finds due and a garbage collection: at most 1.3 times the live bytes.
#[tokio::test(flavor = "multi_thread")]
async fn disk_is_at_most_1_3_times_the_live_rows() {
    let place = folder();
    let mut settings = settings();
    settings.memtable.max_rows = 1_000;
    settings.compaction.fan_in = 4;
    settings.compaction.min_tier_bytes = 64 << 10;
    settings.compaction.deleted_percent = 20;
    let (_engine, c) = store(place.path(), &settings).await;
    for round in 0..8 {
        let from = round * 2_000;
        // Half of the rows replace older ones.
        insert(&c, from / 2, from / 2 + 2_000).await;
        c.flush().await.expect("a flush");
        delete(&c, from / 2, from / 2 + 300).await;
    }
    let live = keys(&c.snapshot()).await;
    c.compact(CompactMode::Planned).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    let planned = size(place.path());
    assert_eq!(keys(&c.snapshot()).await, live);
    c.compact(CompactMode::All).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    let least = size(place.path());
    assert_eq!(keys(&c.snapshot()).await, live);
    println!("{planned} bytes after what was due, {least} after everything");
    assert!(planned as f64 <= 1.3 * least as f64, "{planned} bytes for {least} of live rows");
    let stats = c.stats();
    assert_eq!((stats.segments.len(), stats.rows_stored), (1, live.len() as u64));
}

/// Partitions and collections that were dropped, and merges that were given up half-way, leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_drops_and_of_merges_given_up() {
    let place = folder();
    let (engine, c) = store(place.path(), &settings()).await;
    let other = NewCollection::new("other", schema(false, false));
    let other = engine.create_collection("default", other).await.expect("a collection");
    insert(&other, 0, 3_000).await;
    other.flush().await.expect("a flush");
    c.create_partition("p").await.expect("a partition");
    let mut rng = StdRng::seed_from_u64(7);
    let rows: Vec<_> =
        (10_000..13_000).map(|k| (Key::Int(k), random_row(&mut rng, "", 0))).collect();
    let rows = Rows { columns: to_batch(&rows), partition: Some("p".into()) };
    c.insert(rows).await.expect("rows");
    for from in (0..3_000).step_by(500) {
        insert(&c, from, from + 500).await;
        c.flush().await.expect("a flush");
    }
    let mut given_up = 0;
    for patience in [1, 2, 4, 8, 16, 32] {
        let merge = c.compact(CompactMode::All);
        let ended = tokio::time::timeout(Duration::from_millis(patience), merge).await;
        given_up += u32::from(ended.is_err());
        delete(&c, patience as i64 * 10, patience as i64 * 10 + 5).await;
    }
    println!("{given_up} merges were given up");
    let live = keys(&c.snapshot()).await;
    c.drop_partition("p").await.expect("a drop");
    drop(other);
    engine.drop_collection("default", "other").await.expect("a drop");
    c.compact(CompactMode::Planned).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    engine.collect_dropped().await.expect("garbage collected");
    let planned = size(place.path());
    c.compact(CompactMode::All).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    let least = size(place.path());
    let left: Vec<i64> = live.into_iter().filter(|key| *key < 10_000).collect();
    assert_eq!(keys(&c.snapshot()).await, left);
    println!("{planned} bytes after what was due, {least} after everything");
    assert!(planned as f64 <= 1.3 * least as f64, "{planned} bytes for {least} of live rows");
    engine.close().await.expect("a close");
    let place = place.path().to_string_lossy();
    let report = offline::verify(&place, &|_| {}).await.expect("a report");
    assert_eq!((report.problems.len(), report.orphan_files), (0, 0), "{:?}", report.problems);
    assert_eq!(report.collections, 1);
}
