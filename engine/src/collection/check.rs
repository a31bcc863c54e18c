//! Checks of new schemas against what the engine can hold and the limits of the settings.

use std::collections::HashSet;

use crate::core::error::{Error, Result, Subject};
use crate::core::geometry;
use crate::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType, DefaultValue, FieldSchema};
use crate::core::settings::LimitSettings;

/// Refuses a schema that cannot be held.
pub fn check_schema(schema: &CollectionSchema, limits: &LimitSettings) -> Result<()> {
    let bad = |why: String| Err(Error::invalid(Subject::Schema, why));
    if schema.fields.len() > limits.max_fields {
        return bad(format!("maximum field's number should be limited to {}", limits.max_fields));
    }
    schema.check_structs()?;
    let vectors = schema.vector_fields().count();
    if vectors > limits.max_vector_fields {
        return bad(format!(
            "maximum vector field's number should be limited to {}",
            limits.max_vector_fields
        ));
    }
    let mut names = HashSet::new();
    for field in &schema.fields {
        if !names.insert(field.name.as_str()) {
            return bad(format!("duplicated field name {}", field.name));
        }
        check_field(field, limits)?;
    }
    let keys: Vec<&FieldSchema> = schema.fields.iter().filter(|f| f.is_primary).collect();
    match keys.as_slice() {
        [] => bad("primary key is not specified".into()),
        [key] => check_key(key),
        [_, second, ..] => {
            bad(format!("there are more than one primary key, field: {}", second.name))
        }
    }?;
    if schema.fields.iter().filter(|f| f.is_partition_key).count() > 1 {
        return bad("there are more than one partition key".into());
    }
    Ok(())
}

fn check_key(key: &FieldSchema) -> Result<()> {
    let usable = matches!(key.data_type, DataType::Int64 | DataType::VarChar { .. });
    if usable && !key.nullable && key.default_value.is_none() {
        return Ok(());
    }
    Err(Error::invalid(
        Subject::Schema,
        format!(
            "primary field {} must be Int64 or VarChar, not nullable, without default; it is {}",
            key.name,
            key.data_type.display_name()
        ),
    ))
}

/// Refuses a field that cannot be held.
pub fn check_field(field: &FieldSchema, limits: &LimitSettings) -> Result<()> {
    let bad =
        |why: String| Err(Error::invalid(Subject::Field, format!("field {}: {why}", field.name)));
    if field.name.is_empty() || field.name.len() > limits.max_name_bytes {
        return bad(format!("a name has 1 to {} bytes", limits.max_name_bytes));
    }
    if field.name == DYNAMIC_FIELD || field.name.starts_with("_ts") {
        return bad("the name is kept for the system".into());
    }
    check_type(&field.data_type, limits).or_else(bad)?;
    if field.is_partition_key
        && !matches!(field.data_type, DataType::Int64 | DataType::VarChar { .. })
    {
        return bad("the data type of partition key should be Int64 or VarChar".into());
    }
    match &field.default_value {
        Some(value) if !default_fits(&field.data_type, value) => {
            bad(format!("default {value:?} is not a {}", field.data_type.display_name()))
        }
        _ => Ok(()),
    }
}

fn check_type(data_type: &DataType, limits: &LimitSettings) -> Result<(), String> {
    match data_type {
        DataType::VarChar { max_length }
            if !(1..=limits.max_varchar_bytes).contains(max_length) =>
        {
            Err(format!(
                "the maximum length specified for the field should be in (0, {}], but got \
                 {max_length} instead",
                limits.max_varchar_bytes
            ))
        }
        DataType::Array { element, max_capacity } => {
            if !(1..=limits.max_array_capacity).contains(max_capacity) {
                return Err(format!(
                    "the maximum capacity specified for a Array should be in (0, {}]",
                    limits.max_array_capacity
                ));
            }
            match element.as_ref() {
                DataType::Array { .. } | DataType::Json | DataType::Text | DataType::Geometry => {
                    Err(no_element(element))
                }
                DataType::SparseFloatVector => Err(no_element(element)),
                scalar => check_type(scalar, limits),
            }
        }
        vector => vector.vector_dim().map_or(Ok(()), |dim| check_dim(vector, dim, limits)),
    }
}

fn no_element(element: &DataType) -> String {
    format!("element type {} is not supported", element.display_name())
}

/// A vector of bits may have eight times as many dimensions: it is not larger.
fn check_dim(data_type: &DataType, dim: u32, limits: &LimitSettings) -> Result<(), String> {
    let binary = data_type.is_binary_vector();
    let most = if binary { limits.max_dim.saturating_mul(8) } else { limits.max_dim };
    if !(1..=most).contains(&dim) {
        return Err(format!("invalid dimension: {dim}. should be in range 1 ~ {most}"));
    }
    if binary && !dim.is_multiple_of(8) {
        return Err(format!("invalid dimension: {dim}. should be multiple of 8."));
    }
    Ok(())
}

fn default_fits(data_type: &DataType, value: &DefaultValue) -> bool {
    match (data_type, value) {
        (DataType::Bool, DefaultValue::Bool(_)) | (DataType::Int64, DefaultValue::Int(_)) => true,
        (DataType::Float, DefaultValue::Float(v)) => v.is_finite(),
        (DataType::Double, DefaultValue::Double(v)) => v.is_finite(),
        (DataType::Json, DefaultValue::Json(v)) => {
            serde_json::from_str::<serde::de::IgnoredAny>(v).is_ok()
        }
        (DataType::Int8, DefaultValue::Int(v)) => i8::try_from(*v).is_ok(),
        (DataType::Int16, DefaultValue::Int(v)) => i16::try_from(*v).is_ok(),
        (DataType::Int32, DefaultValue::Int(v)) => i32::try_from(*v).is_ok(),
        (DataType::VarChar { max_length }, DefaultValue::Text(v)) => {
            v.len() <= *max_length as usize
        }
        (DataType::Geometry, DefaultValue::Text(v)) => geometry::check_text(v).is_ok(),
        (DataType::Text, DefaultValue::Text(_))
        | (DataType::Timestamptz, DefaultValue::Timestamp(_)) => true,
        _ => false,
    }
}
