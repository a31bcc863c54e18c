//! Searches whose answers single precision cannot decide: near ties, cancellation, huge and tiny values.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field};
use elanus_engine::api::{
    Collection, Effort, Metric, NewCollection, Rows, ScoreRange, SearchRequest, Selection,
    vector_score,
};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{folder, open, small_settings};

const ROWS: usize = 400;

/// How the components of a vector are made.
type Make = fn(&mut StdRng, usize) -> Vec<f32>;

const SHAPES: [(&str, Make); 8] = [
    ("plain", |rng, dim| (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()),
    ("copies", |rng, dim| vec![[-1.0, 0.3, 0.7][rng.random_range(0..3)]; dim]),
    ("multiples", |rng, dim| {
        let by = rng.random_range(1..2_000) as f32;
        (0..dim).map(|at| (0.1 + at as f32 * 0.7) * by).collect()
    }),
    ("far from the origin", |rng, dim| {
        (0..dim).map(|_| 10_000.0 + rng.random_range(-0.01..0.01)).collect()
    }),
    ("some giants", |rng, dim| {
        let giant = rng.random_bool(0.2);
        let size = if giant { 1e9 } else { 30.0 };
        let first: f32 = rng.random_range(-1.0..1.0) * size;
        // Two components that cancel, up to a few roundings.
        let second = -first + rng.random_range(0.0..if giant { 600.0 } else { 3.0 });
        (0..dim).map(|at| if at % 2 == 0 { first } else { second }).collect()
    }),
    ("tiny", |rng, dim| (0..dim).map(|_| rng.random_range(-1.0..1.0) * 1e-25).collect()),
    ("tiny and plain", |rng, dim| {
        let size = if rng.random() { 1e-24 } else { 1.0 };
        (0..dim).map(|_| rng.random_range(-1.0..1.0) * size).collect()
    }),
    ("zeros and plain", |rng, dim| {
        let size = if rng.random() { 0.0 } else { 1.0 };
        (0..dim).map(|_| rng.random_range(-1.0..1.0) * size).collect()
    }),
];

fn rows(vectors: &[Vec<f32>]) -> Rows {
    let dim = vectors[0].len();
    // Keys against the order of the rows, so that ties are not in order by chance.
    let keys = Int64Array::from_iter_values((0..vectors.len()).map(key_of));
    let values = Float32Array::from(vectors.concat());
    let item = Arc::new(Field::new("item", ArrowType::Float32, true));
    let lists = FixedSizeListArray::new(item, dim as i32, Arc::new(values), None);
    let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(keys)), ("v", Arc::new(lists))];
    Rows { columns: RecordBatch::try_from_iter(columns).expect("a batch"), partition: None }
}

fn key_of(at: usize) -> i64 {
    (at as i64 * 7919) % ROWS as i64
}

async fn check(c: &Collection, vectors: &[Vec<f32>], query: Vec<f32>, metric: Metric, what: &str) {
    let mut expected: Vec<(f32, i64)> = vectors
        .iter()
        .enumerate()
        .map(|(at, v)| (vector_score(metric, &query, v) as f32, key_of(at)))
        .collect();
    let sign = if metric.higher_is_nearer() { -1.0 } else { 1.0 };
    expected.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
    let middle = f64::from(expected[ROWS / 2].0);
    let ranged =
        ScoreRange { radius: f64::from(expected[ROWS - 40].0), range_filter: Some(middle) };
    for range in [None, Some(ranged)] {
        let request = SearchRequest {
            field: "v".into(),
            queries: Arc::new(vec![query.clone()].into()),
            metric,
            top_k: 10,
            select: Selection::default(),
            range,
            effort: Effort::EXACT,
        };
        let snapshot = c.snapshot();
        let answer = snapshot.search(&request).await.expect("a search");
        let places: Vec<_> = answer.hits[0].iter().map(|h| h.row).collect();
        let keys = snapshot.fetch(&places, &["id".into()]).await.expect("keys");
        let keys: &Int64Array = arrow::array::AsArray::as_primitive(keys.column(0).as_ref());
        let found: Vec<(f32, i64)> =
            answer.hits[0].iter().map(|h| h.score).zip(keys.values().iter().copied()).collect();
        let exact = |key: i64| {
            let at = (0..vectors.len()).find(|at| key_of(*at) == key).expect("a row");
            vector_score(metric, &query, &vectors[at])
        };
        let wanted = expected.iter().filter(|e| range.is_none_or(|r| r.holds(metric, exact(e.1))));
        let wanted: Vec<(f32, i64)> = wanted.take(10).copied().collect();
        assert_eq!(found, wanted, "{metric:?} {what} {range:?} near {query:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_exact_where_single_precision_is_not() {
    let place = folder();
    let mut settings = small_settings();
    settings.memtable.max_rows = 100_000;
    let engine = open(place.path(), &settings).await.expect("a store");
    let mut rng = StdRng::seed_from_u64(5);
    for dim in [1usize, 2, 8, 33] {
        for (shape, make) in SHAPES {
            let name = format!("{}_{dim}", shape.replace(' ', "_"));
            let schema = CollectionSchema::new(vec![
                FieldSchema::new("id", DataType::Int64).primary(),
                FieldSchema::new("v", DataType::FloatVector { dim: dim as u32 }),
            ]);
            let c = engine.create_collection("default", NewCollection::new(name, schema)).await;
            let c = c.expect("a collection");
            let vectors: Vec<Vec<f32>> = (0..ROWS).map(|_| make(&mut rng, dim)).collect();
            c.insert(rows(&vectors)).await.expect("rows");
            if rng.random() {
                c.flush().await.expect("a flush");
            }
            for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
                for query in [make(&mut rng, dim), vectors[7].clone(), vec![1.0 / 3.0; dim]] {
                    check(&c, &vectors, query, metric, &format!("{shape}, {dim} dimensions")).await;
                }
            }
        }
    }
}
