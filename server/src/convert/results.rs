//! Columns of an answer: from Arrow to `FieldData`.
//!
//! Nulls of scalars are dense (a filler stands in the null's place), nulls of vectors are compact
//! (nothing does), arrays of vectors are dense; the flags say which rows are valid. Fields that cannot be null have no flags.

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType, FieldSchema};
use elanus_proto::schema::field_data::Field as Payload;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    ArrayArray, BoolArray, DataType as WireType, DoubleArray, FieldData, FloatArray,
    GeometryWktArray, IntArray, JsonArray, LongArray, ScalarField, StringArray, TimestamptzArray,
};

use super::{internal, schema, structs, vectors};
use crate::status::Failure;

/// One column for the wire; `name` is a field of the schema or `$meta`.
pub fn to_wire(
    collection: &CollectionSchema,
    name: &str,
    array: &ArrayRef,
) -> Result<FieldData, Failure> {
    if name == DYNAMIC_FIELD {
        return Ok(FieldData {
            field_id: schema::dynamic_field_id(collection),
            is_dynamic: true,
            ..scalar(name, WireType::Json, scalar_data(&DataType::Json, array)?)
        });
    }
    field_to_wire(collection.field(name)?, array)
}

/// A column of JSON texts that is no field; nulls are told by flags.
pub fn json_to_wire(name: &str, array: &ArrayRef) -> Result<FieldData, Failure> {
    let valid_data = (0..array.len()).map(|row| array.is_valid(row)).collect();
    let data = scalar_data(&DataType::Json, array)?;
    Ok(FieldData { valid_data, ..scalar(name, WireType::Json, data) })
}

/// A column that a function made: a field's of that name, or one of integers, numbers or texts whose
/// nulls are told by flags.
pub fn computed_to_wire(
    collection: &CollectionSchema,
    name: &str,
    array: &ArrayRef,
) -> Result<FieldData, Failure> {
    if collection.has_field(name) {
        return to_wire(collection, name, array);
    }
    let kind = match array.data_type() {
        ArrowType::Int8 => DataType::Int8,
        ArrowType::Int16 => DataType::Int16,
        ArrowType::Int32 => DataType::Int32,
        ArrowType::Int64 => DataType::Int64,
        ArrowType::Float32 => DataType::Float,
        ArrowType::Float64 => DataType::Double,
        ArrowType::Utf8 => DataType::VarChar { max_length: 0 },
        _ => return Err(unexpected(array)),
    };
    let valid_data = match array.null_count() {
        0 => Vec::new(),
        _ => (0..array.len()).map(|row| array.is_valid(row)).collect(),
    };
    Ok(FieldData {
        valid_data,
        ..scalar(name, schema::wire_type(&kind), scalar_data(&kind, array)?)
    })
}

fn field_to_wire(field: &FieldSchema, array: &ArrayRef) -> Result<FieldData, Failure> {
    let valid_data = if field.nullable {
        (0..array.len()).map(|row| array.is_valid(row)).collect()
    } else {
        Vec::new()
    };
    let payload = match &field.data_type {
        kind if let Some(element) = kind.vector_element() => FieldData {
            r#type: schema::wire_type(kind).into(),
            field_name: field.name.clone(),
            field: Some(Payload::Vectors(structs::lists_to_wire(element, array.as_ref())?)),
            ..Default::default()
        },
        kind if kind.is_vector() => FieldData {
            r#type: schema::wire_type(kind).into(),
            field_name: field.name.clone(),
            field: Some(Payload::Vectors(vectors::to_wire(kind, array.as_ref())?)),
            ..Default::default()
        },
        kind => scalar(&field.name, schema::wire_type(kind), scalar_data(kind, array)?),
    };
    Ok(FieldData { field_id: field.id, valid_data, ..payload })
}

fn scalar(name: &str, kind: WireType, data: Data) -> FieldData {
    FieldData {
        r#type: kind.into(),
        field_name: name.to_string(),
        field: Some(Payload::Scalars(ScalarField { data: Some(data), ..Default::default() })),
        ..Default::default()
    }
}

fn unexpected(array: &dyn Array) -> Failure {
    internal(format!("a fetched column is of an unexpected type {}", array.data_type()))
}

/// The values, with zero in place of each null.
fn primitive<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<Vec<T::Native>, Failure> {
    let typed = array.as_primitive_opt::<T>().ok_or_else(|| unexpected(array))?;
    if typed.null_count() == 0 {
        return Ok(typed.values().to_vec());
    }
    Ok(typed.iter().map(Option::unwrap_or_default).collect())
}

fn widened<T: ArrowPrimitiveType>(array: &dyn Array) -> Result<Vec<i32>, Failure>
where
    T::Native: Into<i32>,
{
    Ok(primitive::<T>(array)?.into_iter().map(Into::into).collect())
}

/// The values of a scalar column, with a filler for each null.
fn scalar_data(kind: &DataType, array: &dyn Array) -> Result<Data, Failure> {
    Ok(match kind {
        DataType::Bool => {
            let values = array.as_boolean_opt().ok_or_else(|| unexpected(array))?;
            Data::BoolData(BoolArray {
                data: values.iter().map(Option::unwrap_or_default).collect(),
            })
        }
        DataType::Int8 => Data::IntData(IntArray { data: widened::<Int8Type>(array)? }),
        DataType::Int16 => Data::IntData(IntArray { data: widened::<Int16Type>(array)? }),
        DataType::Int32 => Data::IntData(IntArray { data: primitive::<Int32Type>(array)? }),
        DataType::Int64 => Data::LongData(LongArray { data: primitive::<Int64Type>(array)? }),
        DataType::Float => Data::FloatData(FloatArray { data: primitive::<Float32Type>(array)? }),
        DataType::Double => {
            Data::DoubleData(DoubleArray { data: primitive::<Float64Type>(array)? })
        }
        DataType::Timestamptz => Data::TimestamptzData(TimestamptzArray {
            data: primitive::<TimestampMicrosecondType>(array)?,
        }),
        DataType::Geometry => {
            let data = texts(array)?.map(str::to_string).collect();
            Data::GeometryWktData(GeometryWktArray { data })
        }
        DataType::VarChar { .. } | DataType::Text => {
            let data = texts(array)?.map(str::to_string).collect();
            Data::StringData(StringArray { data })
        }
        DataType::Json => {
            let data = texts(array)?.map(|t| t.as_bytes().to_vec()).collect();
            Data::JsonData(JsonArray { data })
        }
        DataType::Array { element, .. } => {
            let lists = array.as_list_opt::<i32>().ok_or_else(|| unexpected(array))?;
            Data::ArrayData(lists_data(element, lists)?)
        }
        DataType::FloatVector { .. }
        | DataType::Float16Vector { .. }
        | DataType::BFloat16Vector { .. }
        | DataType::Int8Vector { .. }
        | DataType::BinaryVector { .. }
        | DataType::SparseFloatVector => return Err(unexpected(array)),
    })
}

fn texts(array: &dyn Array) -> Result<impl Iterator<Item = &str>, Failure> {
    let values = array.as_string_opt::<i32>().ok_or_else(|| unexpected(array))?;
    Ok(values.iter().map(Option::unwrap_or_default))
}

fn lists_data(element: &DataType, lists: &ListArray) -> Result<ArrayArray, Failure> {
    let mut data = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let data_of_row = match lists.is_valid(row) {
            true => Some(scalar_data(element, &lists.value(row))?),
            false => None,
        };
        data.push(ScalarField { data: data_of_row, ..Default::default() });
    }
    Ok(ArrayArray { data, element_type: schema::wire_type(element).into() })
}
