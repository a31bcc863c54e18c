//! Bounds: of segments, of bytes on the disk, of bytes rewritten.

use elanus_engine::api::CompactMode;

use super::{delete, insert, keys, settings, store};
use crate::harness::{files, folder};

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
    let size = || -> u64 {
        let all = files(&place.path().join("collections"));
        all.iter().map(|f| f.metadata().expect("a file").len()).sum()
    };
    let live = keys(&c.snapshot()).await;
    c.compact(CompactMode::Planned).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    let planned = size();
    assert_eq!(keys(&c.snapshot()).await, live);
    c.compact(CompactMode::All).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    let least = size();
    assert_eq!(keys(&c.snapshot()).await, live);
    println!("{planned} bytes after what was due, {least} after everything");
    assert!(planned as f64 <= 1.3 * least as f64, "{planned} bytes for {least} of live rows");
    let stats = c.stats();
    assert_eq!((stats.segments.len(), stats.rows_stored), (1, live.len() as u64));
}
