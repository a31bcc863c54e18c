//! Partition key isolation: each search names the partition key that it is about.

use std::collections::BTreeMap;

use elanus_engine::api::CollectionInfo;
use elanus_engine::core::schema::CollectionSchema;

use crate::status::Failure;

/// The property that turns it on.
const PROPERTY: &str = "partitionkey.isolation";

/// Whether properties turn it on.
pub fn is_on(properties: &BTreeMap<String, String>) -> Result<bool, Failure> {
    let Some(text) = properties.get(PROPERTY) else { return Ok(false) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err(Failure::parameter(format!(
            "failed to parse partition key isolation: parsing {text:?}: invalid syntax"
        ))),
    }
}

/// Refuses it for a collection without a partition key.
pub fn check_new(
    schema: &CollectionSchema,
    name: &str,
    properties: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    if is_on(properties)? && schema.partition_key().is_none() {
        return Err(Failure::new(
            105,
            format!(
                "partition key isolation mode is enabled but no partition key field is set. Please set \
                 the partition key first: illegal collection schema[collection={name}]"
            ),
        ));
    }
    Ok(())
}

/// Refuses to turn it on or off under a vector index.
pub fn check_change(
    info: &CollectionInfo,
    set: &BTreeMap<String, String>,
    removed: &[String],
) -> Result<(), Failure> {
    check_new(&info.schema, &info.name, set)?;
    let before = is_on(&info.properties)?;
    let after = match set.contains_key(PROPERTY) {
        true => is_on(set)?,
        false => before && !removed.iter().any(|key| key == PROPERTY),
    };
    let indexed =
        info.schema.vector_fields().any(|f| info.indexes.iter().any(|i| i.field == f.name));
    if before != after && indexed {
        return Err(Failure::new(
            702,
            "can not alter partition key isolation mode if the collection already has a vector index. \
             Please drop the index first",
        ));
    }
    Ok(())
}
