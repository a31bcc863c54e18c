//! A store with two collections and helpers that read answers as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType as ArrowType, Field, Int64Type};
use arrow::util::display::array_value_to_string;
use elanus_engine::api::{Collection, Engine, NewCollection, OpenOptions, Rows};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;

use crate::{Answer, Sql};

pub const DIM: usize = 4;

/// A store that lasts as long as this value.
pub struct Store {
    pub sql: Sql,
    pub items: Collection,
    _folder: tempfile::TempDir,
}

/// How the rows of `items` lie.
#[derive(Clone, Copy)]
pub enum Layout {
    Memtable,
    Segments,
    /// Segments, a memtable and deletes in both.
    Mixed,
}

pub async fn store(layout: Layout) -> Store {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(OpenOptions {
        location: folder.path().to_string_lossy().into_owned(),
        settings: Settings::default(),
        create: true,
    })
    .await
    .unwrap();
    let items = create(&engine, "items", item_schema()).await;
    let shops = create(&engine, "shops", shop_schema()).await;
    create(&engine, "nothing", item_schema()).await;
    engine.create_alias("default", "items", "goods").await.unwrap();
    let sql = Sql::new(engine, "default").unwrap();
    match layout {
        Layout::Memtable => insert(&items, item_rows(0..200)).await,
        Layout::Segments => {
            insert(&items, item_rows(0..120)).await;
            items.flush().await.unwrap();
            insert(&items, item_rows(120..200)).await;
            items.flush().await.unwrap();
        }
        Layout::Mixed => {
            insert(&items, item_rows(0..150)).await;
            items.flush().await.unwrap();
            insert(&items, item_rows(150..230)).await;
            sql.run("DELETE FROM items WHERE id >= 200; DELETE FROM items WHERE id = 77")
                .await
                .unwrap();
            insert(&items, item_rows(77..78)).await;
        }
    }
    insert(&shops, shop_rows()).await;
    Store { sql, items, _folder: folder }
}

pub async fn create(engine: &Engine, name: &str, schema: CollectionSchema) -> Collection {
    let new = NewCollection {
        name: name.into(),
        schema,
        properties: BTreeMap::new(),
        shards: 1,
        consistency_level: 0,
        partitions: 0,
    };
    engine.create_collection("default", new).await.unwrap()
}

pub async fn insert(collection: &Collection, columns: RecordBatch) {
    collection.insert(Rows { columns, partition: None }).await.unwrap();
}

fn item_schema() -> CollectionSchema {
    let text = |n| DataType::VarChar { max_length: n };
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: DIM as u32 }),
        FieldSchema::new("price", DataType::Double),
        FieldSchema::new("stock", DataType::Int32).nullable(),
        FieldSchema::new("Name", text(64)),
        FieldSchema::new("sold", DataType::Bool),
        FieldSchema::new(
            "marks",
            DataType::Array { element: Box::new(DataType::Int64), max_capacity: 8 },
        ),
        FieldSchema::new("doc", DataType::Json),
        FieldSchema::new("shop", DataType::Int64),
    ])
    .with_dynamic_field()
}

fn shop_schema() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("shop_id", DataType::Int64).primary(),
        FieldSchema::new("place", DataType::VarChar { max_length: 32 }),
        FieldSchema::new("at", DataType::FloatVector { dim: 2 }),
    ])
}

/// Every 90 rows the vectors come again, so that distances tie.
pub fn item_vector(id: i64) -> [f32; DIM] {
    let seed = (id % 90) as f32;
    [0.7, 1.3, 2.1, 3.4].map(|turn| (seed * turn).sin())
}

pub fn vectors(rows: impl Iterator<Item = Vec<f32>>, dim: usize) -> ArrayRef {
    let values: Vec<f32> = rows.flatten().collect();
    let field = Arc::new(Field::new("item", ArrowType::Float32, true));
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(field, dim as i32, values, None))
}

pub fn item_rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let of = |f: &dyn Fn(i64) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(ids.iter().map(|i| f(*i))))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(ids.clone()))),
        ("v", vectors(ids.iter().map(|i| item_vector(*i).to_vec()), DIM)),
        ("price", Arc::new(ids.iter().map(|i| Some(*i as f64 / 2.0)).collect::<Float64Array>())),
        (
            "stock",
            Arc::new(
                ids.iter().map(|i| (i % 7 != 0).then_some((i % 10) as i32)).collect::<Int32Array>(),
            ),
        ),
        ("Name", of(&|i| format!("item {i}"))),
        ("sold", Arc::new(ids.iter().map(|i| Some(i % 3 == 0)).collect::<BooleanArray>())),
        (
            "marks",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                ids.iter().map(|i| Some((0..i % 4).map(Some).collect::<Vec<_>>())),
            )),
        ),
        ("doc", of(&|i| format!(r#"{{"size": {i}, "kind": "k{}"}}"#, i % 5))),
        ("shop", Arc::new(Int64Array::from_iter_values(ids.iter().map(|i| i % 3)))),
        (
            "$meta",
            of(&|i| format!(r#"{{"color": "{}"}}"#, if i % 2 == 0 { "red" } else { "blue" })),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn shop_rows() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("shop_id", Arc::new(Int64Array::from(vec![0, 1, 5]))),
        ("place", Arc::new(StringArray::from(vec!["Bern", "Rome", "Oslo"]))),
        ("at", vectors([vec![0.0, 0.0], vec![3.0, 4.0], vec![1.0, 1.0]].into_iter(), 2)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Rows as text, values separated by `|`.
pub fn text(answer: &Answer) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|c| match c.is_null(row) {
                true => "NULL".to_string(),
                false => array_value_to_string(c, row).unwrap(),
            });
            rows.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

pub async fn rows(sql: &Sql, statement: &str) -> Vec<String> {
    match sql.query(statement).await {
        Ok(answer) => text(&answer),
        Err(error) => panic!("{statement}: {error}"),
    }
}

/// The one value of the one row.
pub async fn value(sql: &Sql, statement: &str) -> String {
    let rows = rows(sql, statement).await;
    assert_eq!(rows.len(), 1, "{statement}");
    rows.into_iter().next().unwrap()
}

pub async fn plan(sql: &Sql, statement: &str) -> String {
    rows(sql, &format!("EXPLAIN {statement}")).await.join("\n")
}

pub async fn error(sql: &Sql, statement: &str) -> elanus_engine::core::error::Error {
    match sql.query(statement).await {
        Ok(answer) => panic!("{statement}: gives {:?}", text(&answer)),
        Err(error) => error,
    }
}

/// A vector as a SQL literal.
pub fn literal(vector: &[f32]) -> String {
    format!("{vector:?}")
}
