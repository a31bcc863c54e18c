//! Indexes.

use elanus_engine::api::{Collection, CollectionInfo, IndexInfo};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::schema::{DYNAMIC_FIELD, DataType, FieldSchema};
use elanus_proto::common::IndexState;
use elanus_proto::service::{
    AlterIndexRequest, CreateIndexRequest, DescribeIndexRequest, DescribeIndexResponse,
    DropIndexRequest, GetIndexBuildProgressRequest, GetIndexBuildProgressResponse,
    GetIndexStateRequest, GetIndexStateResponse, GetIndexStatisticsRequest,
    GetIndexStatisticsResponse, IndexDescription,
};

use super::index_params::meaning;
use super::{collection, index_params, names};
use crate::context::{Context, signed};
use crate::convert::params;
use crate::status::Failure;

/// Creates an index. Asking again for the very same one succeeds.
pub async fn create(
    ctx: &Context,
    database: &str,
    request: CreateIndexRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    let field = indexed_field(&info, &request.field_name)?;
    let wanted = index_params::complete(&field, params::flatten(&request.extra_params)?)?;
    let max = ctx.engine.settings().limits.max_name_bytes;
    let siblings = siblings(&info, &field, &wanted);
    let name = match (request.index_name, siblings.as_slice()) {
        (name, _) if !name.is_empty() => {
            names::index(&name, max)?;
            name
        }
        (_, [one]) => one.name.clone(),
        _ => default_name(&request.field_name, wanted.get("json_path")),
    };
    if let Some(same) = info.indexes.iter().find(|i| i.name == name) {
        if same.field == field.name && same.params == wanted {
            return Ok(());
        }
        return Err(Failure::parameter("at most one distinct index is allowed per field"));
    }
    if !siblings.is_empty() {
        return Err(Failure::parameter(
            "CreateIndex failed: creating multiple indexes on same field is not supported",
        ));
    }
    found.create_index(&field.name, &name, wanted).await.map_err(|e| match e.kind {
        ErrorKind::AlreadyExists => {
            Failure::parameter("at most one distinct index is allowed per field")
        }
        _ => e.into(),
    })
}

/// Indexes on the same field, for JSON on the same path.
fn siblings<'a>(
    info: &'a CollectionInfo,
    field: &FieldSchema,
    wanted: &index_params::Params,
) -> Vec<&'a IndexInfo> {
    let same = |i: &&IndexInfo| {
        i.field == field.name && i.params.get("json_path") == wanted.get("json_path")
    };
    info.indexes.iter().filter(same).collect()
}

/// The field of that name; a name that the schema lacks lives in the dynamic field, if there is one.
fn indexed_field(info: &CollectionInfo, name: &str) -> Result<FieldSchema, Failure> {
    match info.schema.field(name) {
        Ok(field) => Ok(field.clone()),
        Err(_) if info.schema.enable_dynamic_field => {
            Ok(FieldSchema::new(DYNAMIC_FIELD, DataType::Json))
        }
        Err(_) => {
            Err(Failure::parameter(format!("cannot create index on non-exist field: {name}")))
        }
    }
}

fn default_name(field: &str, json_path: Option<&String>) -> String {
    match json_path {
        Some(path) if path != field => format!("{field}{path}"),
        _ => field.to_string(),
    }
}

/// Drops an index; one that is not there counts as dropped.
pub async fn drop(ctx: &Context, database: &str, request: DropIndexRequest) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    let doomed: Vec<&IndexInfo> = info
        .indexes
        .iter()
        .filter(|i| is_meant(i, &request.index_name, &request.field_name))
        .collect();
    let of_vector = |i: &&IndexInfo| info.schema.searched_fields().any(|f| f.name == i.field);
    if info.loaded && doomed.iter().any(of_vector) {
        return Err(Failure::parameter(format!(
            "vector index cannot be dropped on loaded collection: {}",
            info.id
        )));
    }
    for index in doomed {
        match found.drop_index(&index.name).await {
            Ok(()) => {}
            Err(e) if e.kind == ErrorKind::NotFound => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Changes hints of an index.
pub async fn alter(
    ctx: &Context,
    database: &str,
    request: AlterIndexRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    let set = params::flatten(&request.extra_params)?;
    if request.index_name.is_empty() {
        return Err(Failure::parameter("index name is empty"));
    }
    if set.is_empty() && request.delete_keys.is_empty() {
        return Err(Failure::parameter("no properties or delete keys provided"));
    }
    index_params::check_alterable(set.keys().chain(&request.delete_keys))?;
    if info.loaded {
        return Err(Failure::loaded(
            &info.name,
            "can't alter index on loaded collection, please release the collection first",
        ));
    }
    let index = named(&info, &request.index_name)?;
    let mut changed = index.params.clone();
    changed.extend(set.clone());
    index_params::check_altered(&indexed_field(&info, &index.field)?.data_type, &changed)?;
    Ok(found.alter_index(&request.index_name, set, request.delete_keys).await?)
}

/// Describes the indexes, or that of a name or field. None at all is code 700.
pub async fn describe(
    ctx: &Context,
    database: &str,
    request: DescribeIndexRequest,
) -> Result<DescribeIndexResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let index_descriptions = descriptions(&found, &request.index_name, &request.field_name)?;
    Ok(DescribeIndexResponse { status: None, index_descriptions })
}

/// As [`describe`], for older clients.
pub async fn statistics(
    ctx: &Context,
    database: &str,
    request: GetIndexStatisticsRequest,
) -> Result<GetIndexStatisticsResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let index_descriptions = descriptions(&found, &request.index_name, "")?;
    Ok(GetIndexStatisticsResponse { status: None, index_descriptions })
}

/// The state of an index: a segment is published with its indexes, so there is nothing to wait for.
pub async fn state(
    ctx: &Context,
    database: &str,
    request: GetIndexStateRequest,
) -> Result<GetIndexStateResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    descriptions(&found, &request.index_name, &request.field_name)?;
    let state = IndexState::Finished.into();
    Ok(GetIndexStateResponse { status: None, state, fail_reason: String::new() })
}

/// Rows with and without index.
pub async fn build_progress(
    ctx: &Context,
    database: &str,
    request: GetIndexBuildProgressRequest,
) -> Result<GetIndexBuildProgressResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let one = descriptions(&found, &request.index_name, &request.field_name)?;
    let total_rows = one.first().map(|d| d.total_rows).unwrap_or_default();
    Ok(GetIndexBuildProgressResponse { status: None, indexed_rows: total_rows, total_rows })
}

fn descriptions(
    found: &Collection,
    name: &str,
    field: &str,
) -> Result<Vec<IndexDescription>, Failure> {
    let info = found.info();
    let rows = signed(found.stats().segments.iter().map(|s| s.rows).sum());
    let all: Vec<_> = info
        .indexes
        .iter()
        .filter(|i| is_meant(i, name, field))
        .map(|i| description(i, &info, rows, !name.is_empty()))
        .collect();
    match all.as_slice() {
        [] if name.is_empty() => Err(Failure::no_index(&info.name)),
        [] => Err(Failure::index_not_found(name)),
        _ => Ok(all),
    }
}

/// As in Milvus, rows that are not in a segment yet do not count. The parameters are those that were
/// given and, if the index was asked for by name, what it is here: pymilvus's older classes list all
/// indexes and take their parameters for those that were given.
fn description(
    index: &IndexInfo,
    info: &CollectionInfo,
    rows: i64,
    by_name: bool,
) -> IndexDescription {
    let mut pairs = params::to_pairs(&index.params);
    if let (true, Ok(field)) = (by_name, info.schema.field(&index.field)) {
        pairs.extend(params::to_pairs(&meaning::shown(index, &field.data_type)));
    }
    IndexDescription {
        index_name: index.name.clone(),
        index_id: signed(index.id),
        params: pairs,
        field_name: index.field.clone(),
        indexed_rows: rows,
        total_rows: rows,
        state: IndexState::Finished.into(),
        ..Default::default()
    }
}

/// An index is meant by its name, else by its field; neither means all.
fn is_meant(index: &IndexInfo, name: &str, field: &str) -> bool {
    match (name, field) {
        ("", "") => true,
        ("", field) => index.field == field,
        (name, _) => index.name == name,
    }
}

fn named<'a>(info: &'a CollectionInfo, name: &str) -> Result<&'a IndexInfo, Failure> {
    info.indexes.iter().find(|i| i.name == name).ok_or_else(|| Failure::index_not_found(name))
}
