//! INSERT, REPLACE and DELETE.

use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::schema::{CollectionSchema, DataType, DefaultValue, FieldSchema};

use super::fixture::{Layout, create, error, rows, store, value};

#[tokio::test]
async fn inserted_rows_are_there_at_once() {
    let s = store(Layout::Memtable).await;
    let insert = "INSERT INTO shops (shop_id, place, at) \
                  VALUES (7, 'Nice', [1.5, 2]), (8, 'Wien', [3, 4])";
    assert_eq!(value(&s.sql, insert).await, "2");
    let all = "SELECT place, at FROM shops WHERE shop_id > 6 ORDER BY shop_id";
    assert_eq!(rows(&s.sql, all).await, ["Nice|[1.5, 2.0]", "Wien|[3.0, 4.0]"]);
    let near = "SELECT place FROM shops ORDER BY l2_distance(at, [3, 4]) LIMIT 2";
    assert_eq!(rows(&s.sql, near).await, ["Rome", "Wien"]);
    let copy = "INSERT INTO shops SELECT shop_id + 100, place, at FROM shops WHERE shop_id < 2";
    assert_eq!(value(&s.sql, copy).await, "2");
    assert_eq!(value(&s.sql, "SELECT count(*) FROM shops").await, "7");
}

#[tokio::test]
async fn columns_left_out_are_completed() {
    let s = store(Layout::Memtable).await;
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("key", DataType::Int64).primary().auto_id(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
        FieldSchema::new("note", DataType::VarChar { max_length: 9 }).nullable(),
        FieldSchema::new("n", DataType::Int32).default_value(DefaultValue::Int(5)),
    ])
    .with_dynamic_field();
    create(s.sql.engine(), "notes", schema).await;
    assert_eq!(value(&s.sql, "INSERT INTO notes (v) VALUES ([1, 2]), ([3, 4])").await, "2");
    let all = "SELECT v, note, n, \"$meta\" FROM notes ORDER BY key";
    assert_eq!(rows(&s.sql, all).await, ["[1.0, 2.0]|NULL|5|{}", "[3.0, 4.0]|NULL|5|{}"]);
    assert_eq!(value(&s.sql, "SELECT count(DISTINCT key) FROM notes").await, "2");
    let dynamic = "INSERT INTO notes (v, \"$meta\") VALUES ([5, 6], '{\"a\": 1}')";
    assert_eq!(value(&s.sql, dynamic).await, "1");
    let found = "SELECT v FROM notes WHERE json_get_int(\"$meta\", 'a') = 1";
    assert_eq!(value(&s.sql, found).await, "[5.0, 6.0]");
    let missing = error(&s.sql, "INSERT INTO notes (n) VALUES (1)").await;
    assert_eq!(missing.kind, ErrorKind::InvalidRequest, "{missing}");
}

#[tokio::test]
async fn replace_is_an_upsert() {
    let s = store(Layout::Mixed).await;
    let replace = "REPLACE INTO items SELECT id, v, price + 1000, stock, \"Name\", sold, marks, \
                   doc, shop, \"$meta\" FROM items WHERE id < 5";
    assert_eq!(value(&s.sql, replace).await, "5");
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items").await, "200");
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items WHERE price >= 1000").await, "5");
}

#[tokio::test]
async fn delete_takes_just_the_rows_that_match() {
    for (filter, deleted) in [
        ("WHERE id = 4", 1),
        ("WHERE price < 5 AND stock IS NOT NULL", 8),
        ("WHERE id < -1", 0),
        ("WHERE false", 0),
        ("WHERE 1 = 2 AND id > 0", 0),
        ("WHERE NULL", 0),
        ("WHERE id IN (SELECT shop_id FROM shops)", 3),
        ("WHERE id = (SELECT max(shop_id) FROM shops)", 1),
        ("WHERE random() < 2 AND id < 3", 3),
        ("WHERE true", 200),
        ("", 200),
    ] {
        for layout in [Layout::Segments, Layout::Mixed] {
            let s = store(layout).await;
            let statement = format!("DELETE FROM items {filter}");
            assert_eq!(value(&s.sql, &statement).await, deleted.to_string(), "{statement}");
            let left = value(&s.sql, "SELECT count(*) FROM items").await;
            assert_eq!(left, (200 - deleted).to_string(), "{statement}");
            s.items.flush().await.unwrap();
            let ids = rows(&s.sql, "SELECT id FROM items").await;
            assert_eq!(ids.len(), 200 - deleted, "{statement}");
        }
    }
    let s = store(Layout::Mixed).await;
    assert_eq!(error(&s.sql, "DELETE FROM items LIMIT 3").await.kind, ErrorKind::Unsupported);
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items").await, "200");
}

#[tokio::test]
async fn bad_values_are_refused() {
    let s = store(Layout::Memtable).await;
    for statement in [
        "INSERT INTO shops (shop_id, place, at) VALUES (9, 'x', [1, 2, 3])",
        "INSERT INTO shops (shop_id, place, at) VALUES (9, 'x', 'y')",
        "INSERT INTO shops (shop_id, place) VALUES (9, 'x')",
        "INSERT INTO shops (shop_id, place, at) VALUES (9, NULL, [1, 2])",
        "INSERT INTO shops VALUES (9, 'x')",
    ] {
        let error = error(&s.sql, statement).await;
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{statement}: {error}");
    }
    assert_eq!(value(&s.sql, "SELECT count(*) FROM shops").await, "3");
}
