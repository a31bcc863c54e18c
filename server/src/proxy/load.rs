//! Loading and releasing. All data is always within reach here; what loading changes is whether reads
//! are allowed, as Milvus's clients expect it.

use elanus_engine::api::CollectionInfo;
use elanus_proto::common::LoadState;
use elanus_proto::service::{
    GetLoadStateRequest, GetLoadStateResponse, GetLoadingProgressRequest,
    GetLoadingProgressResponse, GetReplicasRequest, GetReplicasResponse, LoadCollectionRequest,
    LoadPartitionsRequest, ReleaseCollectionRequest, ReleasePartitionsRequest, ReplicaInfo,
    ShardReplica,
};

use super::resource_group::{self, DEFAULT_GROUP};
use super::{collection, partition};
use crate::context::{Context, signed};
use crate::status::{Failure, code};

/// The number of this one node.
pub const NODE_ID: i64 = 1;

/// Allows reads of the whole collection.
pub async fn load(
    ctx: &Context,
    database: &str,
    request: LoadCollectionRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    check(ctx, &found.info(), request.replica_number, &request.resource_groups)?;
    Ok(found.set_loaded(true, Vec::new()).await?)
}

/// Forbids reads of the collection.
pub async fn release(
    ctx: &Context,
    database: &str,
    request: ReleaseCollectionRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    Ok(found.set_loaded(false, Vec::new()).await?)
}

/// Allows reads of some partitions besides those that are loaded.
pub async fn load_partitions(
    ctx: &Context,
    database: &str,
    request: LoadPartitionsRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    if request.partition_names.is_empty() {
        return Err(Failure::parameter("failed to load partition, due to no partition specified"));
    }
    check_partitions(&info, "load", &request.partition_names)?;
    check(ctx, &info, request.replica_number, &request.resource_groups)?;
    Ok(found.set_loaded(true, request.partition_names).await?)
}

/// Forbids reads of some partitions.
pub async fn release_partitions(
    ctx: &Context,
    database: &str,
    request: ReleasePartitionsRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    if request.partition_names.is_empty() {
        return Err(Failure::expected("any partition", "empty partition list", ""));
    }
    check_partitions(&info, "release", &request.partition_names)?;
    Ok(found.set_loaded(false, request.partition_names).await?)
}

/// How far loading is: all or nothing, since there is nothing to wait for.
pub async fn progress(
    ctx: &Context,
    database: &str,
    request: GetLoadingProgressRequest,
) -> Result<GetLoadingProgressResponse, Failure> {
    let info = collection::find(ctx, database, &request.collection_name, 0)?.info();
    if !info.loaded {
        return Err(Failure::not_loaded(&info.name));
    }
    for name in &request.partition_names {
        if !partition::is_loaded(&info, partition::require(&info, name)?) {
            return Err(Failure::partition_not_loaded(name));
        }
    }
    Ok(GetLoadingProgressResponse { status: None, progress: 100, refresh_progress: 100 })
}

/// Whether the collection, or each of the named partitions, is loaded.
pub async fn state(
    ctx: &Context,
    database: &str,
    request: GetLoadStateRequest,
) -> Result<GetLoadStateResponse, Failure> {
    let answer = |state: LoadState| Ok(GetLoadStateResponse { status: None, state: state.into() });
    let info = match collection::find(ctx, database, &request.collection_name, 0) {
        Ok(found) => found.info(),
        Err(e) if e.code == code::COLLECTION_NOT_FOUND => return answer(LoadState::NotExist),
        Err(e) => return Err(e),
    };
    let mut loaded = info.loaded;
    for name in &request.partition_names {
        loaded &= partition::is_loaded(&info, partition::require(&info, name)?);
    }
    answer(if loaded { LoadState::Loaded } else { LoadState::NotLoad })
}

/// The one replica of a loaded collection.
pub async fn replicas(
    ctx: &Context,
    database: &str,
    request: GetReplicasRequest,
) -> Result<GetReplicasResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    let info = found.info();
    if !info.loaded {
        return Err(Failure::not_loaded(&info.name));
    }
    let shard = |i: u32| ShardReplica {
        leader_id: NODE_ID,
        leader_addr: String::new(),
        dm_channel_name: format!("elanus-dml_{i}_{}", info.id),
        node_ids: vec![NODE_ID],
    };
    let loaded = info.partitions.iter().filter(|p| partition::is_loaded(&info, p));
    let replica = ReplicaInfo {
        replica_id: signed(info.id),
        collection_id: signed(info.id),
        partition_ids: loaded.map(|p| signed(p.id)).collect(),
        shard_replicas: (0..info.shards).map(shard).collect(),
        node_ids: vec![NODE_ID],
        resource_group_name: DEFAULT_GROUP.into(),
        num_outbound_node: Default::default(),
    };
    Ok(GetReplicasResponse { status: None, replicas: vec![replica] })
}

fn check(
    ctx: &Context,
    info: &CollectionInfo,
    replicas: i32,
    groups: &[String],
) -> Result<(), Failure> {
    let indexed = |field: &str| info.indexes.iter().any(|i| i.field == field);
    let bare: Vec<&str> =
        info.schema.searched_fields().map(|f| f.name.as_str()).filter(|f| !indexed(f)).collect();
    if !bare.is_empty() {
        let failure = Failure::no_index(&info.name);
        let reason = format!(
            "there is no vector index on field: [{}], please create index firstly: {}",
            bare.join(" "),
            failure.reason
        );
        return Err(Failure { reason, ..failure });
    }
    if let Some(group) = groups.iter().find(|group| *group != DEFAULT_GROUP) {
        resource_group::require(ctx, group)?;
        return Err(resource_group::not_enough(group, 0, 1));
    }
    if replicas > 1 {
        let reason = format!(
            "when load {replicas} replica count: service resource \
             insufficient[currentNodes=1][expectedNodes={replicas}]"
        );
        return Err(Failure::new(code::RESOURCE_INSUFFICIENT, reason));
    }
    Ok(())
}

fn check_partitions(info: &CollectionInfo, doing: &str, names: &[String]) -> Result<(), Failure> {
    if info.schema.partition_key().is_some() {
        return Err(Failure::parameter(format!(
            "disable {doing} partitions if partition key mode is used"
        )));
    }
    names.iter().try_for_each(|name| partition::require(info, name).map(|_| ()))
}
