//! Writers and readers at once, over background flushes and compactions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use elanus_engine::api::{
    Collection, CompactMode, NewCollection, PartitionSet, RowOrder, Rows, Selection, Snapshot,
};
use elanus_engine::core::key::{Key, Keys};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::rows::{Row, columns, from_batch, random_row, to_batch};
use crate::harness::{folder, open, schema, seeds, small_settings};

const WRITERS: i64 = 8;
const KEYS: i64 = 40;
const ROUNDS: usize = 120;

async fn all_rows(snapshot: &Snapshot) -> BTreeMap<Key, Row> {
    let select = Selection::default();
    let rows = snapshot.select(&select, RowOrder::Key, 0, None).await.expect("a selection");
    let batch = snapshot.fetch(&rows, &columns(0)).await.expect("rows");
    let found = from_batch(&batch, 0);
    let count = snapshot.count(&select).await.expect("a count");
    assert_eq!(count, found.len() as u64, "count and rows differ");
    let by_key: BTreeMap<Key, Row> = found.iter().cloned().collect();
    assert_eq!(by_key.len(), found.len(), "a key is there twice");
    by_key
}

/// Writes its own keys and always sees its own writes.
async fn write(collection: Collection, writer: i64, seed: u64) -> BTreeMap<Key, Row> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut own = BTreeMap::new();
    let mine = |key: &Key| matches!(key, Key::Int(k) if k / 1_000 == writer + 1);
    for round in 0..ROUNDS {
        let key = |rng: &mut StdRng| Key::Int((writer + 1) * 1_000 + rng.random_range(0..KEYS));
        if rng.random_bool(0.25) {
            let keys: Vec<Key> = (0..rng.random_range(1..8)).map(|_| key(&mut rng)).collect();
            let column = Keys::from_keys(&keys).expect("keys");
            let partitions = PartitionSet::All;
            collection.delete_keys(column, &partitions).await.expect("a delete");
            own.retain(|key, _| !keys.contains(key));
        } else {
            let many = rng.random_range(1..20);
            let rows: Vec<(Key, Row)> =
                (0..many).map(|_| (key(&mut rng), random_row(&mut rng, "", 0))).collect();
            let columns = to_batch(&rows);
            collection.upsert(Rows { columns, partition: None }).await.expect("a write");
            own.extend(rows);
        }
        if round % 4 == 0 {
            let mut seen = all_rows(&collection.snapshot()).await;
            seen.retain(|key, _| mine(key));
            assert_eq!(seen, own, "writer {writer} does not see its own writes");
        }
    }
    own
}

/// Rewrites all of a fixed set of keys in one batch with one number: every snapshot shows each of them
/// once, all with the same number, and the number never goes back.
async fn rewrite(collection: Collection, stop: Arc<AtomicBool>, newest: Arc<AtomicU64>) {
    let mut rng = StdRng::seed_from_u64(1);
    let row = random_row(&mut rng, "", 0);
    let mut number = 0i64;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let rows: Vec<(Key, Row)> =
            (0..KEYS).map(|k| (Key::Int(k), Row { n: Some(number), ..row.clone() })).collect();
        let columns = to_batch(&rows);
        collection.upsert(Rows { columns, partition: None }).await.expect("an upsert");
        newest.store(number as u64, Ordering::SeqCst);
    }
}

async fn read(collection: Collection, stop: Arc<AtomicBool>, newest: Arc<AtomicU64>) {
    let mut last = 0;
    while !stop.load(Ordering::SeqCst) {
        let acknowledged = newest.load(Ordering::SeqCst);
        let snapshot = collection.snapshot();
        let mut rows = all_rows(&snapshot).await;
        let again = all_rows(&snapshot).await;
        assert!(rows == again, "a snapshot changed");
        rows.retain(|key, _| matches!(key, Key::Int(k) if *k < 1_000));
        let numbers: Vec<i64> = rows.values().filter_map(|r| r.n).collect();
        if let Some(first) = numbers.first() {
            assert_eq!(numbers.len() as i64, KEYS, "an upsert is seen in part");
            assert!(numbers.iter().all(|n| n == first), "two upserts are mixed: {numbers:?}");
            assert!(*first as u64 >= acknowledged.max(last), "an acknowledged write is not seen");
            last = *first as u64;
        } else {
            assert_eq!(acknowledged, 0, "acknowledged rows are not there");
        }
    }
}

/// Flushes, compacts and collects garbage without a pause.
async fn maintain(collection: Collection, stop: Arc<AtomicBool>) {
    let mut rng = StdRng::seed_from_u64(2);
    while !stop.load(Ordering::SeqCst) {
        match rng.random_range(0..4) {
            0 => drop(collection.flush().await.expect("a flush")),
            1 => drop(collection.compact(CompactMode::All).await.expect("a compaction")),
            2 => drop(collection.compact(CompactMode::Planned).await.expect("a compaction")),
            _ => drop(collection.collect_garbage().await.expect("garbage collected")),
        }
        tokio::task::yield_now().await;
    }
}

async fn run(seed: u64) {
    println!("ELANUS_TEST_SEED={seed}");
    let folder = folder();
    let mut settings = small_settings();
    settings.memtable.max_rows = 100 + (seed as usize % 3) * 200;
    settings.compaction.enabled = true;
    if seed.is_multiple_of(2) {
        settings.log.durability = elanus_engine::core::settings::Durability::Os;
    }
    let engine = open(folder.path(), &settings).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = engine.create_collection("default", new).await.expect("a collection");
    let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut others = vec![
        tokio::spawn(rewrite(collection.clone(), stop.clone(), newest.clone())),
        tokio::spawn(maintain(collection.clone(), stop.clone())),
    ];
    for _ in 0..2 {
        others.push(tokio::spawn(read(collection.clone(), stop.clone(), newest.clone())));
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| tokio::spawn(write(collection.clone(), w, seed * 10 + w as u64)))
        .collect();
    let mut expected = BTreeMap::new();
    for writer in writers {
        expected.extend(writer.await.expect("a writer"));
    }
    stop.store(true, Ordering::SeqCst);
    for other in others {
        other.await.expect("a reader or helper");
    }
    engine.close().await.expect("a close");
    drop((engine, collection));

    let engine = open(folder.path(), &settings).await.expect("the store again");
    let collection = engine.collection("default", "c").expect("the collection");
    let mut rows = all_rows(&collection.snapshot()).await;
    let fixed: Vec<Option<i64>> =
        rows.iter().filter(|(k, _)| **k < Key::Int(1_000)).map(|(_, r)| r.n).collect();
    assert_eq!(fixed, vec![Some(newest.load(Ordering::SeqCst) as i64); KEYS as usize]);
    rows.retain(|key, _| *key >= Key::Int(1_000));
    assert!(rows == expected, "rows differ after opening again");
    collection.flush().await.expect("a flush");
    engine.close().await.expect("a close");
    let path = folder.path().to_string_lossy();
    let report = elanus_engine::offline::verify(&path, &|_| {}).await.expect("a verification");
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_readers() {
    for seed in seeds(1, 4) {
        run(seed).await;
    }
}
