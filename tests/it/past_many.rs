//! How long time travel takes with a thousand segments. It is a measurement, so it is not run with the others:
//! `cargo test --workspace --test it -- past_many --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::Float32Type;
use elanus_engine::api::{
    AsOf, CloneOrder, Collection, CompactMode, Engine, NewCollection, RowOrder, Rows, Selection,
};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;

use crate::harness::{folder, open, small_settings};

/// `ELANUS_PAST_SEGMENTS` asks for another number.
fn segments() -> i64 {
    std::env::var("ELANUS_PAST_SEGMENTS").map_or(1_000, |n| n.parse().expect("a number"))
}

const ROWS: i64 = 20;
const TIMES: usize = 5;

fn settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 1_000;
    settings.read.cache_bytes = 64 << 20;
    settings.gc.retention_ms = 3_600_000;
    settings
}

async fn write(c: &Collection, first: i64) {
    let keys: Vec<i64> = (first..first + ROWS).collect();
    let vectors = keys.iter().map(|k| Some(vec![Some(*k as f32); 8]));
    let columns = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(keys.clone())) as ArrayRef),
        ("v", Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 8))),
    ]);
    c.upsert(Rows { columns: columns.expect("a batch"), partition: None }).await.expect("rows");
}

async fn rows(c: &Collection, when: &AsOf) -> i64 {
    let past = c.as_of(when).await.expect("the past");
    let rows = past.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    rows.len() as i64
}

/// Prints the middle and the longest of a few times.
async fn measure(what: &str, mut run: impl AsyncFnMut(usize)) {
    let mut spent = Vec::new();
    for time in 0..TIMES {
        let begin = Instant::now();
        run(time).await;
        spent.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let first = spent[0];
    spent.sort_by(f64::total_cmp);
    let (middle, longest) = (spent[TIMES / 2], spent[TIMES - 1]);
    println!("{what}: median {middle:.1} ms, first {first:.1} ms, longest {longest:.1} ms");
}

fn order(when: Option<AsOf>, name: String) -> CloneOrder {
    let database = "default".to_string();
    CloneOrder {
        to_database: database.clone(),
        database,
        collection: "c".into(),
        when,
        to_name: name,
    }
}

async fn as_of(c: &Collection, what: &str, when: &AsOf, wanted: i64) {
    measure(what, async |_| drop(c.as_of(when).await.expect("the past"))).await;
    assert_eq!(rows(c, when).await, wanted, "{what}");
}

async fn clones(engine: &Engine, what: &str, when: Option<&AsOf>) {
    measure(what, async |time| {
        let order = order(when.cloned(), format!("{}{time}", what.replace(' ', "_")));
        drop(engine.clone_collection(order).await.expect("a clone"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn time_travel_over_many_segments() {
    let place = folder();
    let engine = open(place.path(), &settings()).await.expect("a store");
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: 8 }),
    ]);
    let c = engine.create_collection("default", NewCollection::new("c", schema)).await;
    let c = c.expect("a collection");
    let mut middle = 0;
    let segments = segments();
    for n in 0..segments {
        write(&c, n * ROWS).await;
        if n == segments / 2 {
            middle = c.snapshot().timestamp();
        }
        c.flush().await.expect("a flush");
    }
    let all = segments * ROWS;
    let half = (segments / 2 + 1) * ROWS;
    assert_eq!(c.stats().segments.len() as i64, segments);
    measure("create snapshot", async |time| {
        c.create_snapshot(&format!("s{time}"), "").await.expect("a snapshot");
    })
    .await;
    let kept = AsOf::Snapshot("s0".into());
    as_of(&c, "as of a time", &AsOf::Timestamp(middle), half).await;
    as_of(&c, "as of a snapshot", &kept, all).await;
    clones(&engine, "clone of now", None).await;
    clones(&engine, "clone of a snapshot", Some(&kept)).await;
    // None of the segments of the past is open any more.
    c.compact(CompactMode::All).await.expect("a compaction");
    as_of(&c, "as of a time, merged since", &AsOf::Timestamp(middle), half).await;
    as_of(&c, "as of a snapshot, merged since", &kept, all).await;
    clones(&engine, "clone of a snapshot, merged since", Some(&kept)).await;
    drop((c, engine));
    let begin = Instant::now();
    let engine = open(place.path(), &settings()).await.expect("the store again");
    println!("opening again: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    let c = engine.collection("default", "c").expect("the collection");
    as_of(&c, "as of a snapshot, after a restart", &kept, all).await;
}
