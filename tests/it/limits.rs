//! Bad requests: each is refused with its kind and a message that names what is wrong, and changes nothing.

mod rows;
mod schemas;

use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};
use elanus_engine::api::{
    Collection, DEFAULT_DATABASE, Effort, Engine, Metric, NewCollection, PartitionSet, RowOrder,
    SearchRequest, Selection,
};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{DataType, DefaultValue, FieldSchema};
use elanus_engine::core::settings::Settings;

use crate::harness::filter::Test;
use crate::harness::{folder, open, schema, small_settings};

/// Compares a refusal with what is expected.
pub fn refused<T>(what: &str, outcome: Result<T, Error>, kind: ErrorKind, text: &str) {
    match outcome {
        Ok(_) => panic!("{what}: accepted"),
        Err(e) => {
            assert_eq!(e.kind, kind, "{what}: {e}");
            assert!(e.message().contains(text), "{what}: {text:?} is not in: {e}");
        }
    }
}

/// A store with an empty collection `c`.
pub async fn store(place: &std::path::Path, new: NewCollection) -> (Engine, Collection) {
    let mut settings = small_settings();
    settings.limits.max_json_bytes = 100;
    settings.limits.max_partitions = 3;
    settings.limits.max_collections = 3;
    settings.limits.max_databases = 2;
    let engine = open(place, &settings).await.expect("a store");
    let collection = engine.create_collection(DEFAULT_DATABASE, new).await.expect("a collection");
    (engine, collection)
}

#[tokio::test]
async fn names_that_are_taken_or_missing() {
    use ErrorKind::{AlreadyExists, FailedPrecondition, InvalidRequest, LimitExceeded, NotFound};
    let place = folder();
    let new = |name: &str| NewCollection::new(name, schema(false, false));
    let (engine, c) = store(place.path(), new("c")).await;
    let db = DEFAULT_DATABASE;
    let create = async |db: &str, name: &str| engine.create_collection(db, new(name)).await;
    refused("a name twice", create(db, "c").await, AlreadyExists, "collection already exists");
    refused("no database", create("nowhere", "x").await, NotFound, "database not found");
    refused("no collection", engine.collection(db, "x"), NotFound, "collection=x");
    refused("drop nothing", engine.drop_collection(db, "x").await, NotFound, "collection=x");
    engine.create_alias(db, "c", "other").await.expect("an alias");
    let again = engine.create_alias(db, "c", "other").await;
    refused("an alias twice", again, AlreadyExists, "alias already exist");
    refused("a name that is an alias", create(db, "other").await, AlreadyExists, "alias");
    let alias = engine.create_alias(db, "c", "c").await;
    refused("an alias that is a name", alias, InvalidRequest, "conflict");
    let none = engine.alter_alias(db, "c", "none").await;
    refused("no alias", none, NotFound, "alias not found");
    let drop = engine.drop_collection(db, "other").await;
    refused("drop by alias", drop, InvalidRequest, "via alias");
    engine.create_database("d", Default::default()).await.expect("a database");
    let again = engine.create_database("d", Default::default()).await;
    refused("a database twice", again, AlreadyExists, "already exist");
    let more = engine.create_database("e", Default::default()).await;
    refused("a database too many", more, LimitExceeded, "limit=2");
    create("d", "c").await.expect("the same name in another database");
    let drop = engine.drop_database("d").await;
    refused("a database in use", drop, FailedPrecondition, "not empty");
    refused("the default database", engine.drop_database(db).await, InvalidRequest, "default");
    let moved = engine.rename_collection(db, "c", "d", "c").await;
    refused("a rename to a name in use", moved, AlreadyExists, "already exists");
    let moved = engine.rename_collection(db, "c", "d", "new").await;
    refused("a move with an alias", moved, FailedPrecondition, "aliases");
    create(db, "third").await.expect("a third collection");
    refused("a collection too many", create(db, "x").await, LimitExceeded, "limit=3");
    for name in ["p", "q"] {
        c.create_partition(name).await.expect("a partition");
    }
    refused("a partition twice", c.create_partition("p").await, AlreadyExists, "partition=p");
    refused("a partition too many", c.create_partition("r").await, LimitExceeded, "(3)");
    refused("no partition", c.drop_partition("r").await, NotFound, "partition=r");
    refused("the default one", c.drop_partition("_default").await, InvalidRequest, "default");
}

#[tokio::test]
async fn changes_of_fields_that_cannot_be() {
    use ErrorKind::{InvalidRequest, NotFound};
    let place = folder();
    let new = NewCollection::new("c", schema(false, false));
    let (_engine, c) = store(place.path(), new).await;
    let version = c.stats().version;
    let bare = FieldSchema::new("x", DataType::Int64);
    refused("not null, no default", c.add_field(bare.clone()).await, InvalidRequest, "nullable");
    let taken = FieldSchema::new("tag", DataType::Int64).nullable();
    refused("a name in use", c.add_field(taken).await, InvalidRequest, "duplicated field name tag");
    let wide = bare.clone().default_value(DefaultValue::Text("x".into()));
    refused("a default of another type", c.add_field(wide).await, InvalidRequest, "default");
    let key = FieldSchema { is_primary: true, ..bare.nullable() };
    refused("a second key", c.add_field(key).await, InvalidRequest, "primary key");
    let set = |key: &str, value: &str| [(key.to_string(), value.to_string())].into();
    let altered = c.alter_field("v", set("dim", "4"), vec![]).await;
    refused("another dimension", altered, InvalidRequest, "dim");
    refused("no field", c.alter_field("none", set("a", "b"), vec![]).await, NotFound, "none");
    let altered = c.alter_field("tag", set("max_length", "many"), vec![]).await;
    refused("no number", altered, InvalidRequest, "max_length");
    let ttl = c.alter_properties(set("collection.ttl.seconds", "soon"), vec![]).await;
    refused("no time", ttl, InvalidRequest, "collection.ttl.seconds = soon");
    refused("no index", c.drop_index("none").await, NotFound, "index=none");
    assert_eq!(c.stats().version, version, "a refusal published a version");
}

#[tokio::test]
async fn reads_that_cannot_be() {
    use ErrorKind::{InvalidRequest, NotFound};
    let place = folder();
    let (_engine, c) = store(place.path(), NewCollection::new("c", schema(true, false))).await;
    let snapshot = c.snapshot();
    let good = SearchRequest {
        field: "v".into(),
        queries: Arc::new(vec![vec![0.0; 3]].into()),
        metric: Metric::L2,
        top_k: 1,
        select: Selection::default(),
        range: None,
        effort: Effort::DEFAULT,
    };
    snapshot.search(&good).await.expect("a search in nothing");
    let with = |field: &str, query: Vec<f32>| SearchRequest {
        field: field.into(),
        queries: Arc::new(vec![vec![0.0; 3], query].into()),
        ..good.clone()
    };
    for (what, request, kind, text) in [
        ("dimension", with("v", vec![0.0; 2]), InvalidRequest, "expected vector size(byte) 12"),
        ("NaN", with("v", vec![f32::NAN; 3]), InvalidRequest, "not a number or infinity"),
        ("infinity", with("v", vec![f32::INFINITY; 3]), InvalidRequest, "not a number or infinity"),
        ("no field", with("vv", vec![0.0; 3]), NotFound, "field vv not exist"),
        ("no vector", with("tag", vec![0.0; 3]), InvalidRequest, "only a vector field"),
    ] {
        refused(what, snapshot.search(&request).await, kind, text);
    }
    let partitions = PartitionSet::Names(vec!["none".into()]);
    let select = Selection { partitions: partitions.clone(), filter: None };
    let counted = snapshot.count(&select).await;
    refused("no partition", counted, NotFound, "partition not found[partition=none]");
    let rows = snapshot.select(&select, RowOrder::Key, 0, None).await;
    refused("no partition", rows, NotFound, "partition=none");
    let found = snapshot.fetch(&[], &["none".into()]).await;
    refused("no column", found, NotFound, "none");
    let texts = Keys::from_array(&StringArray::from(vec!["a"])).expect("keys");
    let gone = c.delete_keys(texts, &partitions).await;
    refused("delete in no partition", gone, NotFound, "partition=none");
    let numbers = Keys::from_array(&Int64Array::from(vec![1])).expect("keys");
    let gone = c.delete_keys(numbers, &PartitionSet::All).await;
    refused("keys of another type", gone, InvalidRequest, "id");
    let gone = c.delete_where(Test::Never.filter(), &partitions).await;
    refused("delete where, in no partition", gone, NotFound, "partition=none");
}

#[tokio::test]
async fn settings_out_of_range() {
    let place = folder();
    let bad = |change: fn(&mut Settings)| {
        let mut settings = small_settings();
        change(&mut settings);
        settings
    };
    for (settings, name) in [
        (bad(|s| s.memtable.max_rows = 0), "memtable.max_rows"),
        (bad(|s| s.compaction.fan_in = 1), "compaction.fan_in"),
        (bad(|s| s.compaction.deleted_percent = 0), "compaction.deleted_percent"),
        (bad(|s| s.read.cache_bytes = 0), "read.cache_bytes"),
    ] {
        refused(name, open(place.path(), &settings).await, ErrorKind::InvalidRequest, name);
    }
    assert!(crate::harness::files(place.path()).is_empty(), "a refusal left files");
}
