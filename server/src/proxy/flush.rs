//! Flushing: when a call returns, the rows are in segments on the store.
#![allow(deprecated, reason = "the fields that clients use are marked so")]

use elanus_engine::api::Collection;
use elanus_engine::core::time::{Timestamp, to_millis};
use elanus_proto::schema::LongArray;
use elanus_proto::service::{
    FlushAllRequest, FlushAllResponse, FlushAllResult, FlushAllTarget, FlushCollectionResult,
    FlushRequest, FlushResponse, GetFlushAllStateRequest, GetFlushAllStateResponse,
    GetFlushStateRequest, GetFlushStateResponse,
};

use super::collection;
use crate::context::{Context, absent, signed};
use crate::status::Failure;

struct Flushed {
    name: String,
    segments: LongArray,
    timestamp: Timestamp,
}

impl Flushed {
    fn seal_seconds(&self) -> i64 {
        signed(to_millis(self.timestamp) / 1_000)
    }
}

async fn flush_one(ctx: &Context, collection: &Collection) -> Result<Flushed, Failure> {
    // Taken before the flush: whatever was acknowledged until now is in segments after it.
    let timestamp = ctx.engine.next_timestamp();
    let ids = collection.flush().await?;
    ctx.flushes.raise(collection.id(), timestamp);
    let segments = LongArray { data: ids.into_iter().map(signed).collect() };
    Ok(Flushed { name: collection.name(), segments, timestamp })
}

/// Flushes the named collections.
pub async fn flush(
    ctx: &Context,
    database: &str,
    request: FlushRequest,
) -> Result<FlushResponse, Failure> {
    let mut found = Vec::new();
    for name in &request.collection_names {
        found.push((name.clone(), collection::find(ctx, database, name, 0)?));
    }
    let mut answer = FlushResponse { db_name: database.into(), ..Default::default() };
    for (name, collection) in found {
        let done = flush_one(ctx, &collection).await?;
        answer.coll_flush_ts.insert(name.clone(), done.timestamp);
        answer.coll_seal_times.insert(name.clone(), done.seal_seconds());
        answer.coll_seg_i_ds.insert(name.clone(), done.segments.clone());
        answer.flush_coll_seg_i_ds.insert(name, done.segments);
    }
    Ok(answer)
}

/// Whether everything up to a flush is on the store.
pub async fn state(
    ctx: &Context,
    database: &str,
    request: GetFlushStateRequest,
) -> Result<GetFlushStateResponse, Failure> {
    if request.collection_name.is_empty() {
        // Segments and timestamps are told to clients only after their flush.
        let settled = ctx.flushes.newest().max(ctx.started_ts);
        let flushed = !request.segment_i_ds.is_empty() || request.flush_ts <= settled;
        return Ok(GetFlushStateResponse { status: None, flushed });
    }
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    Ok(GetFlushStateResponse { status: None, flushed: is_flushed(ctx, &found, request.flush_ts) })
}

/// A flush timestamp from before the start was told after its flush was done; one from before the
/// collection does not concern it.
fn is_flushed(ctx: &Context, found: &Collection, timestamp: Timestamp) -> bool {
    let settled = ctx.started_ts.max(found.info().created_ts);
    let mark = ctx.flushes.of(found.id()).max(settled);
    timestamp <= mark || found.stats().memtable_rows == 0
}

/// Flushes the named collections, or all of the named database, or all there are.
pub async fn flush_all(
    ctx: &Context,
    database: &str,
    request: FlushAllRequest,
) -> Result<FlushAllResponse, Failure> {
    let flush_all_ts = ctx.engine.next_timestamp();
    let mut flush_results = Vec::new();
    for (db_name, collections) in targets(ctx, database, &request.db_name, &request.flush_targets)?
    {
        let mut collection_results = Vec::new();
        for collection in collections {
            let done = flush_one(ctx, &collection).await?;
            collection_results.push(FlushCollectionResult {
                seal_time: done.seal_seconds(),
                collection_name: done.name,
                segment_ids: Some(done.segments.clone()),
                flush_segment_ids: Some(done.segments),
                flush_ts: done.timestamp,
                ..Default::default()
            });
        }
        flush_results.push(FlushAllResult { db_name, collection_results });
    }
    Ok(FlushAllResponse { flush_all_ts, flush_results, ..Default::default() })
}

/// Whether all collections are on the store up to a flush of all.
pub async fn all_state(
    ctx: &Context,
    database: &str,
    request: GetFlushAllStateRequest,
) -> Result<GetFlushAllStateResponse, Failure> {
    // Without channels of its own a newer client's map holds one timestamp many times.
    let newest = request.flush_all_tss.values().copied().max().unwrap_or_default();
    let timestamp = request.flush_all_ts.max(newest);
    let all = targets(ctx, database, &request.db_name, &request.flush_targets)?;
    let flushed =
        all.iter().flat_map(|(_, collections)| collections).all(|c| is_flushed(ctx, c, timestamp));
    Ok(GetFlushAllStateResponse { status: None, flushed, flush_states: Vec::new() })
}

type Targets = Vec<(String, Vec<Collection>)>;

fn targets(
    ctx: &Context,
    database: &str,
    named: &str,
    wanted: &[FlushAllTarget],
) -> Result<Targets, Failure> {
    let all_of = |name: &str| ctx.engine.collections(name).map_err(|e| absent(e, name, ""));
    if !wanted.is_empty() {
        let one = |target: &FlushAllTarget| {
            let name = if target.db_name.is_empty() { database } else { target.db_name.as_str() };
            let found = if target.collection_names.is_empty() {
                all_of(name)?
            } else {
                let names = target.collection_names.iter();
                names.map(|c| ctx.collection(name, c)).collect::<Result<_, _>>()?
            };
            Ok((name.to_string(), found))
        };
        return wanted.iter().map(one).collect();
    }
    let names = match named {
        "" => ctx.engine.databases().into_iter().map(|d| d.name).collect(),
        name => vec![name.to_string()],
    };
    names.into_iter().map(|name| Ok((name.clone(), all_of(&name)?))).collect()
}
