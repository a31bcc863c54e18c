//! Which plans become a vector search.

use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

use super::fixture::{Layout, create, plan, store};

const Q: &str = "[0.1, 0.2, 0.3, 0.4]";

#[tokio::test]
async fn nearest_first_becomes_a_search() {
    let s = store(Layout::Mixed).await;
    for statement in [
        "SELECT id, l2_distance(v, $Q) AS d FROM items ORDER BY d LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT * FROM items ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance($Q, v) LIMIT 5",
        "SELECT id FROM items ORDER BY cosine_distance(v, $Q) LIMIT 5",
        "SELECT id FROM items ORDER BY inner_product(v, $Q) DESC LIMIT 5",
        "SELECT id FROM items ORDER BY cosine_similarity(v, $Q) DESC LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q), id LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 3 OFFSET 2",
        "SELECT id, l2_distance(v, $Q) * 2 FROM items ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT 1 FROM items ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT id FROM goods g WHERE g.price > 3 ORDER BY l2_distance(g.v, $Q) LIMIT 5",
        "SELECT avg(price) FROM (SELECT price FROM items ORDER BY l2_distance(v, $Q) LIMIT 5) x",
        "SELECT place FROM (SELECT * FROM items ORDER BY l2_distance(v, $Q) LIMIT 5) i \
         JOIN shops ON i.shop = shops.shop_id",
    ] {
        let plan = plan(&s.sql, &statement.replace("$Q", Q)).await;
        assert!(plan.contains("VectorTopKExec: field=v, metric="), "{statement}\n{plan}");
        assert!(plan.contains(", k=5, filter="), "{statement}\n{plan}");
        assert!(!plan.contains("SortExec"), "{statement}\n{plan}");
    }
}

#[tokio::test]
async fn a_search_shows_what_it_does_and_fetches_only_what_is_asked() {
    let s = store(Layout::Mixed).await;
    let statement = "SELECT id, l2_distance(v, $Q) AS d FROM items \
                     WHERE price > 10 AND stock < 5 ORDER BY d LIMIT 7";
    let plan = plan(&s.sql, &statement.replace("$Q", Q)).await;
    assert!(plan.contains("metric=L2, k=7, filter="), "{plan}");
    assert!(plan.contains("price") && plan.contains("stock"), "{plan}");
    assert!(plan.contains("columns=[id]"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
    for statement in [
        "SELECT id, price * 2 FROM items ORDER BY l2_distance(v, $Q) LIMIT 5 OFFSET 3",
        "SELECT id FROM (SELECT id, price p, v FROM items) ORDER BY l2_distance(v, $Q), id LIMIT 5",
    ] {
        let plan = super::fixture::plan(&s.sql, &statement.replace("$Q", Q)).await;
        assert!(plan.contains("columns=[id"), "{plan}");
        assert!(!plan.contains("columns=[id, v"), "{plan}");
    }
}

#[tokio::test]
async fn other_orders_stay_scans() {
    let s = store(Layout::Mixed).await;
    let nullable = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: 4 }).nullable(),
    ]);
    create(s.sql.engine(), "holes", nullable).await;
    for statement in [
        "SELECT id FROM items ORDER BY l2_distance(v, $Q) DESC LIMIT 5",
        "SELECT id FROM items ORDER BY inner_product(v, $Q) LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q)",
        "SELECT id FROM items ORDER BY l2_distance(v, v) LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q), price LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q), id DESC LIMIT 5",
        "SELECT id FROM items ORDER BY cosine_distance(v, $Q), id LIMIT 5",
        "SELECT id FROM items ORDER BY price, l2_distance(v, $Q) LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q) + price LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, [0.1]) LIMIT 5",
        "SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 20000",
        "SELECT id FROM items WHERE random() < 2 ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT id FROM (SELECT * FROM items LIMIT 50) ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT id FROM holes ORDER BY l2_distance(v, $Q) LIMIT 5",
        "SELECT shop, min(price) m FROM items GROUP BY shop ORDER BY m LIMIT 5",
        "SELECT items.id FROM items JOIN shops ON shop = shop_id ORDER BY l2_distance(v, $Q) LIMIT 5",
    ] {
        let plan = plan(&s.sql, &statement.replace("$Q", Q)).await;
        assert!(!plan.contains("VectorTopKExec"), "{statement}\n{plan}");
        assert!(plan.contains("ScanExec"), "{statement}\n{plan}");
    }
    let present = "SELECT id FROM holes WHERE v IS NOT NULL ORDER BY l2_distance(v, $Q) LIMIT 5";
    let plan = plan(&s.sql, &present.replace("$Q", Q)).await;
    assert!(plan.contains("VectorTopKExec"), "{plan}");
}

#[tokio::test]
async fn filters_are_pushed_and_the_rule_can_be_turned_off() {
    let s = store(Layout::Segments).await;
    let pushed =
        plan(&s.sql, "SELECT id FROM items WHERE price > 3 AND \"Name\" LIKE 'item 1%'").await;
    assert!(pushed.contains("ScanExec: collection=items, columns=[id], filter="), "{pushed}");
    assert!(!pushed.contains("FilterExec"), "{pushed}");
    let pruned = plan(&s.sql, "SELECT id FROM items WHERE id >= 150").await;
    assert!(pruned.contains("units=1, pruned_units=1"), "{pruned}");
    s.sql.query("SET elanus.vector_top_k = false").await.unwrap();
    let statement = "SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 5".replace("$Q", Q);
    let plan = plan(&s.sql, &statement).await;
    assert!(plan.contains("SortExec") && !plan.contains("VectorTopKExec"), "{plan}");
}

#[tokio::test]
async fn the_effort_of_a_search_is_a_setting() {
    let s = store(Layout::Segments).await;
    let statement = "SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 5".replace("$Q", Q);
    for (set, shown) in [
        ("SELECT 1", ", effort=0.98"),
        ("SET elanus.effort = 0.995", ", effort=0.995"),
        ("SET elanus.effort = '0.5'", ", effort=0.5"),
        ("SET elanus.effort = 1", ", effort=exact"),
    ] {
        s.sql.query(set).await.unwrap();
        let plan = plan(&s.sql, &statement).await;
        assert!(plan.contains(shown), "{set}\n{plan}");
    }
    let other = s.sql.session("default").unwrap();
    assert!(plan(&other, &statement).await.contains(", effort=0.98"));
}

#[tokio::test]
async fn explain_analyze_counts_rows() {
    let s = store(Layout::Mixed).await;
    let statement = "ANALYZE SELECT id FROM items ORDER BY l2_distance(v, $Q) LIMIT 5";
    let plan = plan(&s.sql, &statement.replace("$Q", Q)).await;
    assert!(plan.contains("VectorTopKExec") && plan.contains("rows_scanned="), "{plan}");
    let plan = super::fixture::plan(&s.sql, "ANALYZE SELECT id FROM items WHERE price > 3").await;
    assert!(plan.contains("ScanExec") && plan.contains("output_rows="), "{plan}");
}
