//! Roles: what there are, and who has them.

use elanus_proto::service::{
    AlterRoleRequest, CreateRoleRequest, DropRoleRequest, OperateUserRoleRequest,
    OperateUserRoleType, RoleEntity, RoleResult, SelectRoleRequest, SelectRoleResponse, UserEntity,
};

use crate::access::state::{Role, State};
use crate::access::{roles, users};
use crate::context::Context;
use crate::status::Failure;

fn most_bytes(ctx: &Context) -> usize {
    ctx.engine.settings().limits.max_name_bytes
}

/// Adds a role.
pub async fn create(ctx: &Context, _: &str, request: CreateRoleRequest) -> Result<(), Failure> {
    let role = request.entity.unwrap_or_default();
    roles::check_name(&role.name, most_bytes(ctx))?;
    roles::check_description(&role.description)?;
    let most = ctx.access.settings().max_roles;
    ctx.access.change(|state| state.create_role(&role.name, role.description, most)).await
}

/// Gives a role other words.
pub async fn alter(ctx: &Context, _: &str, request: AlterRoleRequest) -> Result<(), Failure> {
    roles::check_name(&request.role_name, most_bytes(ctx))?;
    roles::check_description(&request.description)?;
    ctx.access.change(|state| state.alter_role(&request.role_name, request.description)).await
}

/// Removes a role.
pub async fn drop(ctx: &Context, _: &str, request: DropRoleRequest) -> Result<(), Failure> {
    roles::check_name(&request.role_name, most_bytes(ctx))?;
    ctx.access.change(|state| state.drop_role(&request.role_name, request.force_drop)).await
}

/// Gives a user a role or takes it away.
pub async fn operate(
    ctx: &Context,
    _: &str,
    request: OperateUserRoleRequest,
) -> Result<(), Failure> {
    users::check(&request.username, "")?;
    roles::check_name(&request.role_name, most_bytes(ctx))?;
    let (user, role) = (&request.username, &request.role_name);
    match OperateUserRoleType::try_from(request.r#type) {
        Ok(OperateUserRoleType::AddUserToRole) => {
            ctx.access.change(|state| state.bind(user, role)).await
        }
        Ok(OperateUserRoleType::RemoveUserFromRole) => {
            ctx.access.change(|state| state.unbind(user, role)).await
        }
        Err(_) => Err(Failure::parameter("invalid operate user role type")),
    }
}

/// One role or all; one that is not there is no error.
pub async fn select(
    ctx: &Context,
    _: &str,
    request: SelectRoleRequest,
) -> Result<SelectRoleResponse, Failure> {
    let state = ctx.access.state();
    let result = |(name, role): (&String, &Role)| RoleResult {
        role: Some(RoleEntity { name: name.clone(), description: role.description.clone() }),
        users: if request.include_user_info { holders(&state, name) } else { Vec::new() },
    };
    let results = match &request.role {
        None => state.roles.iter().map(result).collect(),
        Some(one) => {
            roles::check_name(&one.name, most_bytes(ctx))?;
            state.roles.get_key_value(&one.name).map(result).into_iter().collect()
        }
    };
    Ok(SelectRoleResponse { status: None, results })
}

fn holders(state: &State, role: &str) -> Vec<UserEntity> {
    let held = state.users.iter().filter(|(_, user)| user.roles.contains(role));
    held.map(|(name, _)| UserEntity { name: name.clone() }).collect()
}
