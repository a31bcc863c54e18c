//! Filters with scalar indexes select the rows that they select without.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use elanus_engine::api::{Collection, Engine, NewCollection, RowOrder, Rows, Selection};
use elanus_engine::core::key::Key;
use elanus_sql::lang::Filter;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::{self, folder, open, rows, seeds};

const ROWS: i64 = 4_000;

const TESTS: [&str; 28] = [
    "id == 17",
    "id in [5, 9, 100000, 3999]",
    "id > 3900",
    "10 < id <= 40",
    "n == 7",
    "n != 7",
    "n in [1, 2, -3]",
    "n is null",
    "n is not null and n < -45",
    "n * 2 == 14",
    "n > 40 and n < 48",
    "tag == \"red\"",
    "tag like \"b%\"",
    "tag like \"%er%\"",
    "tag in [\"\", \"green\"]",
    "tag not in [\"red\"]",
    "flag == true",
    "not flag",
    "array_contains(list, 1)",
    "array_contains_any(list, [0, 2])",
    "array_contains_all(list, [0, 2])",
    "array_length(list) == 2",
    "doc[\"a\"] == 3",
    "doc[\"a\"] > 6.5",
    "exists doc[\"b\"]",
    "doc is null",
    "m == 4",
    "$meta[\"m\"] in [1, 8]",
];

fn random_text(rng: &mut StdRng, depth: usize) -> String {
    match rng.random_range(0..if depth == 0 { 1 } else { 4 }) {
        0 => TESTS[rng.random_range(0..TESTS.len())].to_string(),
        1 => format!("not ({})", random_text(rng, depth - 1)),
        at => {
            let parts: Vec<String> =
                (0..rng.random_range(2..4)).map(|_| random_text(rng, depth - 1)).collect();
            format!("({})", parts.join(if at == 2 { ") and (" } else { ") or (" }))
        }
    }
}

async fn fill(collection: &Collection, rng: &mut StdRng) {
    for part in 0..3i64 {
        let range = part * ROWS / 3..(part + 1) * ROWS / 3;
        let made: Vec<_> = range.map(|id| (Key::Int(id), rows::random_row(rng, "", 0))).collect();
        let columns = rows::to_batch(&made);
        collection.upsert(Rows { columns, partition: None }).await.expect("rows");
        if part < 2 {
            collection.flush().await.expect("a flush");
        }
    }
    let gone: Vec<Key> = (0..200).map(|_| Key::Int(rng.random_range(0..ROWS))).collect();
    let keys = elanus_engine::core::key::Keys::from_keys(&gone).expect("keys");
    collection.delete_keys(keys, &Default::default()).await.expect("deletes");
}

async fn selected(collection: &Collection, text: &str) -> Vec<Key> {
    let snapshot = collection.snapshot();
    let filter = Filter::parse(text, snapshot.schema(), &HashMap::new()).expect(text);
    let select = Selection { filter: Some(Arc::new(filter)), ..Selection::default() };
    let found = snapshot.select(&select, RowOrder::Key, 0, None).await.expect(text);
    let batch = snapshot.fetch(&found, &["id".to_string()]).await.expect("keys");
    let keys = elanus_engine::core::key::Keys::from_array(batch.column(0)).expect("keys");
    (0..keys.len()).map(|row| keys.get(row)).collect()
}

fn serving(collection: &Collection, text: &str) -> Vec<String> {
    let snapshot = collection.snapshot();
    let filter = Filter::parse(text, snapshot.schema(), &HashMap::new()).expect(text);
    snapshot.serving_indexes(&filter)
}

async fn index_all(collection: &Collection) {
    for (field, kind, path) in [
        ("n", "STL_SORT", None),
        ("tag", "TRIE", None),
        ("flag", "BITMAP", None),
        ("list", "INVERTED", None),
        ("doc", "INVERTED", Some("doc[\"a\"]")),
        ("$meta", "INVERTED", Some("m")),
    ] {
        let mut params = BTreeMap::from([("index_type".to_string(), kind.to_string())]);
        params.extend(path.map(|path| ("json_path".to_string(), path.to_string())));
        collection.create_index(field, "", params).await.expect(field);
    }
}

async fn store(seed: u64) -> (tempfile::TempDir, Engine, Collection, StdRng) {
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = folder();
    let mut settings = harness::small_settings();
    settings.memtable.max_rows = 1_000_000;
    settings.read.cache_bytes = 64 << 20;
    let engine = open(folder.path(), &settings).await.expect("a store");
    let schema = harness::schema(false, false);
    let made = engine.create_collection("default", NewCollection::new("c", schema)).await;
    let collection = made.expect("a collection");
    fill(&collection, &mut rng).await;
    (folder, engine, collection, rng)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_never_changes_what_a_filter_selects() {
    for seed in seeds(710, 2) {
        println!("seed {seed}");
        let (_folder, _engine, collection, mut rng) = store(seed).await;
        let mut texts: Vec<String> = TESTS.map(String::from).to_vec();
        texts.extend((0..150).map(|_| random_text(&mut rng, 2)));
        let mut before = Vec::new();
        for text in &texts {
            before.push(selected(&collection, text).await);
        }
        index_all(&collection).await;
        // The first round may meet indexes on JSON paths that are still being made.
        for round in 0..2 {
            for (text, before) in texts.iter().zip(&before) {
                let after = selected(&collection, text).await;
                assert_eq!(&after, before, "seed {seed}, round {round}: {text}");
            }
        }
        collection.flush().await.expect("a flush");
        collection.compact(elanus_engine::api::CompactMode::All).await.expect("a merge");
        for (text, before) in texts.iter().zip(&before) {
            assert_eq!(&selected(&collection, text).await, before, "seed {seed}, merged: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_indexes_that_serve_it() {
    let (_folder, _engine, collection, _) = store(1).await;
    assert_eq!(serving(&collection, "id in [1, 2] and n > 5"), ["primary key"]);
    assert!(serving(&collection, "n == 7").is_empty());
    index_all(&collection).await;
    for (text, wanted) in [
        ("n == 7", &["n"][..]),
        ("n == 7 or flag", &["flag", "n"]),
        ("n == 7 or array_length(list) == 2", &[]),
        ("n == 7 and array_length(list) == 2", &["n"]),
        ("array_contains(list, 1)", &["list"]),
        ("doc[\"a\"] == 3 and tag like \"b%\"", &["doc", "tag"]),
        ("doc[\"a\"][\"b\"] == 3", &["doc"]),
        ("doc[\"b\"] == 3", &[]),
        ("m == 4", &["$meta"]),
        ("m == 4 and k == 4", &["$meta"]),
        ("n == id", &[]),
    ] {
        assert_eq!(serving(&collection, text), wanted, "{text}");
    }
}
