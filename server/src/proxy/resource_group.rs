//! Resource groups, told truthfully by one node: the default group has it, all others have none.
//! Groups and what is asked of them are kept, since clients describe and compare them.

use std::collections::HashMap;

use elanus_proto::common::NodeInfo;
use elanus_proto::milvus::proto::rg::{ResourceGroupConfig, ResourceGroupLimit};
use elanus_proto::service::{
    CreateResourceGroupRequest, DescribeResourceGroupRequest, DescribeResourceGroupResponse,
    DropResourceGroupRequest, ListResourceGroupsRequest, ListResourceGroupsResponse, ResourceGroup,
    TransferNodeRequest, TransferReplicaRequest, UpdateResourceGroupsRequest,
};
use prost::Message;

use super::{collection, load};
use crate::access::names;
use crate::context::Context;
use crate::status::{Failure, code};

/// The group that has the node.
pub const DEFAULT_GROUP: &str = "__default_resource_group";
const RECORD: &str = "resource_group/";
/// What Milvus says of the default group: any number of nodes.
const MANY_NODES: i32 = 1_000_000;

fn key(name: &str) -> String {
    format!("{RECORD}{name}")
}

fn limit(node_num: i32) -> Option<ResourceGroupLimit> {
    Some(ResourceGroupLimit { node_num })
}

/// All groups and what was asked of them.
fn all(ctx: &Context) -> Result<HashMap<String, ResourceGroupConfig>, Failure> {
    let default =
        ResourceGroupConfig { requests: limit(0), limits: limit(MANY_NODES), ..Default::default() };
    let mut groups = HashMap::from([(DEFAULT_GROUP.to_string(), default)]);
    for (key, value) in ctx.engine.records(RECORD) {
        let config = ResourceGroupConfig::decode(value.as_slice()).map_err(|e| {
            Failure::new(code::DATA_INTEGRITY, format!("record {key} cannot be read: {e}"))
        })?;
        groups.insert(key.trim_start_matches(RECORD).to_string(), config);
    }
    Ok(groups)
}

fn not_found(name: &str) -> Failure {
    Failure::new(code::RESOURCE_GROUP_NOT_FOUND, format!("resource group not found[rg={name}]"))
}

/// Refuses a group that does not exist.
pub fn require(ctx: &Context, name: &str) -> Result<(), Failure> {
    if all(ctx)?.contains_key(name) { Ok(()) } else { Err(not_found(name)) }
}

fn illegal(name: &str, why: &str) -> Failure {
    let reason = format!("{why}: resource group illegal config[rg={name}]");
    Failure::new(code::RESOURCE_GROUP_CONFIG, reason)
}

fn check(
    name: &str,
    config: &ResourceGroupConfig,
    known: &HashMap<String, ResourceGroupConfig>,
) -> Result<(), Failure> {
    let (Some(requests), Some(limits)) = (&config.requests, &config.limits) else {
        return Err(illegal(name, "requests or limits is required"));
    };
    if requests.node_num < 0 || limits.node_num < 0 {
        return Err(illegal(name, "node num in `requests` or `limits` should not less than 0"));
    }
    if limits.node_num < requests.node_num {
        return Err(illegal(name, "limits node num should not less than requests node num"));
    }
    for (what, transfers) in
        [("TransferFrom", &config.transfer_from), ("TransferTo", &config.transfer_to)]
    {
        for other in transfers.iter().map(|transfer| transfer.resource_group.as_str()) {
            if other == name {
                return Err(illegal(
                    name,
                    &format!("resource group in `{what}` {other} should not be itself"),
                ));
            }
            if !known.contains_key(other) {
                return Err(illegal(
                    name,
                    &format!("resource group in `{what}` {other} not exist"),
                ));
            }
        }
    }
    Ok(())
}

/// Adds a group. Asking again for the very same one succeeds.
pub async fn create(
    ctx: &Context,
    _: &str,
    request: CreateResourceGroupRequest,
) -> Result<(), Failure> {
    let name = request.resource_group;
    let limits = &ctx.engine.settings().limits;
    names::resource_group(&name, limits.max_name_bytes)?;
    let none =
        || ResourceGroupConfig { requests: limit(0), limits: limit(0), ..Default::default() };
    let config = request.config.unwrap_or_else(none);
    let known = all(ctx)?;
    match known.get(&name) {
        Some(same) if *same == config => return Ok(()),
        Some(_) => {
            let reason = format!(
                "resource group already exist, but create with different config[rg={name}]"
            );
            return Err(Failure::new(code::RESOURCE_GROUP_EXISTS, reason));
        }
        None if known.len() >= limits.max_resource_groups => {
            let most = limits.max_resource_groups;
            let reason = format!("resource group num reach limit[rg={name}][limit={most}]");
            return Err(Failure::new(code::RESOURCE_GROUP_LIMIT, reason));
        }
        None => check(&name, &config, &known)?,
    }
    Ok(ctx.engine.change_records(vec![(key(&name), Some(config.encode_to_vec()))]).await?)
}

/// Changes what is asked of groups.
pub async fn update(
    ctx: &Context,
    _: &str,
    request: UpdateResourceGroupsRequest,
) -> Result<(), Failure> {
    if request.resource_groups.is_empty() {
        return Err(Failure::parameter("no resource groups were given to update"));
    }
    let known = all(ctx)?;
    let mut changes = Vec::new();
    for (name, config) in &request.resource_groups {
        if !known.contains_key(name) {
            return Err(not_found(name));
        }
        check(name, config, &known)?;
        changes.push((key(name), Some(config.encode_to_vec())));
    }
    Ok(ctx.engine.change_records(changes).await?)
}

/// Removes a group; one that is not there is no error.
pub async fn drop(
    ctx: &Context,
    _: &str,
    request: DropResourceGroupRequest,
) -> Result<(), Failure> {
    let name = request.resource_group;
    names::resource_group(&name, ctx.engine.settings().limits.max_name_bytes)?;
    if name == DEFAULT_GROUP {
        let why = "default resource group is not deletable";
        return Err(Failure::expected("not default resource group", &name, why));
    }
    let known = all(ctx)?;
    let Some(config) = known.get(&name) else { return Ok(()) };
    if config.limits.as_ref().is_some_and(|limits| limits.node_num != 0) {
        let why = "resource group's limits node num is not 0";
        return Err(Failure::expected("not empty resource group", &name, why));
    }
    let user = known.iter().find(|(_, config)| {
        let mut used = config.transfer_from.iter().chain(&config.transfer_to);
        used.any(|transfer| transfer.resource_group == name)
    });
    if let Some((user, _)) = user {
        let why = format!(
            "resource group {name} is used by {user}'s `TransferFrom` or `TransferTo`, remove that configuration first"
        );
        return Err(Failure::expected("a resource group that no other names", &name, &why));
    }
    Ok(ctx.engine.change_records(vec![(key(&name), None)]).await?)
}

/// The names of all groups.
pub async fn list(
    ctx: &Context,
    _: &str,
    _: ListResourceGroupsRequest,
) -> Result<ListResourceGroupsResponse, Failure> {
    let mut resource_groups: Vec<String> = all(ctx)?.into_keys().collect();
    resource_groups.sort();
    Ok(ListResourceGroupsResponse { status: None, resource_groups })
}

/// What a group is like.
pub async fn describe(
    ctx: &Context,
    _: &str,
    request: DescribeResourceGroupRequest,
) -> Result<DescribeResourceGroupResponse, Failure> {
    let name = request.resource_group;
    let config = all(ctx)?.remove(&name).ok_or_else(|| not_found(&name))?;
    let has_node = name == DEFAULT_GROUP;
    let mut group = ResourceGroup {
        capacity: match has_node {
            true => 1,
            false => config.requests.as_ref().map_or(0, |requests| requests.node_num),
        },
        num_available_node: i32::from(has_node),
        name,
        config: Some(config),
        ..Default::default()
    };
    if has_node {
        let loaded = ctx.engine.all_collections().into_iter().map(|c| c.info());
        let loaded = loaded.filter(|info| info.loaded).map(|info| (info.name, 1));
        group.num_loaded_replica = loaded.collect();
        group.nodes = vec![NodeInfo { node_id: load::NODE_ID, ..Default::default() }];
    }
    Ok(DescribeResourceGroupResponse { status: None, resource_group: Some(group) })
}

/// Code 304.
pub fn not_enough(name: &str, there: usize, wanted: i64) -> Failure {
    let reason = format!(
        "resource group node not enough[rg={name}][currentNodeNum={there}][expectedNodeNum={wanted}]"
    );
    Failure::new(code::RESOURCE_GROUP_NODES, reason)
}

fn pair(ctx: &Context, source: &str, target: &str) -> Result<(), Failure> {
    if source == target {
        return Err(Failure::parameter(format!(
            "source resource group and target resource group should not be the same, resource group: {source}"
        )));
    }
    require(ctx, source)?;
    require(ctx, target)
}

/// Moves nodes between groups: there is one node, and it stays in the default group.
pub async fn transfer_node(
    ctx: &Context,
    _: &str,
    request: TransferNodeRequest,
) -> Result<(), Failure> {
    let (source, wanted) = (&request.source_resource_group, request.num_node);
    if wanted <= 0 {
        return Err(Failure::expected("NumNode > 0", &format!("invalid NumNode {wanted}"), ""));
    }
    pair(ctx, source, &request.target_resource_group)?;
    let there = usize::from(source == DEFAULT_GROUP);
    if wanted > 1 || there == 0 {
        return Err(not_enough(source, there, wanted.into()));
    }
    Err(Failure::unsupported(
        "the only node of this server cannot leave the default resource group",
    ))
}

/// Moves replicas between groups: only the default group has a node to hold one.
pub async fn transfer_replica(
    ctx: &Context,
    database: &str,
    request: TransferReplicaRequest,
) -> Result<(), Failure> {
    let (source, target) = (&request.source_resource_group, &request.target_resource_group);
    pair(ctx, source, target)?;
    let wanted = request.num_replica;
    if wanted <= 0 {
        return Err(Failure::expected(
            "NumReplica > 0",
            &format!("invalid NumReplica {wanted}"),
            "",
        ));
    }
    let info = collection::find(ctx, database, &request.collection_name, 0)?.info();
    let there = usize::from(source == DEFAULT_GROUP && info.loaded);
    if wanted > there as i64 {
        return Err(Failure::expected(
            &format!(
                "NumReplica not greater than the number of replica in source resource group[{there}]"
            ),
            &wanted.to_string(),
            "",
        ));
    }
    Err(not_enough(target, 0, wanted))
}
