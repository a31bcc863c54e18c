//! Rows of the simulated collections as plain values, conditions on them, and their way to and from Arrow.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Float32Type, Int64Type, UInt64Type};
use elanus_engine::core::error::Result;
use elanus_engine::core::filter::{RowFilter, UnitStats};
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

/// Dimensions of the vectors.
pub const DIM: usize = 4;

/// Everything of a row but its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Tells which write it is of.
    pub n: i64,
    pub tag: Option<String>,
    pub v: [f32; DIM],
    /// Values of fields that were added later; one that is missing reads as the field's default.
    pub extra: BTreeMap<String, Option<i64>>,
}

/// A condition on `n` or `tag`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Modulo(i64, i64),
    /// Units are pruned by their bounds.
    Below(i64),
    Tag(&'static str),
}

impl Test {
    pub fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Modulo(divisor, rest) => row.n.rem_euclid(*divisor) == *rest,
            Self::Below(n) => row.n < *n,
            Self::Tag(tag) => row.tag.as_deref() == Some(tag),
        }
    }

    pub fn filter(&self) -> Arc<dyn RowFilter> {
        let column = if matches!(self, Self::Tag(_)) { "tag" } else { "n" };
        Arc::new(Filter { test: self.clone(), columns: vec![column.to_string()] })
    }
}

#[derive(Debug)]
struct Filter {
    test: Test,
    columns: Vec<String>,
}

impl RowFilter for Filter {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        if let Test::Tag(tag) = &self.test {
            let tags = batch.column(0).as_string::<i32>();
            return Ok(tags.iter().map(|t| t.map(|t| t == *tag)).collect());
        }
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let holds = |n: i64| match self.test {
            Test::Modulo(divisor, rest) => n.rem_euclid(divisor) == rest,
            Test::Below(most) => n < most,
            Test::Tag(_) => false,
        };
        Ok(numbers.iter().map(|n| n.map(holds)).collect())
    }

    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        let Test::Below(most) = self.test else { return vec![true; units.len()] };
        let may = |unit: &&UnitStats| {
            let bounds = unit.columns.get("n");
            bounds.is_none_or(|b| b.min.as_primitive::<Int64Type>().value(0) < most)
        };
        units.iter().map(may).collect()
    }
}

/// The schema that a collection begins with.
pub fn schema(text_keys: bool) -> CollectionSchema {
    let key = if text_keys { DataType::VarChar { max_length: 20 } } else { DataType::Int64 };
    CollectionSchema::new(vec![
        FieldSchema::new("id", key).primary(),
        FieldSchema::new("n", DataType::Int64),
        FieldSchema::new("tag", DataType::VarChar { max_length: 20 }).nullable(),
        FieldSchema::new("v", DataType::FloatVector { dim: DIM as u32 }),
    ])
}

/// Columns of rows; all have the same added fields.
pub fn to_batch(rows: &[(Key, Row)]) -> RecordBatch {
    let keys: Vec<Key> = rows.iter().map(|(key, _)| key.clone()).collect();
    let all = || rows.iter().map(|(_, row)| row);
    let vectors = all().map(|r| Some(r.v.map(Some)));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, DIM as i32);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".into(), Keys::from_keys(&keys).expect("keys of one kind").to_array()),
        ("n".into(), Arc::new(all().map(|r| r.n).collect::<Int64Array>())),
        ("tag".into(), Arc::new(all().map(|r| r.tag.clone()).collect::<StringArray>())),
        ("v".into(), Arc::new(vectors)),
    ];
    for name in rows.first().into_iter().flat_map(|(_, row)| row.extra.keys()) {
        let values: Int64Array = all().map(|r| r.extra[name]).collect();
        columns.push((name.clone(), Arc::new(values)));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("a batch")
}

/// Names of the columns that [`from_batch`] reads.
pub fn columns(schema: &CollectionSchema) -> Vec<String> {
    schema.fields.iter().map(|f| f.name.clone()).chain(["_ts".to_string()]).collect()
}

/// Rows with their commit timestamps.
pub fn from_batch(batch: &RecordBatch) -> Vec<(Key, (Row, u64))> {
    let keys = Keys::from_array(batch.column(0).as_ref()).expect("keys");
    let ints = |at: usize| batch.column(at).as_primitive::<Int64Type>();
    let tags = batch.column(2).as_string::<i32>();
    let vectors = batch.column(3).as_fixed_size_list();
    let last = batch.num_columns() - 1;
    let times = batch.column(last).as_primitive::<UInt64Type>();
    let schema = batch.schema();
    let row = |at: usize| {
        let values = vectors.value(at);
        let extra = (4..last).map(|c| {
            let value = ints(c).is_valid(at).then(|| ints(c).value(at));
            (schema.field(c).name().clone(), value)
        });
        let v = values.as_primitive::<Float32Type>().values().as_ref().try_into();
        Row {
            n: ints(1).value(at),
            tag: tags.is_valid(at).then(|| tags.value(at).to_string()),
            v: v.expect("all dimensions"),
            extra: extra.collect(),
        }
    };
    (0..batch.num_rows()).map(|at| (keys.get(at), (row(at), times.value(at)))).collect()
}
