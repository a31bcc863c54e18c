//! A caller that goes away in the middle of a call, as a client that hangs up: the store goes on.

use std::future::Future;
use std::task::Poll;

use elanus_engine::api::{CompactMode, DEFAULT_DATABASE, NewCollection, Rows, Selection};
use elanus_engine::core::key::Key;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::harness::rows::{Row, random_row, to_batch};
use crate::harness::{folder, open, schema, small_settings};

/// Polls a call so many times, then drops it; `true` if it had ended.
async fn cut_off<T>(call: impl Future<Output = T>, polls: usize) -> bool {
    let mut call = Box::pin(call);
    let mut left = polls;
    futures::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match call.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn rows(from: i64, to: i64) -> Rows {
    let mut rng = StdRng::seed_from_u64(from as u64);
    let rows: Vec<(Key, Row)> =
        (from..to).map(|k| (Key::Int(k), random_row(&mut rng, "", 0))).collect();
    Rows { columns: to_batch(&rows), partition: None }
}

/// Every kind of call that publishes, cut off after each number of polls until it ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_may_be_cut_off_anywhere() {
    let folder = folder();
    let settings = small_settings();
    let engine = open(folder.path(), &settings).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = engine.create_collection(DEFAULT_DATABASE, new).await.expect("a collection");
    let mut next = 0i64;
    for kind in ["flush", "compact", "partition", "drop"] {
        for polls in 0.. {
            collection.insert(rows(next, next + 30)).await.expect("a write");
            collection.delete_keys(keys(next, 5), &Default::default()).await.expect("a delete");
            next += 30;
            let name = format!("p{next}");
            let ended = match kind {
                "flush" => cut_off(collection.flush(), polls).await,
                "compact" => {
                    collection.flush().await.expect("a flush");
                    cut_off(collection.compact(CompactMode::All), polls).await
                }
                "partition" => cut_off(collection.create_partition(&name), polls).await,
                _ => {
                    let new = NewCollection::new("d", schema(true, false));
                    if engine.collection(DEFAULT_DATABASE, "d").is_err() {
                        engine.create_collection(DEFAULT_DATABASE, new).await.expect("another");
                    }
                    cut_off(engine.drop_collection(DEFAULT_DATABASE, "d"), polls).await
                }
            };
            let count = collection.snapshot().count(&Selection::default()).await;
            assert_eq!(count.expect("a count") as i64, next / 30 * 25, "{kind} cut at {polls}");
            collection.flush().await.unwrap_or_else(|e| panic!("{kind} cut at {polls}: {e}"));
            let done = collection.compact(CompactMode::All).await;
            let report = done.unwrap_or_else(|e| panic!("{kind} cut at {polls}: {e}"));
            assert_eq!(report.segments_after, 1, "{kind} cut at {polls}");
            if ended {
                break;
            }
        }
    }
    engine.close().await.expect("a close");
    let path = folder.path().to_string_lossy();
    let report = elanus_engine::offline::verify(&path, &|_| {}).await.expect("a verification");
    assert_eq!(report.problems, Vec::<String>::new());
}

fn keys(from: i64, count: i64) -> elanus_engine::core::key::Keys {
    let keys: Vec<Key> = (from..from + count).map(Key::Int).collect();
    elanus_engine::core::key::Keys::from_keys(&keys).expect("keys")
}
