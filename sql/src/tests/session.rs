//! Sessions, catalogs and errors.

use std::collections::BTreeMap;

use elanus_engine::core::error::{ErrorKind, Subject};

use super::fixture::{Layout, error, rows, store, text, value};

#[tokio::test]
async fn the_catalog_is_shown() {
    let s = store(Layout::Memtable).await;
    let tables = rows(&s.sql, "SHOW TABLES").await.join("\n");
    for name in ["items", "shops", "nothing", "goods"] {
        assert!(tables.contains(&format!("elanus|default|{name}|")), "{tables}");
    }
    let columns = rows(&s.sql, "DESCRIBE items").await.join("\n");
    assert!(columns.contains("id|Int64|NO") && columns.contains("$meta|Utf8"), "{columns}");
    let known = "SELECT column_name FROM information_schema.columns \
                 WHERE table_name = 'shops' ORDER BY ordinal_position";
    assert_eq!(rows(&s.sql, known).await, ["shop_id", "place", "at"]);
    assert_eq!(rows(&s.sql, "SHOW DATABASES").await, ["default"]);
}

#[tokio::test]
async fn a_database_is_a_schema() {
    let s = store(Layout::Memtable).await;
    s.sql.engine().create_database("other", BTreeMap::new()).await.unwrap();
    assert_eq!(rows(&s.sql, "SHOW DATABASES").await, ["default", "other"]);
    s.sql.run("USE other").await.unwrap();
    assert_eq!(s.sql.database(), "other");
    assert_eq!(error(&s.sql, "SELECT * FROM shops").await.kind, ErrorKind::NotFound);
    assert_eq!(value(&s.sql, "SELECT count(*) FROM \"default\".shops").await, "3");
    assert_eq!(value(&s.sql, "SELECT count(*) FROM elanus.\"default\".shops").await, "3");
    assert_eq!(error(&s.sql, "USE nowhere").await.kind, ErrorKind::NotFound);
    assert_eq!(s.sql.session("nowhere").unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn statements_are_split_and_each_is_answered() {
    let s = store(Layout::Memtable).await;
    let answers = s.sql.run("SELECT 1; SELECT 'a;b';\n-- end\n").await.unwrap();
    assert_eq!(answers.iter().map(text).collect::<Vec<_>>(), [["1"], ["a;b"]]);
    assert!(s.sql.run("").await.unwrap().is_empty());
    assert_eq!(error(&s.sql, "SELECT 1; SELECT 2").await.kind, ErrorKind::InvalidRequest);
    assert_eq!(error(&s.sql, " ").await.kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn settings_belong_to_the_session() {
    let s = store(Layout::Memtable).await;
    s.sql.run("SET datafusion.execution.batch_size = 10").await.unwrap();
    let batches = s.sql.query("SELECT id FROM items").await.unwrap().batches;
    assert!(batches.iter().all(|b| b.num_rows() <= 10));
    for statement in [
        "SET datafusion.catalog.default_schema = 'x'",
        "SET elanus.nothing = 1",
        "SET elanus.vector_top_k = maybe",
        "SET elanus.effort = 0",
        "SET elanus.effort = 1.01",
        "SET elanus.effort = 'NaN'",
        "SET elanus.effort = much",
    ] {
        let error = error(&s.sql, statement).await;
        assert_eq!(error.subject, Subject::Setting, "{statement}: {error}");
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{statement}: {error}");
    }
}

#[tokio::test]
async fn names_are_case_sensitive() {
    let s = store(Layout::Memtable).await;
    assert_eq!(value(&s.sql, "SELECT Name FROM items WHERE id = 1").await, "item 1");
    let wrong = error(&s.sql, "SELECT name FROM items").await;
    assert!(wrong.message().contains("did you mean \"Name\"?"), "{wrong}");
}

#[tokio::test]
async fn mistakes_are_explained() {
    let s = store(Layout::Memtable).await;
    for (statement, kind, says) in [
        ("SELEC 1", ErrorKind::InvalidRequest, "cannot parse"),
        ("SELECT * FROM itemz", ErrorKind::NotFound, "itemz"),
        ("SELECT pric FROM items", ErrorKind::InvalidRequest, "did you mean \"price\"?"),
        ("SELECT color FROM items", ErrorKind::InvalidRequest, "json_get_str(\"$meta\", 'color')"),
        (
            "SELECT l2_dist(v, [1]) FROM items",
            ErrorKind::InvalidRequest,
            "did you mean l2_distance",
        ),
        ("SELECT 1 / 0", ErrorKind::InvalidRequest, "zero"),
        ("CREATE TABLE x (id BIGINT)", ErrorKind::Unsupported, "create_collection"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/x'", ErrorKind::Unsupported, "Milvus"),
        ("CREATE VIEW x AS SELECT 1", ErrorKind::Unsupported, "Milvus API"),
        ("DROP TABLE items", ErrorKind::Unsupported, "Milvus API"),
        ("ALTER TABLE items ADD COLUMN x INT", ErrorKind::Unsupported, "Milvus API"),
        ("UPDATE items SET price = 1", ErrorKind::Unsupported, "REPLACE INTO"),
        ("TRUNCATE TABLE items", ErrorKind::Unsupported, "DELETE FROM"),
        ("COPY items TO 'x.csv'", ErrorKind::Unsupported, "client"),
        ("BEGIN", ErrorKind::Unsupported, "transaction"),
        ("PREPARE p AS SELECT 1", ErrorKind::Unsupported, "values"),
        ("EXPLAIN ANALYZE DELETE FROM items", ErrorKind::Unsupported, "EXPLAIN"),
        ("EXPLAIN DELETE FROM items", ErrorKind::Unsupported, "EXPLAIN"),
        ("INSERT OVERWRITE items SELECT * FROM items", ErrorKind::Unsupported, "REPLACE INTO"),
        ("DELETE FROM information_schema.tables", ErrorKind::InvalidRequest, "no collection"),
    ] {
        let error = error(&s.sql, statement).await;
        assert_eq!(error.kind, kind, "{statement}: {error}");
        assert!(error.message().contains(says), "{statement}: {error}");
        assert!(!error.message().contains("not implemented"), "{statement}: {error}");
    }
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items").await, "200");
}
