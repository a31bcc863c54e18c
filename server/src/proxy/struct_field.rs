//! Adding a struct field to a collection that is there.

use elanus_engine::core::structs::split_name;
use elanus_proto::service::AddCollectionStructFieldRequest;

use super::{collection, schema_limits};
use crate::context::Context;
use crate::convert::structs;
use crate::status::Failure;

/// Names that Milvus keeps for fields of its own.
const SYSTEM: [&str; 3] = ["RowID", "Timestamp", "__virtual_pk__"];

/// Adds a struct field; the rows that are there have null in it.
pub async fn add(
    ctx: &Context,
    database: &str,
    request: AddCollectionStructFieldRequest,
) -> Result<(), Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    let wire = request.struct_array_field_schema;
    let wire = wire.ok_or_else(|| Failure::parameter("the struct field to add is missing"))?;
    let subs = wire.fields.iter().map(|f| f.name.as_str());
    if let Some(name) = [wire.name.as_str()].into_iter().chain(subs).find(|n| SYSTEM.contains(n)) {
        return Err(Failure::parameter(format!(
            "not support to add system field, field name = {name}"
        )));
    }
    if !wire.nullable {
        return Err(Failure::parameter(format!(
            "added field must be nullable, please check it, field name = {}",
            wire.name
        )));
    }
    let (own, fields) = structs::schema::from_wire(&found.name(), &wire)?;
    let limits = &ctx.engine.settings().limits;
    let mut made = found.schema().as_ref().clone();
    if made.has_field(&own.name) || made.struct_named(&own.name).is_some() {
        return Err(Failure::parameter(format!("duplicated field name {}", own.name)));
    }
    made.structs.push(own.clone());
    made.fields.extend(fields.iter().cloned());
    schema_limits::check(&made, limits)?;
    Ok(found.add_struct(own, fields).await?)
}

/// Refuses to drop a sub-field by itself.
pub(super) fn check_sub_field(name: &str) -> Result<(), Failure> {
    match split_name(name) {
        Some((own, _)) => Err(Failure::parameter(format!(
            "cannot drop sub-field {name} by itself: drop struct field {own}"
        ))),
        None => Ok(()),
    }
}
