//! Counts and segments.

use elanus_engine::api::{CollectionInfo, SegmentInfo};
use elanus_proto::common::{KeyValuePair, SegmentLevel, SegmentState};
use elanus_proto::service::{
    GetCollectionStatisticsRequest, GetCollectionStatisticsResponse, GetPartitionStatisticsRequest,
    GetPartitionStatisticsResponse, GetPersistentSegmentInfoRequest,
    GetPersistentSegmentInfoResponse, GetQuerySegmentInfoRequest, GetQuerySegmentInfoResponse,
    PersistentSegmentInfo, QuerySegmentInfo,
};

use super::{collection, load, partition};
use crate::context::{Context, signed};
use crate::status::Failure;

/// Rows of a collection; of flushed ones those that were deleted count until compaction removes them, as in Milvus.
pub async fn of_collection(
    ctx: &Context,
    database: &str,
    request: GetCollectionStatisticsRequest,
) -> Result<GetCollectionStatisticsResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let stats = row_count(found.kept_rows(None)?);
    Ok(GetCollectionStatisticsResponse { status: None, stats })
}

/// Rows of a partition.
pub async fn of_partition(
    ctx: &Context,
    database: &str,
    request: GetPartitionStatisticsRequest,
) -> Result<GetPartitionStatisticsResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let name = &request.partition_name;
    partition::require(&found.info(), name)?;
    let stats = row_count(found.kept_rows(Some(name))?);
    Ok(GetPartitionStatisticsResponse { status: None, stats })
}

fn row_count(rows: u64) -> Vec<KeyValuePair> {
    vec![KeyValuePair { key: "row_count".into(), value: rows.to_string() }]
}

/// The segments on the store.
pub async fn segments(
    ctx: &Context,
    database: &str,
    request: GetPersistentSegmentInfoRequest,
) -> Result<GetPersistentSegmentInfoResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let flushed = i32::from(SegmentState::Flushed);
    if !request.states.is_empty() && !request.states.contains(&flushed) {
        return Ok(GetPersistentSegmentInfoResponse::default());
    }
    let info = found.info();
    let infos = found.stats().segments.iter().map(|s| persistent(&info, s)).collect();
    Ok(GetPersistentSegmentInfoResponse { status: None, infos })
}

fn persistent(info: &CollectionInfo, segment: &SegmentInfo) -> PersistentSegmentInfo {
    PersistentSegmentInfo {
        segment_id: signed(segment.id),
        collection_id: signed(info.id),
        partition_id: partition_id(info, segment),
        num_rows: signed(segment.rows),
        state: SegmentState::Flushed.into(),
        level: SegmentLevel::L1.into(),
        ..Default::default()
    }
}

fn partition_id(info: &CollectionInfo, segment: &SegmentInfo) -> i64 {
    partition::by_name(info, &segment.partition).map(|p| signed(p.id)).unwrap_or_default()
}

/// The segments that reads see.
pub async fn query_segments(
    ctx: &Context,
    database: &str,
    request: GetQuerySegmentInfoRequest,
) -> Result<GetQuerySegmentInfoResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    if !info.loaded {
        return Err(Failure::not_loaded(&info.name));
    }
    let visible = |s: &&SegmentInfo| {
        let partition = partition::by_name(&info, &s.partition);
        partition.is_some_and(|p| partition::is_loaded(&info, p))
    };
    let stats = found.stats();
    let infos = stats.segments.iter().filter(visible).map(|s| queried(&info, s)).collect();
    Ok(GetQuerySegmentInfoResponse { status: None, infos })
}

fn queried(info: &CollectionInfo, segment: &SegmentInfo) -> QuerySegmentInfo {
    QuerySegmentInfo {
        segment_id: signed(segment.id),
        collection_id: signed(info.id),
        partition_id: partition_id(info, segment),
        mem_size: signed(segment.bytes),
        num_rows: signed(segment.rows),
        state: SegmentState::Sealed.into(),
        node_ids: vec![load::NODE_ID],
        level: SegmentLevel::L1.into(),
        ..Default::default()
    }
}
