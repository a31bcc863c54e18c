//! Names, aliases, databases, partitions, indexes and new fields that are refused.

use elanus_proto::schema::{DataType, FieldSchema};
use elanus_proto::service::*;
use prost::Message;

use super::bad_schemas::{key, named, vector};
use super::requests::*;
use super::{Case, INVALID, NO_COLLECTION, NO_DATABASE};
use crate::served::{creation, field, pairs};

pub fn cases() -> Vec<Case> {
    let mut all = names();
    all.extend(others());
    all
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
        (
            "describe nowhere",
            describe("nowhere"),
            NO_COLLECTION,
            "can't find collection[database=default][collection=nowhere]",
        ),
        (
            "describe by no id",
            Call::Describe(DescribeCollectionRequest { collection_id: 5, ..Default::default() }),
            NO_COLLECTION,
            "can't find collection",
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
            "an index with half a number",
            index(
                "resting",
                "v",
                &[("index_type", "HNSW"), ("metric_type", "L2"), ("params", r#"{"M": 16.5}"#)],
            ),
            INVALID,
            "wrong data type in json, key: 'M', value: '16.5'",
        ),
        (
            "an index without a number it needs",
            index("resting", "v", &[("index_type", "IVF_PQ"), ("metric_type", "L2")]),
            INVALID,
            "param 'm' not exist in json",
        ),
        (
            "an index without metric",
            index("resting", "v", &[("index_type", "FLAT")]),
            INVALID,
            "metric type not set for vector index",
        ),
        (
            "an index of bits on floats",
            index("resting", "v", &[("index_type", "BIN_FLAT"), ("metric_type", "L2")]),
            INVALID,
            "data type FloatVector can't build with this index BIN_FLAT",
        ),
        (
            "an index for a GPU",
            index("resting", "v", &[("index_type", "GPU_CAGRA"), ("metric_type", "L2")]),
            INVALID,
            "invalid index type: GPU_CAGRA",
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
            "duplicated field name n",
        ),
        (
            "a new key",
            added(FieldSchema { is_primary_key: true, ..field("m", DataType::Int64, &[]) }),
            INVALID,
            "not support to add pk field",
        ),
    ]
}
