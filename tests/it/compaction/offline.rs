//! The offline tools: on a closed store only, and they leave the log's rows alone.

use elanus_engine::api::CompactMode;
use elanus_engine::core::error::ErrorKind;
use elanus_engine::lsm::commit;
use elanus_engine::lsm::manifest::Manifest;
use elanus_engine::offline;
use elanus_engine::storage::bucket::Bucket;

use super::{delete, insert, keys, settings, store};
use crate::harness::{files, folder, open};

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_the_log_survive_an_offline_compaction() {
    let place = folder();
    let location = place.path().to_string_lossy().into_owned();
    let settings = settings();
    let (engine, c) = store(place.path(), &settings).await;
    for at in 0..4 {
        insert(&c, at * 100, at * 100 + 100).await;
        c.flush().await.expect("a flush");
    }
    // Only in the log: new rows, rows that replace flushed ones, deletes of flushed ones.
    insert(&c, 350, 450).await;
    delete(&c, 0, 50).await;
    let refused = offline::compact(&location, &settings, None, true, &|_| {}).await;
    let refused = refused.expect_err("a compaction of an open store");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    let refused = offline::gc(&location, &settings, &|_| {}).await;
    assert_eq!(refused.expect_err("a gc of an open store").kind, ErrorKind::Fenced);
    engine.close().await.expect("a close");
    drop((engine, c));

    let none = offline::compact(&location, &settings, Some("none"), true, &|_| {}).await;
    assert_eq!(none.expect_err("no collection").kind, ErrorKind::NotFound);
    for round in 0..2 {
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |line: &str| told.lock().expect("a lock").push(line.to_string());
        let report = offline::compact(&location, &settings, Some("default.c"), true, &progress);
        let report = report.await.expect("a compaction");
        assert_eq!((report.segments_after, report.jobs), (1, 1 - round));
        let told = told.into_inner().expect("a lock");
        assert!(told.iter().any(|l| l.contains("default.c")), "{told:?}");
    }
    let removed = offline::gc(&location, &settings, &|_| {}).await.expect("garbage collected");
    assert!(removed.removed_files >= 8, "{removed:?}");
    let data = files(&place.path().join("collections"));
    assert_eq!(data.iter().filter(|f| f.ends_with("data.lance")).count(), 1);
    let report = offline::inspect(&location).await.expect("a report");
    assert_eq!((report.collections.len(), report.orphan_files), (1, 0));
    assert_eq!((report.collections[0].rows, report.collections[0].deleted_rows), (400, 0));
    let report = offline::verify(&location, &|_| {}).await.expect("a verification");
    assert_eq!((report.rows, report.problems), (400, Vec::new()));

    let engine = open(place.path(), &settings).await.expect("the store again");
    let c = engine.collection("default", "c").expect("the collection");
    assert_eq!(keys(&c.snapshot()).await, (50..450).collect::<Vec<_>>());
    c.flush().await.expect("a flush");
    c.compact(CompactMode::All).await.expect("a compaction");
    assert_eq!(c.stats().rows_stored, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_store_is_told() {
    let place = folder();
    let location = place.path().to_string_lossy().into_owned();
    let settings = settings();
    let outcomes = [
        offline::compact(&location, &settings, None, true, &|_| {}).await.map(|_| ()),
        offline::gc(&location, &settings, &|_| {}).await.map(|_| ()),
        offline::verify(&location, &|_| {}).await.map(|_| ()),
        offline::inspect(&location).await.map(|_| ()),
    ];
    for outcome in outcomes {
        let error = outcome.expect_err("not a store");
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        assert!(error.message().contains("elanus.json"), "{error}");
    }
    assert!(files(place.path()).is_empty(), "a look left files");
}

/// A crash between the manifest that drops a collection and the catalog: the next opening mends the catalog,
/// so that the one after it, when the files are gone, still succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_dropped_only_in_its_manifest() {
    let place = folder();
    let location = place.path().to_string_lossy().into_owned();
    let settings = settings();
    let (engine, c) = store(place.path(), &settings).await;
    insert(&c, 0, 10).await;
    let id = c.id();
    engine.close().await.expect("a close");
    drop((engine, c));
    let bucket = Bucket::open(&location, false).expect("a bucket");
    let head = commit::head(&bucket, id).await.expect("a head").expect("a manifest");
    let last = Manifest { version: head.version + 1, dropped: true, ..head.clone() };
    commit::publish(&bucket, &head, &last).await.expect("the last version");
    for _ in 0..3 {
        let engine = open(place.path(), &settings).await.expect("the store");
        assert!(engine.all_collections().is_empty());
        engine.close().await.expect("a close");
        drop(engine);
        offline::gc(&location, &settings, &|_| {}).await.expect("garbage collected");
    }
    assert!(files(&place.path().join("collections")).is_empty());
}
