//! Collection schemas: Milvus's message and the engine's type. What goes in comes out again.

use std::collections::BTreeMap;

use elanus_engine::api::CollectionInfo;
use elanus_engine::core::schema::{
    CollectionSchema, DYNAMIC_FIELD, DataType, DefaultValue, FieldSchema,
};
use elanus_proto::common::KeyValuePair;
use elanus_proto::schema::value_field::Data;
use elanus_proto::schema::{self, DataType as WireType, ValueField};

use super::{functions, internal, invalid, params, structs, timezone, vectors};
use crate::status::Failure;

/// The engine's schema of a `CreateCollection` request.
///
/// Properties inside the message are not part of it: the caller keeps them with the collection.
///
/// # Errors
/// If a field has a type or an option that is not built, or lacks a parameter of its type.
pub fn from_wire(wire: &schema::CollectionSchema) -> Result<CollectionSchema, Failure> {
    if wire.enable_namespace {
        return Err(Failure::unsupported("namespaces are not supported"));
    }
    if !wire.external_source.is_empty() || !wire.external_spec.is_empty() {
        return Err(Failure::unsupported("external collections are not supported"));
    }
    let mut fields = Vec::with_capacity(wire.fields.len());
    for field in &wire.fields {
        let mut field = field_from_wire(&wire.name, field)?;
        field.id = 0;
        fields.push(field);
    }
    let mut structs = Vec::with_capacity(wire.struct_array_fields.len());
    for own in &wire.struct_array_fields {
        let (own, subs) = structs::schema::from_wire(&wire.name, own)?;
        structs.push(own);
        fields.extend(subs);
    }
    let mut schema = CollectionSchema { fields, structs, ..CollectionSchema::default() };
    schema.number_fields();
    schema.description = wire.description.clone();
    schema.enable_dynamic_field = wire.enable_dynamic_field;
    for function in &wire.functions {
        functions::add(&mut schema, function)?;
    }
    Ok(schema)
}

/// The engine's form of one field.
pub fn field_from_wire(
    collection: &str,
    wire: &schema::FieldSchema,
) -> Result<FieldSchema, Failure> {
    if wire.is_dynamic || wire.name == DYNAMIC_FIELD {
        return Err(invalid("cannot explicitly set a field as a dynamic field"));
    }
    let not_built = [
        (wire.element_nullable, "an array with null elements"),
        (!wire.external_field.is_empty(), "a column of an external source"),
    ];
    if let Some((_, what)) = not_built.iter().find(|(given, _)| *given) {
        return Err(Failure::unsupported(format!("field {} is {what}: not supported", wire.name)));
    }
    let mut given = params::to_map(&wire.type_params);
    let data_type = data_type(collection, wire, &mut given)?;
    let default_value = match &wire.default_value {
        Some(ValueField { data: Some(value) }) => Some(default_from_wire(wire, &data_type, value)?),
        _ => None,
    };
    Ok(FieldSchema {
        id: wire.field_id,
        name: wire.name.clone(),
        description: wire.description.clone(),
        data_type,
        nullable: wire.nullable,
        default_value,
        is_primary: wire.is_primary_key,
        auto_id: wire.auto_id,
        is_partition_key: wire.is_partition_key,
        is_clustering_key: wire.is_clustering_key,
        // The schema's functions say it.
        is_function_output: false,
        params: given,
    })
}

/// Takes from the parameters what is part of the type.
pub(super) fn data_type(
    collection: &str,
    wire: &schema::FieldSchema,
    given: &mut BTreeMap<String, String>,
) -> Result<DataType, Failure> {
    let name = &wire.name;
    match wire.data_type() {
        WireType::Array => {
            let element = scalar_type(wire.element_type(), collection, name, given)?
                .filter(|t| !matches!(t, DataType::Json | DataType::Timestamptz))
                .ok_or_else(|| {
                    invalid(format!(
                        "element type {} is not supported",
                        wire.element_type().as_str_name()
                    ))
                })?;
            let max_capacity = number(given, "max_capacity", name)?.ok_or_else(|| {
                Failure::missing(format!(
                    "type param(max_capacity) should be specified for array field {name} of \
                     collection {collection}"
                ))
            })?;
            Ok(DataType::Array { element: Box::new(element), max_capacity })
        }
        WireType::FloatVector
        | WireType::Float16Vector
        | WireType::BFloat16Vector
        | WireType::Int8Vector
        | WireType::BinaryVector => {
            let dim = number(given, "dim", name)?.ok_or_else(|| {
                invalid(format!(
                    "dimension is not defined in field type params of field {name}, \
                     check type param `dim` for vector field"
                ))
            })?;
            vectors::vector_type(wire.data_type(), dim)
                .ok_or_else(|| internal(format!("field {name} is no vector")))
        }
        WireType::SparseFloatVector => {
            if given.remove("dim").is_some() {
                return Err(invalid(format!(
                    "dim should not be specified for sparse vector field {name}({})",
                    wire.field_id
                )));
            }
            Ok(DataType::SparseFloatVector)
        }
        WireType::Text => Ok(DataType::Text),
        WireType::Geometry => Ok(DataType::Geometry),
        WireType::None => Err(invalid(format!("data type None of field {name} is not valid"))),
        WireType::String => {
            Err(invalid("string data type not supported yet, please use VarChar type instead"))
        }
        kind => scalar_type(kind, collection, name, given)?.ok_or_else(|| {
            Failure::unsupported(format!(
                "field {name} is of type {}, which is not supported; supported are Bool, Int8, \
                 Int16, Int32, Int64, Float, Double, VarChar, Text, JSON, Array, Timestamptz, \
                 Geometry, FloatVector, Float16Vector, BFloat16Vector, Int8Vector, BinaryVector and \
                 SparseFloatVector",
                kind.as_str_name()
            ))
        }),
    }
}

fn scalar_type(
    kind: WireType,
    collection: &str,
    name: &str,
    given: &mut BTreeMap<String, String>,
) -> Result<Option<DataType>, Failure> {
    Ok(Some(match kind {
        WireType::Bool => DataType::Bool,
        WireType::Int8 => DataType::Int8,
        WireType::Int16 => DataType::Int16,
        WireType::Int32 => DataType::Int32,
        WireType::Int64 => DataType::Int64,
        WireType::Float => DataType::Float,
        WireType::Double => DataType::Double,
        WireType::Json => DataType::Json,
        WireType::Timestamptz => DataType::Timestamptz,
        WireType::VarChar => {
            let max_length = number(given, "max_length", name)?.ok_or_else(|| {
                Failure::missing(format!(
                    "type param(max_length) should be specified for the field({name}) of \
                     collection {collection}"
                ))
            })?;
            DataType::VarChar { max_length }
        }
        _ => return Ok(None),
    }))
}

fn number(
    given: &mut BTreeMap<String, String>,
    key: &str,
    field: &str,
) -> Result<Option<u32>, Failure> {
    let Some(text) = given.remove(key) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| {
        invalid(format!("the value for {key} of field {field} must be an integer, but got {text}"))
    })
}

fn default_from_wire(
    field: &schema::FieldSchema,
    data_type: &DataType,
    value: &Data,
) -> Result<DefaultValue, Failure> {
    let number = match value {
        Data::FloatData(v) => f64::from(*v),
        Data::DoubleData(v) => *v,
        _ => 0.0,
    };
    if !number.is_finite() {
        return Err(invalid(format!(
            "value '{number}' is not a number or infinity: the default of field {}",
            field.name
        )));
    }
    let fitting = match (data_type, value) {
        (DataType::Bool, Data::BoolData(v)) => Some(DefaultValue::Bool(*v)),
        (DataType::Int8 | DataType::Int16 | DataType::Int32, Data::IntData(v)) => {
            in_range(field, data_type, *v)?;
            Some(DefaultValue::Int(i64::from(*v)))
        }
        (DataType::Int64, Data::LongData(v)) => Some(DefaultValue::Int(*v)),
        (DataType::Float, Data::FloatData(v)) => Some(DefaultValue::Float(*v)),
        (DataType::Double, Data::DoubleData(v)) => Some(DefaultValue::Double(*v)),
        (DataType::VarChar { .. } | DataType::Text | DataType::Geometry, Data::StringData(v)) => {
            Some(DefaultValue::Text(v.clone()))
        }
        (DataType::Timestamptz, Data::TimestamptzData(v)) => Some(DefaultValue::Timestamp(*v)),
        (DataType::Json, Data::BytesData(v)) => {
            let text = String::from_utf8(v.clone()).ok();
            text.filter(|t| serde_json::from_str::<serde_json::Value>(t).is_ok())
                .map(DefaultValue::Json)
        }
        _ => None,
    };
    fitting.ok_or_else(|| {
        invalid(format!(
            "type ({}) of field ({}) is not equal to the type({}) of default_value",
            field.data_type().as_str_name(),
            field.name,
            value_kind(value)
        ))
    })
}

fn in_range(field: &schema::FieldSchema, data_type: &DataType, value: i32) -> Result<(), Failure> {
    let (least, most) = match data_type {
        DataType::Int8 => (i32::from(i8::MIN), i32::from(i8::MAX)),
        DataType::Int16 => (i32::from(i16::MIN), i32::from(i16::MAX)),
        _ => return Ok(()),
    };
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid(format!(
        "[{least}, {most}]: the default value {value} of field {} is out of range",
        field.name
    )))
}

fn value_kind(value: &Data) -> &'static str {
    match value {
        Data::BoolData(_) => "Bool",
        Data::IntData(_) => "Int32",
        Data::LongData(_) => "Int64",
        Data::FloatData(_) => "Float",
        Data::DoubleData(_) => "Double",
        Data::StringData(_) => "VarChar",
        Data::BytesData(_) => "JSON",
        Data::TimestamptzData(_) => "Timestamptz",
        Data::DateData(_) => "Date",
        Data::TimeData(_) => "Time",
    }
}

/// The message that describes a collection's schema: user fields only, `$meta` shown by its flag
/// alone. The collection's properties stand here once more.
pub fn to_wire(info: &CollectionInfo) -> schema::CollectionSchema {
    let mut wire = describe(&info.name, &info.schema);
    let zone = timezone::of_properties(&info.properties);
    wire.fields.iter_mut().for_each(|field| timezone::show_default(field, zone));
    wire.properties = params::to_pairs(&info.properties);
    wire
}

fn describe(name: &str, schema: &CollectionSchema) -> schema::CollectionSchema {
    schema::CollectionSchema {
        name: name.to_string(),
        description: schema.description.clone(),
        fields: schema.plain_fields().map(field_to_wire).collect(),
        struct_array_fields: schema
            .structs
            .iter()
            .map(|s| structs::schema::to_wire(schema, s))
            .collect(),
        enable_dynamic_field: schema.enable_dynamic_field,
        functions: functions::to_wire(schema),
        ..Default::default()
    }
}

/// The message that describes one field.
pub fn field_to_wire(field: &FieldSchema) -> schema::FieldSchema {
    let mut type_params: Vec<KeyValuePair> = Vec::new();
    let mut add = |key: &str, value: u32| {
        type_params.push(KeyValuePair { key: key.into(), value: value.to_string() });
    };
    match &field.data_type {
        DataType::VarChar { max_length } => add("max_length", *max_length),
        DataType::Array { element, max_capacity } => {
            if let DataType::VarChar { max_length } = element.as_ref() {
                add("max_length", *max_length);
            }
            if let Some(dim) = element.vector_dim() {
                add("dim", dim);
            }
            add("max_capacity", *max_capacity);
        }
        other => {
            if let Some(dim) = other.vector_dim() {
                add("dim", dim);
            }
        }
    }
    type_params.extend(params::to_pairs(&field.params));
    let element_type = match &field.data_type {
        DataType::Array { element, .. } => wire_type(element),
        _ => WireType::None,
    };
    schema::FieldSchema {
        field_id: field.id,
        name: field.name.clone(),
        is_primary_key: field.is_primary,
        description: field.description.clone(),
        data_type: wire_type(&field.data_type).into(),
        type_params,
        auto_id: field.auto_id,
        element_type: element_type.into(),
        default_value: field.default_value.as_ref().map(|v| default_to_wire(&field.data_type, v)),
        is_partition_key: field.is_partition_key,
        is_clustering_key: field.is_clustering_key,
        is_function_output: field.is_function_output,
        nullable: field.nullable,
        ..Default::default()
    }
}

/// The wire's name of a type.
pub fn wire_type(data_type: &DataType) -> WireType {
    match data_type {
        DataType::Bool => WireType::Bool,
        DataType::Int8 => WireType::Int8,
        DataType::Int16 => WireType::Int16,
        DataType::Int32 => WireType::Int32,
        DataType::Int64 => WireType::Int64,
        DataType::Float => WireType::Float,
        DataType::Double => WireType::Double,
        DataType::VarChar { .. } => WireType::VarChar,
        DataType::Json => WireType::Json,
        DataType::Array { element, .. } if element.is_vector() => WireType::ArrayOfVector,
        DataType::Array { .. } => WireType::Array,
        DataType::FloatVector { .. } => WireType::FloatVector,
        DataType::Float16Vector { .. } => WireType::Float16Vector,
        DataType::BFloat16Vector { .. } => WireType::BFloat16Vector,
        DataType::Int8Vector { .. } => WireType::Int8Vector,
        DataType::BinaryVector { .. } => WireType::BinaryVector,
        DataType::SparseFloatVector => WireType::SparseFloatVector,
        DataType::Text => WireType::Text,
        DataType::Timestamptz => WireType::Timestamptz,
        DataType::Geometry => WireType::Geometry,
    }
}

fn default_to_wire(data_type: &DataType, value: &DefaultValue) -> ValueField {
    let data = match value {
        DefaultValue::Bool(v) => Data::BoolData(*v),
        DefaultValue::Int(v) if *data_type == DataType::Int64 => Data::LongData(*v),
        DefaultValue::Int(v) => Data::IntData(i32::try_from(*v).unwrap_or_default()),
        DefaultValue::Float(v) => Data::FloatData(*v),
        DefaultValue::Double(v) => Data::DoubleData(*v),
        DefaultValue::Text(v) => Data::StringData(v.clone()),
        DefaultValue::Json(v) => Data::BytesData(v.clone().into_bytes()),
        DefaultValue::Timestamp(v) => Data::TimestamptzData(*v),
    };
    ValueField { data: Some(data) }
}

/// The id that `$meta` has beside these fields.
pub fn dynamic_field_id(schema: &CollectionSchema) -> i64 {
    schema.next_field_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FIRST_FIELD_ID;

    fn pair(key: &str, value: &str) -> KeyValuePair {
        KeyValuePair { key: key.into(), value: value.into() }
    }

    fn field(name: &str, kind: WireType, params: &[(&str, &str)]) -> schema::FieldSchema {
        schema::FieldSchema {
            name: name.into(),
            data_type: kind.into(),
            type_params: params.iter().map(|(k, v)| pair(k, v)).collect(),
            ..Default::default()
        }
    }

    fn full() -> schema::CollectionSchema {
        let default = |data| Some(ValueField { data: Some(data) });
        let mut fields = vec![
            schema::FieldSchema {
                is_primary_key: true,
                auto_id: true,
                ..field("id", WireType::Int64, &[])
            },
            schema::FieldSchema {
                nullable: true,
                default_value: default(Data::StringData("x".into())),
                is_partition_key: true,
                ..field("s", WireType::VarChar, &[("max_length", "9"), ("mmap.enabled", "true")])
            },
            schema::FieldSchema {
                default_value: default(Data::IntData(-3)),
                ..field("i", WireType::Int16, &[])
            },
            schema::FieldSchema {
                element_type: WireType::VarChar.into(),
                ..field("a", WireType::Array, &[("max_length", "7"), ("max_capacity", "5")])
            },
            field("j", WireType::Json, &[]),
            field("v", WireType::FloatVector, &[("dim", "4")]),
            field("h", WireType::Float16Vector, &[("dim", "3")]),
            field("b", WireType::BFloat16Vector, &[("dim", "3")]),
            field("n", WireType::Int8Vector, &[("dim", "5")]),
            field("x", WireType::BinaryVector, &[("dim", "16")]),
        ];
        for (id, field) in (FIRST_FIELD_ID..).zip(&mut fields) {
            field.field_id = id;
        }
        schema::CollectionSchema {
            name: "c".into(),
            description: "d".into(),
            fields,
            enable_dynamic_field: true,
            ..Default::default()
        }
    }

    #[test]
    fn a_schema_comes_back_as_it_went_in() {
        let wire = full();
        let back = from_wire(&wire).map(|s| describe("c", &s)).ok();
        assert_eq!(back, Some(wire));
    }

    #[test]
    fn what_is_not_built_or_wrong_is_refused() {
        let code = |f: schema::FieldSchema| field_from_wire("c", &f).err().map(|e| e.code);
        assert_eq!(code(field("g", WireType::ArrayOfStruct, &[])), Some(10));
        assert_eq!(code(field("v", WireType::FloatVector, &[])), Some(1100));
        assert_eq!(code(field("s", WireType::VarChar, &[])), Some(1101));
        assert_eq!(code(field("v", WireType::FloatVector, &[("dim", "x")])), Some(1100));
        let wrong_default = schema::FieldSchema {
            default_value: Some(ValueField { data: Some(Data::StringData("x".into())) }),
            ..field("i", WireType::Int64, &[])
        };
        assert_eq!(code(wrong_default), Some(1100));
    }

    #[test]
    fn the_dynamic_column_takes_the_next_id() {
        assert_eq!(from_wire(&full()).map(|s| dynamic_field_id(&s)).ok(), Some(110));
    }
}
