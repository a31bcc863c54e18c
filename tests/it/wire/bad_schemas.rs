//! Schemas that are refused.

use elanus_proto::schema::value_field::Data;
use elanus_proto::schema::{CollectionSchema, DataType, FieldSchema, FunctionSchema, ValueField};
use elanus_proto::service::*;
use prost::Message;

use super::requests::*;
use super::{Case, FIELD_NAME, INVALID, MISSING, UNSUPPORTED, bad_names};
use crate::served::{creation, field};

pub fn key() -> FieldSchema {
    FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) }
}

pub fn vector(dim: &str) -> FieldSchema {
    field("v", DataType::FloatVector, &[("dim", dim)])
}

fn new(fields: Vec<FieldSchema>) -> Call {
    Call::Create(creation("fresh", fields, false))
}

/// A key, a vector and this.
fn and(extra: FieldSchema) -> Call {
    new(vec![key(), vector("4"), extra])
}

pub fn named(name: &str) -> Call {
    Call::Create(creation(name, vec![key(), vector("4")], false))
}

fn bytes_as_schema(schema: &[u8]) -> Call {
    let (collection_name, schema) = ("fresh".into(), schema.to_vec());
    Call::Create(CreateCollectionRequest { collection_name, schema, ..Default::default() })
}

pub fn cases() -> Vec<Case> {
    let mut all = schemas();
    all.extend(fields());
    all.extend(bad_names::cases());
    all
}

fn schemas() -> Vec<Case> {
    let good = CollectionSchema {
        name: "fresh".into(),
        fields: vec![key(), vector("4")],
        ..Default::default()
    };
    let encoded = good.encode_to_vec();
    let other_name = CollectionSchema { name: "other".into(), ..good.clone() }.encode_to_vec();
    let function =
        CollectionSchema { functions: vec![FunctionSchema::default()], ..good }.encode_to_vec();
    let base = || creation("fresh", vec![key(), vector("4")], false);
    let second = FieldSchema { is_primary_key: true, ..field("k", DataType::Int64, &[]) };
    let many = (0..64).map(|i| field(&format!("f{i}"), DataType::Bool, &[]));
    let vectors = (0..11).map(|i| field(&format!("v{i}"), DataType::FloatVector, &[("dim", "2")]));
    vec![
        (
            "noise as schema",
            bytes_as_schema(b"\xff\xff\xff\x01"),
            INVALID,
            "failed to read the schema",
        ),
        (
            "a schema cut",
            bytes_as_schema(&encoded[..encoded.len() - 3]),
            INVALID,
            "failed to read the schema",
        ),
        ("no schema", bytes_as_schema(b""), MISSING, "primary key is not specified"),
        ("two names", bytes_as_schema(&other_name), INVALID, "schema.Name=other"),
        (
            "a function without a name",
            bytes_as_schema(&function),
            INVALID,
            "function name cannot be empty",
        ),
        ("no key", new(vec![vector("4")]), MISSING, "primary key is not specified"),
        (
            "two keys",
            new(vec![key(), second, vector("4")]),
            INVALID,
            "there are more than one primary key",
        ),
        ("no vector", new(vec![key()]), INVALID, "schema does not contain vector field"),
        (
            "one name twice",
            new(vec![key(), vector("4"), vector("4")]),
            INVALID,
            "duplicated field name v found",
        ),
        (
            "too many fields",
            new(many.chain([key(), vector("4")]).collect()),
            INVALID,
            "limited to 64",
        ),
        (
            "too many vectors",
            new(vectors.chain([key()]).collect()),
            INVALID,
            "maximum vector field's number",
        ),
        (
            "too many shards",
            Call::Create(CreateCollectionRequest { shards_num: 99, ..base() }),
            INVALID,
            "maximum shards's number should be limited to 16",
        ),
        (
            "a consistency of the future",
            Call::Create(CreateCollectionRequest { consistency_level: 99, ..base() }),
            INVALID,
            "unknown consistency level 99",
        ),
        (
            "partitions without key",
            Call::Create(CreateCollectionRequest { num_partitions: 3, ..base() }),
            INVALID,
            "num_partitions should only be specified",
        ),
        (
            "another collection of that name",
            named("plain"),
            INVALID,
            "create duplicate collection with different parameters",
        ),
    ]
}

fn fields() -> Vec<Case> {
    let typed = |kind: DataType| FieldSchema {
        is_primary_key: true,
        ..field("id", kind, &[("max_length", "5")])
    };
    let keyed = |key: FieldSchema| new(vec![key, vector("4")]);
    let default = |data| Some(ValueField { data: Some(data) });
    let array = |element: DataType, params: &[(&str, &str)]| {
        and(FieldSchema { element_type: element.into(), ..field("a", DataType::Array, params) })
    };
    let dim = |dim: &str| new(vec![key(), vector(dim)]);
    vec![
        ("dim of nothing", dim("0"), INVALID, "invalid dimension: 0 of field v"),
        ("dim too small", dim("1"), INVALID, "in range 2 ~ 32768"),
        ("dim too large", dim("32769"), INVALID, "in range 2 ~ 32768"),
        (
            "dim past 32 bits",
            dim("4294967297"),
            INVALID,
            "the value for dim of field v must be an integer",
        ),
        ("dim below zero", dim("-4"), INVALID, "the value for dim of field v must be an integer"),
        ("dim of a word", dim("four"), INVALID, "the value for dim of field v must be an integer"),
        (
            "bits that are no whole bytes",
            and(field("bits", DataType::BinaryVector, &[("dim", "12")])),
            INVALID,
            "invalid dimension: 12 of field bits. binary vector dimension should be multiple of 8",
        ),
        (
            "too many bits",
            and(field("bits", DataType::BinaryVector, &[("dim", "262152")])),
            INVALID,
            "binary vector dimension should be in range 2 ~ 262144",
        ),
        (
            "too many halves",
            and(field("half", DataType::BFloat16Vector, &[("dim", "32769")])),
            INVALID,
            "float vector dimension should be in range 2 ~ 32768",
        ),
        (
            "one byte",
            and(field("bytes", DataType::Int8Vector, &[("dim", "1")])),
            INVALID,
            "float vector dimension should be in range 2 ~ 32768",
        ),
        (
            "no dim of halves",
            and(field("half", DataType::Float16Vector, &[])),
            INVALID,
            "dimension is not defined",
        ),
        (
            "no dim",
            new(vec![key(), field("v", DataType::FloatVector, &[])]),
            INVALID,
            "dimension is not defined",
        ),
        (
            "a key of floats",
            keyed(typed(DataType::Float)),
            INVALID,
            "data type of primary key should be Int64 or VarChar",
        ),
        (
            "a key that may be null",
            keyed(FieldSchema { nullable: true, ..key() }),
            INVALID,
            "primary field not support null",
        ),
        (
            "a key with a default",
            keyed(FieldSchema { default_value: default(Data::LongData(1)), ..key() }),
            INVALID,
            "primary field not support default_value",
        ),
        (
            "made values that are no key",
            and(FieldSchema { auto_id: true, ..field("n", DataType::Int64, &[]) }),
            INVALID,
            "only primary field",
        ),
        (
            "no max_length",
            and(field("s", DataType::VarChar, &[])),
            MISSING,
            "type param(max_length) should be specified",
        ),
        (
            "max_length of nothing",
            and(field("s", DataType::VarChar, &[("max_length", "0")])),
            INVALID,
            "should be in (0, 65535], but got 0",
        ),
        (
            "max_length too large",
            and(field("s", DataType::VarChar, &[("max_length", "65536")])),
            INVALID,
            "but got 65536",
        ),
        (
            "no max_capacity",
            array(DataType::Int64, &[]),
            MISSING,
            "type param(max_capacity) should be specified",
        ),
        (
            "max_capacity too large",
            array(DataType::Int64, &[("max_capacity", "4097")]),
            INVALID,
            "maximum capacity",
        ),
        (
            "an array of arrays",
            array(DataType::Array, &[("max_capacity", "4")]),
            INVALID,
            "element type Array is not supported",
        ),
        (
            "an array of nothing",
            array(DataType::None, &[("max_capacity", "4")]),
            INVALID,
            "element type None is not supported",
        ),
        (
            "a type that is none",
            and(field("x", DataType::None, &[])),
            INVALID,
            "data type None of field x is not valid",
        ),
        (
            "a type of the future",
            and(FieldSchema { data_type: 999, ..field("x", DataType::Bool, &[]) }),
            INVALID,
            "field x",
        ),
        (
            "arrays of vectors",
            and(field("x", DataType::ArrayOfVector, &[])),
            UNSUPPORTED,
            "field x is of type ArrayOfVector",
        ),
        (
            "a default of another type",
            and(FieldSchema {
                default_value: default(Data::StringData("x".into())),
                ..field("n", DataType::Int64, &[])
            }),
            INVALID,
            "is not equal to the type(VarChar) of default_value",
        ),
        (
            "a default out of range",
            and(FieldSchema {
                default_value: default(Data::IntData(300)),
                ..field("n", DataType::Int8, &[])
            }),
            INVALID,
            "is out of range",
        ),
        (
            "a default too long",
            and(FieldSchema {
                default_value: default(Data::StringData("xxx".into())),
                ..field("s", DataType::VarChar, &[("max_length", "2")])
            }),
            INVALID,
            "s",
        ),
        (
            "a default that is NaN",
            and(FieldSchema {
                default_value: default(Data::DoubleData(f64::NAN)),
                ..field("d", DataType::Double, &[])
            }),
            INVALID,
            "value 'NaN' is not a number or infinity",
        ),
        (
            "a field that is $meta",
            and(field("$meta", DataType::Json, &[])),
            INVALID,
            "cannot explicitly set a field as a dynamic field",
        ),
        (
            "a field without name",
            and(field("", DataType::Bool, &[])),
            FIELD_NAME,
            "field name should not be empty",
        ),
        (
            "a field with a space",
            and(field("a b", DataType::Bool, &[])),
            FIELD_NAME,
            "Invalid field name: a b.",
        ),
        (
            "a field that is a keyword",
            and(field("in", DataType::Bool, &[])),
            FIELD_NAME,
            "in is keyword in milvus",
        ),
        (
            "a field too long",
            and(field(&"x".repeat(256), DataType::Bool, &[])),
            FIELD_NAME,
            "less than 255 characters",
        ),
    ]
}
