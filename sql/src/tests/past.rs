//! AS OF, snapshots and clones.

use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::time;

use super::fixture::{Layout, error, rows, store, value};

#[tokio::test]
async fn the_past_is_read_and_kept() {
    let s = store(Layout::Mixed).await;
    let sql = &s.sql;
    let all = value(sql, "SELECT count(*) FROM items").await;
    sql.run("CREATE SNAPSHOT before ON items COMMENT 'it''s all there'").await.unwrap();
    let then = time::to_millis(s.items.snapshot().timestamp());
    // The next write is of a later millisecond.
    while sql.engine().now_ms() <= then {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    sql.run("DELETE FROM items WHERE id < 100").await.unwrap();
    let nearest = "SELECT id FROM items ORDER BY l2_distance(v, [0, 0, 0, 0]) LIMIT 3";
    let moments =
        ["SNAPSHOT before".to_string(), "SNAPSHOT 'before'".into(), format!("TIMESTAMP {then}")];
    for moment in &moments {
        let count = format!("SELECT count(*) FROM items AS OF {moment}");
        assert_eq!(value(sql, &count).await, all);
        let gone = format!(
            "SELECT count(*) FROM default.goods FOR SYSTEM_TIME AS OF {moment} g \
             LEFT JOIN items ON g.id = items.id WHERE items.id IS NULL AND g.id < 100"
        );
        assert_eq!(value(sql, &gone).await, "100");
        let near = nearest.replace("items", &format!("items AS OF {moment}"));
        let again = format!("SELECT items.id FROM items AS OF {moment} WHERE items.id = 5");
        assert_eq!(rows(sql, &near).await.len(), 3);
        assert_eq!(rows(sql, &again).await, ["5"]);
    }
    let shown = "SHOW SNAPSHOTS ON items";
    let version = s.items.snapshots()[0].version;
    assert!(
        rows(sql, shown).await[0].starts_with(&format!("items|before|it's all there|{version}|"))
    );
    let by_version = format!("SELECT count(*) FROM items AS OF VERSION {version}");
    assert_eq!(value(sql, &by_version).await, all);

    sql.run("CREATE TABLE copy CLONE items AS OF SNAPSHOT before; CREATE TABLE now CLONE goods")
        .await
        .unwrap();
    assert_eq!(value(sql, "SELECT count(*) FROM copy").await, all);
    assert_ne!(value(sql, "SELECT count(*) FROM now").await, all);
    sql.run("DELETE FROM copy").await.unwrap();
    assert_eq!(value(sql, &by_version).await, all);
    sql.run("DROP SNAPSHOT before ON items").await.unwrap();
    assert_eq!(rows(sql, "SHOW SNAPSHOTS").await, [""; 0]);
    for (text, kind, words) in [
        ("SELECT * FROM items AS OF SNAPSHOT before", ErrorKind::NotFound, "snapshot=before"),
        ("SELECT * FROM items AS OF VERSION 99999", ErrorKind::NotFound, "is not kept"),
        ("SELECT * FROM items AS OF VERSION 'x'", ErrorKind::InvalidRequest, "a number"),
        ("SELECT * FROM items AS OF TIMESTAMP '2001-01-01'", ErrorKind::NotFound, "made later"),
        ("SELECT * FROM items AS OF TIMESTAMP '2200-01-01'", ErrorKind::InvalidRequest, "future"),
        ("SELECT * FROM none AS OF VERSION 1", ErrorKind::NotFound, "collection=none"),
        ("DELETE FROM items AS OF VERSION 1", ErrorKind::InvalidRequest, "cannot be written"),
        ("DROP SNAPSHOT s ON items", ErrorKind::NotFound, "snapshot=s"),
        ("CREATE TABLE copy CLONE items", ErrorKind::AlreadyExists, "copy"),
        ("CALL elanus_nothing('a')", ErrorKind::InvalidRequest, "no procedure"),
        ("CREATE TABLE x CLONE items AS OF TIMESTAMP 1", ErrorKind::Unsupported, "a version"),
    ] {
        let found = error(sql, text).await;
        assert!(found.kind == kind && found.message().contains(words), "{text}: {found}");
    }
    let write = format!("DELETE FROM items AS OF TIMESTAMP {then}");
    assert!(error(sql, &write).await.message().contains("cannot be written"));
}
