//! The storage suite and a store's life on a real S3 server: SeaweedFS, fetched with pip, on loopback.
//!
//! The server's address goes to the engine by the environment, as a user gives it; a process of its own
//! has that environment (`on_the_server`, started by `a_real_server`).

mod weed;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use elanus_engine::api::{
    CompactMode, Effort, Engine, Metric, NewCollection, OpenOptions, RowOrder, Rows, SearchRequest,
    Selection, vector_score,
};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::Key;
use elanus_engine::core::runtime::{ManualClock, Stopwatch};
use elanus_engine::offline;
use elanus_engine::storage::bucket::Bucket;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::rows::{Row, columns, from_batch, random_row, to_batch};
use crate::harness::{folder, schema, small_settings};

const BUCKET: &str = "elanus";

#[test]
fn a_real_server() {
    let server = match weed::Server::start(BUCKET) {
        Ok(server) => server,
        Err(why) => return println!("SKIPPED: no S3 server: {why}"),
    };
    let test = std::env::current_exe().expect("this program");
    let status = Command::new(test)
        .args(["s3::on_the_server", "--exact", "--ignored", "--nocapture"])
        .env("ELANUS_TEST_S3", format!("s3://{BUCKET}"))
        .env("AWS_ENDPOINT", server.endpoint())
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", weed::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", weed::SECRET_KEY)
        .env("NO_PROXY", "127.0.0.1")
        .status()
        .expect("a process");
    assert!(status.success(), "the tests on the server failed; its log:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_real_server"]
async fn on_the_server() {
    let root = std::env::var("ELANUS_TEST_S3").expect("started by a_real_server");
    let bucket = Bucket::open(&format!("{root}/suite"), true).expect("a bucket");
    let clock = Stopwatch::start();
    super::storage::suite(&bucket).await;
    println!("the storage suite: {:?}", clock.elapsed());
    a_life(&format!("{root}/some/store")).await;
    println!("a store's life: {:?}", clock.elapsed());
    two_writers(&format!("{root}/contended")).await;
    println!("two writers: {:?}", clock.elapsed());
}

fn options(location: &str, log: &Path) -> OpenOptions {
    let mut settings = small_settings();
    settings.memtable.max_rows = 10_000;
    settings.log.dir = log.to_string_lossy().into_owned();
    OpenOptions { location: location.into(), settings, create: true }
}

async fn insert(
    engine: &Engine,
    rows: &[(Key, Row)],
) -> Result<(), elanus_engine::core::error::Error> {
    let collection = engine.collection("default", "c")?;
    collection.insert(Rows { columns: to_batch(rows), partition: None }).await.map(|_| ())
}

async fn a_life(location: &str) {
    let log = folder();
    let mut rng = StdRng::seed_from_u64(3);
    let mut some = |from: i64, to: i64| -> Vec<(Key, Row)> {
        (from..to).map(|k| (Key::Int(k), random_row(&mut rng, "", 0))).collect()
    };
    let (first, second, third) = (some(0, 3_000), some(1_000, 4_000), some(3_900, 4_100));
    let engine = Engine::open(options(location, log.path())).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = engine.create_collection("default", new).await.expect("a collection");
    for rows in [&first, &second] {
        insert(&engine, rows).await.expect("rows");
        collection.flush().await.expect("a flush");
    }
    let report = collection.compact(CompactMode::All).await.expect("a compaction");
    assert_eq!((report.segments_before, report.segments_after), (2, 1));
    assert!(collection.collect_garbage().await.expect("garbage").removed_files > 0);
    insert(&engine, &third).await.expect("rows");
    engine.close().await.expect("a close");
    drop((engine, collection));

    let mut model: std::collections::BTreeMap<Key, Row> = first.into_iter().collect();
    model.extend(second);
    model.extend(third);
    let engine = Engine::open(options(location, log.path())).await.expect("the store again");
    let collection = engine.collection("default", "c").expect("the collection");
    let snapshot = collection.snapshot();
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    let batch = snapshot.fetch(&rows, &columns(0)).await.expect("rows");
    for (found, (key, row)) in from_batch(&batch, 0).iter().zip(&model) {
        assert_eq!((&found.0, &found.1), (key, row));
    }
    assert_eq!(rows.len(), model.len());
    search(&snapshot, &model).await;
    collection.flush().await.expect("a flush");
    let settings = options(location, log.path()).settings;
    let refused = offline::compact(location, &settings, None, true, &|_| {}).await;
    let refused = refused.expect_err("a compaction beside a writer");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    engine.close().await.expect("a close");
    let report = offline::compact(location, &settings, None, true, &|_| {}).await;
    assert_eq!(report.expect("a compaction").segments_after, 1);
    offline::gc(location, &settings, &|_| {}).await.expect("garbage collected");
    let report = offline::verify(location, &|_| {}).await.expect("a verification");
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.rows, model.len() as u64);
}

async fn search(
    snapshot: &elanus_engine::api::Snapshot,
    model: &std::collections::BTreeMap<Key, Row>,
) {
    let query = vec![0.3, -0.2, 0.9];
    let request = SearchRequest {
        field: "v".into(),
        queries: Arc::new(vec![query.clone()].into()),
        metric: Metric::L2,
        top_k: 10,
        select: Selection::default(),
        range: None,
        effort: Effort::DEFAULT,
    };
    let answer = snapshot.search(&request).await.expect("a search");
    let mut scores: Vec<f32> =
        model.values().map(|r| vector_score(Metric::L2, &query, &r.v) as f32).collect();
    scores.sort_by(f32::total_cmp);
    let found: Vec<f32> = answer.hits[0].iter().map(|h| h.score).collect();
    assert_eq!(found, scores[..10]);
}

/// A second writer is refused while the lease runs; one that takes over an expired lease stops the first.
async fn two_writers(location: &str) {
    let (log_a, log_b) = (folder(), folder());
    let a = Engine::open(options(location, log_a.path())).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = a.create_collection("default", new).await.expect("a collection");
    let mut rng = StdRng::seed_from_u64(4);
    let rows = [(Key::Int(1), random_row(&mut rng, "", 0))];
    insert(&a, &rows).await.expect("a row");
    collection.flush().await.expect("a flush");
    for _ in 0..2 {
        // The second time the other log knows the store.
        let refused = Engine::open(options(location, log_b.path())).await.expect_err("a second");
        assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
        assert!(refused.message().contains("another writer"), "{refused}");
    }
    a.close().await.expect("a close");
    let b = Engine::open(options(location, log_b.path())).await.expect("the store by another");
    assert_eq!(b.collections("default").expect("collections").len(), 1);
    b.close().await.expect("a close");
    drop((a, b, collection));

    let a = Engine::open(options(location, log_a.path())).await.expect("the store again");
    let refused = Engine::open(options(location, log_b.path())).await.expect_err("a second");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    let late = Arc::new(ManualClock::at(a.now_ms() + 60_000));
    let b = Engine::open_with_clock(options(location, log_b.path()), late).await;
    let b = b.expect("a writer for whom the lease has expired");
    insert(&a, &rows).await.expect("a row: nobody has told the first one yet");
    let flushed = a.collection("default", "c").expect("the collection").flush().await;
    let refused = flushed.expect_err("the first one's flush");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    let refused = insert(&a, &rows).await.expect_err("the first one's write");
    assert_eq!(refused.kind, ErrorKind::Fenced, "{refused}");
    insert(&b, &rows).await.expect("the second one's write");
    a.close().await.expect("a close without a release");
    b.collection("default", "c").expect("the collection").flush().await.expect("a flush");
    b.close().await.expect("a close");
    let report = offline::verify(location, &|_| {}).await.expect("a verification");
    assert_eq!(report.problems, Vec::<String>::new());
}
