//! Databases.

use elanus_engine::api::DatabaseInfo;
use elanus_engine::core::error::{Error, ErrorKind, Subject};
use elanus_proto::service::{
    AlterDatabaseRequest, CreateDatabaseRequest, DescribeDatabaseRequest, DescribeDatabaseResponse,
    DropDatabaseRequest, ListDatabasesRequest, ListDatabasesResponse,
};

use super::names;
use crate::context::{Context, DEFAULT_DATABASE, signed};
use crate::convert::{params, timezone};
use crate::status::Failure;

/// Creates a database.
pub async fn create(ctx: &Context, _: &str, request: CreateDatabaseRequest) -> Result<(), Failure> {
    let name = &request.db_name;
    names::database(name, ctx.engine.settings().limits.max_name_bytes)?;
    timezone::check(&params::to_map(&request.properties))?;
    let created = ctx.engine.create_database(name, params::to_map(&request.properties)).await;
    created.map_err(|e| match (e.kind, e.subject) {
        (ErrorKind::AlreadyExists, Subject::Database) => {
            Failure::parameter(format!("database already exist: {name}"))
        }
        _ => e.into(),
    })
}

/// Drops an empty database; one that is not there counts as dropped.
pub async fn drop(ctx: &Context, _: &str, request: DropDatabaseRequest) -> Result<(), Failure> {
    let name = &request.db_name;
    names::database(name, ctx.engine.settings().limits.max_name_bytes)?;
    if name == DEFAULT_DATABASE {
        return Err(Failure::parameter("can not drop default database"));
    }
    match ctx.engine.drop_database(name).await {
        Ok(()) => Ok(()),
        Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind == ErrorKind::FailedPrecondition => Err(Failure::parameter(format!(
            "database:{name} not empty, must drop all collections before drop database"
        ))),
        Err(e) => Err(e.into()),
    }
}

/// Lists the databases that the caller may see.
pub async fn list(
    ctx: &Context,
    _: &str,
    _: ListDatabasesRequest,
) -> Result<ListDatabasesResponse, Failure> {
    let visible = ctx.visible_databases();
    let mut databases = ctx.engine.databases();
    databases.retain(|database| visible.shows(&database.name));
    Ok(ListDatabasesResponse {
        status: None,
        db_names: databases.iter().map(|d| d.name.clone()).collect(),
        created_timestamp: databases.iter().map(|d| d.created_ts).collect(),
        db_ids: databases.iter().map(|d| signed(d.id)).collect(),
    })
}

/// Sets or removes properties.
pub async fn alter(
    ctx: &Context,
    database: &str,
    request: AlterDatabaseRequest,
) -> Result<(), Failure> {
    let info = find(ctx, database)?;
    if request.properties.is_empty() && request.delete_keys.is_empty() {
        return Err(Failure::parameter(
            "alter database with empty properties and delete keys, expected to set either \
             properties or delete keys ",
        ));
    }
    let set = params::to_map(&request.properties);
    timezone::check(&set)?;
    Ok(ctx.engine.alter_database(&info.name, set, request.delete_keys).await?)
}

/// Describes a database.
pub async fn describe(
    ctx: &Context,
    database: &str,
    _: DescribeDatabaseRequest,
) -> Result<DescribeDatabaseResponse, Failure> {
    let info = find(ctx, database)?;
    Ok(DescribeDatabaseResponse {
        status: None,
        db_id: signed(info.id),
        created_timestamp: info.created_ts,
        properties: params::to_pairs(&info.properties),
        db_name: info.name,
    })
}

fn find(ctx: &Context, name: &str) -> Result<DatabaseInfo, Failure> {
    ctx.engine.database(name).map_err(|e: Error| match e.kind {
        ErrorKind::NotFound => Failure::database_not_found(name),
        _ => e.into(),
    })
}
