//! Codebooks and vector indexes are derived: a damaged one costs speed, never an answer, and a compaction
//! makes it anew.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType as ArrowType, Field, Int64Type};
use elanus_engine::api::{
    Collection, CompactMode, Effort, Engine, Metric, NewCollection, Rows, ScanCounts,
    SearchRequest, Selection, vector_score,
};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;
use elanus_engine::lsm::manifest::{FileMeta, Manifest};
use elanus_engine::lsm::{commit, manifest_codec};
use elanus_engine::offline;
use elanus_engine::offline::inspect::IndexForm;
use elanus_engine::storage::bucket::Bucket;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::{DAMAGES, problems};
use crate::harness::{copy_folder, files, folder, open, small_settings};

const DIM: usize = 16;
/// Enough for lists, and so few that they are scanned whole.
pub(super) const LISTS: Range<i64> = 0..3_000;
pub(super) const FLAT: Range<i64> = 3_000..3_400;
/// Rows that come when the damage is done.
const LATER: Range<i64> = 3_400..3_450;
pub(super) const QUERIES: i64 = 8_000;
/// Files of the field `v`.
const V_INDEX: &str = "/101.vec.idx";
const V_CODEBOOK: &str = "/codebooks/101.";

pub(super) fn settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 100_000;
    settings.read.cache_bytes = 64 << 20;
    settings
}

/// The vector of a key: one of twenty clusters, and some noise. Keys from [`QUERIES`] on are queries.
pub(super) fn vector(key: i64) -> &'static [f32] {
    static ALL: OnceLock<Vec<Vec<f32>>> = OnceLock::new();
    let make = |key: i64| {
        let mut cluster = StdRng::seed_from_u64(key as u64 % 20);
        let mut noise = StdRng::seed_from_u64(1_000 + key as u64);
        let one = |_| cluster.random_range(-1.0..1.0) + noise.random_range(-0.4f32..0.4);
        (0..DIM).map(one).collect()
    };
    &ALL.get_or_init(|| (0..QUERIES + 20).map(make).collect())[key as usize]
}

pub(super) fn rows(keys: Range<i64>) -> Rows {
    let vectors = |nulls: Option<NullBuffer>| -> ArrayRef {
        let values: Vec<f32> = keys.clone().flat_map(vector).copied().collect();
        let item = Arc::new(Field::new("item", ArrowType::Float32, true));
        let values = Arc::new(Float32Array::from(values));
        Arc::new(FixedSizeListArray::new(item, DIM as i32, values, nulls))
    };
    let some: NullBuffer = keys.clone().map(|key| key % 7 != 0).collect::<Vec<bool>>().into();
    let columns = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(keys.clone())) as ArrayRef, false),
        ("v", vectors(None), false),
        ("w", vectors(Some(some)), true),
    ]);
    Rows { columns: columns.expect("a batch"), partition: None }
}

pub(super) async fn new_store(place: &Path) -> (Engine, Collection) {
    let vector = DataType::FloatVector { dim: DIM as u32 };
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", vector.clone()),
        FieldSchema::new("w", vector).nullable(),
    ]);
    let engine = open(place, &settings()).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("c", schema)).await;
    (engine, c.expect("a collection"))
}

/// A closed store with a segment in lists and one without.
async fn make() -> TempDir {
    let place = folder();
    let (engine, c) = new_store(place.path()).await;
    for keys in [LISTS, FLAT] {
        c.insert(rows(keys)).await.expect("rows");
        c.flush().await.expect("a flush");
    }
    engine.close().await.expect("a close");
    place
}

/// Searches with the effort of users who ask for none. Of the keys that are to be exact every answer is
/// right; of all, nearly every one.
async fn check(c: &Collection, keys: Range<i64>, exact: Range<i64>) -> ScanCounts {
    let snapshot = c.snapshot();
    let (mut found_rows, mut wanted_rows) = (0, 0);
    let mut counts = ScanCounts::default();
    for at in 0..20 {
        let query = vector(QUERIES + at);
        let mut truth: Vec<(f64, i64)> =
            keys.clone().map(|k| (vector_score(Metric::L2, query, vector(k)), k)).collect();
        truth.sort_by(|a, b| a.0.total_cmp(&b.0));
        let request = SearchRequest {
            field: "v".into(),
            queries: Arc::new(vec![query.to_vec()].into()),
            metric: Metric::L2,
            top_k: 10,
            select: Selection::default(),
            range: None,
            effort: Effort::DEFAULT,
        };
        let answer = snapshot.search(&request).await.expect("a search");
        let places: Vec<_> = answer.hits[0].iter().map(|hit| hit.row).collect();
        let found = snapshot.fetch(&places, &["id".into()]).await.expect("keys");
        let found = found.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(found.len(), 10);
        for (_, key) in &truth[..10] {
            assert!(!exact.contains(key) || found.contains(key), "{key} is not in {found:?}");
            found_rows += usize::from(found.contains(key));
            wanted_rows += 1;
        }
        counts.lists_scanned += answer.counts.lists_scanned;
        counts.codes_scanned += answer.counts.codes_scanned;
    }
    assert!(found_rows * 100 >= wanted_rows * 95, "{found_rows} of {wanted_rows}");
    counts
}

async fn open_c(place: &Path) -> (Engine, Collection) {
    let engine = open(place, &settings()).await.expect("the store");
    let c = engine.collection("default", "c").expect("the collection");
    (engine, c)
}

/// Damages the `nth` file of a kind in every way; `exact` are the keys that have then to be scanned.
async fn damage_each(kind: &str, nth: usize, exact: Range<i64>) {
    let made = make().await;
    assert_eq!(problems(made.path()).await.expect("a report"), Vec::<String>::new());
    for damage in DAMAGES {
        let copy = folder();
        copy_folder(made.path(), copy.path());
        let all = files(copy.path());
        let mut all = all.iter().filter(|f| f.to_string_lossy().contains(kind));
        let file = all.nth(nth).expect("a file of that kind");
        damage.apply(file);
        println!("{kind} {damage:?}");
        let name = file.strip_prefix(copy.path()).expect("a path").to_string_lossy().into_owned();
        let told = problems(copy.path()).await.expect("a report");
        assert!(told.len() == 1 && told[0].contains(&name), "{name} {damage:?}: {told:?}");
        let shown = offline::inspect(&copy.path().to_string_lossy()).await.expect("a report");
        let unreadable = shown.collections[0].codebooks.iter().filter(|b| b.lists.is_none());
        assert_eq!(unreadable.count(), usize::from(kind.contains("codebooks")));

        let (engine, c) = open_c(copy.path()).await;
        let counts = check(&c, LISTS.start..FLAT.end, exact.clone()).await;
        assert_eq!(counts.lists_scanned == 0, exact.contains(&LISTS.start), "{counts:?}");
        c.insert(rows(LATER)).await.expect("rows");
        c.flush().await.expect("a flush");
        check(&c, LISTS.start..LATER.end, exact.clone()).await;
        let report = c.compact(CompactMode::All).await.expect("a compaction");
        assert_eq!((report.jobs, report.segments_after), (1, 1));
        let counts = check(&c, LISTS.start..LATER.end, 0..0).await;
        assert!(counts.lists_scanned > 0, "{counts:?}");
        engine.close().await.expect("a close");
        drop((engine, c));

        let shown = offline::inspect(&copy.path().to_string_lossy()).await.expect("a report");
        let indexes = &shown.collections[0].segments[0].vector_indexes;
        assert!(indexes.len() == 2 && indexes.iter().all(|i| i.form == IndexForm::Lists));
        // A codebook stays for a while after it was replaced.
        let mut told = problems(copy.path()).await.expect("a report");
        told.retain(|p| kind != V_CODEBOOK || !p.contains(&name));
        assert_eq!(told, Vec::<String>::new(), "{kind} {damage:?} after a compaction");
        let (_engine, c) = open_c(copy.path()).await;
        assert!(check(&c, LISTS.start..LATER.end, 0..0).await.lists_scanned > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vector_indexes_in_lists() {
    damage_each(V_INDEX, 0, LISTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vector_indexes_without_lists() {
    damage_each(V_INDEX, 1, FLAT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codebooks() {
    damage_each(V_CODEBOOK, 0, LISTS.start..LATER.end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_shows_indexes_and_codebooks() {
    let made = make().await;
    let location = made.path().to_string_lossy().into_owned();
    offline::gc(&location, &settings(), &|_| {}).await.expect("garbage collected");
    let shown = offline::inspect(&location).await.expect("a report");
    assert_eq!(shown.orphan_files, 0);
    let c = &shown.collections[0];
    let books: Vec<_> =
        c.codebooks.iter().map(|b| (b.field.as_str(), b.version, b.trained_rows)).collect();
    let first = c.segments[0].id;
    assert_eq!(books, [("v", first, 3_000), ("w", first, 3_000)]);
    assert!(c.codebooks.iter().all(|b| b.bytes > 10_000 && b.lists == Some(176)), "{c:?}");
    let forms: Vec<Vec<_>> = c
        .segments
        .iter()
        .map(|s| s.vector_indexes.iter().map(|i| (i.field.as_str(), i.form)).collect())
        .collect();
    let both = |form| vec![("v", form), ("w", form)];
    assert_eq!(forms, [both(IndexForm::Lists), both(IndexForm::Flat)]);
    let size = |file: &Path| file.metadata().expect("a file").len();
    let on_disk: u64 =
        files(made.path()).iter().filter(|f| f.ends_with(&V_INDEX[1..])).map(|f| size(f)).sum();
    let told = c.segments.iter().flat_map(|s| &s.vector_indexes).filter(|i| i.field == "v");
    assert_eq!(told.map(|i| i.bytes).sum::<u64>(), on_disk);
}

/// Puts another file in the place of a segment's first index.
fn replace_index(manifest: &mut Manifest, segment: usize, file: FileMeta) {
    let mut meta = (*manifest.segments[segment]).clone();
    meta.indexes[0].file = file;
    manifest.segments[segment] = Arc::new(meta);
}

/// Files with the right checksums that do not belong together: `verify` tells of each.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_do_not_belong_together() {
    let made = make().await;
    let bucket = Bucket::open(&made.path().to_string_lossy(), false).expect("a bucket");
    let id = commit::collections(&bucket).await.expect("collections")[0];
    let head = commit::head(&bucket, id).await.expect("a head").expect("a manifest");
    let root = Manifest::folder(id);
    let folders: Vec<String> =
        head.segments.iter().map(|s| Manifest::segment_folder(id, s.id)).collect();
    let index = |at: usize| format!("{}{V_INDEX}", folders[at]);
    let other_book = format!("{root}/{}", head.codebooks[1].file.name);
    type Edit = fn(&mut Manifest, FileMeta);
    let first: Edit = |m, file| replace_index(m, 0, file);
    let cases: [(&str, String, &String, Edit, &str); 4] = [
        ("another field", other_book, &root, |m, f| m.codebooks[0].file = f, "codebook"),
        ("no index", format!("{}/pk.idx", folders[0]), &folders[0], first, "not a vector index"),
        ("fewer rows", index(1), &folders[0], first, "those that have a vector"),
        ("more rows", index(0), &folders[1], |m, f| replace_index(m, 1, f), "another codebook or"),
    ];
    for (what, from, to, edit, words) in cases {
        let copy = folder();
        copy_folder(made.path(), copy.path());
        let bytes = std::fs::read(copy.path().join(from)).expect("a file");
        let name = "another.file".to_string();
        std::fs::write(copy.path().join(to).join(&name), &bytes).expect("a file written");
        let mut next = Manifest { version: head.version + 1, ..head.clone() };
        edit(&mut next, FileMeta::of(&name, &bytes));
        let bucket = Bucket::open(&copy.path().to_string_lossy(), false).expect("a bucket");
        commit::publish(&bucket, &head, &next).await.expect("the next version");
        let told = problems(copy.path()).await.expect("a report");
        assert!(told.len() == 1 && told[0].contains(&name), "{what}: {told:?}");
        assert!(told[0].contains(words), "{what}: {told:?}");
    }
    // A codebook that a segment names and the manifest has not: never published, and told if it is there.
    let next = Manifest { version: head.version + 1, codebooks: Vec::new(), ..head.clone() };
    let refused = commit::publish(&bucket, &head, &next).await.expect_err("no codebooks");
    assert!(refused.message().contains("every codebook"), "{refused}");
    let bytes = manifest_codec::encode(&next);
    bucket.put_fresh(&Manifest::path(id, next.version), bytes).await.expect("a manifest");
    let told = problems(made.path()).await.expect("a report");
    assert!(told.len() == 1 && told[0].contains("every codebook"), "{told:?}");
}

/// A compaction that has begun under a codebook which another one replaces meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_codebook_that_is_replaced_during_a_merge() {
    let made = folder();
    let (engine, c) = new_store(made.path()).await;
    c.create_partition("p").await.expect("a partition");
    for keys in [0..100, 100..200, 200..2_700, 2_700..5_200] {
        let partition = (keys.start < 200).then(|| "p".to_string());
        c.insert(Rows { partition, ..rows(keys) }).await.expect("rows");
        c.flush().await.expect("a flush");
    }
    // The next codebook is for another space, so it is due at the merge of most rows.
    let params = [("index_type", "HNSW"), ("metric_type", "COSINE")];
    let params = params.map(|(name, value)| (name.to_string(), value.to_string())).into();
    c.create_index("v", "v", params).await.expect("an index");
    let (begun, wait_begun) = tokio::sync::oneshot::channel();
    let (done, wait_done) = std::sync::mpsc::channel();
    let (begun, wait_done) = (std::sync::Mutex::new(Some(begun)), std::sync::Mutex::new(wait_done));
    let merging = c.clone();
    let merge = tokio::spawn(async move {
        let progress = |_rows: u64| {
            if let Some(begun) = begun.lock().expect("a lock").take() {
                begun.send(()).expect("the test");
                wait_done.lock().expect("a lock").recv().expect("the test");
            }
        };
        merging.compact_with_progress(CompactMode::All, &progress).await
    });
    wait_begun.await.expect("the merge");
    let report = c.compact(CompactMode::All).await.expect("a compaction");
    assert_eq!(report.jobs, 1);
    done.send(()).expect("the merge");
    let report = merge.await.expect("the merge").expect("a compaction under an old codebook");
    assert_eq!((report.jobs, report.rows_written), (1, 200));
    engine.close().await.expect("a close");
    assert_eq!(problems(made.path()).await.expect("a report"), Vec::<String>::new());
}
