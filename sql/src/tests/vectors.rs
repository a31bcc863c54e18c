//! Vectors of every type: written, shown, compared and searched.

use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

use super::fixture::{Layout, Store, create, error, plan, rows, store, value};

/// A collection with a field of each type and a few rows; two lie in a segment.
async fn typed() -> Store {
    let s = store(Layout::Memtable).await;
    let schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("h", DataType::Float16Vector { dim: 2 }),
        FieldSchema::new("b", DataType::BFloat16Vector { dim: 2 }),
        FieldSchema::new("i", DataType::Int8Vector { dim: 2 }),
        FieldSchema::new("x", DataType::BinaryVector { dim: 16 }),
    ]);
    let c = create(s.sql.engine(), "typed", schema).await;
    let insert = "INSERT INTO typed VALUES (1, [1.5, 2], X'803F0040', [-128, 127], X'0F00'), \
                  (2, [0, -1], X'00000000', [1, 2], X'FFFF')";
    assert_eq!(value(&s.sql, insert).await, "2");
    c.flush().await.unwrap();
    let insert = "INSERT INTO typed VALUES (3, [9, 9], to_bfloat16([9, 9.001]), [0, 0], X'0000')";
    assert_eq!(value(&s.sql, insert).await, "1");
    s
}

#[tokio::test]
async fn values_are_shown_and_compared() {
    let s = typed().await;
    let first = "SELECT h, b, i, x FROM typed WHERE id = 1";
    assert_eq!(value(&s.sql, first).await, "[1.5, 2]|803f0040|[-128, 127]|0f00");
    for (call, expected) in [
        ("l2_distance(h, [0, 0])", ["6.25", "1.0", "162.0"]),
        ("inner_product(b, [1, 1])", ["3.0", "0.0", "18.0"]),
        ("l2_distance([1, 2], b)", ["0.0", "5.0", "113.0"]),
        ("inner_product(i, [1, 1])", ["-1.0", "3.0", "0.0"]),
        ("l2_distance(i, h)", ["32395.25", "10.0", "162.0"]),
        ("hamming_distance(x, X'FF00')", ["4.0", "8.0", "8.0"]),
        ("hamming_distance('ff00', x)", ["4.0", "8.0", "8.0"]),
        ("jaccard_distance(x, X'FF00')", ["0.5", "0.5", "1.0"]),
        ("jaccard_distance(x, X'0000')", ["1.0", "1.0", "1.0"]),
        ("hamming_distance(x, NULL)", ["NULL", "NULL", "NULL"]),
    ] {
        let statement = format!("SELECT {call} FROM typed ORDER BY id");
        assert_eq!(rows(&s.sql, &statement).await, expected, "{call}");
    }
    let written = "SELECT b, to_bfloat16([1, 2]) FROM typed WHERE id = 3";
    assert_eq!(value(&s.sql, written).await, "10411041|803f0040");
    // A query is rounded to what the column holds, as one of a client is.
    let third = "SELECT inner_product(h, [0.3333333, 0]) FROM typed WHERE id = 1";
    assert_eq!(value(&s.sql, third).await, "0.49987793");
}

#[tokio::test]
async fn each_order_is_a_search_and_gives_what_the_scan_gives() {
    let s = typed().await;
    for (distance, order, metric) in [
        ("l2_distance(h, [0.3333333, 1])", "ASC", "L2"),
        ("inner_product(h, [0.3333333, 1])", "DESC", "IP"),
        ("cosine_distance(b, [0.3333333, 1])", "ASC", "COSINE"),
        ("l2_distance(i, [1, 3])", "ASC", "L2"),
        ("cosine_similarity([1, 3], i)", "DESC", "COSINE"),
        ("hamming_distance(x, X'1F00')", "ASC", "HAMMING"),
        ("hamming_distance('1f00', x)", "ASC", "HAMMING"),
        ("jaccard_distance(x, X'1F00')", "ASC", "JACCARD"),
    ] {
        let statement = format!("SELECT id, {distance} AS d FROM typed ORDER BY d {order} LIMIT 2");
        let told = plan(&s.sql, &statement).await;
        assert!(told.contains("VectorTopKExec"), "{statement}\n{told}");
        assert!(told.contains(&format!("metric={metric}")), "{told}");
        let searched = rows(&s.sql, &statement).await;
        s.sql.query("SET elanus.vector_top_k = false").await.unwrap();
        assert_eq!(searched, rows(&s.sql, &statement).await, "{statement}");
        s.sql.query("SET elanus.vector_top_k = true").await.unwrap();
    }
    // What no search can answer stays a scan: a query out of the type's range, or of another length.
    let far = "SELECT id FROM typed ORDER BY l2_distance(h, [100000, 0]) LIMIT 2";
    assert!(!plan(&s.sql, far).await.contains("VectorTopKExec"));
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let s = typed().await;
    for (statement, says) in [
        ("SELECT hamming_distance(x, X'FF') FROM typed", "16 bits"),
        ("SELECT id FROM typed ORDER BY hamming_distance(x, X'FF') LIMIT 1", "16 bits"),
        ("SELECT hamming_distance(x, 'fg00') FROM typed", "hexadecimal digits"),
        ("SELECT hamming_distance(h, [1, 2]) FROM typed", "takes vectors of bits"),
        ("SELECT hamming_distance(b, X'803F0040') FROM typed", "takes vectors of bits"),
        ("SELECT l2_distance(x, [1, 2]) FROM typed", "hamming_distance and jaccard_distance"),
        ("SELECT l2_distance(i, [1]) FROM typed", "2 dimensions"),
        ("SELECT to_bfloat16(x) FROM typed", "takes a list of numbers"),
        ("SELECT to_bfloat16(1)", "takes a list of numbers"),
    ] {
        let error = error(&s.sql, statement).await;
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{statement}: {error}");
        assert!(error.message().contains(says), "{statement}: {error}");
    }
    let short = "INSERT INTO typed VALUES (4, [1, 2], X'803F0040', [1, 2], X'0F')";
    error(&s.sql, short).await;
    let wide = "INSERT INTO typed VALUES (4, [1, 2], X'803F0040', [1, 200], X'0F0F')";
    error(&s.sql, wide).await;
    assert_eq!(value(&s.sql, "SELECT count(*) FROM typed").await, "3");
}
