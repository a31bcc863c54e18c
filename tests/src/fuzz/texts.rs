//! Texts that clients send: filters and SQL.

use std::collections::HashMap;
use std::sync::OnceLock;

use elanus_engine::api::{Engine, NewCollection, OpenOptions};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_sql::Sql;
use elanus_sql::lang::{Filter, TemplateValue};
use tokio::runtime::Runtime;

/// A field of every kind.
pub fn schema() -> CollectionSchema {
    let element = Box::new(DataType::Int64);
    let mut schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("b", DataType::Bool),
        FieldSchema::new("i8", DataType::Int8).nullable(),
        FieldSchema::new("n", DataType::Int64).nullable(),
        FieldSchema::new("f", DataType::Float),
        FieldSchema::new("d", DataType::Double),
        FieldSchema::new("s", DataType::VarChar { max_length: 100 }),
        FieldSchema::new("j", DataType::Json).nullable(),
        FieldSchema::new("a", DataType::Array { element, max_capacity: 10 }),
        FieldSchema::new("v", DataType::FloatVector { dim: 4 }),
    ]);
    schema.enable_dynamic_field = true;
    schema
}

/// A filter in Milvus's language.
pub fn filter(data: &[u8]) {
    static SCHEMA: OnceLock<CollectionSchema> = OnceLock::new();
    let text = String::from_utf8_lossy(data);
    let templates = HashMap::from([
        ("x".to_string(), TemplateValue::Int(3)),
        ("t".to_string(), TemplateValue::Text("abc".into())),
        ("l".to_string(), TemplateValue::Array(vec![TemplateValue::Int(1), TemplateValue::Int(2)])),
    ]);
    Filter::parse(&text, SCHEMA.get_or_init(schema), &templates).ok();
}

struct Store {
    runtime: Runtime,
    sql: Sql,
    _folder: tempfile::TempDir,
}

fn store() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        // Deeply nested statements recurse, and unoptimised builds use much of the stack.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = OpenOptions::folder(folder.path());
        let sql = runtime.block_on(async {
            let engine = Engine::open(options).await.expect("a store");
            let new = NewCollection::new("t", schema());
            engine.create_collection("default", new).await.expect("a collection");
            Sql::new(engine, "default").expect("a session")
        });
        Store { runtime, sql, _folder: folder }
    })
}

/// A statement of SQL, planned but not run.
pub fn sql(data: &[u8]) {
    let store = store();
    let text = format!("EXPLAIN {}", String::from_utf8_lossy(data));
    // Not `block_on` alone: it would run on this thread and its smaller stack.
    let session = store.sql.session("default").expect("a session");
    let task = store.runtime.spawn(async move { session.query(&text).await.map(|_| ()) });
    if store.runtime.block_on(task).is_err() {
        panic!("planning broke off: {}", String::from_utf8_lossy(data));
    }
}
