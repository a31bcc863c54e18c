//! Arrow arrays of one field as a column of Milvus's messages.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options, filter, is_not_null};
use arrow::datatypes::{
    DataType as ArrowType, Field as ArrowField, Float32Type, Float64Type, Int8Type, Int32Type,
    Int64Type, UInt8Type,
};
use elanus_engine::core::schema::{DataType, FieldSchema};
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    BoolArray, DoubleArray, FieldData, FloatArray, IntArray, LongArray, ScalarField, StringArray,
    VectorField, vector_field,
};
use serde_json::Value;
use std::sync::Arc;

use super::{failed, values};
use crate::status::Failure;

/// A column of the field.
pub fn column(field: &FieldSchema, array: &ArrayRef) -> Result<FieldData, Failure> {
    let at = |e: Failure| failed(format!("field '{}': {}", field.name, e.reason));
    let flags: Vec<bool> = (0..array.len()).map(|row| array.is_valid(row)).collect();
    let mask = is_not_null(array).map_err(wrong)?;
    let present = filter(array, &mask).map_err(wrong)?;
    let kind = &field.data_type;
    if is_text(present.data_type()) && !is_plain_text(kind) {
        let texts = texts(&present)?.into_iter();
        let parse = |text: String| match kind {
            DataType::Json => Ok(Value::String(text)),
            _ => serde_json::from_str(&text)
                .map_err(|_| failed(format!("'{text}' is no {}", kind.display_name()))),
        };
        let mut parsed = texts.map(parse).collect::<Result<Vec<_>, _>>().map_err(at)?.into_iter();
        let cells = flags.iter().map(|valid| if *valid { parsed.next() } else { None });
        return values::column(field, cells.collect());
    }
    let payload = match kind.is_vector() {
        true => Field::Vectors(vectors(kind, &present).map_err(at)?),
        false => Field::Scalars(scalars(kind, &present).map_err(at)?),
    };
    Ok(values::assemble(&field.name, payload, flags))
}

fn wrong(error: arrow::error::ArrowError) -> Failure {
    failed(error)
}

fn is_text(kind: &ArrowType) -> bool {
    matches!(kind, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View)
}

/// Whether a text of a file is the value itself, not JSON of it.
fn is_plain_text(kind: &DataType) -> bool {
    let parsed =
        kind.is_bool_or_number() || matches!(kind, DataType::Json | DataType::Array { .. });
    !parsed && !kind.is_vector()
}

/// To another type; what does not fit is an error.
fn cast(array: &ArrayRef, to: &ArrowType) -> Result<ArrayRef, Failure> {
    let strict = CastOptions { safe: false, ..Default::default() };
    cast_with_options(array, to, &strict)
        .map_err(|e| failed(format!("a column of {} cannot become {to}: {e}", array.data_type())))
}

fn texts(array: &ArrayRef) -> Result<Vec<String>, Failure> {
    let array = cast(array, &ArrowType::Utf8)?;
    Ok(array.as_string::<i32>().iter().map(|t| t.unwrap_or_default().to_string()).collect())
}

fn scalars(kind: &DataType, array: &ArrayRef) -> Result<ScalarField, Failure> {
    let data = match kind {
        DataType::Bool => {
            let array = cast(array, &ArrowType::Boolean)?;
            let data = array.as_boolean().iter().map(|v| v.unwrap_or_default()).collect();
            Data::BoolData(BoolArray { data })
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            // First to the field's own width, so that a value that does not fit is told of.
            let array = cast(&cast(array, &kind.to_arrow())?, &ArrowType::Int32)?;
            Data::IntData(IntArray { data: array.as_primitive::<Int32Type>().values().to_vec() })
        }
        DataType::Int64 => {
            let array = cast(array, &ArrowType::Int64)?;
            Data::LongData(LongArray { data: array.as_primitive::<Int64Type>().values().to_vec() })
        }
        DataType::Float => {
            let array = cast(array, &ArrowType::Float32)?;
            let data = array.as_primitive::<Float32Type>().values().to_vec();
            Data::FloatData(FloatArray { data })
        }
        DataType::Double => {
            let array = cast(array, &ArrowType::Float64)?;
            let data = array.as_primitive::<Float64Type>().values().to_vec();
            Data::DoubleData(DoubleArray { data })
        }
        DataType::Json => return Err(failed("JSON has to be a column of texts")),
        DataType::Array { element, .. } => {
            let row = |row: ArrayRef| match row.null_count() {
                0 => scalars(element, &row),
                _ => Err(failed("a list has an element that is null")),
            };
            let data = rows(array)?.into_iter().map(row).collect::<Result<_, _>>()?;
            Data::ArrayData(elanus_proto::schema::ArrayArray { data, ..Default::default() })
        }
        _ => Data::StringData(StringArray { data: texts(array)? }),
    };
    Ok(ScalarField { data: Some(data), ..Default::default() })
}

/// The lists of a column.
fn rows(array: &ArrayRef) -> Result<Vec<ArrayRef>, Failure> {
    Ok(match array.data_type() {
        ArrowType::List(_) => array.as_list::<i32>().iter().flatten().collect(),
        ArrowType::LargeList(_) => array.as_list::<i64>().iter().flatten().collect(),
        ArrowType::FixedSizeList(..) => array.as_fixed_size_list().iter().flatten().collect(),
        other => return Err(failed(format!("expected lists, but got {other}"))),
    })
}

/// The elements of all lists, each of which must have that many.
fn flat(array: &ArrayRef, element: &ArrowType, length: usize) -> Result<ArrayRef, Failure> {
    let list = ArrowType::LargeList(Arc::new(ArrowField::new("item", element.clone(), true)));
    let array = cast(array, &list)?;
    let lists = array.as_list::<i64>();
    let offsets = lists.offsets();
    if let Some(wrong) = offsets.lengths().find(|found| *found != length) {
        return Err(failed(format!("expected {length} elements, but got {wrong}")));
    }
    let (Some(from), Some(to)) = (offsets.first(), offsets.last()) else {
        return Err(failed("a column of lists is damaged"));
    };
    let place = |at: &i64| usize::try_from(*at).unwrap_or(usize::MAX);
    let values = lists.values().slice(place(from), place(to) - place(from));
    match values.null_count() {
        0 => Ok(values),
        _ => Err(failed("a vector has an element that is null")),
    }
}

fn vectors(kind: &DataType, array: &ArrayRef) -> Result<VectorField, Failure> {
    use vector_field::Data as Vectors;
    let dim = kind.vector_dim().unwrap_or(0);
    let length = dim as usize;
    let floats = |array: &ArrayRef| -> Result<Vectors, Failure> {
        let values = flat(array, &ArrowType::Float32, length)?;
        let data = values.as_primitive::<Float32Type>().values().to_vec();
        Ok(Vectors::FloatVector(FloatArray { data }))
    };
    let raw = |array: &ArrayRef, length: usize| -> Result<Vec<u8>, Failure> {
        let values = flat(array, &ArrowType::UInt8, length)?;
        Ok(values.as_primitive::<UInt8Type>().values().to_vec())
    };
    let of_bytes = element(array) == Some(ArrowType::UInt8);
    let data = match kind {
        DataType::FloatVector { .. } => floats(array)?,
        DataType::Float16Vector { .. } if of_bytes => {
            Vectors::Float16Vector(raw(array, 2 * length)?)
        }
        DataType::BFloat16Vector { .. } if of_bytes => {
            Vectors::Bfloat16Vector(raw(array, 2 * length)?)
        }
        DataType::Float16Vector { .. } | DataType::BFloat16Vector { .. } => floats(array)?,
        DataType::Int8Vector { .. } => {
            let values = flat(array, &ArrowType::Int8, length)?;
            let values = values.as_primitive::<Int8Type>().values();
            Vectors::Int8Vector(values.iter().map(|v| v.cast_unsigned()).collect())
        }
        DataType::BinaryVector { .. } => Vectors::BinaryVector(raw(array, length / 8)?),
        other => {
            return Err(failed(format!("{} has to be a column of texts", other.display_name())));
        }
    };
    Ok(VectorField { dim: dim.into(), data: Some(data), ..Default::default() })
}

fn element(array: &ArrayRef) -> Option<ArrowType> {
    match array.data_type() {
        ArrowType::List(item) | ArrowType::LargeList(item) | ArrowType::FixedSizeList(item, _) => {
            Some(item.data_type().clone())
        }
        _ => None,
    }
}
