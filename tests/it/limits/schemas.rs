//! Schemas that cannot be held.

use elanus_engine::api::{DEFAULT_DATABASE, NewCollection};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::schema::{CollectionSchema, DataType, DefaultValue, FieldSchema};

use super::{refused, store};
use crate::harness::{folder, schema};

fn key() -> FieldSchema {
    FieldSchema::new("id", DataType::Int64).primary()
}

fn vector(dim: u32) -> FieldSchema {
    FieldSchema::new("v", DataType::FloatVector { dim })
}

fn field(data_type: DataType) -> FieldSchema {
    FieldSchema::new("x", data_type)
}

fn array(element: DataType, max_capacity: u32) -> FieldSchema {
    field(DataType::Array { element: Box::new(element), max_capacity })
}

fn text(max_length: u32) -> DataType {
    DataType::VarChar { max_length }
}

fn partition_key(name: &str, data_type: DataType) -> FieldSchema {
    FieldSchema { is_partition_key: true, ..FieldSchema::new(name, data_type) }
}

fn with(field: FieldSchema) -> Vec<FieldSchema> {
    vec![key(), vector(2), field]
}

fn default(data_type: DataType, value: DefaultValue) -> Vec<FieldSchema> {
    with(field(data_type).default_value(value))
}

fn cases() -> Vec<(&'static str, Vec<FieldSchema>, &'static str)> {
    use DataType::{Bool, Double, Float, Int8, Int64, Json};
    let named = |name: &str| FieldSchema::new(name, Int64);
    vec![
        ("no key", vec![vector(2)], "primary key is not specified"),
        ("two keys", with(named("other").primary()), "more than one primary key"),
        ("a key of Double", vec![FieldSchema::new("id", Double).primary(), vector(2)], "id"),
        ("a key that may be null", vec![key().nullable(), vector(2)], "not nullable"),
        (
            "a key with a default",
            vec![key().default_value(DefaultValue::Int(1)), vector(2)],
            "without default",
        ),
        ("a name twice", with(named("v")), "duplicated field name v"),
        ("no name", with(named("")), "a name has 1 to 255 bytes"),
        ("a long name", with(named(&"x".repeat(256))), "a name has 1 to 255 bytes"),
        ("the dynamic column", with(named("$meta")), "kept for the system"),
        ("the timestamps", with(named("_ts")), "kept for the system"),
        ("dimension 0", vec![key(), vector(0)], "invalid dimension: 0"),
        ("no whole bytes", with(field(DataType::BinaryVector { dim: 12 })), "multiple of 8"),
        (
            "too many bits",
            with(field(DataType::BinaryVector { dim: 262_152 })),
            "should be in range 1 ~ 262144",
        ),
        (
            "too many halves",
            with(field(DataType::Float16Vector { dim: 32_769 })),
            "should be in range 1 ~ 32768",
        ),
        (
            "an array of vectors",
            with(array(DataType::Int8Vector { dim: 8 }, 3)),
            "element type Int8Vector(8) is not supported",
        ),
        ("a large dimension", vec![key(), vector(32_769)], "invalid dimension: 32769"),
        ("text of length 0", with(field(text(0))), "maximum length"),
        ("too long a text", with(field(text(65_536))), "maximum length"),
        ("capacity 0", with(array(Int64, 0)), "maximum capacity"),
        ("a large capacity", with(array(Int64, 4_097)), "maximum capacity"),
        ("an array of arrays", with(array(array(Int64, 2).data_type, 2)), "element type"),
        ("an array of JSON", with(array(Json, 2)), "element type"),
        ("an array of bad texts", with(array(text(0), 2)), "maximum length"),
        ("a default of another type", default(Bool, DefaultValue::Int(1)), "default"),
        ("a default out of range", default(Int8, DefaultValue::Int(128)), "default"),
        ("a default too long", default(text(2), DefaultValue::Text("abc".into())), "default"),
        ("a default that is no number", default(Float, DefaultValue::Float(f32::NAN)), "default"),
        ("a default that is no JSON", default(Json, DefaultValue::Json("{".into())), "default"),
        (
            "a default of a vector",
            vec![key(), vector(2).default_value(DefaultValue::Float(0.0))],
            "default",
        ),
        ("a partition key of Double", with(partition_key("x", Double)), "partition key"),
        (
            "two partition keys",
            vec![key(), vector(2), partition_key("x", Int64), partition_key("y", Int64)],
            "more than one partition key",
        ),
        (
            "many fields",
            (0..64).map(|n| named(&format!("f{n}"))).chain([key()]).collect(),
            "limited to 64",
        ),
        (
            "many vectors",
            (0..11)
                .map(|n| FieldSchema { name: format!("v{n}"), ..vector(2) })
                .chain([key()])
                .collect(),
            "limited to 10",
        ),
    ]
}

#[tokio::test]
async fn bad_schemas() {
    let place = folder();
    let (engine, _c) = store(place.path(), NewCollection::new("c", schema(false, false))).await;
    for (what, fields, text) in cases() {
        let new = NewCollection::new("x", CollectionSchema::new(fields));
        let outcome = engine.create_collection(DEFAULT_DATABASE, new).await;
        refused(what, outcome, ErrorKind::InvalidRequest, text);
        assert_eq!(engine.all_collections().len(), 1, "{what}");
    }
    let properties = [("collection.ttl.seconds".to_string(), "1h".to_string())].into();
    let new = NewCollection { properties, ..NewCollection::new("x", schema(false, false)) };
    let outcome = engine.create_collection(DEFAULT_DATABASE, new).await;
    refused("no time", outcome, ErrorKind::InvalidRequest, "collection.ttl.seconds");
}
