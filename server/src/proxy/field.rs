//! Changing a field of a collection that is there.

use std::collections::BTreeMap;

use elanus_engine::api::CollectionInfo;
use elanus_engine::core::schema::DataType;
use elanus_proto::service::AlterCollectionFieldRequest;

use super::{collection, schema_limits};
use crate::context::Context;
use crate::convert::params;
use crate::status::Failure;

/// Parameters of a field that may change, and those of them that may go.
const CHANGEABLE: [&str; 5] =
    ["max_length", "max_capacity", "mmap.enabled", "field.description", "warmup"];
const REMOVABLE: [&str; 2] = ["mmap.enabled", "warmup"];

/// Changes parameters of a field, such as `max_length`.
pub async fn alter(
    ctx: &Context,
    database: &str,
    request: AlterCollectionFieldRequest,
) -> Result<(), Failure> {
    let collection = collection::find(ctx, database, &request.collection_name, 0)?;
    let name = &request.field_name;
    let schema = collection.schema();
    let own = schema.struct_named(name);
    if !schema.has_field(name) && own.is_none() {
        return Err(Failure::parameter(format!("field {name} does not exist in collection")));
    }
    let set = params::to_map(&request.properties);
    let set: BTreeMap<_, _> = set.into_iter().map(|(key, value)| (newer(key), value)).collect();
    let removed: Vec<String> = request.delete_keys.into_iter().map(newer).collect();
    if set.is_empty() && removed.is_empty() {
        return Err(Failure::parameter("no properties or delete keys provided"));
    }
    check_keys(&collection.info(), &set, &removed)?;
    let limits = &ctx.engine.settings().limits;
    // A struct has its sub-fields' capacity.
    let of = own.and_then(|own| schema.sub_fields(own).next());
    let kind = match of {
        Some(sub) => sub.data_type.clone(),
        None => schema.field(name)?.data_type.clone(),
    };
    for (key, value) in &set {
        let number = value.parse::<u64>().map_err(|_| {
            Failure::parameter(format!("the value for {key} of field {name} must be an integer"))
        });
        match key.as_str() {
            "max_length" if own.is_some() || !holds_texts(&kind) => {
                return Err(Failure::parameter(format!(
                    "{name} can not modify the maxlength for non-string types"
                )));
            }
            "max_capacity" if !matches!(kind, DataType::Array { .. }) => {
                return Err(Failure::parameter(format!(
                    "{name} can not modify the maxcapacity for non-array types"
                )));
            }
            "max_length" => schema_limits::max_length_of(name, number?, limits)?,
            "max_capacity" => schema_limits::max_capacity_of(number?, limits)?,
            _ => {}
        }
    }
    match own {
        Some(_) => Ok(collection.alter_struct(name, set, removed).await?),
        None => Ok(collection.alter_field(name, set, removed).await?),
    }
}

/// Some clients write `mmap_enabled`.
fn newer(key: String) -> String {
    if key == "mmap_enabled" { "mmap.enabled".into() } else { key }
}

fn holds_texts(kind: &DataType) -> bool {
    let is_text = |kind: &DataType| matches!(kind, DataType::VarChar { .. });
    is_text(kind) || matches!(kind, DataType::Array { element, .. } if is_text(element))
}

fn check_keys(
    info: &CollectionInfo,
    set: &BTreeMap<String, String>,
    removed: &[String],
) -> Result<(), Failure> {
    if let Some(key) = set.keys().find(|key| !CHANGEABLE.contains(&key.as_str())) {
        return Err(Failure::parameter(format!(
            "{key} does not allow update in collection field param"
        )));
    }
    if let Some(key) = removed.iter().find(|key| !REMOVABLE.contains(&key.as_str())) {
        return Err(Failure::parameter(format!(
            "{key} is not allowed to drop in collection field param"
        )));
    }
    let of_loading = |key: &String| REMOVABLE.contains(&key.as_str());
    let why = match (set.keys().any(of_loading), removed.iter().any(of_loading)) {
        _ if !info.loaded => return Ok(()),
        (true, _) => "can not alter collection field properties if collection loaded",
        (_, true) => "can not drop collection field properties if collection loaded",
        _ => return Ok(()),
    };
    Err(Failure::loaded(&info.name, why))
}
