//! Time travel, named snapshots and clones, against what was read at the time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use elanus_engine::api::{
    AsOf, CloneOrder, Collection, CompactMode, Engine, NewCollection, RowOrder, Rows, Selection,
    Snapshot,
};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;
use elanus_engine::offline;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{files, folder, open, seeds, small_settings};

fn settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 1_000;
    settings.gc.retention_ms = 3_600_000;
    settings
}

async fn new_collection(engine: &Engine) -> Collection {
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("n", DataType::Int64),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
    ]);
    let c = engine.create_collection("default", NewCollection::new("c", schema)).await;
    c.expect("a collection")
}

/// Rows of keys, each with a number that tells its writing.
async fn write(c: &Collection, keys: &[i64], n: i64) {
    let vectors = keys.iter().map(|k| Some(vec![Some(*k as f32), Some(n as f32)]));
    let columns = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(keys.to_vec())) as ArrayRef),
        ("n", Arc::new(Int64Array::from(vec![n; keys.len()]))),
        ("v", Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2))),
    ]);
    let rows = Rows { columns: columns.expect("a batch"), partition: None };
    c.upsert(rows).await.expect("rows");
}

async fn delete(c: &Collection, keys: &[i64]) {
    let keys: Vec<Key> = keys.iter().copied().map(Key::Int).collect();
    c.delete_keys(Keys::from_keys(&keys).expect("keys"), &Default::default()).await.expect("gone");
}

type Content = Vec<(i64, i64)>;

async fn content(snapshot: &Snapshot) -> Content {
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    let batch = snapshot.fetch(&rows, &["id".into(), "n".into()]).await.expect("columns");
    let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values().to_vec();
    column(0).into_iter().zip(column(1)).collect()
}

async fn clean(place: &Path) {
    let report = offline::verify(&place.to_string_lossy(), &|_| {}).await.expect("a report");
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Reads a moment; `false` if rows of it were replaced before they were flushed. Then the moment that the
/// error names can be read.
async fn read_moment(c: &Collection, at: u64, wanted: &Content) -> bool {
    let error = match c.as_of(&AsOf::Timestamp(at)).await {
        Ok(past) => {
            assert_eq!(&content(&past).await, wanted, "as of {at}");
            return true;
        }
        Err(e) => e,
    };
    let (_, before) = error.message().rsplit_once("TIMESTAMP ").expect("a gap");
    let before: u64 = before.parse().expect("a timestamp");
    assert!(before < at);
    c.as_of(&AsOf::Timestamp(before)).await.expect("the nearest moment");
    false
}

/// Every moment that was looked at can be read again, whatever was flushed, merged and collected since.
#[tokio::test(flavor = "multi_thread")]
async fn every_moment_reads_as_it_did() {
    for seed in seeds(1, 6) {
        println!("ELANUS_TEST_SEED={seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let place = folder();
        let mut engine = open(place.path(), &settings()).await.expect("a store");
        let mut c = new_collection(&engine).await;
        let mut moments: Vec<(u64, Content)> = Vec::new();
        let mut names: Vec<(String, Content)> = Vec::new();
        for step in 0..60 {
            let keys: BTreeSet<i64> =
                (0..rng.random_range(1..8)).map(|_| rng.random_range(0..40)).collect();
            let keys: Vec<i64> = keys.into_iter().collect();
            match rng.random_range(0..12) {
                0..4 => write(&c, &keys, step).await,
                4..6 => delete(&c, &keys).await,
                6 | 7 => drop(c.flush().await.expect("a flush")),
                8 => drop(c.compact(CompactMode::Planned).await.expect("a compaction")),
                9 => {
                    c.compact(CompactMode::All).await.expect("a compaction");
                    c.collect_garbage().await.expect("garbage collected");
                }
                10 => {
                    let name = format!("s{step}");
                    c.create_snapshot(&name, "").await.expect("a snapshot");
                    names.push((name, content(&c.snapshot()).await));
                }
                _ if rng.random_bool(0.3) => {
                    c.truncate().await.expect("a truncation");
                }
                _ if rng.random_bool(0.5) => {
                    engine.close().await.expect("a close");
                    drop((c, engine));
                    engine = open(place.path(), &settings()).await.expect("the store");
                    c = engine.collection("default", "c").expect("the collection");
                }
                _ => {
                    let name = "x";
                    c.create_snapshot(name, "").await.expect("a snapshot");
                    c.drop_snapshot(name).await.expect("no snapshot");
                }
            }
            // A moment ends when the next write takes a later timestamp.
            let now = c.snapshot();
            moments.push((now.timestamp(), content(&now).await));
            assert!(read_moment(&c, now.timestamp(), &moments[moments.len() - 1].1).await);
            for _ in 0..2 {
                let (at, wanted) = &moments[rng.random_range(0..moments.len())];
                read_moment(&c, *at, wanted).await;
            }
            for (name, wanted) in &names {
                let past = c.as_of(&AsOf::Snapshot(name.clone())).await.expect("a snapshot");
                assert_eq!(&content(&past).await, wanted, "seed {seed} step {step} {name}");
            }
        }
        let mut gaps = 0;
        for (at, wanted) in &moments {
            gaps += usize::from(!read_moment(&c, *at, wanted).await);
        }
        println!("{gaps} of {} moments were replaced before a flush", moments.len());
        assert!(gaps < moments.len() / 2 + 10);
        engine.close().await.expect("a close");
        clean(place.path()).await;
    }
}

/// Without retention only names keep the past; a dropped one lets its files go.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_snapshot_keeps_its_files_until_it_is_dropped() {
    let place = folder();
    let mut settings = settings();
    settings.gc.retention_ms = 0;
    let engine = open(place.path(), &settings).await.expect("a store");
    let c = new_collection(&engine).await;
    write(&c, &(0..100).collect::<Vec<_>>(), 1).await;
    let made = c.create_snapshot("first", "before all else").await.expect("a snapshot");
    let version = made.version;
    let taken = c.create_snapshot("first", "").await.expect_err("a name twice");
    assert_eq!(taken.kind, ErrorKind::AlreadyExists);
    let wanted = content(&c.snapshot()).await;
    let rewrite = async |c: &Collection, n: i64| {
        write(c, &(0..100).collect::<Vec<_>>(), n).await;
        c.compact(CompactMode::All).await.expect("a compaction");
        c.collect_garbage().await.expect("garbage collected");
    };
    rewrite(&c, 2).await;
    engine.close().await.expect("a close");
    drop((c, engine));
    offline::gc(&place.path().to_string_lossy(), &settings, &|_| {}).await.expect("garbage");
    clean(place.path()).await;

    let engine = open(place.path(), &settings).await.expect("the store");
    let c = engine.collection("default", "c").expect("the collection");
    rewrite(&c, 3).await;
    assert_eq!(c.snapshots()[0].description, "before all else");
    for when in [AsOf::Snapshot("first".into()), AsOf::Version(version)] {
        assert_eq!(content(&c.as_of(&when).await.expect("a snapshot")).await, wanted);
    }
    // A reader keeps what it reads, even when the name is gone.
    let reader = c.as_of(&AsOf::Snapshot("first".into())).await.expect("a snapshot");
    c.drop_snapshot("first").await.expect("no snapshot");
    c.collect_garbage().await.expect("garbage collected");
    assert_eq!(content(&reader).await, wanted);
    drop(reader);
    let before = files(&place.path().join("collections")).len();
    c.collect_garbage().await.expect("garbage collected");
    assert!(files(&place.path().join("collections")).len() < before);
    for when in
        [AsOf::Snapshot("first".into()), AsOf::Version(version), AsOf::Timestamp(made.created_ts)]
    {
        let gone = c.as_of(&when).await.expect_err("no snapshot");
        assert_eq!(gone.kind, ErrorKind::NotFound, "{gone}");
    }
    assert_eq!(c.drop_snapshot("first").await.expect_err("gone").kind, ErrorKind::NotFound);
}

/// A clone shares files and nothing else; the original may go.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_outlives_its_original() {
    let place = folder();
    let mut settings = settings();
    settings.gc.retention_ms = 0;
    let engine = open(place.path(), &settings).await.expect("a store");
    let c = new_collection(&engine).await;
    let keys: Vec<i64> = (0..3_000).collect();
    write(&c, &keys, 1).await;
    c.create_snapshot("s", "").await.expect("a snapshot");
    delete(&c, &keys[..10]).await;
    write(&c, &keys[2_000..2_010], 2).await;
    let wanted = content(&c.snapshot()).await;
    let order = |to_name: &str, collection: &str, when: Option<AsOf>| CloneOrder {
        database: "default".into(),
        collection: collection.into(),
        when,
        to_database: "default".into(),
        to_name: to_name.into(),
    };
    let clone = engine.clone_collection(order("d", "c", None)).await.expect("a clone");
    let taken = engine.clone_collection(order("d", "c", None)).await.expect_err("a name twice");
    assert_eq!(taken.kind, ErrorKind::AlreadyExists);
    let old = engine.clone_collection(order("o", "c", Some(AsOf::Snapshot("s".into())))).await;
    let old = old.expect("a clone of a snapshot");
    let first: Content = keys.iter().map(|k| (*k, 1)).collect();
    let second = engine.clone_collection(order("e", "d", None)).await.expect("a clone's clone");
    for (c, wanted) in [(&clone, &wanted), (&old, &first), (&second, &wanted)] {
        assert_eq!(&content(&c.snapshot()).await, wanted);
    }
    // Each changes by itself.
    delete(&clone, &[2_999]).await;
    write(&clone, &[5_000], 9).await;
    clone.flush().await.expect("a flush");
    let mut changed = wanted.clone();
    changed.retain(|(k, _)| *k != 2_999);
    changed.push((5_000, 9));
    c.compact(CompactMode::All).await.expect("a compaction");
    c.collect_garbage().await.expect("garbage collected");
    engine.drop_collection("default", "c").await.expect("a drop");
    engine.close().await.expect("a close");
    drop((c, clone, old, second, engine));
    let location = place.path().to_string_lossy().into_owned();
    offline::gc(&location, &settings, &|_| {}).await.expect("garbage");
    clean(place.path()).await;

    let engine = open(place.path(), &settings).await.expect("the store");
    let open = |name: &str| engine.collection("default", name).expect("a collection");
    let (clone, old, second) = (open("d"), open("o"), open("e"));
    for (c, wanted) in [(&clone, &changed), (&old, &first), (&second, &wanted)] {
        assert_eq!(&content(&c.snapshot()).await, wanted);
        c.compact(CompactMode::All).await.expect("a compaction");
        c.collect_garbage().await.expect("garbage collected");
        assert_eq!(&content(&c.snapshot()).await, wanted);
    }
    for name in ["d", "e", "o"] {
        engine.drop_collection("default", name).await.expect("a drop");
    }
    engine.close().await.expect("a close");
    drop((clone, old, second, engine));
    offline::gc(&location, &settings, &|_| {}).await.expect("garbage");
    let left = files(&place.path().join("collections"));
    assert!(left.is_empty(), "{left:?}");
}

/// What the past costs, printed; nothing is asserted of time.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_segments() {
    let place = folder();
    let mut settings = settings();
    settings.limits.max_partitions = 2_000;
    let engine = open(place.path(), &settings).await.expect("a store");
    let c = new_collection(&engine).await;
    let segments: i64 = if cfg!(debug_assertions) { 200 } else { 1_000 };
    for at in 0..segments {
        write(&c, &[at], 0).await;
        c.flush().await.expect("a flush");
    }
    let begun = std::time::Instant::now();
    let tell = |what: &str, begun: std::time::Instant| {
        println!("{what} of {segments} segments: {:?}", begun.elapsed());
        std::time::Instant::now()
    };
    c.create_snapshot("s", "").await.expect("a snapshot");
    let begun = tell("a named snapshot", begun);
    let now = c.as_of(&AsOf::Snapshot("s".into())).await.expect("a snapshot");
    let begun = tell("opening it", begun);
    let order = CloneOrder {
        database: "default".into(),
        collection: "c".into(),
        when: Some(AsOf::Snapshot("s".into())),
        to_database: "default".into(),
        to_name: "d".into(),
    };
    let clone = engine.clone_collection(order).await.expect("a clone");
    let begun = tell("a clone", begun);
    let at = now.timestamp();
    c.truncate().await.expect("a truncation");
    let begun = tell("a truncation", begun);
    let past = c.as_of(&AsOf::Timestamp(at)).await.expect("a moment");
    let begun = tell("a moment, all segments opened anew", begun);
    c.drop_snapshot("s").await.expect("no snapshot");
    tell("dropping it", begun);
    for snapshot in [&now, &past, &clone.snapshot()] {
        assert_eq!(content(snapshot).await.len() as i64, segments);
    }
    assert!(content(&c.snapshot()).await.is_empty());
}
