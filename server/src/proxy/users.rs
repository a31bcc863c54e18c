//! Users: who they are and which roles they have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elanus_proto::service::{
    CreateCredentialRequest, DeleteCredentialRequest, ListCredUsersRequest, ListCredUsersResponse,
    RoleEntity, SelectUserRequest, SelectUserResponse, UpdateCredentialRequest, UserEntity,
    UserResult,
};

use crate::access::state::User;
use crate::access::{caller, users};
use crate::context::Context;
use crate::status::Failure;

fn decoded(given: &str, what: &str) -> Result<String, Failure> {
    let bad = |why: String| Failure::parameter(format!("decode {what} fail: {why}"));
    let bytes = STANDARD.decode(given).map_err(|e| bad(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| bad(e.to_string()))
}

/// Adds a user.
pub async fn create(
    ctx: &Context,
    _: &str,
    request: CreateCredentialRequest,
) -> Result<(), Failure> {
    let description = request.description.unwrap_or_default();
    users::check(&request.username, &description)?;
    let password = decoded(&request.password, "password")?;
    let settings = ctx.access.settings();
    users::check_password(&password, settings)?;
    let (hashed, most) = (users::hash(password).await?, settings.max_users);
    let name = request.username;
    ctx.access.change(|state| state.create_user(&name, hashed, description, most)).await
}

/// Gives a user another password, or other words about him.
pub async fn update(
    ctx: &Context,
    _: &str,
    request: UpdateCredentialRequest,
) -> Result<(), Failure> {
    let name = request.username;
    users::check(&name, request.description.as_deref().unwrap_or_default())?;
    if request.new_password.is_empty() && request.description.is_none() {
        return Err(Failure::parameter("must update either password or description"));
    }
    let mut hashed = None;
    if !request.new_password.is_empty() {
        let old = decoded(&request.old_password, "old password")?;
        let new = decoded(&request.new_password, "password")?;
        users::check_password(&new, ctx.access.settings())?;
        if !is_super(ctx) && !ctx.access.verifies(&name, old).await {
            return Err(users::not_authenticated(&format!("old password not correct for {name}")));
        }
        hashed = Some(users::hash(new).await?);
    }
    ctx.access.change(|state| state.update_user(&name, hashed, request.description)).await
}

/// Whether the caller may set passwords without knowing the old ones.
fn is_super(ctx: &Context) -> bool {
    let settings = ctx.access.settings();
    let listed = |user: String| settings.super_users.split(',').any(|name| name.trim() == user);
    settings.enabled && caller::current().is_some_and(listed)
}

/// Removes a user.
pub async fn delete(
    ctx: &Context,
    _: &str,
    request: DeleteCredentialRequest,
) -> Result<(), Failure> {
    ctx.access.change(|state| state.delete_user(&request.username)).await
}

/// The names of all users.
pub async fn list(
    ctx: &Context,
    _: &str,
    _: ListCredUsersRequest,
) -> Result<ListCredUsersResponse, Failure> {
    let usernames = ctx.access.state().users.keys().cloned().collect();
    Ok(ListCredUsersResponse { status: None, usernames })
}

/// One user or all; one that is not there is no error.
pub async fn select(
    ctx: &Context,
    _: &str,
    request: SelectUserRequest,
) -> Result<SelectUserResponse, Failure> {
    let state = ctx.access.state();
    let result = |(name, user): (&String, &User)| UserResult {
        user: Some(UserEntity { name: name.clone() }),
        roles: match request.include_role_info {
            true => user.roles.iter().map(|name| named(name)).collect(),
            false => Vec::new(),
        },
        description: user.description.clone(),
    };
    let results = match &request.user {
        None => state.users.iter().map(result).collect(),
        Some(one) => {
            users::check(&one.name, "")?;
            state.users.get_key_value(&one.name).map(result).into_iter().collect()
        }
    };
    Ok(SelectUserResponse { status: None, results })
}

fn named(name: &str) -> RoleEntity {
    RoleEntity { name: name.to_string(), ..Default::default() }
}
