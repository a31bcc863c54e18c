//! Rows that do not fit their schema: the whole batch is refused, good rows with it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType as ArrowType, Field, Float32Type, Int32Type, Schema};
use elanus_engine::api::{DEFAULT_DATABASE, NewCollection, Rows, Selection};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::schema::{CollectionSchema, DataType, DefaultValue, FieldSchema};

use super::{refused, store};
use crate::harness::folder;

fn strict() -> CollectionSchema {
    let vector = DataType::FloatVector { dim: 2 };
    let list = DataType::Array { element: Box::new(DataType::Int32), max_capacity: 2 };
    let words = DataType::VarChar { max_length: 2 };
    let words = DataType::Array { element: Box::new(words), max_capacity: 2 };
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("name", DataType::VarChar { max_length: 5 }),
        FieldSchema::new("small", DataType::Int8),
        FieldSchema::new("float", DataType::Float),
        FieldSchema::new("double", DataType::Double).nullable(),
        FieldSchema::new("flag", DataType::Bool).default_value(DefaultValue::Bool(true)),
        FieldSchema::new("doc", DataType::Json).nullable(),
        FieldSchema::new("list", list).nullable(),
        FieldSchema::new("words", words).nullable(),
        FieldSchema::new("v", vector.clone()),
        FieldSchema::new("w", vector).nullable(),
    ])
}

type Vector = Option<Vec<Option<f32>>>;

fn vectors(rows: [Vector; 2], dim: i32) -> ArrayRef {
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, dim))
}

fn plain(dim: usize) -> Vector {
    Some(vec![Some(0.5); dim])
}

fn texts(rows: [Option<&str>; 2]) -> ArrayRef {
    Arc::new(StringArray::from(rows.to_vec()))
}

/// Two rows; some columns replaced, added or (none) left out.
fn batch(changes: &[(&str, Option<ArrayRef>)]) -> RecordBatch {
    let lists = [Some(vec![Some(1)]), None];
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".into(), Arc::new(Int64Array::from(vec![1, 2]))),
        ("name".into(), texts([Some("ab"), Some("äöx")])),
        ("small".into(), Arc::new(Int8Array::from(vec![-128, 127]))),
        ("float".into(), Arc::new(Float32Array::from(vec![f32::MAX, -0.0]))),
        ("double".into(), Arc::new(Float64Array::from(vec![None, Some(f64::MIN)]))),
        ("flag".into(), Arc::new(BooleanArray::from(vec![None, Some(false)]))),
        ("doc".into(), texts([Some("[1, null]"), None])),
        ("list".into(), Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        ("v".into(), vectors([plain(2), plain(2)], 2)),
        ("w".into(), vectors([None, plain(2)], 2)),
    ];
    for (name, column) in changes {
        columns.retain(|(known, _)| known != name);
        columns.extend(column.clone().map(|c| (name.to_string(), c)));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("a batch")
}

fn changed(name: &'static str, column: impl arrow::array::Array + 'static) -> RecordBatch {
    batch(&[(name, Some(Arc::new(column)))])
}

/// NaN under a null and, after it, NaN in a row that counts.
fn hidden_nan() -> ArrayRef {
    let values = Arc::new(Float32Array::from(vec![f32::NAN, 0.0, 0.0, f32::NAN]));
    let item = Arc::new(Field::new("item", ArrowType::Float32, true));
    let nulls = Some(vec![false, true].into());
    Arc::new(FixedSizeListArray::new(item, 2, values, nulls))
}

fn given_twice() -> RecordBatch {
    let good = batch(&[]);
    let mut fields: Vec<_> = good.schema().fields().iter().cloned().collect();
    let mut columns = good.columns().to_vec();
    fields.push(Arc::new(Field::new("name", ArrowType::Utf8, true)));
    columns.push(texts([Some("x"), Some("y")]));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

fn cases() -> Vec<(&'static str, RecordBatch, &'static str)> {
    let long_json = format!("\"{}\"", "x".repeat(99));
    let list = |rows: [Option<Vec<Option<i32>>>; 2]| {
        ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
    };
    let mut words = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    words.append_value([Some("ab"), Some("abc")]);
    words.append_null();
    let nan = Some(vec![Some(0.0), Some(f32::NAN)]);
    let infinite = Some(vec![Some(f32::NEG_INFINITY), Some(0.0)]);
    vec![
        (
            "a longer vector",
            batch(&[("v", Some(vectors([plain(3), plain(3)], 3)))]),
            "expected vector size(byte) 8, actual 12.",
        ),
        ("NaN in a vector", batch(&[("v", Some(vectors([plain(2), nan], 2)))]), "row 1"),
        ("infinity in a vector", batch(&[("v", Some(vectors([plain(2), infinite], 2)))]), "-inf"),
        ("NaN after a null", batch(&[("w", Some(hidden_nan()))]), "row 1"),
        (
            "a null in a vector",
            batch(&[("v", Some(vectors([plain(2), Some(vec![None, Some(1.0)])], 2)))]),
            "null: field v, row 1",
        ),
        ("a vector of null", batch(&[("v", Some(vectors([plain(2), None], 2)))]), "row 1 is null"),
        ("an unknown field", changed("colour", Int64Array::from(vec![1, 2])), "field colour"),
        ("a slip", changed("nme", Int64Array::from(vec![1, 2])), "did you mean \"name\"?"),
        ("text for a number", batch(&[("small", Some(texts([Some("1"), None])))]), "small is Int8"),
        ("a wider number", changed("small", Int32Array::from(vec![1, 2])), "the data is Int32"),
        ("Double for Float", changed("float", Float64Array::from(vec![0.0; 2])), "float is Float"),
        ("a number for text", changed("name", Int64Array::from(vec![1, 2])), "name is VarChar(5)"),
        (
            "a number for a vector",
            changed("v", Int64Array::from(vec![1, 2])),
            "v is FloatVector(2)",
        ),
        ("a key of text", batch(&[("id", Some(texts([Some("1"), Some("2")])))]), "id is Int64"),
        ("a key of null", changed("id", Int64Array::from(vec![Some(1), None])), "row 1 is null"),
        ("NaN", changed("float", Float32Array::from(vec![0.0, f32::NAN])), "float, row 1"),
        ("infinity", changed("double", Float64Array::from(vec![f64::INFINITY, 0.0])), "double"),
        ("a long text", batch(&[("name", Some(texts([Some("abcdef"), None])))]), "name"),
        (
            "a text long in bytes",
            batch(&[("name", Some(texts([Some("ab"), Some("äöü")])))]),
            "row number: 1, length: 6, max length: 5",
        ),
        ("null", batch(&[("name", Some(texts([Some("a"), None])))]), "row 1 is null"),
        ("no JSON", batch(&[("doc", Some(texts([Some("{\"a\":1"), None])))]), "row 0: not JSON"),
        ("two JSONs", batch(&[("doc", Some(texts([None, Some("1 2")])))]), "row 1: not JSON"),
        (
            "a long JSON",
            batch(&[("doc", Some(texts([Some(&long_json), None])))]),
            "max length (100)",
        ),
        (
            "a full array",
            changed("list", list([Some(vec![Some(1); 2]), Some(vec![Some(1); 3])])),
            "max capacity (2)",
        ),
        ("a long text in an array", changed("words", words.finish()), "field words exceeds"),
        ("no vector", batch(&[("v", None)]), "missed an field `v`"),
        ("no key", batch(&[("id", None)]), "missed an field `id`"),
        ("a field twice", given_twice(), "name is given twice"),
        ("dynamic fields", batch(&[("$meta", Some(texts([None, None])))]), "$meta"),
    ]
}

#[tokio::test]
async fn bad_rows() {
    let place = folder();
    let (engine, c) = store(place.path(), NewCollection::new("c", strict())).await;
    let none = async |what: &str| {
        let stats = c.stats();
        assert_eq!((stats.rows_stored, stats.live_rows), (0, 0), "{what}");
    };
    for (what, columns, text) in cases() {
        for upsert in [false, true] {
            let rows = Rows { columns: columns.clone(), partition: None };
            let outcome = if upsert { c.upsert(rows).await } else { c.insert(rows).await };
            if upsert && what == "no key" {
                refused(what, outcome, ErrorKind::InvalidRequest, "needs the primary key");
            } else {
                refused(what, outcome, ErrorKind::InvalidRequest, text);
            }
            none(what).await;
        }
    }
    let elsewhere = Rows { columns: batch(&[]), partition: Some("none".into()) };
    refused("no partition", c.insert(elsewhere).await, ErrorKind::NotFound, "partition=none");
    none("no partition").await;
    engine.close().await.expect("a close");
    drop((engine, c));
    // Nothing of it is in the log either.
    let engine = crate::harness::open(place.path(), &crate::harness::small_settings()).await;
    let c = engine.expect("the store").collection(DEFAULT_DATABASE, "c").expect("the collection");
    assert_eq!(c.stats().rows_stored, 0);
    c.insert(Rows { columns: batch(&[]), partition: None }).await.expect("good rows");
    assert_eq!(c.snapshot().count(&Selection::default()).await.expect("a count"), 2);
}

#[tokio::test]
async fn bad_dynamic_fields() {
    let place = folder();
    let new = NewCollection::new("c", strict().with_dynamic_field());
    let (_engine, c) = store(place.path(), new).await;
    for (what, text, told) in [
        ("no JSON", "{\"a\"}", "not JSON"),
        ("an array", "[1]", "must be a JSON object"),
        ("a number", "1", "must be a JSON object"),
        ("long", &format!("{{\"a\":\"{}\"}}", "x".repeat(99)), "max length (100)"),
    ] {
        let columns = batch(&[("$meta", Some(texts([None, Some(text)])))]);
        let outcome = c.insert(Rows { columns, partition: None }).await;
        refused(what, outcome, ErrorKind::InvalidRequest, told);
    }
    assert_eq!(c.stats().rows_stored, 0);
}

#[tokio::test]
async fn partitions_by_key_are_not_named() {
    let place = folder();
    let mut schema = strict();
    schema.fields[1].is_partition_key = true;
    let (_engine, c) = store(place.path(), NewCollection::new("c", schema)).await;
    let rows = Rows { columns: batch(&[]), partition: Some("_default_0".into()) };
    let text = "partition key mode";
    refused("a named partition", c.insert(rows).await, ErrorKind::InvalidRequest, text);
    let made = c.create_partition("p").await;
    refused("a new partition", made, ErrorKind::InvalidRequest, text);
    let gone = c.drop_partition("_default_0").await;
    refused("a dropped partition", gone, ErrorKind::InvalidRequest, text);
    assert_eq!(c.stats().rows_stored, 0);
}
