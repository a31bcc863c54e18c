//! Struct arrays with vectors of every type through the whole life of a row: log, memtable, files, compaction,
//! reopening; and searches of elements and of arrays against brute force.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Int64Type};
use elanus_engine::api::{
    Collection, CompactMode, Effort, Metric, NewCollection, Queries, RowOrder, Rows, SearchRequest,
    Selection, vector_score,
};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::structs::StructSchema;
use elanus_engine::core::vectors::{VectorView, vectors_from_bytes};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{folder, open, small_settings};

const DIM: u32 = 8;
const CAPACITY: u32 = 5;

/// Name and type of each vector sub-field.
fn types() -> [(&'static str, DataType); 5] {
    [
        ("f", DataType::FloatVector { dim: DIM }),
        ("h", DataType::Float16Vector { dim: DIM }),
        ("b", DataType::BFloat16Vector { dim: DIM }),
        ("i", DataType::Int8Vector { dim: DIM }),
        ("x", DataType::BinaryVector { dim: DIM }),
    ]
}

fn array(name: &str, element: DataType) -> FieldSchema {
    let kind = DataType::Array { element: Box::new(element), max_capacity: CAPACITY };
    FieldSchema::new(format!("s[{name}]"), kind).nullable()
}

fn schema() -> CollectionSchema {
    let mut schema = CollectionSchema {
        fields: vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("v", DataType::FloatVector { dim: 2 }).nullable(),
            array("n", DataType::Int64),
        ],
        structs: vec![StructSchema {
            name: "s".into(),
            description: "parts".into(),
            nullable: true,
            params: [("mmap.enabled".into(), "true".into())].into(),
            ..Default::default()
        }],
        ..CollectionSchema::default()
    };
    schema.fields.extend(types().map(|(name, kind)| array(name, kind)));
    schema.number_fields();
    schema
}

/// Elements of a row: a number each, from which its vectors are; none: null.
type Truth = Vec<(i64, Option<Vec<i64>>)>;

/// The bytes of an element's vector: small whole numbers, which every type holds exactly.
fn bytes(kind: &DataType, number: i64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(number as u64);
    let values: Vec<i8> = (0..DIM).map(|_| rng.random_range(-8..8)).collect();
    let wide = values.iter().map(|v| f32::from(*v));
    match kind {
        DataType::Int8Vector { .. } => values.iter().map(|v| *v as u8).collect(),
        DataType::BinaryVector { .. } => vec![rng.random()],
        DataType::BFloat16Vector { .. } => {
            wide.flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes()).collect()
        }
        DataType::Float16Vector { .. } => {
            elanus_engine::core::vectors::narrowed(kind, &wide.collect::<Vec<_>>()).expect("halves")
        }
        _ => wide.flat_map(f32::to_le_bytes).collect(),
    }
}

fn lists(values: ArrayRef, rows: &Truth) -> ArrayRef {
    let lengths = rows.iter().map(|(_, e)| e.as_ref().map_or(0, Vec::len));
    let nulls: NullBuffer = rows.iter().map(|(_, e)| e.is_some()).collect();
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::try_new(item, offsets, values, Some(nulls)).expect("lists"))
}

fn make(rng: &mut StdRng, ids: Range<i64>) -> (Rows, Truth) {
    let rows: Truth = ids
        .map(|id| {
            let there = rng.random_bool(0.85);
            let count = rng.random_range(0..=CAPACITY);
            (id, there.then(|| (0..count).map(|_| rng.random_range(0..1_000_000)).collect()))
        })
        .collect();
    let numbers: Vec<i64> = rows.iter().flat_map(|(_, e)| e.iter().flatten().copied()).collect();
    let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id));
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".into(), Arc::new(ids)),
        ("s[n]".into(), lists(Arc::new(Int64Array::from(numbers.clone())), &rows)),
    ];
    for (name, kind) in types() {
        let all = numbers.iter().flat_map(|n| bytes(&kind, *n)).collect();
        let values = vectors_from_bytes(&kind, all).expect("vectors");
        columns.push((format!("s[{name}]"), lists(values, &rows)));
    }
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let columns = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    (Rows { columns, partition: None }, rows)
}

/// Reads all rows and compares every column of the struct.
async fn check_rows(c: &Collection, truth: &Truth) {
    let snapshot = c.snapshot();
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await.expect("rows");
    let mut names = vec!["id".to_string(), "s[n]".to_string()];
    names.extend(types().map(|(name, _)| format!("s[{name}]")));
    let batch = snapshot.fetch(&rows, &names).await.expect("columns");
    let ids = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(ids, truth.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    for (row, (id, elements)) in truth.iter().enumerate() {
        for (at, name) in names.iter().enumerate().skip(1) {
            let list = batch.column(at).as_list::<i32>();
            assert_eq!(list.is_valid(row), elements.is_some(), "{name} of {id}");
            let Some(elements) = elements else { continue };
            let values = list.value(row);
            match at {
                1 => assert_eq!(values.as_primitive::<Int64Type>().values().as_ref(), elements),
                _ => {
                    let kind = &types()[at - 2].1;
                    let view = VectorView::of(values.as_ref(), kind).expect("vectors");
                    let wanted: Vec<u8> = elements.iter().flat_map(|n| bytes(kind, *n)).collect();
                    assert_eq!(view.bytes_of(0..elements.len()), wanted, "{name} of {id}");
                }
            }
        }
    }
}

fn floats(kind: &DataType, number: i64) -> Vec<f32> {
    let column = vectors_from_bytes(kind, bytes(kind, number)).expect("a vector");
    let mut buffer = Vec::new();
    VectorView::of(column.as_ref(), kind).expect("a view").block(0..1, &mut buffer).to_vec()
}

fn request(name: &str, queries: Queries, metric: Metric) -> SearchRequest {
    SearchRequest {
        field: format!("s[{name}]"),
        queries: Arc::new(queries),
        metric,
        top_k: 12,
        select: Selection::default(),
        range: None,
        effort: Effort::DEFAULT,
    }
}

/// Searches elements and arrays by each metric of each type.
async fn check_search(c: &Collection, truth: &Truth) {
    let snapshot = c.snapshot();
    for (name, kind) in types() {
        let vectors: Vec<Vec<f32>> = (0..3).map(|q| floats(&kind, 2_000_000 + q)).collect();
        let raw: Vec<Vec<u8>> = (0..3).map(|q| bytes(&kind, 2_000_000 + q)).collect();
        let queries = match kind.is_binary_vector() {
            true => Queries::Binary(raw.clone()),
            false => Queries::Dense(vectors.clone()),
        };
        let metrics = [Metric::L2, Metric::Ip, Metric::Cosine, Metric::Hamming];
        for metric in metrics.into_iter().filter(|m| m.compares(&kind)) {
            let one = |q: usize, number: i64| match metric {
                Metric::Hamming => f64::from((raw[q][0] ^ bytes(&kind, number)[0]).count_ones()),
                _ => vector_score(metric, &vectors[q], &floats(&kind, number)),
            };
            let sign: f32 = if metric.higher_is_nearer() { -1.0 } else { 1.0 };
            let request = request(name, queries.clone(), metric);

            let found = snapshot.search(&request).await.expect("elements");
            for (q, hits) in found.hits.iter().enumerate() {
                let mut wanted: Vec<(f32, i64, u32)> = Vec::new();
                for (id, elements) in truth {
                    let elements = elements.iter().flatten().zip(0..);
                    wanted.extend(elements.map(|(n, at)| (one(q, *n) as f32, *id, at)));
                }
                wanted.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
                let rows: Vec<_> = hits.iter().map(|h| h.row).collect();
                let keys = snapshot.fetch(&rows, &["id".into()]).await.expect("keys");
                let keys = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
                assert_eq!(hits.len(), 12, "{name} {metric:?}");
                for ((hit, key), (score, ..)) in hits.iter().zip(&keys).zip(&wanted) {
                    assert_eq!(hit.score, *score, "{name} {metric:?}");
                    let element = hit.element.expect("an element");
                    let known = |w: &&(f32, i64, u32)| (w.1, w.2) == (*key, element);
                    let own = wanted.iter().find(known).expect("an element that is there");
                    assert_eq!(own.0, hit.score, "{name} {metric:?}");
                }
            }

            let best = |q: usize, elements: &[i64]| {
                let wide = f64::from(sign);
                let scores = elements.iter().map(|n| wide * one(q, *n));
                wide * scores.fold(f64::INFINITY, f64::min)
            };
            let mut wanted: Vec<(f32, i64)> = truth
                .iter()
                .filter_map(|(id, e)| Some((id, e.as_ref().filter(|e| !e.is_empty())?)))
                .map(|(id, e)| ((best(0, e) + best(1, e)) as f32, *id))
                .collect();
            wanted.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
            let found = snapshot.search_arrays(&request, &[2, 1]).await.expect("arrays");
            assert_eq!(found.hits.len(), 2);
            let rows: Vec<_> = found.hits[0].iter().map(|h| h.row).collect();
            let keys = snapshot.fetch(&rows, &["id".into()]).await.expect("keys");
            let keys = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
            let found: Vec<(f32, i64)> = found.hits[0].iter().map(|h| h.score).zip(keys).collect();
            assert_eq!(found, wanted[..12], "{name} {metric:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn struct_arrays_live_through_flush_compaction_and_reopening() {
    let place = folder();
    let mut settings = small_settings();
    settings.memtable.max_rows = 10_000;
    let mut rng = StdRng::seed_from_u64(21);
    let engine = open(place.path(), &settings).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("structs", schema())).await;
    let c = c.expect("a collection");
    let mut truth = Truth::new();
    for part in 0..3 {
        let (rows, more) = make(&mut rng, part * 40..(part + 1) * 40);
        c.insert(rows).await.expect("rows");
        truth.extend(more);
        if part < 2 {
            c.flush().await.expect("a flush");
        }
    }
    let (rows, newer) = make(&mut rng, 30..50);
    c.upsert(rows).await.expect("newer rows");
    let gone: Vec<i64> = (0..120).step_by(7).collect();
    let keys = Keys::Int(Int64Array::from(gone.clone()));
    c.delete_keys(keys, &Default::default()).await.expect("a delete");
    truth.retain(|(id, _)| !(30..50).contains(id));
    truth.extend(newer);
    truth.retain(|(id, _)| !gone.contains(id));
    truth.sort_by_key(|(id, _)| *id);
    check_rows(&c, &truth).await;
    check_search(&c, &truth).await;
    engine.close().await.expect("closed");
    drop((engine, c));

    let engine = open(place.path(), &settings).await.expect("a store with a log to replay");
    let c = engine.collection("default", "structs").expect("structs");
    assert_eq!(*c.schema(), schema());
    check_rows(&c, &truth).await;
    c.flush().await.expect("a flush");
    c.compact(CompactMode::All).await.expect("a compaction");
    check_rows(&c, &truth).await;
    check_search(&c, &truth).await;
    engine.close().await.expect("closed");
    drop((engine, c));
    let report = elanus_engine::offline::verify(&place.path().to_string_lossy(), &|_| {}).await;
    assert_eq!(report.expect("verified").problems, Vec::<String>::new());
    let engine = open(place.path(), &settings).await.expect("a store of files");
    let c = engine.collection("default", "structs").expect("structs");
    check_rows(&c, &truth).await;
    check_search(&c, &truth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sub_fields_of_different_lengths_are_refused() {
    let place = folder();
    let engine = open(place.path(), &small_settings()).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("structs", schema())).await;
    let c = c.expect("a collection");
    let (rows, truth) = make(&mut StdRng::seed_from_u64(22), 0..20);
    assert!(truth.iter().any(|(_, e)| e.as_ref().is_some_and(|e| e.len() > 1)));
    let at = rows.columns.schema().index_of("s[n]").expect("a column");
    let turned: UInt32Array = (0..20).rev().collect::<Vec<u32>>().into();
    let mut columns = rows.columns.columns().to_vec();
    columns[at] = arrow::compute::take(&columns[at], &turned, None).expect("other lengths");
    let columns = RecordBatch::try_new(rows.columns.schema(), columns).expect("a batch");
    let error = c.insert(Rows { columns, partition: None }).await.expect_err("other lengths");
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert!(error.message().contains("inconsistent array length in struct s"), "{error}");
    let only = rows.columns.project(&[0, at]).expect("two columns");
    let error =
        c.insert(Rows { columns: only, partition: None }).await.expect_err("some sub-fields");
    assert!(error.message().contains("inconsistent array length in struct s"), "{error}");
    c.insert(rows).await.expect("rows");
    let none = request("f", Queries::Dense(vec![vec![1.0; 8]]), Metric::L2);
    for lengths in [&[2][..], &[1, 0]] {
        let error = c.snapshot().search_arrays(&none, lengths).await.expect_err("lengths");
        assert!(error.message().contains("at least one vector"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_struct_that_is_dropped_and_added_again_is_empty() {
    let place = folder();
    let engine = open(place.path(), &small_settings()).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("structs", schema())).await;
    let c = c.expect("a collection");
    let (rows, _) = make(&mut StdRng::seed_from_u64(23), 0..20);
    c.insert(rows).await.expect("rows");
    c.flush().await.expect("a flush");
    c.create_index("s[n]", "numbers", Default::default()).await.expect("an index");
    c.add_field(FieldSchema::new("later", DataType::Bool).nullable()).await.expect("a field");
    assert_eq!(c.info().indexes.len(), 1, "an index of a sub-field stays when the schema changes");
    let fields: Vec<FieldSchema> =
        schema().fields.into_iter().filter(|f| f.name.starts_with('s')).collect();
    c.drop_struct("s").await.expect("dropped");
    assert_eq!((c.schema().fields.len(), c.info().indexes.len()), (3, 0));
    assert!(c.snapshot().fetch(&[], &["s[n]".into()]).await.is_err());
    let unnumbered = fields.into_iter().map(|f| FieldSchema { id: 0, ..f }).collect();
    let own = StructSchema { name: "s".into(), nullable: true, ..Default::default() };
    c.add_struct(own, unnumbered).await.expect("added again");
    let rows = c.snapshot().select(&Selection::default(), RowOrder::Key, 0, None).await;
    let batch = c.snapshot().fetch(&rows.expect("rows"), &["s[n]".into(), "s[f]".into()]).await;
    let batch = batch.expect("columns");
    assert_eq!((batch.column(0).null_count(), batch.column(1).null_count()), (20, 20));
}
