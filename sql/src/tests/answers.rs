//! Answers of queries, with a vector search and without.

use elanus_engine::api::CompactMode;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

use super::fixture::{Layout, create, item_vector, literal, rows, store, value};

const LAYOUTS: [Layout; 3] = [Layout::Memtable, Layout::Segments, Layout::Mixed];

#[tokio::test]
async fn a_search_gives_what_the_sorted_scan_gives() {
    for layout in LAYOUTS {
        let s = store(layout).await;
        let plain = s.sql.session("default").unwrap();
        plain.set("elanus.vector_top_k", "false").unwrap();
        for filter in [
            "true",
            "price > 20",
            "id = 13",
            "id < 0",
            "stock IS NULL",
            "\"Name\" LIKE '%7'",
            "sold AND json_get_int(doc, 'size') > 90",
        ] {
            for (measure, order) in [
                ("l2_distance", "ASC"),
                ("inner_product", "DESC"),
                ("cosine_similarity", "DESC"),
                ("cosine_distance", "ASC"),
            ] {
                let (q, k) = (literal(&item_vector(17)), 12);
                let head = format!(
                    "SELECT id, {measure}(v, {q}) AS d, \"Name\" FROM items WHERE {filter} \
                     ORDER BY d {order}"
                );
                let nearest = rows(&s.sql, &format!("{head} LIMIT {k}")).await;
                let expected = rows(&plain, &format!("{head}, id LIMIT {k}")).await;
                // A cosine distance may tie where the similarities do not.
                let ids = measure != "cosine_distance";
                let strip = |all: &[String]| -> Vec<String> {
                    let from = |row: &String| match ids {
                        true => row.clone(),
                        false => row.split('|').nth(1).unwrap_or_default().to_string(),
                    };
                    all.iter().map(from).collect()
                };
                assert_eq!(strip(&nearest), strip(&expected), "{head}");
            }
        }
    }
}

#[tokio::test]
async fn limits_offsets_and_shapes_agree() {
    let s = store(Layout::Mixed).await;
    let plain = s.sql.session("default").unwrap();
    plain.set("elanus.vector_top_k", "false").unwrap();
    let q = literal(&item_vector(40));
    for (tail, columns) in [
        ("LIMIT 10", "id"),
        ("LIMIT 4 OFFSET 3", "id"),
        ("LIMIT 4 OFFSET 3", "*"),
        ("LIMIT 4 OFFSET 199", "id, price * 2"),
        ("LIMIT 1000", "\"Name\", marks, doc"),
        ("LIMIT 5", "1"),
        ("LIMIT 5", "v, l2_distance(v, $Q), l2_distance(v, $Q) + 1, sqrt(l2_distance($Q, v))"),
        ("LIMIT 5", "l2_distance(v, [1, 0, 0, 0])"),
    ] {
        let statement =
            format!("SELECT {columns} FROM items ORDER BY l2_distance(v, $Q), id {tail}")
                .replace("$Q", &q);
        assert_eq!(rows(&s.sql, &statement).await, rows(&plain, &statement).await, "{statement}");
        let unique = statement.replace(", id LIMIT", " LIMIT");
        assert_eq!(rows(&s.sql, &unique).await, rows(&plain, &statement).await, "{unique}");
    }
    let in_query = "SELECT count(*), sum(id) FROM (SELECT id FROM items \
                    ORDER BY l2_distance(v, $Q) LIMIT 6) x"
        .replace("$Q", &q);
    assert_eq!(rows(&s.sql, &in_query).await, rows(&plain, &in_query).await);
}

#[tokio::test]
async fn counts_and_filters() {
    for layout in LAYOUTS {
        let s = store(layout).await;
        for (filter, expected) in [
            ("true", 200),
            ("id < 50", 50),
            ("id >= 50 AND id < 60", 10),
            ("id IN (1, 2, 300)", 2),
            ("id NOT IN (1, 2)", 198),
            ("id BETWEEN 10 AND 19", 10),
            ("id = 10 OR price = 50", 2),
            ("NOT sold", 133),
            ("stock IS NULL", 29),
            ("stock IS NOT NULL", 171),
            ("\"Name\" = 'item 9'", 1),
            ("\"Name\" LIKE 'item 19%'", 11),
            ("\"Name\" > 'item 98'", 1),
            ("price * 2 = id", 200),
            ("price + 1 > 99", 3),
            ("array_length(marks) = 3", 50),
            ("array_has(marks, 2)", 50),
            ("l2_distance(v, v) = 0", 200),
            ("json_get_str(\"$meta\", 'color') = 'red' AND id < 10", 5),
            ("json_get_str(doc, 'kind') = 'k1'", 40),
            ("upper(\"Name\") = 'ITEM 5'", 1),
            ("CAST(id AS VARCHAR) = '12'", 1),
            ("id = (SELECT max(id) FROM items)", 1),
            ("shop IN (SELECT shop_id FROM shops)", 134),
            ("false", 0),
        ] {
            let statement = format!("SELECT count(*) FROM items WHERE {filter}");
            assert_eq!(value(&s.sql, &statement).await, expected.to_string(), "{statement}");
            let statement = format!("SELECT id FROM items WHERE {filter}");
            assert_eq!(rows(&s.sql, &statement).await.len(), expected, "{statement}");
        }
        assert_eq!(value(&s.sql, "SELECT COUNT(*) FROM items").await, "200");
        assert_eq!(value(&s.sql, "SELECT count(stock) FROM goods").await, "171");
    }
}

#[tokio::test]
async fn joins_groups_and_orders() {
    let s = store(Layout::Mixed).await;
    let joined = "SELECT place, count(*) AS n, min(i.id), max(i.price) FROM items i \
                  JOIN shops ON i.shop = shops.shop_id GROUP BY place ORDER BY place";
    assert_eq!(rows(&s.sql, joined).await, ["Bern|67|0|99.0", "Rome|67|1|99.5"]);
    let outer = "SELECT place, count(i.id) FROM shops LEFT JOIN items i ON i.shop = shop_id \
                 GROUP BY place ORDER BY 2, 1";
    assert_eq!(rows(&s.sql, outer).await, ["Oslo|0", "Bern|67", "Rome|67"]);
    let page = "SELECT id FROM items ORDER BY id DESC LIMIT 3 OFFSET 2";
    assert_eq!(rows(&s.sql, page).await, ["197", "196", "195"]);
    let grouped = "SELECT stock, sum(price) FROM items WHERE id < 20 AND stock > 5 \
                   GROUP BY stock HAVING count(*) > 1 ORDER BY stock";
    assert_eq!(rows(&s.sql, grouped).await, ["6|11.0", "8|13.0", "9|14.0"]);
    assert_eq!(rows(&s.sql, "SELECT id FROM items LIMIT 7").await.len(), 7);
    let window = "SELECT id, row_number() OVER (ORDER BY id) FROM items ORDER BY id LIMIT 1";
    assert_eq!(rows(&s.sql, window).await, ["0|1"]);
    let union = "SELECT shop_id FROM shops UNION ALL SELECT id FROM items WHERE id < 2 ORDER BY 1";
    assert_eq!(rows(&s.sql, union).await, ["0", "0", "1", "1", "5"]);
}

#[tokio::test]
async fn an_empty_collection_gives_nothing() {
    let s = store(Layout::Memtable).await;
    assert_eq!(value(&s.sql, "SELECT count(*) FROM nothing").await, "0");
    assert!(rows(&s.sql, "SELECT * FROM nothing WHERE price > 1").await.is_empty());
    let near = "SELECT id FROM nothing ORDER BY l2_distance(v, [1, 2, 3, 4]) LIMIT 3";
    assert!(rows(&s.sql, near).await.is_empty());
    assert_eq!(value(&s.sql, "SELECT sum(price) FROM nothing").await, "NULL");
    let join = "SELECT i.id FROM items i JOIN nothing n ON i.id = n.id";
    assert!(rows(&s.sql, join).await.is_empty());
}

#[tokio::test]
async fn a_statement_sees_one_snapshot() {
    let s = store(Layout::Memtable).await;
    let stream = s.sql.stream("SELECT id FROM items").await.unwrap();
    s.sql.query("DELETE FROM items WHERE id < 100").await.unwrap();
    s.items.flush().await.unwrap();
    assert_eq!(stream.collect().await.unwrap().num_rows(), 200);
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items").await, "100");
    let copy = "INSERT INTO items SELECT id + 1000, v, price, stock, \"Name\", sold, marks, doc, \
                shop, \"$meta\" FROM goods";
    assert_eq!(value(&s.sql, copy).await, "100");
    assert_eq!(value(&s.sql, "SELECT count(*) FROM items").await, "200");
}

#[tokio::test]
async fn keys_of_text_break_ties_and_compaction_changes_nothing() {
    let s = store(Layout::Memtable).await;
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("key", DataType::VarChar { max_length: 8 }).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
    ]);
    let words = create(s.sql.engine(), "words", schema).await;
    for key in ["b", "10", "a", "9", "ä"] {
        let insert = format!("INSERT INTO words (key, v) VALUES ('{key}', [1, 1])");
        assert_eq!(value(&s.sql, &insert).await, "1");
        words.flush().await.unwrap();
    }
    s.sql.query("DELETE FROM words WHERE key = 'a'").await.unwrap();
    let near = "SELECT key FROM words ORDER BY l2_distance(v, [0, 0]) LIMIT 3";
    assert_eq!(rows(&s.sql, near).await, ["10", "9", "b"]);
    words.compact(CompactMode::All).await.unwrap();
    assert_eq!(rows(&s.sql, near).await, ["10", "9", "b"]);
    assert_eq!(value(&s.sql, "SELECT count(*) FROM words").await, "4");
}
