//! Telling which collections there are and what they are like.
#![allow(deprecated, reason = "older clients use the fields marked so")]

use elanus_engine::api::CollectionInfo;
use elanus_engine::core::time::to_millis;
use elanus_proto::service::{
    BatchDescribeCollectionRequest, BatchDescribeCollectionResponse, BoolResponse,
    DescribeCollectionRequest, DescribeCollectionResponse, HasCollectionRequest,
    ShowCollectionsRequest, ShowCollectionsResponse, ShowType,
};

use super::{collection, names};
use crate::context::{Context, absent, signed};
use crate::convert::{self, params};
use crate::status::{Failure, code, ok_status};

/// Describes a collection by name, alias or id.
pub async fn describe(
    ctx: &Context,
    database: &str,
    request: DescribeCollectionRequest,
) -> Result<DescribeCollectionResponse, Failure> {
    let name = &request.collection_name;
    let found = collection::find(ctx, database, name, request.collection_id);
    let found = found.map_err(|e| match e.code {
        // Clients look for exactly these words to answer `has_collection`.
        code::COLLECTION_NOT_FOUND => Failure::new(
            e.code,
            e.reason.replacen("collection not found", "can't find collection", 1),
        ),
        _ => e,
    })?;
    Ok(described(ctx, &found.info()))
}

fn described(ctx: &Context, info: &CollectionInfo) -> DescribeCollectionResponse {
    let database = ctx.engine.database(&info.database).ok();
    let channels = |suffix: &str| {
        (0..info.shards).map(|i| format!("elanus-dml_{i}{suffix}")).collect::<Vec<_>>()
    };
    DescribeCollectionResponse {
        schema: Some(convert::schema::to_wire(info)),
        collection_id: signed(info.id),
        virtual_channel_names: channels(&format!("_{}", info.id)),
        physical_channel_names: channels(""),
        created_timestamp: info.created_ts,
        created_utc_timestamp: to_millis(info.created_ts),
        shards_num: i32::try_from(info.shards).unwrap_or(i32::MAX),
        aliases: info.aliases.clone(),
        consistency_level: i32::try_from(info.consistency_level).unwrap_or_default(),
        collection_name: info.name.clone(),
        properties: params::to_pairs(&info.properties),
        db_name: info.database.clone(),
        num_partitions: i64::try_from(info.partitions.len()).unwrap_or(i64::MAX),
        db_id: database.map(|d| signed(d.id)).unwrap_or_default(),
        request_time: ctx.engine.next_timestamp(),
        update_timestamp: info.schema_ts,
        update_timestamp_str: info.schema_ts.to_string(),
        ..Default::default()
    }
}

/// Describes several collections; each answer has its own status.
pub async fn describe_batch(
    ctx: &Context,
    database: &str,
    request: BatchDescribeCollectionRequest,
) -> Result<BatchDescribeCollectionResponse, Failure> {
    let by_name = request.collection_name.into_iter().map(|name| (name, 0));
    let by_id = request.collection_id.into_iter().map(|id| (String::new(), id));
    let mut responses = Vec::new();
    for (collection_name, collection_id) in by_name.chain(by_id) {
        let one =
            DescribeCollectionRequest { collection_name, collection_id, ..Default::default() };
        let mut answer = describe(ctx, database, one).await.unwrap_or_else(|e| {
            DescribeCollectionResponse { status: Some(e.status()), ..Default::default() }
        });
        answer.status.get_or_insert_with(ok_status);
        responses.push(answer);
    }
    Ok(BatchDescribeCollectionResponse { status: None, responses })
}

/// Whether there is such a collection or alias.
pub async fn has(
    ctx: &Context,
    database: &str,
    request: HasCollectionRequest,
) -> Result<BoolResponse, Failure> {
    let name = &request.collection_name;
    names::collection(name, ctx.engine.settings().limits.max_name_bytes)?;
    let value = match ctx.collection(database, name) {
        Ok(found) => request.time_stamp == 0 || request.time_stamp >= found.info().created_ts,
        Err(e) if e.code == code::COLLECTION_NOT_FOUND => false,
        Err(e) => return Err(e),
    };
    Ok(BoolResponse { status: None, value })
}

/// Lists the collections that the caller may see, or those of them that are loaded.
pub async fn show(
    ctx: &Context,
    database: &str,
    request: ShowCollectionsRequest,
) -> Result<ShowCollectionsResponse, Failure> {
    let only_loaded = request.r#type == i32::from(ShowType::InMemory);
    let wanted = &request.collection_names;
    let all = ctx.engine.collections(database).map_err(|e| absent(e, database, ""))?;
    let visible = ctx.visible_collections(database);
    let mut all: Vec<_> = all.iter().map(|c| c.info()).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut answer = ShowCollectionsResponse::default();
    for info in all {
        let named = wanted.is_empty() || wanted.contains(&info.name);
        let named = named && visible.shows(&info.name);
        if !named || only_loaded && !info.loaded {
            continue;
        }
        answer.collection_ids.push(signed(info.id));
        answer.created_timestamps.push(info.created_ts);
        answer.created_utc_timestamps.push(to_millis(info.created_ts));
        answer.shards_num.push(i32::try_from(info.shards).unwrap_or(i32::MAX));
        if only_loaded {
            answer.query_service_available.push(true);
            answer.in_memory_percentages.push(100);
        }
        answer.collection_names.push(info.name);
    }
    Ok(answer)
}
