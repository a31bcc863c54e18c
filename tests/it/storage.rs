//! The storage suite: what every bucket has to do, and the two guards against a second writer.

use std::sync::Arc;

use elanus_engine::api::{Engine, NewCollection, OpenOptions, Rows};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::Key;
use elanus_engine::core::runtime::{CpuPools, SystemClock};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;
use elanus_engine::core::time::TimestampOracle;
use elanus_engine::lsm::commit;
use elanus_engine::lsm::manifest::Manifest;
use elanus_engine::segment::files::SegmentFiles;
use elanus_engine::shard::context::StoreContext;
use elanus_engine::shard::open::Shard;
use elanus_engine::storage::bucket::Bucket;
use elanus_engine::storage::frame;
use elanus_engine::storage::lease::WriterLease;
use elanus_engine::storage::local::LocalDb;
use elanus_engine::storage::log::LogWriter;

use crate::harness::{folder, open, options, small_settings};

/// Everything that the engine asks of a bucket.
pub async fn suite(bucket: &Bucket) {
    one_of_many_writers_wins(bucket).await;
    files_come_and_go(bucket).await;
    framed_files_are_checked(bucket).await;
    stale_manifests_are_refused(bucket).await;
}

async fn one_of_many_writers_wins(bucket: &Bucket) {
    for round in 0..1 {
        let path = format!("race/{round:020}");
        let tries = (0..64).map(|writer: u32| {
            let (bucket, path) = (bucket.clone(), path.clone());
            let bytes = writer.to_le_bytes().repeat(100).into();
            tokio::spawn(async move { (writer, bucket.put_if_absent(&path, bytes).await) })
        });
        let mut winners = Vec::new();
        for outcome in futures::future::join_all(tries).await {
            let (writer, won) = outcome.expect("a writer");
            if won.expect("an answer to each writer") {
                winners.push(writer);
            }
        }
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        let found = bucket.get(&path).await.expect("the winner's file");
        assert_eq!(found.as_ref(), winners[0].to_le_bytes().repeat(100), "the winner's bytes");
        let late = bucket.put_if_absent(&path, "late".into()).await.expect("an answer");
        assert!(!late, "a late writer");
    }
}

async fn files_come_and_go(bucket: &Bucket) {
    let missing = bucket.get("files/none").await.expect_err("a file that is not there");
    assert_eq!(missing.kind, ErrorKind::NotFound);
    assert!(missing.message().contains("files/none"), "{missing}");
    assert_eq!(bucket.get_if_present("files/none").await.expect("no error"), None);
    assert!(bucket.list("files").await.expect("an empty list").is_empty());
    let large: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    bucket.put_fresh("files/a/large", large.clone()).await.expect("a write");
    bucket.put_fresh("files/b", "small").await.expect("a write");
    bucket.put_fresh("filesystem", "a neighbour").await.expect("a write");
    let mut listed = bucket.list("files").await.expect("a list");
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    let paths: Vec<_> = listed.iter().map(|f| (f.path.as_str(), f.size_bytes)).collect();
    assert_eq!(paths, [("files/a/large", 3_000_000), ("files/b", 5)]);
    assert!(listed.iter().all(|f| f.modified_ms > 1_500_000_000_000), "{listed:?}");
    assert_eq!(bucket.size("files/b").await.expect("a size"), 5);
    let found = bucket.fingerprint("files/a/large").await.expect("a checksum");
    assert_eq!(found, (3_000_000, frame::checksum(&large)));
    assert_eq!(bucket.get("files/a/large").await.expect("a read").as_ref(), large);
    for _ in 0..2 {
        bucket.delete("files/b").await.expect("a removal, and another one");
    }
    assert_eq!(bucket.list("files").await.expect("a list").len(), 1);
    assert!(bucket.put_if_absent("files/b", "again".into()).await.expect("an answer"));
}

async fn framed_files_are_checked(bucket: &Bucket) {
    let sealed = frame::seal(b"payload");
    bucket.put_fresh("framed/good", sealed.clone()).await.expect("a write");
    let read = bucket.get_framed("framed/good").await.expect("a read");
    assert_eq!(read.as_ref(), b"payload");
    let mut bad = sealed;
    bad[17] ^= 1;
    bucket.put_fresh("framed/bad", bad).await.expect("a write");
    let refused = bucket.get_framed("framed/bad").await.expect_err("a damaged file");
    assert_eq!(refused.kind, ErrorKind::Corrupted);
    assert!(refused.message().contains("framed/bad"), "{refused}");
}

fn two_fields() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
    ])
}

/// The first manifest of a collection, as the engine writes it.
async fn first_manifest(id: u64) -> Manifest {
    let folder = folder();
    let engine = open(folder.path(), &small_settings()).await.expect("a store");
    let new = NewCollection::new("c", two_fields());
    let collection = engine.create_collection("default", new).await.expect("a collection");
    let bucket = Bucket::open(&folder.path().to_string_lossy(), false).expect("a bucket");
    let manifest = commit::head(&bucket, collection.id()).await.expect("a head");
    engine.close().await.expect("a close");
    Manifest { collection_id: id, ..manifest.expect("a manifest") }
}

/// Two writers that both hold version 1: the second to publish is fenced, the same bytes again are not.
async fn stale_manifests_are_refused(bucket: &Bucket) {
    let first = first_manifest(71).await;
    commit::create(bucket, &first).await.expect("the first version");
    commit::create(bucket, &first).await.expect("the same write again");
    let second = Manifest { version: 2, epoch: 2, ..first.clone() };
    let other = Manifest { version: 2, epoch: 3, ..first.clone() };
    commit::publish(bucket, &first, &second).await.expect("the second version");
    let refused = commit::publish(bucket, &first, &other).await.expect_err("a stale writer");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    assert!(refused.message().contains("another writer"), "{refused}");
    let back = Manifest { version: 3, epoch: 1, ..second.clone() };
    let refused =
        commit::publish(bucket, &second, &back).await.expect_err("an epoch that goes back");
    assert_eq!(refused.kind, ErrorKind::Internal, "{refused}");
    assert_eq!(commit::head(bucket, 71).await.expect("a head"), Some(second));
    for file in bucket.list("collections/71").await.expect("a list") {
        bucket.delete(&file.path).await.expect("a removal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let location = place.path().to_string_lossy();
    suite(&Bucket::open(&location, false).expect("a bucket")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    suite(&Bucket::memory()).await;
}

#[test]
fn locations_that_cannot_be_opened() {
    for (location, kind, text) in [
        ("/nonexistent/folder", ErrorKind::NotFound, "/nonexistent/folder"),
        ("gs://bucket/prefix", ErrorKind::Unsupported, "gs"),
    ] {
        let error = Bucket::open(location, false).expect_err(location);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message().contains(text), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_writer() {
    let folder = folder();
    let settings = small_settings();
    let first = Engine::open(options(folder.path(), &settings)).await.expect("a store");
    let refused = Engine::open(options(folder.path(), &settings)).await.expect_err("a second");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    assert!(refused.message().contains("in use by another process"), "{refused}");
    assert!(refused.message().contains(&*folder.path().to_string_lossy()), "{refused}");
    first.close().await.expect("a close");
    drop(first);
    let second = Engine::open(options(folder.path(), &settings)).await.expect("the store again");
    // Dropped without a close: the tasks end by themselves.
    drop(second);
    open(folder.path(), &settings).await.expect("the store once more");
    let missing = OpenOptions { create: false, ..options(&folder.path().join("x"), &settings) };
    let error = Engine::open(missing).await.expect_err("no store");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

async fn context(bucket: &Bucket, log: &std::path::Path) -> Arc<StoreContext> {
    let mut settings = Settings::default();
    settings.read.cache_bytes = 1 << 20;
    let local = LocalDb::open(log).expect("a log");
    let clock = Arc::new(SystemClock);
    Arc::new(StoreContext {
        files: Arc::new(SegmentFiles::new(bucket.clone(), 1 << 20).expect("files")),
        log: Arc::new(LogWriter::start(local, &settings.log).expect("a log")),
        oracle: TimestampOracle::default(),
        clock: clock.clone(),
        pools: CpuPools::new(1, 1).expect("threads"),
        lease: WriterLease::take(bucket, "x", clock).await.expect("a lease"),
        in_use: Default::default(),
        space: Default::default(),
        memtable_bytes: Default::default(),
        work: Arc::default(),
        writer_id: None,
        settings,
    })
}

/// Behind the lease stand the epochs: of two writers that both believe in themselves the older is stopped
/// at its next publish, and from then on refuses writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_writer_is_fenced_by_its_epoch() {
    let bucket = Bucket::memory();
    let (log_a, log_b) = (folder(), folder());
    let a = context(&bucket, log_a.path()).await;
    let old = Arc::new(Shard::create(a, first_manifest(5).await).await.expect("a shard"));
    let write = async |shard: &Shard, key: i64| {
        let rows = two_columns(key);
        let ts = shard.tree().manifest.schema_ts;
        shard.write_rows(rows, vec![(1, 1)], ts).await
    };
    write(&old, 1).await.expect("a write");
    old.flush().await.expect("a flush");
    write(&old, 2).await.expect("a write");
    let b = context(&bucket, log_b.path()).await;
    let head = commit::head(&bucket, 5).await.expect("a head").expect("a manifest");
    let new = Arc::new(Shard::open(b, Arc::new(head)).await.expect("the new writer"));
    let refused = old.flush().await.expect_err("the old writer's flush");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    let refused = write(&old, 3).await.expect_err("the old writer's write");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    write(&new, 4).await.expect("a write of the new one");
    new.flush().await.expect("a flush of the new one");
    let count = new.snapshot().count(&Default::default()).await.expect("a count");
    assert_eq!(count, 2);
}

fn two_columns(key: i64) -> arrow::array::RecordBatch {
    use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch};
    use arrow::datatypes::Float32Type;
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![key]));
    let vectors = vec![Some(vec![Some(0.0), Some(1.0)])];
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    let schema = two_fields().to_arrow();
    RecordBatch::try_new(schema, vec![ids, Arc::new(vectors)]).expect("a batch")
}

/// A store in memory works end to end, and each is its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory() {
    let log = folder();
    let mut settings = small_settings();
    settings.log.dir = log.path().to_string_lossy().into_owned();
    let options = OpenOptions { location: "memory://".into(), settings, create: true };
    let engine = Engine::open(options).await.expect("a store");
    let new = NewCollection::new("c", two_fields());
    let collection = engine.create_collection("default", new).await.expect("a collection");
    collection.insert(Rows { columns: two_columns(1), partition: None }).await.expect("a write");
    collection.flush().await.expect("a flush");
    let snapshot = collection.snapshot();
    let rows =
        snapshot.select(&Default::default(), elanus_engine::api::RowOrder::Key, 0, None).await;
    let keys = snapshot.fetch(&rows.expect("rows"), &["id".into()]).await.expect("keys");
    let keys = elanus_engine::core::key::Keys::from_array(keys.column(0).as_ref()).expect("keys");
    assert_eq!(keys.get(0), Key::Int(1));
    engine.close().await.expect("a close");
}
