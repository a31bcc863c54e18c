//! Recovery of the log through the life of its generations.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::Float32Type;
use elanus_engine::api::{Collection, Engine, NewCollection, OpenOptions, Rows, Selection};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

fn schema() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
    ])
}

async fn insert(collection: &Collection, ids: std::ops::Range<i64>) {
    let vectors = ids.clone().map(|_| Some(vec![Some(0.5), Some(1.0)]));
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    let columns = RecordBatch::try_from_iter([("id", ids), ("v", Arc::new(vectors) as ArrayRef)]);
    let rows = Rows { columns: columns.expect("a batch"), partition: None };
    collection.insert(rows).await.expect("inserted");
}

async fn count(collection: &Collection) -> u64 {
    collection.snapshot().count(&Selection::default()).await.expect("counted")
}

/// fjall numbers keyspaces and entries anew from what lives when it opens. Generations of a dropped
/// collection must not make it take a later generation of another one for deleted.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_generations_never_take_rows_of_living_ones_with_them() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("store");
    let mut expected = 0;
    for round in 1..=6_i64 {
        let engine = Engine::open(OpenOptions::folder(&folder)).await.expect("opened");
        let kept = match engine.collection("default", "kept") {
            Ok(kept) => kept,
            Err(_) => {
                let new = NewCollection::new("kept", schema());
                engine.create_collection("default", new).await.expect("created")
            }
        };
        assert_eq!(count(&kept).await, expected, "round {round}");
        let new = NewCollection::new("dropped", schema());
        let dropped = engine.create_collection("default", new).await.expect("created");
        if round % 2 == 0 {
            insert(&dropped, 0..10).await;
            dropped.flush().await.expect("flushed");
        }
        engine.drop_collection("default", "dropped").await.expect("dropped");
        engine.close().await.expect("closed");
        drop((engine, kept, dropped));

        let engine = Engine::open(OpenOptions::folder(&folder)).await.expect("opened again");
        let kept = engine.collection("default", "kept").expect("kept");
        insert(&kept, expected as i64..expected as i64 + 100).await;
        if round % 3 == 0 {
            kept.flush().await.expect("flushed");
            insert(&kept, expected as i64 + 100..expected as i64 + 150).await;
        }
        expected = count(&kept).await;
        // A close leaves the rows in the log: the next opening has to find them there.
        engine.close().await.expect("closed");
        drop((engine, kept));
    }
}
