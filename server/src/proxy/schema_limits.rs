//! Limits on a new schema, refused in Milvus's words.

use std::collections::BTreeSet;

use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::LimitSettings;

use super::names;
use crate::convert::functions;
use crate::convert::schema::wire_type;
use crate::status::Failure;

/// Milvus takes no vectors of fewer dimensions.
const MIN_DIM: u32 = 2;

/// Checks a whole new schema.
pub fn check(schema: &CollectionSchema, limits: &LimitSettings) -> Result<(), Failure> {
    if schema.fields.len() > limits.max_fields {
        return Err(Failure::parameter(format!(
            "maximum field's number should be limited to {}",
            limits.max_fields
        )));
    }
    let mut seen = BTreeSet::new();
    let duplicated =
        |name: &str| Err(Failure::parameter(format!("duplicated field name {name} found")));
    for field in &schema.fields {
        check_field(schema, field, limits)?;
        if !seen.insert(&field.name) {
            return duplicated(&field.name);
        }
    }
    for own in &schema.structs {
        names::field(&own.name, limits.max_name_bytes)?;
        if !seen.insert(&own.name) {
            return duplicated(&own.name);
        }
    }
    check_keys(schema)?;
    functions::check_analyzers(schema)?;
    let vectors = schema.searched_fields().count();
    if vectors == 0 {
        return Err(Failure::parameter("schema does not contain vector field"));
    }
    if vectors > limits.max_vector_fields {
        return Err(Failure::parameter(format!(
            "maximum vector field's number should be limited to {}",
            limits.max_vector_fields
        )));
    }
    Ok(())
}

fn check_keys(schema: &CollectionSchema) -> Result<(), Failure> {
    let mut keys = schema.fields.iter().filter(|f| f.is_primary);
    let Some(key) = keys.next() else {
        return Err(Failure::missing("primary key is not specified"));
    };
    if let Some(second) = keys.next() {
        return Err(Failure::parameter(format!(
            "there are more than one primary key, field name = {}, {}",
            key.name, second.name
        )));
    }
    if !matches!(key.data_type, DataType::Int64 | DataType::VarChar { .. }) {
        return Err(Failure::parameter("the data type of primary key should be Int64 or VarChar"));
    }
    if key.nullable {
        return Err(Failure::parameter("primary field not support null"));
    }
    if key.default_value.is_some() {
        return Err(Failure::parameter("primary field not support default_value"));
    }
    if schema.fields.iter().any(|f| f.is_partition_key && f.nullable) {
        return Err(Failure::parameter("partition key field not support nullable"));
    }
    check_clustering_key(schema)?;
    match schema.fields.iter().find(|f| f.auto_id && !f.is_primary) {
        Some(field) => Err(Failure::parameter(format!(
            "only primary field can speficy AutoID with true, field name = {}",
            field.name
        ))),
        None => Ok(()),
    }
}

fn check_clustering_key(schema: &CollectionSchema) -> Result<(), Failure> {
    let mut keys = schema.fields.iter().filter(|f| f.is_clustering_key);
    let Some(key) = keys.next() else { return Ok(()) };
    let kind = &key.data_type;
    let orders = kind.is_integer()
        || matches!(kind, DataType::Float | DataType::Double | DataType::VarChar { .. });
    if !orders {
        let kind = wire_type(kind).as_str_name();
        return Err(Failure::parameter(format!(
            "clustering key field {} has unsupported data type {kind}",
            key.name
        )));
    }
    match keys.next() {
        Some(second) => Err(Failure::parameter(format!(
            "there are more than one clustering key, field name = {}, {}",
            key.name, second.name
        ))),
        None => Ok(()),
    }
}

/// Checks one field by itself.
pub fn check_field(
    schema: &CollectionSchema,
    field: &FieldSchema,
    limits: &LimitSettings,
) -> Result<(), Failure> {
    let sub = schema.struct_of(&field.name).and_then(|own| own.sub_of(&field.name));
    names::field(sub.unwrap_or(&field.name), limits.max_name_bytes)?;
    check_type(&field.name, &field.data_type, limits)
}

fn check_type(field: &str, data_type: &DataType, limits: &LimitSettings) -> Result<(), Failure> {
    match data_type {
        DataType::VarChar { max_length } => {
            max_length_of(field, u64::from(*max_length), limits)?;
        }
        DataType::Array { element, max_capacity } => {
            max_capacity_of(u64::from(*max_capacity), limits)?;
            check_type(field, element, limits)?;
        }
        DataType::BinaryVector { dim } => dim_of_bits(field, *dim, limits.max_dim)?,
        DataType::FloatVector { dim }
        | DataType::Float16Vector { dim }
        | DataType::BFloat16Vector { dim }
        | DataType::Int8Vector { dim } => {
            if !(MIN_DIM..=limits.max_dim).contains(dim) {
                return Err(Failure::parameter(format!(
                    "invalid dimension: {dim} of field {field}. float vector dimension should be \
                     in range {MIN_DIM} ~ {}",
                    limits.max_dim
                )));
            }
        }
        DataType::Bool
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float
        | DataType::Double
        | DataType::Text
        | DataType::Json
        | DataType::Timestamptz
        | DataType::Geometry
        | DataType::SparseFloatVector => {}
    }
    Ok(())
}

/// A vector of bits may have eight times as many dimensions: it is not larger.
fn dim_of_bits(field: &str, dim: u32, max_dim: u32) -> Result<(), Failure> {
    let most = max_dim.saturating_mul(8);
    let why = if !dim.is_multiple_of(8) {
        "binary vector dimension should be multiple of 8. ".to_string()
    } else if !(MIN_DIM..=most).contains(&dim) {
        format!("binary vector dimension should be in range {MIN_DIM} ~ {most}")
    } else {
        return Ok(());
    };
    Err(Failure::parameter(format!("invalid dimension: {dim} of field {field}. {why}")))
}

/// Checks a `max_length`.
pub fn max_length_of(field: &str, length: u64, limits: &LimitSettings) -> Result<(), Failure> {
    let most = limits.max_varchar_bytes;
    if (1..=u64::from(most)).contains(&length) {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "the maximum length specified for the field({field}) should be in (0, {most}], but got \
         {length} instead"
    )))
}

/// Checks a `max_capacity`.
pub fn max_capacity_of(capacity: u64, limits: &LimitSettings) -> Result<(), Failure> {
    let most = limits.max_array_capacity;
    if (1..=u64::from(most)).contains(&capacity) {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "the maximum capacity specified for a Array should be in (0, {most}]"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(fields: Vec<FieldSchema>) -> String {
        let result = check(&CollectionSchema::new(fields), &LimitSettings::default());
        result.err().map(|f| f.reason).unwrap_or_default()
    }

    #[test]
    fn limits_are_refused_in_milvus_words() {
        let id = || FieldSchema::new("id", DataType::Int64).primary();
        let vector = |dim| FieldSchema::new("v", DataType::FloatVector { dim });
        let bits = |dim| FieldSchema::new("b", DataType::BinaryVector { dim });
        let text = |max_length| FieldSchema::new("t", DataType::VarChar { max_length });
        assert_eq!(reason(vec![id(), vector(2)]), "");
        assert!(reason(vec![id()]).starts_with("schema does not contain vector field"));
        assert!(reason(vec![vector(2)]).starts_with("primary key is not specified"));
        assert!(reason(vec![id(), vector(1)]).starts_with("invalid dimension: 1 of field v."));
        for (dim, words) in [
            (
                12,
                "invalid dimension: 12 of field b. binary vector dimension should be multiple of 8.",
            ),
            (0, "should be in range 2 ~ 262144"),
            (262_152, "should be in range 2 ~ 262144"),
        ] {
            assert!(reason(vec![id(), bits(dim)]).contains(words), "{dim}");
        }
        assert_eq!(reason(vec![id(), bits(262_144)]), "");
        for kind in [
            DataType::Float16Vector { dim: 1 },
            DataType::BFloat16Vector { dim: 1 },
            DataType::Int8Vector { dim: 32_769 },
        ] {
            let field = FieldSchema::new("h", kind);
            assert!(reason(vec![id(), field]).contains("should be in range 2 ~ 32768"));
        }
        assert!(reason(vec![id(), vector(2), vector(2)]).contains("duplicated field name v"));
        assert!(reason(vec![id(), vector(2), text(0)]).contains("but got 0 instead"));
        let many = (0..64).map(|i| FieldSchema::new(format!("f{i}"), DataType::Bool));
        let many = many.chain([id(), vector(2)]).collect();
        assert!(reason(many).contains("maximum field's number should be limited to 64"));
    }
}
