//! Partitions.
#![allow(deprecated, reason = "older clients use the fields marked so")]

use elanus_engine::api::{Collection, CollectionInfo, DEFAULT_PARTITION, PartitionInfo};
use elanus_engine::core::time::to_millis;
use elanus_proto::service::{
    BoolResponse, CreatePartitionRequest, DropPartitionRequest, HasPartitionRequest,
    ShowPartitionsRequest, ShowPartitionsResponse, ShowType,
};

use super::{collection, names};
use crate::context::{Context, signed};
use crate::status::Failure;

/// Creates a partition; one that is there already counts as created.
pub async fn create(
    ctx: &Context,
    database: &str,
    request: CreatePartitionRequest,
) -> Result<(), Failure> {
    let (found, name) = find(ctx, database, &request.collection_name, &request.partition_name)?;
    let info = found.info();
    if info.schema.partition_key().is_some() {
        return Err(Failure::parameter("disable create partition if partition key mode is used"));
    }
    if by_name(&info, &name).is_some() {
        return Ok(());
    }
    let limit = ctx.engine.settings().limits.max_partitions;
    if info.partitions.len() >= limit {
        return Err(Failure::parameter(format!(
            "partition number ({}) exceeds max configuration ({limit}), collection: {}",
            info.partitions.len(),
            info.name
        )));
    }
    Ok(found.create_partition(&name).await?)
}

/// Drops a partition with its rows; one that is not there counts as dropped.
pub async fn drop(
    ctx: &Context,
    database: &str,
    request: DropPartitionRequest,
) -> Result<(), Failure> {
    let (found, name) = find(ctx, database, &request.collection_name, &request.partition_name)?;
    let info = found.info();
    if info.schema.partition_key().is_some() {
        return Err(Failure::parameter("disable drop partition if partition key mode is used"));
    }
    if name == DEFAULT_PARTITION {
        return Err(Failure::parameter("default partition cannot be deleted"));
    }
    let Some(partition) = by_name(&info, &name) else { return Ok(()) };
    if is_loaded(&info, partition) {
        return Err(Failure::parameter(
            "partition cannot be dropped, partition is loaded, please release it first",
        ));
    }
    Ok(found.drop_partition(&name).await?)
}

/// Whether there is such a partition.
pub async fn has(
    ctx: &Context,
    database: &str,
    request: HasPartitionRequest,
) -> Result<BoolResponse, Failure> {
    let (found, name) = find(ctx, database, &request.collection_name, &request.partition_name)?;
    let value = by_name(&found.info(), &name).is_some();
    Ok(BoolResponse { status: None, value })
}

/// Lists the partitions, or those that are named or loaded.
pub async fn show(
    ctx: &Context,
    database: &str,
    request: ShowPartitionsRequest,
) -> Result<ShowPartitionsResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    let info = found.info();
    for name in &request.partition_names {
        require(&info, name)?;
    }
    let only_loaded = request.r#type == i32::from(ShowType::InMemory);
    let mut answer = ShowPartitionsResponse::default();
    for partition in &info.partitions {
        let named =
            request.partition_names.is_empty() || request.partition_names.contains(&partition.name);
        if !named || only_loaded && !is_loaded(&info, partition) {
            continue;
        }
        answer.partition_names.push(partition.name.clone());
        answer.partition_i_ds.push(signed(partition.id));
        answer.created_timestamps.push(partition.created_ts);
        answer.created_utc_timestamps.push(to_millis(partition.created_ts));
        if only_loaded {
            answer.in_memory_percentages.push(100);
        }
    }
    Ok(answer)
}

/// The partition of that name.
pub fn by_name<'a>(info: &'a CollectionInfo, name: &str) -> Option<&'a PartitionInfo> {
    info.partitions.iter().find(|p| p.name == name)
}

/// The partition of that name, or code 200.
pub fn require<'a>(info: &'a CollectionInfo, name: &str) -> Result<&'a PartitionInfo, Failure> {
    by_name(info, name).ok_or_else(|| Failure::partition_not_found(name))
}

/// Whether reads may see the partition.
pub fn is_loaded(info: &CollectionInfo, partition: &PartitionInfo) -> bool {
    info.loaded
        && (info.loaded_partitions.is_empty() || info.loaded_partitions.contains(&partition.id))
}

fn find(
    ctx: &Context,
    database: &str,
    collection_name: &str,
    partition: &str,
) -> Result<(Collection, String), Failure> {
    let max = ctx.engine.settings().limits.max_name_bytes;
    let partition = partition.trim();
    names::collection(collection_name, max)?;
    names::partition(partition, max)?;
    Ok((ctx.collection(database, collection_name)?, partition.to_string()))
}
