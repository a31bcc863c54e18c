//! Schemas, names, indexes, partitions and databases that are refused.

use elanus_proto::schema::value_field::Data;
use elanus_proto::schema::{CollectionSchema, DataType, FieldSchema, FunctionSchema, ValueField};
use elanus_proto::service::*;
use prost::Message;

use super::requests::*;
use super::{Case, FIELD_NAME, INVALID, MISSING, NO_COLLECTION, NO_DATABASE, UNSUPPORTED};
use crate::served::{creation, field, pairs};

fn key() -> FieldSchema {
    FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) }
}

fn vector(dim: &str) -> FieldSchema {
    field("v", DataType::FloatVector, &[("dim", dim)])
}

fn new(fields: Vec<FieldSchema>) -> Call {
    Call::Create(creation("fresh", fields, false))
}

/// A key, a vector and this.
fn and(extra: FieldSchema) -> Call {
    new(vec![key(), vector("4"), extra])
}

fn named(name: &str) -> Call {
    Call::Create(creation(name, vec![key(), vector("4")], false))
}

fn bytes_as_schema(schema: &[u8]) -> Call {
    let (collection_name, schema) = ("fresh".into(), schema.to_vec());
    Call::Create(CreateCollectionRequest { collection_name, schema, ..Default::default() })
}

pub fn cases() -> Vec<Case> {
    let mut all = schemas();
    all.extend(fields());
    all.extend(names());
    all.extend(others());
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
            "a function",
            bytes_as_schema(&function),
            UNSUPPORTED,
            "functions of a schema are not supported",
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
            "binary vectors",
            and(field("x", DataType::BinaryVector, &[("dim", "8")])),
            UNSUPPORTED,
            "field x is of type BinaryVector",
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
            "d",
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

fn names() -> Vec<Case> {
    let rename = |old: &str, new: &str| {
        let (old_name, new_name) = (old.into(), new.into());
        Call::Rename(RenameCollectionRequest { old_name, new_name, ..Default::default() })
    };
    let alias = |collection: &str, alias: &str| {
        let (collection_name, alias) = (collection.into(), alias.into());
        Call::CreateAlias(CreateAliasRequest { collection_name, alias, ..Default::default() })
    };
    let database = |name: &str| {
        Call::CreateDatabase(CreateDatabaseRequest { db_name: name.into(), ..Default::default() })
    };
    let describe = |name: &str| {
        let collection_name = name.into();
        Call::Describe(DescribeCollectionRequest { collection_name, ..Default::default() })
    };
    vec![
        ("no name", named(""), INVALID, "collection name should not be empty"),
        ("a digit first", named("1a"), INVALID, "Invalid collection name: 1a."),
        ("a dot", named("a.b"), INVALID, "numbers, letters and underscores"),
        ("a way out", named("../etc"), INVALID, "Invalid collection name"),
        ("a name too long", named(&"x".repeat(256)), INVALID, "must be less than 255 characters"),
        ("describe without name", describe(""), INVALID, "collection name should not be empty"),
        ("describe nowhere", describe("nowhere"), NO_COLLECTION, "collection not found"),
        (
            "describe by no id",
            Call::Describe(DescribeCollectionRequest { collection_id: 5, ..Default::default() }),
            NO_COLLECTION,
            "collection not found",
        ),
        (
            "drop without name",
            Call::Drop(DropCollectionRequest::default()),
            INVALID,
            "collection name should not be empty",
        ),
        ("rename to nothing", rename("plain", ""), INVALID, "collection name should not be empty"),
        (
            "rename to what is there",
            rename("plain", "open"),
            INVALID,
            "duplicated new collection name",
        ),
        (
            "rename of nothing there",
            rename("nowhere", "new"),
            NO_COLLECTION,
            "collection not found",
        ),
        (
            "an alias without name",
            alias("plain", ""),
            INVALID,
            "collection alias should not be empty",
        ),
        ("an alias of nothing there", alias("nowhere", "a"), NO_COLLECTION, "collection not found"),
        (
            "an alias that is a collection",
            alias("plain", "open"),
            (1601, 1),
            "alias and collection name conflict",
        ),
        ("a database without name", database(""), (802, 1), "database name couldn't be empty"),
        (
            "a database with a slash",
            database("a/b"),
            (802, 1),
            "invalid database name[database=a/b]",
        ),
        (
            "a database that is there",
            database("default"),
            INVALID,
            "database already exist: default",
        ),
        (
            "a collection in no database",
            Call::Create(CreateCollectionRequest {
                db_name: "nope".into(),
                ..creation("fresh", vec![key(), vector("4")], false)
            }),
            NO_DATABASE,
            "database not found[database=nope]",
        ),
    ]
}

fn others() -> Vec<Case> {
    let partition = |collection: &str, partition: &str| {
        let (collection_name, partition_name) = (collection.into(), partition.into());
        CreatePartitionRequest { collection_name, partition_name, ..Default::default() }
    };
    let drop_partition = |partition: &str| {
        let (collection_name, partition_name) = ("plain".into(), partition.into());
        Call::DropPartition(DropPartitionRequest {
            collection_name,
            partition_name,
            ..Default::default()
        })
    };
    let index = |collection: &str, field: &str, params: &[(&str, &str)]| {
        Call::CreateIndex(CreateIndexRequest {
            collection_name: collection.into(),
            field_name: field.into(),
            extra_params: pairs(params),
            ..Default::default()
        })
    };
    let add = |schema: Vec<u8>| {
        let collection_name = "plain".into();
        Call::AddField(AddCollectionFieldRequest { collection_name, schema, ..Default::default() })
    };
    let added = |f: FieldSchema| add(f.encode_to_vec());
    vec![
        (
            "a partition without name",
            Call::CreatePartition(partition("plain", "")),
            INVALID,
            "Partition name should not be empty",
        ),
        (
            "a partition with a space",
            Call::CreatePartition(partition("plain", "a b")),
            INVALID,
            "Invalid partition name: a b.",
        ),
        (
            "a partition of nothing",
            Call::CreatePartition(partition("nowhere", "a")),
            NO_COLLECTION,
            "collection not found",
        ),
        (
            "the default partition dropped",
            drop_partition("_default"),
            INVALID,
            "default partition cannot be deleted",
        ),
        (
            "an index without field",
            index("plain", "", &[]),
            INVALID,
            "cannot create index on non-exist field",
        ),
        (
            "an index on no field",
            index("plain", "nope", &[]),
            INVALID,
            "cannot create index on non-exist field: nope",
        ),
        (
            "an index of no type",
            index("resting", "v", &[("index_type", "NOPE")]),
            INVALID,
            "invalid index type: NOPE",
        ),
        (
            "an index of no metric",
            index("resting", "v", &[("index_type", "FLAT"), ("metric_type", "NOPE")]),
            INVALID,
            "does not support metric type: NOPE",
        ),
        (
            "an index with a bad number",
            index(
                "resting",
                "v",
                &[("index_type", "HNSW"), ("metric_type", "L2"), ("params", r#"{"M": 1}"#)],
            ),
            INVALID,
            "should be in range [2, 2048]",
        ),
        (
            "an index with broken params",
            index("resting", "v", &[("index_type", "HNSW"), ("params", "{")]),
            INVALID,
            "is no JSON object",
        ),
        (
            "a second index",
            index("plain", "v", &[("index_type", "HNSW"), ("metric_type", "IP")]),
            INVALID,
            "at most one distinct index is allowed per field",
        ),
        (
            "a load without index",
            Call::Load(LoadCollectionRequest {
                collection_name: "resting".into(),
                ..Default::default()
            }),
            (700, 25),
            "there is no vector index on field: [v]",
        ),
        (
            "a load of nothing there",
            Call::Load(LoadCollectionRequest {
                collection_name: "nowhere".into(),
                ..Default::default()
            }),
            NO_COLLECTION,
            "collection not found",
        ),
        ("a new field of noise", add(vec![0xff; 7]), INVALID, "failed to read the field"),
        (
            "a new field that may not be null",
            added(field("m", DataType::Int64, &[])),
            INVALID,
            "added field must be nullable",
        ),
        (
            "a new field that is there",
            added(FieldSchema { nullable: true, ..field("n", DataType::Int64, &[]) }),
            INVALID,
            "duplicate field name: n",
        ),
        (
            "a new key",
            added(FieldSchema { is_primary_key: true, ..field("m", DataType::Int64, &[]) }),
            INVALID,
            "not support to add pk field",
        ),
    ]
}
