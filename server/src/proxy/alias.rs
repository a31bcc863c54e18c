//! Aliases: further names of a collection.

use elanus_engine::core::error::ErrorKind;
use elanus_proto::service::{
    AlterAliasRequest, CreateAliasRequest, DescribeAliasRequest, DescribeAliasResponse,
    DropAliasRequest, ListAliasesRequest, ListAliasesResponse,
};

use super::names;
use crate::context::{Context, absent};
use crate::status::{Failure, code};

/// Gives a collection one more name.
pub async fn create(
    ctx: &Context,
    database: &str,
    request: CreateAliasRequest,
) -> Result<(), Failure> {
    let CreateAliasRequest { collection_name: collection, alias, .. } = request;
    check_names(ctx, &collection, &alias)?;
    require_collection(ctx, database, &collection)?;
    match target(ctx, database, &alias)? {
        Some(other) if other == collection => return Ok(()),
        Some(other) => return Err(taken(database, &alias, &other)),
        None => require_free(ctx, database, &alias)?,
    }
    Ok(ctx.engine.create_alias(database, &collection, &alias).await?)
}

/// Points an alias to another collection.
pub async fn alter(
    ctx: &Context,
    database: &str,
    request: AlterAliasRequest,
) -> Result<(), Failure> {
    let AlterAliasRequest { collection_name: collection, alias, .. } = request;
    check_names(ctx, &collection, &alias)?;
    if target(ctx, database, &alias)?.is_none() {
        require_free(ctx, database, &alias)?;
        return Err(Failure::alias_not_found(database, &alias));
    }
    ctx.collection(database, &collection).map_err(|e| match e.code {
        code::COLLECTION_NOT_FOUND => {
            Failure::new(e.code, format!("collection not found[collection={collection}]"))
        }
        _ => e,
    })?;
    Ok(ctx.engine.alter_alias(database, &collection, &alias).await?)
}

/// Removes an alias; one that is not there counts as removed.
pub async fn drop(ctx: &Context, database: &str, request: DropAliasRequest) -> Result<(), Failure> {
    let alias = &request.alias;
    names::alias(alias, ctx.engine.settings().limits.max_name_bytes)?;
    if target(ctx, database, alias)?.is_none() {
        require_free(ctx, database, alias)?;
        return Ok(());
    }
    Ok(ctx.engine.drop_alias(database, alias).await?)
}

/// Tells the collection behind an alias.
pub async fn describe(
    ctx: &Context,
    database: &str,
    request: DescribeAliasRequest,
) -> Result<DescribeAliasResponse, Failure> {
    let alias = request.alias;
    names::alias(&alias, ctx.engine.settings().limits.max_name_bytes)?;
    let collection =
        target(ctx, database, &alias)?.ok_or_else(|| Failure::alias_not_found(database, &alias))?;
    Ok(DescribeAliasResponse { status: None, db_name: database.into(), alias, collection })
}

/// Lists the aliases of a collection, or of a database when none is named.
pub async fn list(
    ctx: &Context,
    database: &str,
    request: ListAliasesRequest,
) -> Result<ListAliasesResponse, Failure> {
    let name = request.collection_name;
    let of = match name.as_str() {
        "" => None,
        name => {
            names::collection(name, ctx.engine.settings().limits.max_name_bytes)?;
            Some(ctx.collection(database, name)?.name())
        }
    };
    let all = ctx.engine.aliases(database).map_err(|e| absent(e, database, &name))?;
    let wanted = |collection: &String| of.as_ref().is_none_or(|name| name == collection);
    let aliases = all.into_iter().filter(|(_, c)| wanted(c)).map(|(alias, _)| alias).collect();
    Ok(ListAliasesResponse {
        status: None,
        db_name: database.into(),
        collection_name: name,
        aliases,
    })
}

/// The collection behind an alias, if there is such an alias.
pub fn target(ctx: &Context, database: &str, alias: &str) -> Result<Option<String>, Failure> {
    let all = ctx.engine.aliases(database).map_err(|e| absent(e, database, ""))?;
    Ok(all.into_iter().find(|(name, _)| name == alias).map(|(_, collection)| collection))
}

fn check_names(ctx: &Context, collection: &str, alias: &str) -> Result<(), Failure> {
    let max = ctx.engine.settings().limits.max_name_bytes;
    names::collection(collection, max)?;
    names::alias(alias, max)
}

/// An alias of an alias is refused.
fn require_collection(ctx: &Context, database: &str, name: &str) -> Result<(), Failure> {
    let found = ctx.collection(database, name)?;
    if found.name() == name { Ok(()) } else { Err(Failure::collection_not_found(database, name)) }
}

/// The name must not be a collection's.
fn require_free(ctx: &Context, database: &str, alias: &str) -> Result<(), Failure> {
    match ctx.engine.collection(database, alias) {
        Ok(_) => Err(Failure::alias_conflict(database, alias)),
        Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn taken(database: &str, alias: &str, collection: &str) -> Failure {
    let reason = format!(
        "{alias} is alias to another collection: {collection}: alias already \
         exist[database={database}][alias={alias}]"
    );
    Failure::new(code::ALIAS_EXISTS, reason)
}
