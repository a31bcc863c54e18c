//! The search step: all queries, the keys of what was found, again until the clock has seen enough.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use elanus_engine::api::{
    Collection, Effort, Metric, Queries, RowAddress, SearchRequest, Selection, Snapshot,
};
use elanus_engine::core::runtime::Stopwatch;
use serde_json::{Value, json};

use crate::Failure;
use crate::below::Below;
use crate::files;
use crate::job::{Mode, Search};
use crate::machine::Meter;
use crate::run::{KEY, VECTOR};

/// Queries that are asked untimed first, so that columns and code pages are in memory.
const WARM_UP: usize = 10;

/// What one pass over the queries found.
#[derive(Debug, Default)]
struct Pass {
    /// `[queries, k]`, -1 where there is none.
    ids: Vec<i32>,
    /// Rows that were compared.
    scanned: u64,
    /// Rows whose codes were scanned.
    codes: u64,
    /// Lists that were looked at.
    lists: u64,
    /// Wall seconds of turning places into keys.
    keys_seconds: f64,
}

/// Does a search step and describes it; the fields are explained in `benches/README.md`.
pub async fn search(
    collection: &Collection,
    queries: &[Vec<f32>],
    metric: Metric,
    step: &Search,
) -> Result<Value, Failure> {
    let effort = step.effort.map_or(Ok(Effort::DEFAULT), Effort::new)?;
    let select = Selection { filter: step.below.as_ref().map(Below::filter), ..Default::default() };
    let request = SearchRequest {
        field: VECTOR.into(),
        queries: Arc::new(Queries::Dense(Vec::new())),
        metric,
        top_k: step.k,
        select,
        range: None,
        effort,
    };
    let groups = |queries: &[Vec<f32>]| -> Vec<SearchRequest> {
        let size = if step.mode == Mode::Batch { queries.len().max(1) } else { 1 };
        let of = |group: &[Vec<f32>]| SearchRequest {
            queries: Arc::new(Queries::Dense(group.to_vec())),
            ..request.clone()
        };
        queries.chunks(size).map(of).collect()
    };
    pass(collection, &groups(&queries[..queries.len().min(WARM_UP)]), step.k).await?;
    let requests = groups(queries);
    let meter = Meter::start()?;
    let first = pass(collection, &requests, step.k).await?;
    let (mut passes, mut keys_seconds) = (1, first.keys_seconds);
    while meter.cpu()? < step.seconds {
        keys_seconds += pass(collection, &requests, step.k).await?.keys_seconds;
        passes += 1;
    }
    let mut line = meter.report()?;
    if let Some(path) = &step.ids {
        files::write_ids(path, &first.ids)?;
    }
    line["name"] = json!(step.name);
    line["effort"] = json!(effort.recall());
    line["k"] = json!(step.k);
    line["mode"] = json!(step.mode);
    line["queries"] = json!(queries.len() * passes);
    line["rows_scanned"] = json!(first.scanned);
    line["codes_scanned"] = json!(first.codes);
    line["lists_scanned"] = json!(first.lists);
    line["keys_wall_seconds"] = json!(keys_seconds);
    Ok(line)
}

async fn pass(
    collection: &Collection,
    requests: &[SearchRequest],
    k: usize,
) -> Result<Pass, Failure> {
    let mut all = Pass::default();
    for request in requests {
        let snapshot = collection.snapshot();
        let answer = snapshot.search(request).await?;
        all.scanned += answer.counts.rows_scanned;
        all.codes += answer.counts.codes_scanned;
        all.lists += answer.counts.lists_scanned;
        let watch = Stopwatch::start();
        let rows: Vec<RowAddress> = answer.hits.iter().flatten().map(|hit| hit.row).collect();
        let mut keys = keys(&snapshot, &rows).await?.into_iter();
        for hits in &answer.hits {
            all.ids.extend(keys.by_ref().take(hits.len()));
            all.ids.extend(std::iter::repeat_n(-1, k - hits.len()));
        }
        all.keys_seconds += watch.elapsed().as_secs_f64();
    }
    Ok(all)
}

async fn keys(snapshot: &Snapshot, rows: &[RowAddress]) -> Result<Vec<i32>, Failure> {
    let found = snapshot.fetch(rows, &[KEY.into()]).await?;
    let keys = found.column(0).as_primitive::<Int64Type>().values();
    Ok(keys.iter().map(|key| i32::try_from(*key)).collect::<Result<_, _>>()?)
}
