//! Single bits flipped at random places of every kind of file: reads give the truth or an error that names
//! the file, `verify` names it always, and `repair` makes anew what is derived.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int64Type};
use elanus_engine::api::{
    Collection, Effort, Metric, RowOrder, SearchRequest, Selection, vector_score,
};
use elanus_engine::core::error::Error;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::lsm::manifest::Manifest;
use elanus_engine::lsm::{commit, manifest_codec};
use elanus_engine::offline;
use elanus_engine::storage::bucket::Bucket;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::codes::{FLAT, LISTS, QUERIES, new_store, rows, settings, vector};
use super::{problems, told_of};
use crate::harness::{copy_folder, files, folder, open, seeds};

/// Keys that are deleted, in the first segment.
const GONE: std::ops::Range<i64> = 100..130;

/// Kinds of files: a part of the path, and whether it is derived from others.
const KINDS: [(&str, bool); 7] = [
    ("/manifest/", false),
    ("data.lance", false),
    ("data.sums", true),
    ("pk.idx", true),
    ("/deletes.", false),
    (".vec.idx", true),
    ("/codebooks/", true),
];

async fn make() -> TempDir {
    let place = folder();
    let (engine, c) = new_store(place.path()).await;
    c.insert(rows(LISTS)).await.expect("rows");
    c.flush().await.expect("a flush");
    let gone: Vec<Key> = GONE.map(Key::Int).collect();
    let gone = Keys::from_keys(&gone).expect("keys");
    c.delete_keys(gone, &Default::default()).await.expect("a delete");
    c.insert(rows(FLAT)).await.expect("rows");
    c.flush().await.expect("a flush");
    engine.close().await.expect("a close");
    place
}

/// Reads in several ways; whatever is answered is right.
async fn read(place: &Path, rng: &mut StdRng) -> Result<(), Error> {
    let mut settings = settings();
    settings.read.cache_bytes = if rng.random() { 1 << 20 } else { 64 << 20 };
    let engine = open(place, &settings).await?;
    let outcome = match engine.collection("default", "c") {
        Ok(c) => read_open(&c, rng).await,
        Err(e) => Err(e),
    };
    engine.close().await?;
    outcome
}

async fn read_open(c: &Collection, rng: &mut StdRng) -> Result<(), Error> {
    let live: Vec<i64> = (LISTS.start..FLAT.end).filter(|k| !GONE.contains(k)).collect();
    let snapshot = c.snapshot();
    let all = snapshot.select(&Selection::default(), RowOrder::Any, 0, None).await?;
    assert_eq!(all.len(), live.len());
    let some: Vec<_> = (0..20).map(|_| all[rng.random_range(0..all.len())]).collect();
    check_rows(&snapshot.fetch(&some, &columns()).await?);
    for effort in [Effort::DEFAULT, Effort::EXACT] {
        let query = vector(QUERIES + rng.random_range(0..20));
        let request = SearchRequest {
            field: "v".into(),
            queries: std::sync::Arc::new(vec![query.to_vec()].into()),
            metric: Metric::L2,
            top_k: 10,
            select: Selection::default(),
            range: None,
            effort,
        };
        let answer = snapshot.search(&request).await?;
        let places: Vec<_> = answer.hits[0].iter().map(|hit| hit.row).collect();
        let found = snapshot.fetch(&places, &columns()).await?;
        check_rows(&found);
        let keys = found.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(keys.len(), 10);
        let score = |key: &i64| vector_score(Metric::L2, query, vector(*key)) as f32;
        for (hit, key) in answer.hits[0].iter().zip(&keys) {
            assert_eq!(hit.score, score(key));
        }
        if effort.is_exact() {
            let mut best: Vec<f32> = live.iter().map(score).collect();
            best.sort_by(f32::total_cmp);
            assert_eq!(keys.iter().map(score).collect::<Vec<_>>(), best[..10]);
        }
    }
    let sorted = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await?;
    let keys = snapshot.fetch(&sorted, &["id".into()]).await?;
    assert_eq!(keys.column(0).as_primitive::<Int64Type>().values().to_vec(), live);
    check_rows(&snapshot.fetch(&sorted, &columns()).await?);
    // A write looks keys up.
    let over = rng.random_range(200..LISTS.end - 5);
    c.upsert(rows(over..over + 5)).await?;
    assert_eq!(c.snapshot().count(&Selection::default()).await?, live.len() as u64);
    Ok(())
}

fn columns() -> Vec<String> {
    ["id", "v", "w"].map(String::from).to_vec()
}

fn check_rows(batch: &arrow::array::RecordBatch) {
    let keys = batch.column(0).as_primitive::<Int64Type>();
    let (v, w) = (batch.column(1).as_fixed_size_list(), batch.column(2).as_fixed_size_list());
    for (row, key) in keys.values().iter().enumerate() {
        assert_eq!(v.value(row).as_primitive::<Float32Type>().values()[..], *vector(*key), "{key}");
        assert_eq!(w.is_null(row), key % 7 == 0, "{key}");
        if w.is_valid(row) {
            assert_eq!(w.value(row).as_primitive::<Float32Type>().values()[..], *vector(*key));
        }
    }
}

fn of_kind(root: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = files(&root.join("collections"));
    found.retain(|f| f.to_string_lossy().contains(kind));
    found
}

/// Flips a bit; returns a word for messages. The end of a file is its own description of itself.
fn flip(file: &Path, rng: &mut StdRng) -> String {
    let mut bytes = std::fs::read(file).expect("a file");
    let at = match rng.random_range(0..3) {
        0 => rng.random_range(bytes.len() * 9 / 10..bytes.len()),
        _ => rng.random_range(0..bytes.len()),
    };
    let bit = rng.random_range(0..8);
    bytes[at] ^= 1 << bit;
    std::fs::write(file, bytes).expect("a file written");
    format!("{} byte {at} bit {bit}", file.display())
}

async fn flipped(made: &Path, kind: &str, derived: bool, rng: &mut StdRng) {
    let copy = folder();
    copy_folder(made, copy.path());
    let all = of_kind(copy.path(), kind);
    // An older manifest is only history.
    let newest = if kind == "/manifest/" { all.len() - 1 } else { 0 };
    let file = &all[rng.random_range(newest..all.len())];
    let what = flip(file, rng);
    println!("{what}");
    let name = file.strip_prefix(copy.path()).expect("a path").to_string_lossy().into_owned();
    let told = match problems(copy.path()).await {
        Ok(told) => told,
        Err(e) => vec![e.to_string()],
    };
    assert!(told.iter().any(|p| p.contains(&name)), "{what}: verify told {told:?}");
    let used = folder();
    copy_folder(copy.path(), used.path());
    match read(used.path(), rng).await {
        Ok(()) => {}
        Err(e) if !derived => told_of(&e, file),
        Err(e) => panic!("{what}: no fallback: {e}"),
    }
    let location = copy.path().to_string_lossy().into_owned();
    match offline::repair(&location, &settings(), &|_| {}).await {
        Ok(report) if derived => {
            assert_eq!(report.problems, Vec::<String>::new(), "{what}");
            assert!(report.segments + report.codebooks > 0, "{what}");
            read(copy.path(), rng).await.expect("a repaired store");
            assert_eq!(problems(copy.path()).await.expect("a report"), Vec::<String>::new());
        }
        Ok(report) => assert!(!report.problems.is_empty(), "{what}: nobody told"),
        Err(e) => {
            assert!(!derived, "{what}: {e}");
            told_of(&e, file);
        }
    }
}

/// Seeded: `ELANUS_TEST_SEED=n` plays one again, `ELANUS_TEST_PROGRAMS=n` plays more.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_file_is_found_before_it_is_an_answer() {
    let made = make().await;
    assert_eq!(problems(made.path()).await.expect("a report"), Vec::<String>::new());
    for seed in seeds(1, 8) {
        for (kind, derived) in KINDS {
            let mut rng = StdRng::seed_from_u64(seed);
            println!("ELANUS_TEST_SEED={seed}");
            flipped(made.path(), kind, derived, &mut rng).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_data_file_names_the_rows() {
    let made = make().await;
    let file = &of_kind(made.path(), "data.lance")[0];
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[40_000] ^= 1;
    std::fs::write(file, bytes).expect("a file written");
    let told = problems(made.path()).await.expect("a report");
    assert!(told.len() == 1 && told[0].contains("column v of rows 0 to 2999"), "{told:?}");
    let mut rng = StdRng::seed_from_u64(1);
    let error = read(made.path(), &mut rng).await.expect_err("a damaged value");
    told_of(&error, file);
    assert!(error.message().contains("of rows 0 to 2999"), "{error}");
}

/// Segments of older versions have no sums: the file is then read whole, once, before its first use.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_without_sums_is_checked_too() {
    let made = make().await;
    let bucket = Bucket::open(&made.path().to_string_lossy(), false).expect("a bucket");
    let id = commit::collections(&bucket).await.expect("collections")[0];
    let head = commit::head(&bucket, id).await.expect("a head").expect("a manifest");
    let mut next = Manifest { version: head.version + 1, ..head.clone() };
    for segment in &mut next.segments {
        std::sync::Arc::make_mut(segment).sums = None;
    }
    let bytes = manifest_codec::encode(&next);
    bucket.put_fresh(&Manifest::path(id, next.version), bytes).await.expect("a manifest");
    for file in of_kind(made.path(), "data.sums") {
        std::fs::remove_file(file).expect("a file removed");
    }
    let copy = folder();
    copy_folder(made.path(), copy.path());
    let mut rng = StdRng::seed_from_u64(2);
    read(copy.path(), &mut rng).await.expect("an old store");
    let file = &of_kind(made.path(), "data.lance")[0];
    let mut bytes = std::fs::read(file).expect("a file");
    bytes[40_000] ^= 1;
    std::fs::write(file, bytes).expect("a file written");
    told_of(&read(made.path(), &mut rng).await.expect_err("a damaged value"), file);
}
