//! Rows of [`super::schema`] as plain values, to and from Arrow.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use elanus_engine::core::key::{Key, Keys};
use rand::Rng;
use rand::rngs::StdRng;

use super::DIM;

/// Everything of a row but its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the partition; empty with a partition key.
    pub partition: String,
    pub n: Option<i64>,
    pub tag: String,
    pub flag: bool,
    pub v: Vec<f32>,
    pub w: Option<Vec<f32>>,
    pub list: Option<Vec<i32>>,
    pub doc: Option<String>,
    pub meta: String,
    /// Values of the fields `x0`, `x1`, … that were added later.
    pub extra: Vec<Option<i64>>,
}

/// A vector: often of small integers, so that there are ties.
pub fn random_vector(rng: &mut StdRng) -> Vec<f32> {
    let whole = rng.random_bool(0.6);
    (0..DIM)
        .map(|_| if whole { rng.random_range(-2..=2) as f32 } else { rng.random_range(-2.0..2.0) })
        .collect()
}

/// A row of a partition, with that many added fields.
pub fn random_row(rng: &mut StdRng, partition: &str, extra: usize) -> Row {
    let maybe = |rng: &mut StdRng| rng.random_bool(0.8);
    Row {
        partition: partition.into(),
        n: maybe(rng).then(|| rng.random_range(-50..50)),
        tag: ["", "red", "green", "blue", "a longer tag"][rng.random_range(0..5)].into(),
        flag: rng.random(),
        v: random_vector(rng),
        w: maybe(rng).then(|| random_vector(rng)),
        list: maybe(rng).then(|| (0..rng.random_range(0..4)).collect()),
        doc: maybe(rng).then(|| format!("{{\"a\":{}}}", rng.random_range(0..9))),
        meta: format!("{{\"m\":{}}}", rng.random_range(0..9)),
        extra: (0..extra).map(|_| Some(rng.random_range(0..99))).collect(),
    }
}

fn vectors<'a>(rows: impl Iterator<Item = Option<&'a Vec<f32>>>) -> ArrayRef {
    let lists = rows.map(|v| v.map(|v| v.iter().copied().map(Some).collect::<Vec<_>>()));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(lists, DIM as i32))
}

/// A key column.
pub fn key_column(keys: &[Key]) -> ArrayRef {
    Keys::from_keys(keys).expect("keys of one kind").to_array()
}

/// Columns of rows.
pub fn to_batch(rows: &[(Key, Row)]) -> RecordBatch {
    let keys: Vec<Key> = rows.iter().map(|(key, _)| key.clone()).collect();
    let all = || rows.iter().map(|(_, row)| row);
    let lists = all().map(|r| r.list.as_ref().map(|l| l.iter().copied().map(Some)));
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".into(), key_column(&keys)),
        ("n".into(), Arc::new(all().map(|r| r.n).collect::<Int64Array>())),
        ("tag".into(), Arc::new(StringArray::from_iter_values(all().map(|r| &r.tag)))),
        ("flag".into(), Arc::new(all().map(|r| Some(r.flag)).collect::<BooleanArray>())),
        ("v".into(), vectors(all().map(|r| Some(&r.v)))),
        ("w".into(), vectors(all().map(|r| r.w.as_ref()))),
        ("list".into(), Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("doc".into(), Arc::new(all().map(|r| r.doc.clone()).collect::<StringArray>())),
        ("$meta".into(), Arc::new(StringArray::from_iter_values(all().map(|r| &r.meta)))),
    ];
    for at in 0..rows.first().map_or(0, |(_, row)| row.extra.len()) {
        let values: Int64Array = all().map(|r| r.extra[at]).collect();
        columns.push((format!("x{at}"), Arc::new(values)));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("a batch")
}

/// Names of all columns with that many added fields.
pub fn columns(extra: usize) -> Vec<String> {
    let fixed = ["id", "n", "tag", "flag", "v", "w", "list", "doc", "$meta"];
    let added = (0..extra).map(|at| format!("x{at}"));
    fixed.iter().map(|n| n.to_string()).chain(added).collect()
}

fn vector_at(column: &ArrayRef, row: usize) -> Option<Vec<f32>> {
    let vectors = column.as_fixed_size_list();
    let values = || vectors.value(row).as_primitive::<Float32Type>().values().to_vec();
    vectors.is_valid(row).then(values)
}

/// Rows of [`columns`], without their partitions.
pub fn from_batch(batch: &RecordBatch, extra: usize) -> Vec<(Key, Row)> {
    let keys = Keys::from_array(batch.column(0).as_ref()).expect("keys");
    let text = |at: usize, row: usize| {
        let column = batch.column(at).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_string())
    };
    let int = |at: usize, row: usize| {
        let column = batch.column(at).as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let list = |row: usize| {
        let column = batch.column(6).as_list::<i32>();
        column.is_valid(row).then(|| {
            let values = column.value(row);
            values.as_primitive::<Int32Type>().iter().map(|v| v.expect("an element")).collect()
        })
    };
    let row = |at: usize| Row {
        partition: String::new(),
        n: int(1, at),
        tag: text(2, at).expect("a tag"),
        flag: batch.column(3).as_boolean().value(at),
        v: vector_at(batch.column(4), at).expect("a vector"),
        w: vector_at(batch.column(5), at),
        list: list(at),
        doc: text(7, at),
        meta: text(8, at).expect("dynamic fields"),
        extra: (0..extra).map(|x| int(9 + x, at)).collect(),
    };
    (0..batch.num_rows()).map(|at| (keys.get(at), row(at))).collect()
}
