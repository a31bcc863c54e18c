//! The door: who is calling, and whether he may.

use std::any::Any;

use elanus_proto::guards::Guarded;
use elanus_proto::service::{RenameCollectionRequest, SelectGrantRequest};
use tonic::metadata::MetadataMap;

use crate::access::permit::{Demand, denial, permits};
use crate::access::state::ANY;
use crate::context::Context;

/// The user of a call that may go on; none where nobody has to say who he is.
///
/// # Errors
/// `UNAUTHENTICATED` for a wrong login and `PERMISSION_DENIED` for a missing privilege: errors of the
/// call, not of the answer, since clients know these not to be worth another try.
pub async fn admit<R: Guarded>(
    ctx: &Context,
    metadata: &MetadataMap,
    database: &str,
    request: &R,
) -> Result<Option<String>, tonic::Status> {
    let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
    let user = ctx.access.login(header).await;
    let user = user.map_err(|refused| tonic::Status::unauthenticated(refused.0))?;
    if let (true, Some(user)) = (ctx.access.settings().enabled, &user) {
        permit(ctx, user, database, request)?;
    }
    Ok(user)
}

fn permit<R: Guarded>(
    ctx: &Context,
    user: &str,
    database: &str,
    request: &R,
) -> Result<(), tonic::Status> {
    let Some(guard) = request.guard() else { return Ok(()) };
    let database = if moves_between_databases(request, database) { ANY } else { database };
    let real = |name: &str| {
        ctx.engine.collection(database, name).map_or_else(|_| name.to_string(), |c| c.name())
    };
    let demand = Demand::of(&guard, database, real);
    let state = ctx.access.state();
    if permits(&state, user, &demand) {
        return Ok(());
    }
    let own_role = |role: &str| state.roles_of(user).contains(&role);
    if asked_role(request).is_some_and(own_role) {
        return Ok(());
    }
    let words = denial(&demand, user);
    tracing::info!(user, words, "permission denied");
    Err(tonic::Status::permission_denied(words))
}

/// A collection may leave its database only with a privilege for all databases.
fn moves_between_databases(request: &dyn Any, database: &str) -> bool {
    let rename = request.downcast_ref::<RenameCollectionRequest>();
    rename.is_some_and(|r| !r.new_db_name.is_empty() && r.new_db_name != database)
}

/// The role whose privileges are asked for: everybody may ask for those of his own.
fn asked_role(request: &dyn Any) -> Option<&str> {
    let entity = request.downcast_ref::<SelectGrantRequest>()?.entity.as_ref()?;
    Some(entity.role.as_ref()?.name.as_str())
}
