//! Creating, changing and dropping collections.

use std::collections::BTreeMap;

use elanus_engine::api::{Collection, CollectionInfo, NewCollection};
use elanus_engine::core::error::{ErrorKind, Subject};
use elanus_engine::core::schema::{CollectionSchema, FieldSchema};
use elanus_engine::core::settings::LimitSettings;
use elanus_proto::common::ConsistencyLevel;
use elanus_proto::schema;
use elanus_proto::service::{
    AddCollectionFieldRequest, AlterCollectionRequest, CreateCollectionRequest,
    DropCollectionRequest, RenameCollectionRequest, TruncateCollectionRequest,
    TruncateCollectionResponse,
};
use prost::Message;

use super::properties::{Changes, check_ttl};
use super::{alias, isolation, names, schema_limits};
use crate::access::State;
use crate::context::{Context, absent};
use crate::convert::{self, params, timezone};
use crate::status::Failure;

/// Creates a collection. Asking again for the very same one succeeds.
pub async fn create(
    ctx: &Context,
    database: &str,
    request: CreateCollectionRequest,
) -> Result<(), Failure> {
    let name = request.collection_name.clone();
    let limits = &ctx.engine.settings().limits;
    names::collection(&name, limits.max_name_bytes)?;
    let new = new_collection(ctx, database, request)?;
    if alias::target(ctx, database, &name)?.is_some() {
        let conflict = Failure::alias_conflict(database, &name);
        let reason = format!("please choose a unique name: {}", conflict.reason);
        return Err(Failure { reason, ..conflict });
    }
    if let Ok(existing) = ctx.engine.collection(database, &name) {
        return same(&existing.info(), &new);
    }
    let again = new.clone();
    match ctx.engine.create_collection(database, new).await {
        Ok(_) => Ok(()),
        Err(e) if e.kind == ErrorKind::AlreadyExists && e.subject == Subject::Collection => {
            same(&ctx.collection(database, &name)?.info(), &again)
        }
        Err(e) => Err(absent(e, database, &name)),
    }
}

fn new_collection(
    ctx: &Context,
    database: &str,
    request: CreateCollectionRequest,
) -> Result<NewCollection, Failure> {
    let limits = &ctx.engine.settings().limits;
    let properties = with_timezone(ctx, database, params::to_map(&request.properties))?;
    let mut wire = schema::CollectionSchema::decode(request.schema.as_slice())
        .map_err(|e| Failure::parameter(format!("failed to read the schema: {e}")))?;
    if !wire.name.is_empty() && wire.name != request.collection_name {
        return Err(Failure::expected(
            "collection name matches schema name",
            "don't match",
            &format!("collection name = {}, schema.Name={}", request.collection_name, wire.name),
        ));
    }
    for field in &mut wire.fields {
        timezone::read_default(field, timezone::of_properties(&properties))?;
    }
    let schema = convert::schema::from_wire(&wire)?;
    schema_limits::check(&schema, limits)?;
    check_ttl(&properties, &Default::default(), &schema)?;
    isolation::check_new(&schema, &request.collection_name, &properties)?;
    Ok(NewCollection {
        shards: shards(request.shards_num, limits)?,
        consistency_level: consistency_level(request.consistency_level)?,
        partitions: partitions(request.num_partitions, &schema, limits)?,
        name: request.collection_name,
        schema,
        properties,
    })
}

/// A collection takes the time zone of its database, once and for all, if it names none.
fn with_timezone(
    ctx: &Context,
    database: &str,
    mut properties: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    timezone::check(&properties)?;
    if !properties.contains_key(timezone::PROPERTY)
        && let Ok(database) = ctx.engine.database(database)
        && let Some(name) = database.properties.get(timezone::PROPERTY)
    {
        properties.insert(timezone::PROPERTY.into(), name.clone());
    }
    Ok(properties)
}

fn shards(asked: i32, limits: &LimitSettings) -> Result<u32, Failure> {
    let shards = u32::try_from(asked).unwrap_or(0).max(1);
    if shards > limits.max_shards {
        return Err(Failure::parameter(format!(
            "maximum shards's number should be limited to {}",
            limits.max_shards
        )));
    }
    Ok(shards)
}

fn partitions(
    asked: i64,
    schema: &CollectionSchema,
    limits: &LimitSettings,
) -> Result<u32, Failure> {
    let partitions = u32::try_from(asked.max(0)).unwrap_or(u32::MAX);
    if partitions as usize > limits.max_partitions {
        return Err(Failure::parameter(format!(
            "partition number ({partitions}) exceeds max configuration ({})",
            limits.max_partitions
        )));
    }
    if partitions > 0 && schema.partition_key().is_none() {
        return Err(Failure::parameter(
            "num_partitions should only be specified with partition key field enabled",
        ));
    }
    Ok(partitions)
}

fn consistency_level(asked: i32) -> Result<u32, Failure> {
    let known = ConsistencyLevel::try_from(asked);
    known
        .map(|level| level as u32)
        .map_err(|_| Failure::parameter(format!("unknown consistency level {asked}")))
}

/// Partitions of a collection with a partition key that asks for no number.
const DEFAULT_KEY_PARTITIONS: usize = 16;

fn same(existing: &CollectionInfo, new: &NewCollection) -> Result<(), Failure> {
    let partitions = match new.partitions {
        0 => DEFAULT_KEY_PARTITIONS,
        given => given as usize,
    };
    let equal = without_ids(&existing.schema) == without_ids(&new.schema)
        && existing.properties == new.properties
        && existing.shards == new.shards
        && existing.consistency_level == new.consistency_level
        && (new.schema.partition_key().is_none() || existing.partitions.len() == partitions);
    if equal {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "create duplicate collection with different parameters, collection: {}",
        new.name
    )))
}

fn without_ids(schema: &CollectionSchema) -> CollectionSchema {
    let mut schema = schema.clone();
    for field in &mut schema.fields {
        field.id = 0;
    }
    for own in &mut schema.structs {
        own.id = 0;
    }
    schema
}

/// Drops a collection; one that is not there counts as dropped.
pub async fn drop(
    ctx: &Context,
    database: &str,
    request: DropCollectionRequest,
) -> Result<(), Failure> {
    let name = &request.collection_name;
    names::collection(name, ctx.engine.settings().limits.max_name_bytes)?;
    if alias::target(ctx, database, name)?.is_some() {
        return Err(Failure::parameter(format!("cannot drop the collection via alias = {name}")));
    }
    match ctx.engine.drop_collection(database, name).await {
        Ok(()) => {
            let grants_go = |state: &mut State| {
                state.forget_collection(database, name);
                Ok(())
            };
            ctx.access.change(grants_go).await
        }
        Err(e) if e.kind == ErrorKind::NotFound && e.subject == Subject::Collection => Ok(()),
        Err(e) => Err(absent(e, database, name)),
    }
}

/// Renames a collection, also into another database.
pub async fn rename(
    ctx: &Context,
    database: &str,
    request: RenameCollectionRequest,
) -> Result<(), Failure> {
    let RenameCollectionRequest { old_name: old, new_name: new, new_db_name, .. } = request;
    let max = ctx.engine.settings().limits.max_name_bytes;
    names::collection(&old, max)?;
    names::collection(&new, max)?;
    let to = if new_db_name.is_empty() { database } else { new_db_name.as_str() };
    if old == new && to == database {
        return Err(Failure::parameter("collection name or database name should be different"));
    }
    if alias::target(ctx, database, &old)?.is_some() {
        return Err(Failure::parameter(format!(
            "unsupported use an alias to rename collection, alias:{old}"
        )));
    }
    if alias::target(ctx, to, &new)?.is_some() {
        return Err(Failure::alias_conflict(to, &new));
    }
    if ctx.engine.collection(to, &new).is_ok() {
        return Err(Failure::parameter(format!(
            "duplicated new collection name {to}:{new} with other collection name or alias"
        )));
    }
    let collection = ctx.collection(database, &old).map_err(|e| {
        let reason = format!("the collection to rename does not exist: {}", e.reason);
        Failure { reason, ..e }
    })?;
    if to != database && !collection.info().aliases.is_empty() {
        return Err(Failure::parameter(
            "fail to rename db name, must drop all aliases of this collection before rename",
        ));
    }
    ctx.engine.rename_collection(database, &old, to, &new).await?;
    let grants_follow = |state: &mut State| {
        state.rename_collection((database, &old), (to, &new));
        Ok(())
    };
    ctx.access.change(grants_follow).await
}

/// Sets or removes properties.
pub async fn alter(
    ctx: &Context,
    database: &str,
    request: AlterCollectionRequest,
) -> Result<(), Failure> {
    let collection = find(ctx, database, &request.collection_name, request.collection_id)?;
    let mut set = params::to_map(&request.properties);
    if set.is_empty() && request.delete_keys.is_empty() {
        return Err(Failure::parameter("no properties or delete keys provided"));
    }
    timezone::check(&set)?;
    isolation::check_change(&collection.info(), &set, &request.delete_keys)?;
    for key in set.keys().chain(&request.delete_keys) {
        if (key.contains("mmap") || key.contains("lazyload")) && collection.info().loaded {
            return Err(Failure::loaded(
                &collection.name(),
                "can not alter mmap properties if collection loaded",
            ));
        }
    }
    let changes = Changes::take(&mut set, &request.delete_keys)?;
    let info = collection.info();
    let mut staying = info.properties.clone();
    staying.retain(|key, _| !request.delete_keys.contains(key));
    check_ttl(&set, &staying, &info.schema)?;
    changes.apply(&collection).await?;
    if set.is_empty() && request.delete_keys.is_empty() {
        return Ok(());
    }
    Ok(collection.alter_properties(set, request.delete_keys).await?)
}

/// Adds a field; the rows that are there have null or the default in it.
pub async fn add_field(
    ctx: &Context,
    database: &str,
    request: AddCollectionFieldRequest,
) -> Result<(), Failure> {
    let collection = find(ctx, database, &request.collection_name, request.collection_id)?;
    let wire = schema::FieldSchema::decode(request.schema.as_slice())
        .map_err(|e| Failure::parameter(format!("failed to read the field: {e}")))?;
    add_one_field(ctx, &collection, wire).await
}

/// Adds a field to a collection.
pub(super) async fn add_one_field(
    ctx: &Context,
    collection: &Collection,
    wire: schema::FieldSchema,
) -> Result<(), Failure> {
    let field = added_field(&collection.info(), wire)?;
    let limits = &ctx.engine.settings().limits;
    let schema = collection.schema();
    schema_limits::check_field(&schema, &field, limits)?;
    if schema.has_field(&field.name) || schema.struct_named(&field.name).is_some() {
        return Err(Failure::parameter(format!("duplicated field name {}", field.name)));
    }
    if schema.fields.len() >= limits.max_fields {
        return Err(Failure::parameter(format!(
            "The number of fields has reached the maximum value {}",
            limits.max_fields
        )));
    }
    Ok(collection.add_field(field).await?)
}

fn added_field(
    info: &CollectionInfo,
    mut wire: schema::FieldSchema,
) -> Result<FieldSchema, Failure> {
    let name = wire.name.clone();
    let refuse = |why: &str| Err(Failure::parameter(format!("{why}, field name = {name}")));
    if wire.is_primary_key {
        return refuse("not support to add pk field");
    }
    if wire.auto_id {
        return refuse("only primary field can speficy AutoID with true");
    }
    if wire.is_partition_key {
        return refuse("not support to add partition key field");
    }
    if wire.is_function_output {
        return refuse("the output of a function is added with its function");
    }
    if !wire.nullable && wire.default_value.is_none() {
        return refuse("added field must be nullable, please check it");
    }
    timezone::read_default(&mut wire, timezone::of_properties(&info.properties))?;
    let mut field = convert::schema::field_from_wire(&info.name, &wire)?;
    field.id = 0;
    Ok(field)
}

/// Removes all rows.
pub async fn truncate(
    ctx: &Context,
    database: &str,
    request: TruncateCollectionRequest,
) -> Result<TruncateCollectionResponse, Failure> {
    find(ctx, database, &request.collection_name, 0)?.truncate().await?;
    Ok(TruncateCollectionResponse::default())
}

/// The collection of that name or alias, or of that id when the name is empty.
pub fn find(ctx: &Context, database: &str, name: &str, id: i64) -> Result<Collection, Failure> {
    if name.is_empty() && id != 0 {
        return by_id(ctx, id)
            .ok_or_else(|| Failure::collection_not_found(database, &id.to_string()));
    }
    names::collection(name, ctx.engine.settings().limits.max_name_bytes)?;
    ctx.collection(database, name)
}

/// The id of the collection that a request for one or for all of a database names; `None` asks for all.
pub(super) fn id_if_named(
    ctx: &Context,
    database: &str,
    name: &str,
) -> Result<Option<u64>, Failure> {
    match name {
        "" => Ok(None),
        name => find(ctx, database, name, 0).map(|found| Some(found.id())),
    }
}

pub(super) fn by_id(ctx: &Context, id: i64) -> Option<Collection> {
    let id = u64::try_from(id).ok()?;
    let databases = ctx.engine.databases();
    databases
        .iter()
        .filter_map(|d| ctx.engine.collections(&d.name).ok())
        .flatten()
        .find(|c| c.id() == id)
}
