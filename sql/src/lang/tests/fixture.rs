//! Ten rows with a column of every type.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, BooleanBuilder, FixedSizeListArray, Float32Array, Float32Builder,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, Int64Builder, ListBuilder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::Float32Type;
use elanus_engine::core::error::Result;
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::timestamptz::Zone;

use crate::lang::{Filter, TemplateValue};

/// The JSON column; `None` is null.
pub const JSON: [Option<&str>; 10] = [
    Some(r#"{"a":1,"s":"x","t":["x","y"],"n":{"m":[10,20]},"flag":true}"#),
    Some(r#"{"a":1.0,"s":"y","t":["y",1,[1,2]],"n":{"m":[]},"flag":false}"#),
    Some(r#"{"a":"1","s":"xyz","t":[]}"#),
    Some(r#"{"a":null}"#),
    Some("{}"),
    None,
    Some(r#"{"a":9007199254740993,"t":"no array","big":18446744073709551615}"#),
    Some(r#"{"a":true,"s":"100%","t":[1.0,2,null,{"k":1}]}"#),
    Some(r#"{"a":-2.5,"t":["x",["x"]],"n":{"m":[[1]]}}"#),
    Some(r#"{"a":[1,2],"s":"a\"b\u00e9"}"#),
];

/// The dynamic column.
pub const META: [&str; 10] = [
    r#"{"color":"red","n":1}"#,
    r#"{"color":"blue","n":2}"#,
    "{}",
    r#"{"color":null}"#,
    r#"{"color":"red","n":2.5,"x y":1}"#,
    r#"{"tags":["p","q"]}"#,
    r#"{"n":"2"}"#,
    r#"{"o":{"p":{"q":7}}}"#,
    "{}",
    r#"{"color":"green"}"#,
];

/// The geometry column.
pub const SHAPES: [Option<&str>; 10] = [
    Some("POINT (1 1)"),
    Some("POINT (5 5)"),
    Some("LINESTRING (0 0, 4 4)"),
    None,
    Some("POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))"),
    Some("POLYGON ((2 2, 6 2, 6 6, 2 6, 2 2))"),
    Some("POLYGON ((4 0, 8 0, 8 4, 4 4, 4 0))"),
    Some("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"),
    Some("MULTIPOINT ((1 1), (9 9))"),
    Some("LINESTRING (-1 2, 5 2)"),
];

/// The moments: midnight on the first days of 2025, but null and one before 1970.
const MOMENTS: [Option<&str>; 10] = [
    Some("2025-01-01T00:00:00Z"),
    Some("2025-01-02T00:00:00Z"),
    Some("2025-01-31T00:00:00Z"),
    None,
    Some("2025-02-28T23:59:59.999999Z"),
    Some("2024-02-29T12:00:00Z"),
    Some("1969-12-31T23:59:59Z"),
    Some("2025-01-01T08:00:00+08:00"),
    Some("2025-01-01T00:00:00.5Z"),
    Some("9999-12-31T23:59:59Z"),
];

fn moments() -> ArrayRef {
    let micros = MOMENTS.iter().map(|m| m.map(|m| Zone::default().parse(m).unwrap()));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
}

fn array_of(element: DataType) -> DataType {
    DataType::Array { element: Box::new(element), max_capacity: 100 }
}

fn text() -> DataType {
    DataType::VarChar { max_length: 100 }
}

/// Without dynamic fields.
pub fn strict_schema() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("b", DataType::Bool).nullable(),
        FieldSchema::new("i8", DataType::Int8).nullable(),
        FieldSchema::new("i16", DataType::Int16).nullable(),
        FieldSchema::new("i32", DataType::Int32).nullable(),
        FieldSchema::new("i64", DataType::Int64).nullable(),
        FieldSchema::new("f", DataType::Float).nullable(),
        FieldSchema::new("d", DataType::Double).nullable(),
        FieldSchema::new("s", text()).nullable(),
        FieldSchema::new("j", DataType::Json).nullable(),
        FieldSchema::new("ai", array_of(DataType::Int64)).nullable(),
        FieldSchema::new("as", array_of(text())).nullable(),
        FieldSchema::new("af", array_of(DataType::Float)).nullable(),
        FieldSchema::new("ab", array_of(DataType::Bool)).nullable(),
        FieldSchema::new("vec", DataType::FloatVector { dim: 2 }),
        FieldSchema::new("ts", DataType::Timestamptz).nullable(),
        FieldSchema::new("g", DataType::Geometry).nullable(),
        FieldSchema::new("t", DataType::Text).nullable(),
    ])
}

/// With dynamic fields.
pub fn schema() -> CollectionSchema {
    strict_schema().with_dynamic_field()
}

fn ints() -> ArrayRef {
    let mut builder = ListBuilder::new(Int64Builder::new());
    let rows: [Option<&[i64]>; 10] = [
        Some(&[1, 2, 3]),
        Some(&[2]),
        Some(&[]),
        None,
        Some(&[3, 3]),
        Some(&[10]),
        Some(&[1]),
        Some(&[-1]),
        Some(&[2, 3]),
        Some(&[1, 2, 3]),
    ];
    for row in rows {
        builder.append_option(row.map(|r| r.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    }
    Arc::new(builder.finish())
}

fn texts() -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    let rows: [Option<&[&str]>; 10] = [
        Some(&["a", "b"]),
        Some(&["b"]),
        Some(&[]),
        None,
        Some(&["c"]),
        Some(&["a"]),
        Some(&[""]),
        Some(&["é"]),
        Some(&["a", "c"]),
        Some(&["b", "a"]),
    ];
    for row in rows {
        builder.append_option(row.map(|r| r.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    }
    Arc::new(builder.finish())
}

fn floats() -> ArrayRef {
    let mut builder = ListBuilder::new(Float32Builder::new());
    let rows: [Option<&[f32]>; 10] = [
        Some(&[0.1]),
        Some(&[1.5, 2.0]),
        Some(&[]),
        None,
        Some(&[0.1, 0.2]),
        Some(&[-0.0]),
        Some(&[3.0]),
        Some(&[4.0]),
        Some(&[5.0]),
        Some(&[6.0]),
    ];
    for row in rows {
        builder.append_option(row.map(|r| r.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    }
    Arc::new(builder.finish())
}

fn booleans() -> ArrayRef {
    let mut builder = ListBuilder::new(BooleanBuilder::new());
    for row in 0..10 {
        let values = vec![Some(row % 2 == 0); row];
        builder.append_option((row != 3).then_some(values));
    }
    Arc::new(builder.finish())
}

/// The rows.
pub fn batch() -> RecordBatch {
    let t = Some(true);
    let f = Some(false);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..10)),
        Arc::new(BooleanArray::from(vec![t, f, None, t, f, t, f, t, f, None])),
        Arc::new(Int8Array::from(
            [0, 1, 2, 3, 4, 5, -128, 127, 99, -1].map(|v| (v != 99).then_some(v)).to_vec(),
        )),
        Arc::new(Int16Array::from(
            [0, 10, 20, 30, 40, 50, 60, 70, 80, -1].map(|v| (v != -1).then_some(v)).to_vec(),
        )),
        Arc::new(Int32Array::from(
            [5, 5, 5, -5, -5, 0, 99, 7, 8, 9].map(|v| (v != 99).then_some(v)).to_vec(),
        )),
        Arc::new(Int64Array::from(vec![
            Some(0),
            Some(1),
            Some(2),
            Some(3),
            Some(9_007_199_254_740_993),
            Some(i64::MIN),
            Some(i64::MAX),
            None,
            Some(8),
            Some(9),
        ])),
        Arc::new(Float32Array::from(
            [0.1, 0.2, -0.0, 0.0, 1.5, -1.5, 100.0, 77.0, 0.1, 3.0]
                .map(|v: f32| (v != 77.0).then_some(v))
                .to_vec(),
        )),
        Arc::new(Float64Array::from(
            [0.1, 0.25, -0.0, 0.0, 1.5, -1.5, 1e300, 77.0, 2.0, 3.0]
                .map(|v: f64| (v != 77.0).then_some(v))
                .to_vec(),
        )),
        Arc::new(StringArray::from(vec![
            Some(""),
            Some("apple"),
            Some("Apple"),
            Some("app%le"),
            Some("a_b"),
            Some("日本"),
            Some("line\nbreak"),
            Some("back\\slash"),
            None,
            Some("zebra"),
        ])),
        Arc::new(StringArray::from(JSON.to_vec())),
        ints(),
        texts(),
        floats(),
        booleans(),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            (0..10).map(|_| Some([Some(1.0), Some(2.0)])),
            2,
        )),
        moments(),
        Arc::new(StringArray::from(SHAPES.to_vec())),
        Arc::new(StringArray::from_iter((0..10).map(|i| (i != 3).then(|| format!("text {i}"))))),
        Arc::new(StringArray::from(META.to_vec())),
    ];
    // Lists are made with nullable items named "item", as the schema says.
    RecordBatch::try_new(schema().to_arrow(), columns).unwrap()
}

/// Runs a filter over the rows; three answers as their ids.
pub fn run(filter: &Filter) -> Result<Answers> {
    run_on(filter, &batch())
}

/// Runs a filter over some rows of the fixture.
pub fn run_on(filter: &Filter, batch: &RecordBatch) -> Result<Answers> {
    let schema = batch.schema();
    let places: Vec<usize> = filter.columns().iter().map(|c| schema.index_of(c).unwrap()).collect();
    let truth = filter.evaluate(&batch.project(&places).unwrap())?;
    assert_eq!(truth.len(), batch.num_rows());
    let ids = |wanted: Option<bool>| {
        truth.iter().enumerate().filter(|(_, v)| *v == wanted).map(|(i, _)| i).collect()
    };
    Ok(Answers { yes: ids(Some(true)), unknown: ids(None) })
}

/// What a filter says of the rows.
#[derive(Debug, PartialEq)]
pub struct Answers {
    /// Rows that match.
    pub yes: Vec<usize>,
    /// Rows for which it is null.
    pub unknown: Vec<usize>,
}

/// Values for the places `{name}` in tests.
pub fn templates() -> HashMap<String, TemplateValue> {
    use TemplateValue as T;
    let text = |s: &str| T::Text(s.into());
    [
        ("one", T::Int(1)),
        ("ids", T::Array(vec![T::Int(1), T::Int(3)])),
        ("name", text("apple")),
        ("yes", T::Bool(true)),
        ("half", T::Float(1.5)),
        ("mixed", T::Array(vec![T::Int(1), text("1"), T::Bool(true)])),
        ("json", T::Json(serde_json::json!([1, 2]))),
        ("object", T::Json(serde_json::json!({"k": 1}))),
        ("nan", T::Float(f64::NAN)),
        ("empty", T::Array(vec![])),
        ("pattern", text("app%")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
