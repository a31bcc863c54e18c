//! Struct fields of a schema.

use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::structs::{StructSchema, sub_name};
use elanus_proto::schema::{self, DataType as WireType};

use crate::convert::schema::{data_type, field_from_wire, field_to_wire};
use crate::convert::{invalid, params};
use crate::status::Failure;

/// The engine's form of a struct field: itself and its sub-fields.
///
/// # Errors
/// If it has no sub-field, one of a type that no struct holds, or one that is a key or has a default.
pub fn from_wire(
    collection: &str,
    wire: &schema::StructArrayFieldSchema,
) -> Result<(StructSchema, Vec<FieldSchema>), Failure> {
    if wire.fields.is_empty() {
        return Err(invalid(format!("struct array field {} has no sub-fields", wire.name)));
    }
    let mut fields = Vec::with_capacity(wire.fields.len());
    for sub in &wire.fields {
        fields.push(sub_field(collection, wire, sub)?);
    }
    let own = StructSchema {
        id: 0,
        name: wire.name.clone(),
        description: wire.description.clone(),
        nullable: wire.nullable,
        params: params::to_map(&wire.type_params),
    };
    Ok((own, fields))
}

fn sub_field(
    collection: &str,
    wire: &schema::StructArrayFieldSchema,
    sub: &schema::FieldSchema,
) -> Result<FieldSchema, Failure> {
    let (own, name) = (&wire.name, &sub.name);
    let refused = [
        (sub.is_primary_key, "be primary key"),
        (sub.auto_id, "have AutoID"),
        (sub.is_partition_key, "be partition key"),
        (sub.is_clustering_key, "be clustering key"),
        (sub.is_dynamic, "be dynamic field"),
        (sub.is_function_output, "be the output of a function"),
        (sub.default_value.is_some(), "have default value"),
    ];
    if let Some((_, what)) = refused.iter().find(|(given, _)| *given) {
        return Err(invalid(format!("Field '{name}' in struct '{own}' cannot {what}")));
    }
    if sub.nullable != wire.nullable && sub.nullable {
        return Err(invalid(format!(
            "Field '{name}' in struct '{own}' cannot be nullable individually, set nullable on the \
             struct instead"
        )));
    }
    let mut field = match sub.data_type() {
        WireType::Array => field_from_wire(collection, sub)?,
        WireType::ArrayOfVector => vectors(collection, sub)?,
        other => {
            return Err(invalid(format!(
                "Fields in StructArrayField can only be array or array of vector, but field {name} \
                 is {}",
                other.as_str_name()
            )));
        }
    };
    field.id = 0;
    field.nullable = wire.nullable;
    field.name = sub_name(own, name);
    Ok(field)
}

/// A sub-field that holds vectors: checked as a vector field is, in an array.
fn vectors(collection: &str, sub: &schema::FieldSchema) -> Result<FieldSchema, Failure> {
    let mut given = params::to_map(&sub.type_params);
    let capacity = given.remove("max_capacity").and_then(|text| text.trim().parse().ok());
    let max_capacity = capacity.ok_or_else(|| {
        Failure::missing(format!(
            "type param(max_capacity) should be specified for array field {} of collection \
             {collection}",
            sub.name
        ))
    })?;
    if let Some(dim) =
        given.get("dim").and_then(|t| t.trim().parse::<i64>().ok()).filter(|d| *d < 0)
    {
        return Err(invalid(format!("invalid dimension: {dim} of field {}", sub.name)));
    }
    let fixed = matches!(
        sub.element_type(),
        WireType::FloatVector
            | WireType::Float16Vector
            | WireType::BFloat16Vector
            | WireType::Int8Vector
            | WireType::BinaryVector
    );
    if !fixed {
        return Err(invalid(format!(
            "Unsupported element type of array field {}, only fixed dimension vector types are \
             supported, but got {}",
            sub.name,
            sub.element_type().as_str_name()
        )));
    }
    let one = schema::FieldSchema { data_type: sub.element_type, ..sub.clone() };
    let element = Box::new(data_type(collection, &one, &mut given)?);
    let mut field = FieldSchema::new(sub.name.as_str(), DataType::Array { element, max_capacity });
    field.description = sub.description.clone();
    field.params = given;
    Ok(field)
}

/// The message that describes a struct field; sub-fields go by their own names.
pub fn to_wire(schema: &CollectionSchema, own: &StructSchema) -> schema::StructArrayFieldSchema {
    let fields = schema.sub_fields(own).map(|field| {
        let name = own.sub_of(&field.name).unwrap_or(&field.name).to_string();
        schema::FieldSchema { name, ..field_to_wire(field) }
    });
    schema::StructArrayFieldSchema {
        field_id: own.id,
        name: own.name.clone(),
        description: own.description.clone(),
        fields: fields.collect(),
        type_params: params::to_pairs(&own.params),
        nullable: own.nullable,
    }
}
