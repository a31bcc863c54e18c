//! Vectors of every type through the whole life of a row: log, memtable, files, compaction, reopening;
//! and searches of each metric against brute force.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::datatypes::Int64Type;
use elanus_engine::api::{
    Collection, CompactMode, Effort, Metric, NewCollection, Queries, RowOrder, Rows, ScoreRange,
    SearchRequest, Selection, vector_score,
};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::vectors::{VectorView, narrowed, rounded, vectors_from_bytes};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{folder, open, small_settings};

const DIM: u32 = 24;
const ROWS: i64 = 300;

/// Name and type of each vector field.
fn types() -> [(&'static str, DataType); 5] {
    [
        ("f", DataType::FloatVector { dim: DIM }),
        ("h", DataType::Float16Vector { dim: DIM }),
        ("b", DataType::BFloat16Vector { dim: DIM }),
        ("i", DataType::Int8Vector { dim: DIM }),
        ("x", DataType::BinaryVector { dim: DIM }),
    ]
}

fn schema() -> CollectionSchema {
    let mut fields = vec![FieldSchema::new("id", DataType::Int64).primary()];
    for (name, data_type) in types() {
        fields.push(FieldSchema::new(name, data_type.clone()));
        fields.push(FieldSchema::new(format!("{name}0"), data_type).nullable());
    }
    CollectionSchema::new(fields)
}

/// What a test knows of a vector: numbers, or bits.
#[derive(Debug, Clone, PartialEq)]
enum Vector {
    Dense(Vec<f32>),
    Bits(Vec<u8>),
}

/// A random vector of a type, and its bytes in a column.
fn random(rng: &mut StdRng, data_type: &DataType) -> (Vector, Vec<u8>) {
    match data_type {
        DataType::BinaryVector { dim } => {
            let density = rng.random_range(0.0..1.0);
            let mut bits = vec![0u8; *dim as usize / 8];
            for at in 0..*dim as usize {
                bits[at / 8] |= u8::from(rng.random_bool(density)) << (at % 8);
            }
            (Vector::Bits(bits.clone()), bits)
        }
        DataType::Int8Vector { dim } => {
            let values: Vec<i8> = (0..*dim).map(|_| rng.random()).collect();
            let bytes = values.iter().map(|v| *v as u8).collect();
            (Vector::Dense(values.iter().map(|v| f32::from(*v)).collect()), bytes)
        }
        other => {
            let values: Vec<f32> = (0..DIM).map(|_| rng.random_range(-2.0..2.0)).collect();
            let values = rounded(other, &values);
            let bytes = narrowed(other, &values);
            let wide = || values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (Vector::Dense(values.clone()), bytes.unwrap_or_else(wide))
        }
    }
}

/// Vectors of one field by key; keys whose vector is null are not there.
type Truth = Vec<(i64, Vector)>;

/// Makes rows of these keys; gives what each field holds, in the order of [`schema`].
fn make(rng: &mut StdRng, ids: std::ops::Range<i64>) -> (Rows, Vec<Truth>) {
    let count = (ids.end - ids.start) as usize;
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("id".into(), Arc::new(Int64Array::from_iter_values(ids.clone())))];
    let mut truths = Vec::new();
    for (name, data_type) in types() {
        for nullable in [false, true] {
            let (mut bytes, mut truth) = (Vec::new(), Vec::new());
            let mut places = Vec::with_capacity(count);
            for (at, id) in ids.clone().enumerate() {
                let (vector, raw) = random(rng, &data_type);
                bytes.extend(raw);
                let there = !nullable || rng.random_bool(0.7);
                places.push(there.then_some(at as u32));
                if there {
                    truth.push((id, vector));
                }
            }
            let array = vectors_from_bytes(&data_type, bytes).expect("a column");
            let array = arrow::compute::take(&array, &UInt32Array::from(places), None);
            let name = if nullable { format!("{name}0") } else { name.into() };
            columns.push((name, array.expect("nulls")));
            truths.push(truth);
        }
    }
    let columns = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    (Rows { columns: columns.expect("a batch"), partition: None }, truths)
}

fn score(metric: Metric, query: &Vector, row: &Vector) -> Option<f64> {
    let count = |of: fn(u8, u8) -> u8, a: &[u8], b: &[u8]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(of(*a, *b).count_ones())).sum()
    };
    match (query, row) {
        (Vector::Dense(q), Vector::Dense(r)) => Some(vector_score(metric, q, r)),
        (Vector::Bits(q), Vector::Bits(r)) => {
            let differing = count(|a, b| a ^ b, q, r);
            let either = count(|a, b| a | b, q, r);
            match metric {
                Metric::Hamming => Some(differing),
                Metric::Jaccard if either == 0.0 => Some(1.0),
                Metric::Jaccard => Some(differing / either),
                Metric::Substructure => (count(|a, b| a & !b, q, r) == 0.0).then_some(0.0),
                Metric::Superstructure => (count(|a, b| !a & b, q, r) == 0.0).then_some(0.0),
                other => panic!("{other:?} of bits"),
            }
        }
        _ => panic!("{query:?} against {row:?}"),
    }
}

async fn search(c: &Collection, request: &SearchRequest) -> Vec<(f32, i64)> {
    let snapshot = c.snapshot();
    let answer = snapshot.search(request).await.expect("a search");
    let places: Vec<_> = answer.hits[0].iter().map(|h| h.row).collect();
    let keys = snapshot.fetch(&places, &["id".into()]).await.expect("keys");
    let keys = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
    answer.hits[0].iter().map(|h| h.score).zip(keys).collect()
}

/// Searches a field with each metric of its kind, with and without a range.
async fn check_search(
    c: &Collection,
    rng: &mut StdRng,
    name: &str,
    kind: &DataType,
    truth: &Truth,
) {
    let metrics = Metric::ALL.into_iter().filter(|m| m.compares(kind));
    for metric in metrics {
        let query = match rng.random_bool(0.5) {
            true => truth[rng.random_range(0..truth.len())].1.clone(),
            false => random(rng, kind).0,
        };
        let mut all: Vec<(f32, i64)> = truth
            .iter()
            .filter_map(|(id, row)| score(metric, &query, row).map(|s| (s as f32, *id)))
            .collect();
        let sign = if metric.higher_is_nearer() { -1.0 } else { 1.0 };
        all.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
        let queries: Queries = match &query {
            Vector::Dense(q) => vec![q.clone()].into(),
            Vector::Bits(q) => vec![q.clone()].into(),
        };
        let bound = |at: usize| all.get(at).map(|(score, _)| f64::from(*score));
        let range = bound(all.len() * 2 / 3)
            .map(|radius| ScoreRange { radius, range_filter: bound(all.len() / 3) });
        for range in [None, range] {
            let request = SearchRequest {
                field: name.into(),
                queries: Arc::new(queries.clone()),
                metric,
                top_k: 15,
                select: Selection::default(),
                range,
                effort: Effort::EXACT,
            };
            let wanted =
                all.iter().filter(|(s, _)| range.is_none_or(|r| r.holds(metric, f64::from(*s))));
            let wanted: Vec<(f32, i64)> = wanted.take(15).copied().collect();
            let found = search(c, &request).await;
            assert_eq!(found, wanted, "{name} {metric:?} {range:?} near {query:?}");
        }
    }
}

/// Reads every vector of a field and compares it.
async fn check_rows(c: &Collection, name: &str, kind: &DataType, truth: &Truth, live: usize) {
    let snapshot = c.snapshot();
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    assert_eq!(rows.len(), live);
    let batch = snapshot.fetch(&rows, &["id".into(), name.into()]).await.expect("columns");
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let column = batch.column(1);
    let view = VectorView::of(column.as_ref(), kind).expect("vectors");
    let present: Vec<usize> = (0..column.len()).filter(|row| column.is_valid(*row)).collect();
    assert_eq!(present.len(), truth.len(), "{name}");
    let mut buffer = Vec::new();
    for (row, (id, vector)) in present.into_iter().zip(truth) {
        assert_eq!(ids.value(row), *id, "{name}");
        let found = match kind.is_binary_vector() {
            true => Vector::Bits(view.bytes_of([row].into_iter())),
            false => Vector::Dense(view.block(row..row + 1, &mut buffer).to_vec()),
        };
        assert_eq!(&found, vector, "{name} of {id}");
    }
}

async fn check(c: &Collection, rng: &mut StdRng, truths: &[Truth], live: usize) {
    let fields = schema().fields;
    for (field, truth) in fields.iter().skip(1).zip(truths) {
        check_rows(c, &field.name, &field.data_type, truth, live).await;
        check_search(c, rng, &field.name, &field.data_type, truth).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_lives_through_flush_compaction_and_reopening() {
    let place = folder();
    let mut settings = small_settings();
    settings.memtable.max_rows = 10_000;
    let mut rng = StdRng::seed_from_u64(11);
    let engine = open(place.path(), &settings).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("types", schema())).await;
    let c = c.expect("a collection");
    let mut truths: Vec<Truth> = vec![Vec::new(); 10];
    for part in 0..3 {
        let (rows, more) = make(&mut rng, part * 100..(part + 1) * 100);
        c.insert(rows).await.expect("rows");
        truths.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
        if part < 2 {
            c.flush().await.expect("a flush");
        }
    }
    check(&c, &mut rng, &truths, ROWS as usize).await;
    // Some rows are replaced, some are deleted: in files and in memory.
    let (rows, newer) = make(&mut rng, 90..120);
    c.upsert(rows).await.expect("newer rows");
    let gone: Vec<i64> = (0..ROWS).step_by(7).collect();
    let keys = Keys::Int(Int64Array::from(gone.clone()));
    c.delete_keys(keys, &Default::default()).await.expect("a delete");
    for (all, newer) in truths.iter_mut().zip(newer) {
        all.retain(|(id, _)| !(90..120).contains(id));
        all.extend(newer);
        all.retain(|(id, _)| !gone.contains(id));
        all.sort_by_key(|(id, _)| *id);
    }
    let live = ROWS as usize - gone.len();
    check(&c, &mut rng, &truths, live).await;
    engine.close().await.expect("closed");
    drop((engine, c));

    let engine = open(place.path(), &settings).await.expect("a store with a log to replay");
    let c = engine.collection("default", "types").expect("types");
    assert_eq!(c.schema().fields, schema().fields);
    check(&c, &mut rng, &truths, live).await;
    c.flush().await.expect("a flush");
    c.compact(CompactMode::All).await.expect("a compaction");
    check(&c, &mut rng, &truths, live).await;
    engine.close().await.expect("closed");
    drop((engine, c));
    let report = elanus_engine::offline::verify(&place.path().to_string_lossy(), &|_| {}).await;
    let report = report.expect("verified");
    assert_eq!(report.problems, Vec::<String>::new());
    let engine = open(place.path(), &settings).await.expect("a store of files");
    check(&engine.collection("default", "types").expect("types"), &mut rng, &truths, live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_a_type_is_refused() {
    let place = folder();
    let engine = open(place.path(), &small_settings()).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("types", schema())).await;
    let c = c.expect("a collection");
    let mut rng = StdRng::seed_from_u64(12);
    let (rows, _) = make(&mut rng, 0..5);
    for (name, bytes, words) in [
        ("h", [0x00, 0x7c], "float16 vector contain nan or infinity value. field h, row 3"),
        ("h", [0x01, 0xfe], "float16 vector contain nan or infinity value. field h, row 3"),
        ("b", [0x80, 0xff], "bfloat16 vector contain nan or infinity value. field b, row 3"),
    ] {
        let kind = &schema().field(name).expect("a field").data_type.clone();
        let at = rows.columns.schema().index_of(name).expect("a column");
        let view = VectorView::of(rows.columns.column(at).as_ref(), kind).expect("vectors");
        let mut raw = view.bytes_of(0..5);
        raw[3 * 2 * DIM as usize + 10..][..2].copy_from_slice(&bytes);
        let mut columns = rows.columns.columns().to_vec();
        columns[at] = vectors_from_bytes(kind, raw).expect("a column");
        let columns = RecordBatch::try_new(rows.columns.schema(), columns).expect("a batch");
        let error = c.insert(Rows { columns, partition: None }).await.expect_err("not finite");
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.message().contains(words), "{error}");
    }
    c.insert(rows).await.expect("rows");
    let dense = |dim: u32| Queries::Dense(vec![vec![0.5; dim as usize]]);
    let bits = |bytes: u32| Queries::Binary(vec![vec![1; bytes as usize]]);
    for (field, queries, metric, words) in [
        ("x", dense(DIM), Metric::L2, "vector type must be the same, field x"),
        ("h", bits(DIM / 8), Metric::Hamming, "vector type must be the same, field h"),
        ("x", bits(DIM / 8), Metric::Cosine, "metric type COSINE does not compare"),
        ("i", dense(DIM), Metric::Jaccard, "use L2, IP or COSINE"),
        ("x", bits(DIM), Metric::Hamming, "expected vector size(byte) 3, actual 24."),
        ("h", dense(7), Metric::Ip, "expected vector size(byte) 48, actual 14."),
        ("i", dense(7), Metric::Ip, "expected vector size(byte) 24, actual 7."),
    ] {
        let request = SearchRequest {
            field: field.into(),
            queries: Arc::new(queries),
            metric,
            top_k: 1,
            select: Selection::default(),
            range: None,
            effort: Effort::EXACT,
        };
        let error = c.snapshot().search(&request).await.expect_err(words);
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}
