//! Giving roles privileges and taking them away, in the older form by kinds of objects and in the
//! newer by database and collection; and the groups of privileges that users make.

use elanus_proto::service::{
    CreatePrivilegeGroupRequest, DropPrivilegeGroupRequest, GrantEntity, GrantorEntity,
    ListPrivilegeGroupsRequest, ListPrivilegeGroupsResponse, ObjectEntity,
    OperatePrivilegeGroupRequest, OperatePrivilegeGroupType, OperatePrivilegeRequest,
    OperatePrivilegeType, OperatePrivilegeV2Request, PrivilegeEntity, PrivilegeGroupInfo,
    RoleEntity, SelectGrantRequest, SelectGrantResponse, UserEntity,
};

use super::names;
use crate::access::state::{ANY, Grant, ROOT};
use crate::access::{caller, groups, privileges, roles};
use crate::context::Context;
use crate::status::Failure;

fn most_bytes(ctx: &Context) -> usize {
    ctx.engine.settings().limits.max_name_bytes
}

fn nil(what: &str) -> Failure {
    Failure::parameter(format!("{what} is nil"))
}

/// Who gives: the caller, or root where nobody has to say who he is.
fn grantor() -> String {
    caller::current().unwrap_or_else(|| ROOT.to_string())
}

async fn operate(ctx: &Context, kind: i32, role: &str, grant: &Grant) -> Result<(), Failure> {
    match OperatePrivilegeType::try_from(kind) {
        Ok(OperatePrivilegeType::Grant) => {
            ctx.access.change(|state| state.grant(role, grant)).await
        }
        Ok(OperatePrivilegeType::Revoke) => {
            ctx.access.change(|state| state.revoke(role, grant)).await
        }
        Err(_) => Err(Failure::parameter("the type in the request not grant or revoke")),
    }
}

/// Gives or takes a privilege on an object of some kind.
pub async fn operate_old(
    ctx: &Context,
    database: &str,
    request: OperatePrivilegeRequest,
) -> Result<(), Failure> {
    let most = most_bytes(ctx);
    let entity = request.entity.ok_or_else(|| nil("the entity in the request"))?;
    let given = entity.grantor.ok_or_else(|| nil("the grantor entity in the grant entity"))?;
    let given = given.privilege.ok_or_else(|| nil("the privilege entity in the grantor entity"))?;
    let privilege = given.name;
    roles::check_object("Privilege", &privilege, most)?;
    let object = entity.object.ok_or_else(|| nil("the resource entity in the grant entity"))?.name;
    roles::check_object("ObjectType", &object, most)?;
    roles::check_object("object name", &entity.object_name, most)?;
    let role = entity.role.ok_or_else(|| nil("the object entity in the grant entity"))?.name;
    roles::check_name(&role, most)?;
    roles::check_kind(&object)?;
    let state = ctx.access.state();
    state.role(&role)?;
    state.check_old(&privilege, &object)?;
    let database = if entity.db_name.is_empty() { database } else { &entity.db_name }.to_string();
    let name = match object.as_str() {
        "Global" => ANY.to_string(),
        "Collection" => real_name(ctx, &database, entity.object_name),
        _ => entity.object_name,
    };
    let grant = Grant { object, database, name, privilege, grantor: grantor() };
    operate(ctx, request.r#type, &role, &grant).await
}

/// Gives or takes a privilege in a database or on a collection.
pub async fn operate_new(
    ctx: &Context,
    database: &str,
    request: OperatePrivilegeV2Request,
) -> Result<(), Failure> {
    let most = most_bytes(ctx);
    let role = request.role.ok_or_else(|| nil("the role in the request"))?.name;
    roles::check_name(&role, most)?;
    let given = request.grantor.and_then(|grantor| grantor.privilege);
    let privilege = given.ok_or_else(|| nil("the privilege in the request"))?.name;
    roles::check_object("Privilege", &privilege, most)?;
    let database = if request.db_name.is_empty() { database } else { &request.db_name }.to_string();
    if database != ANY {
        names::database(&database, most)?;
    }
    let collection = request.collection_name;
    roles::check_object("collection name", &collection, most)?;
    let state = ctx.access.state();
    state.role(&role)?;
    state.check_new(&privilege, &database, &collection)?;
    let object = privileges::object_of(&privilege).to_string();
    let name = real_name(ctx, &database, collection);
    let grant = Grant { object, database, name, privilege, grantor: grantor() };
    operate(ctx, request.r#type, &role, &grant).await
}

/// The name of the collection that an alias stands for; anything else as it is.
fn real_name(ctx: &Context, database: &str, name: String) -> String {
    ctx.engine.collection(database, &name).map_or(name, |found| found.name())
}

/// What a role may do.
pub async fn select(
    ctx: &Context,
    database: &str,
    request: SelectGrantRequest,
) -> Result<SelectGrantResponse, Failure> {
    let most = most_bytes(ctx);
    let entity = request.entity.ok_or_else(|| nil("the grant entity in the request"))?;
    let database = if entity.db_name.is_empty() { database } else { &entity.db_name }.to_string();
    let mut object = None;
    if let Some(kind) = &entity.object {
        roles::check_object("ObjectType", &kind.name, most)?;
        roles::check_object("object name", &entity.object_name, most)?;
        roles::check_kind(&kind.name)?;
        object = Some((kind.name.clone(), real_name(ctx, &database, entity.object_name)));
    }
    let role = entity.role.ok_or_else(|| nil("the role entity in the grant entity"))?.name;
    roles::check_name(&role, most)?;
    let wanted = object.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
    let grants = ctx.access.state().grants(&role, &database, wanted)?;
    let entities = grants.into_iter().map(|grant| to_wire(&role, grant)).collect();
    Ok(SelectGrantResponse { status: None, entities })
}

fn to_wire(role: &str, grant: Grant) -> GrantEntity {
    GrantEntity {
        role: Some(RoleEntity { name: role.to_string(), ..Default::default() }),
        object: Some(ObjectEntity { name: grant.object }),
        object_name: grant.name,
        grantor: Some(GrantorEntity {
            user: Some(UserEntity { name: grant.grantor }),
            privilege: Some(PrivilegeEntity { name: grant.privilege }),
        }),
        db_name: grant.database,
    }
}

/// Adds a group of privileges.
pub async fn create_group(
    ctx: &Context,
    _: &str,
    request: CreatePrivilegeGroupRequest,
) -> Result<(), Failure> {
    groups::check_name(&request.group_name, most_bytes(ctx))?;
    ctx.access.change(|state| state.create_group(&request.group_name)).await
}

/// Removes a group of privileges.
pub async fn drop_group(
    ctx: &Context,
    _: &str,
    request: DropPrivilegeGroupRequest,
) -> Result<(), Failure> {
    groups::check_name(&request.group_name, most_bytes(ctx))?;
    ctx.access.change(|state| state.drop_group(&request.group_name)).await
}

/// Puts privileges into a group or takes them out.
pub async fn alter_group(
    ctx: &Context,
    _: &str,
    request: OperatePrivilegeGroupRequest,
) -> Result<(), Failure> {
    let most = most_bytes(ctx);
    groups::check_name(&request.group_name, most)?;
    let given: Vec<String> = request.privileges.into_iter().map(|p| p.name).collect();
    given.iter().try_for_each(|name| roles::check_object("Privilege", name, most))?;
    let add = match OperatePrivilegeGroupType::try_from(request.r#type) {
        Ok(kind) => kind == OperatePrivilegeGroupType::AddPrivilegesToGroup,
        Err(_) => return Err(Failure::parameter("invalid operate privilege group type")),
    };
    ctx.access.change(|state| state.alter_group(&request.group_name, &given, add)).await
}

/// The groups that users made, and those that are always there.
pub async fn list_groups(
    ctx: &Context,
    _: &str,
    _: ListPrivilegeGroupsRequest,
) -> Result<ListPrivilegeGroupsResponse, Failure> {
    let state = ctx.access.state();
    let info = |name: &str, privileges: Vec<&str>| PrivilegeGroupInfo {
        group_name: name.to_string(),
        privileges: privileges.into_iter().map(|p| PrivilegeEntity { name: p.into() }).collect(),
    };
    let own = state.groups.iter();
    let own = own.map(|(name, group)| info(name, group.iter().map(String::as_str).collect()));
    let builtin = privileges::builtin_groups().into_iter().map(|(name, group)| info(name, group));
    Ok(ListPrivilegeGroupsResponse { status: None, privilege_groups: own.chain(builtin).collect() })
}
