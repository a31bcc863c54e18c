//! Functions as SQL calls them.

use elanus_engine::core::error::ErrorKind;

use super::fixture::{Layout, error, rows, store, value};

#[tokio::test]
async fn distances_of_constants() {
    let s = store(Layout::Memtable).await;
    for (call, expected) in [
        ("l2_distance([1.0, 2.0], [4.0, 6.0])", "25.0"),
        ("l2_distance([1, 2], [4, 6])", "25.0"),
        ("l2_distance(make_array(1, 2), [4.0, 6.0])", "25.0"),
        ("inner_product([1.0, 2.0], [3.0, 4.0])", "11.0"),
        ("cosine_similarity([1.0, 0.0], [0.0, 2.0])", "0.0"),
        ("cosine_similarity([1.0, 0.0], [3.0, 0.0])", "1.0"),
        ("cosine_distance([1.0, 0.0], [3.0, 0.0])", "0.0"),
        ("cosine_distance([1.0, 0.0], [-3.0, 0.0])", "2.0"),
        ("l2_distance(NULL, [4.0, 6.0])", "NULL"),
        ("l2_distance([4.0], NULL)", "NULL"),
        ("L2_DISTANCE([0.0], [3.0])", "9.0"),
    ] {
        assert_eq!(value(&s.sql, &format!("SELECT {call}")).await, expected, "{call}");
    }
}

#[tokio::test]
async fn distances_of_columns() {
    let s = store(Layout::Mixed).await;
    let at = rows(&s.sql, "SELECT shop_id, l2_distance(at, [0, 0]) FROM shops ORDER BY 1").await;
    assert_eq!(at, ["0|0.0", "1|25.0", "5|2.0"]);
    let at = rows(&s.sql, "SELECT inner_product([1, 1], at) FROM shops ORDER BY shop_id").await;
    assert_eq!(at, ["0.0", "7.0", "2.0"]);
    let both = "SELECT max(l2_distance(v, v)) FROM items";
    assert_eq!(value(&s.sql, both).await, "0.0");
}

#[tokio::test]
async fn wrong_vectors_are_refused() {
    let s = store(Layout::Memtable).await;
    for (statement, says) in [
        ("SELECT l2_distance([1.0], [1.0, 2.0])", "1 dimensions"),
        ("SELECT l2_distance(v, [1.0]) FROM items", "4 dimensions"),
        ("SELECT id FROM items ORDER BY l2_distance(v, [1.0]) LIMIT 3", "4 dimensions"),
        ("SELECT l2_distance(v, 'x') FROM items", "takes vectors"),
        ("SELECT l2_distance(v) FROM items", "two vectors"),
        ("SELECT l2_distance(\"Name\", [1.0]) FROM items", "takes vectors"),
    ] {
        let error = error(&s.sql, statement).await;
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{statement}: {error}");
        assert!(error.message().contains(says), "{statement}: {error}");
    }
}

#[tokio::test]
async fn json_values_are_read() {
    let s = store(Layout::Mixed).await;
    let one = "SELECT json_get_str(\"$meta\", 'color'), json_get_int(doc, 'size'), \
               json_get_float(doc, 'size'), json_get(doc, 'kind'), json_get_bool(doc, 'kind'), \
               json_get_str(doc, 'no', 1) FROM items WHERE id = 3";
    assert_eq!(value(&s.sql, one).await, "blue|3|3.0|\"k3\"|NULL|NULL");
    let red = "SELECT count(*) FROM items WHERE json_get_str(\"$meta\", 'color') = 'red'";
    assert_eq!(value(&s.sql, red).await, "100");
}
