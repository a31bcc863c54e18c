//! Scalar payloads of columns as Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, ListArray, PrimitiveArray, StringArray, TimestampMicrosecondArray,
    new_empty_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int8Type, Int16Type};
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{DataType, DefaultValue};
use elanus_proto::schema::ScalarField;
use elanus_proto::schema::scalar_field::Data;

use super::wrong_type;
use crate::convert::{invalid, mismatch};
use crate::status::Failure;

/// The given values as an array without nulls; a payload of nothing is an empty array.
pub fn scalar_values(name: &str, kind: &DataType, data: Option<Data>) -> Result<ArrayRef, Failure> {
    let Some(data) = data else { return Ok(new_empty_array(&kind.to_arrow())) };
    Ok(match (kind, data) {
        (DataType::Bool, Data::BoolData(v)) => Arc::new(BooleanArray::from(v.data)),
        (DataType::Int8, Data::IntData(v)) => Arc::new(narrow::<Int8Type>(v.data, -128, 127)?),
        (DataType::Int16, Data::IntData(v)) => {
            Arc::new(narrow::<Int16Type>(v.data, -32768, 32767)?)
        }
        (DataType::Int32, Data::IntData(v)) => Arc::new(Int32Array::new(v.data.into(), None)),
        (DataType::Int64, Data::LongData(v)) => Arc::new(Int64Array::new(v.data.into(), None)),
        (DataType::Float, Data::FloatData(v)) => Arc::new(Float32Array::new(v.data.into(), None)),
        (DataType::Double, Data::DoubleData(v)) => Arc::new(Float64Array::new(v.data.into(), None)),
        (DataType::VarChar { .. } | DataType::Text, Data::StringData(v)) => {
            Arc::new(StringArray::from_iter_values(v.data))
        }
        (DataType::Geometry, Data::GeometryWktData(v)) => {
            Arc::new(StringArray::from_iter_values(v.data))
        }
        (DataType::Timestamptz, Data::TimestamptzData(v)) => moments(v.data),
        (DataType::Json, Data::JsonData(v)) => json_values(name, &v.data)?,
        (DataType::Array { element, .. }, Data::ArrayData(v)) => {
            list_values(name, element, v.data)?
        }
        (kind, _) => return Err(wrong_type(name, kind)),
    })
}

fn moments(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::new(values.into(), None).with_timezone("UTC"))
}

fn narrow<T: ArrowPrimitiveType>(
    values: Vec<i32>,
    least: i32,
    most: i32,
) -> Result<PrimitiveArray<T>, Failure>
where
    T::Native: TryFrom<i32>,
{
    let fitting: Result<Vec<T::Native>, Failure> = values
        .iter()
        .enumerate()
        .map(|(i, v)| {
            T::Native::try_from(*v).map_err(|_| {
                let text = format!("the {i}th element ({v}) out of range: [{least}, {most}]");
                mismatch(text, "integer doesn't overflow", "out of range")
            })
        })
        .collect();
    Ok(PrimitiveArray::new(fitting?.into(), None))
}

/// Texts that are to be JSON; the engine checks those that are not null.
fn json_values(name: &str, values: &[Vec<u8>]) -> Result<ArrayRef, Failure> {
    let mut texts = Vec::with_capacity(values.len());
    for (row, bytes) in values.iter().enumerate() {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| invalid(format!("row {row} of json field '{name}' is no valid JSON")))?;
        // Some clients send nothing at all for a row without a value.
        texts.push(if text.is_empty() { "null" } else { text });
    }
    Ok(Arc::new(StringArray::from_iter_values(texts)))
}

fn list_values(
    name: &str,
    element: &DataType,
    rows: Vec<ScalarField>,
) -> Result<ArrayRef, Failure> {
    let mut lengths = Vec::with_capacity(rows.len());
    let mut flat: Option<Data> = None;
    for row in rows {
        if row.valid_data.contains(&false) {
            return Err(Failure::unsupported(format!(
                "null elements in array field {name} are not supported"
            )));
        }
        let count = match row.data {
            None => 0,
            Some(more) => append(&mut flat, more).ok_or_else(|| wrong_elements(element))?,
        };
        lengths.push(count);
    }
    let values = scalar_values(name, element, flat).map_err(|e| {
        if e.reason.contains("array type mismatch") { wrong_elements(element) } else { e }
    })?;
    let item = Arc::new(Field::new("item", element.to_arrow(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(item, offsets, values, None).map_err(Error::from)?))
}

fn wrong_elements(element: &DataType) -> Failure {
    mismatch(
        "insert data does not match",
        format!("{} array", element.display_name()),
        "an array of another type",
    )
}

/// Joins the values of one row to those of the rows before; `None` if they are of another type.
fn append(flat: &mut Option<Data>, more: Data) -> Option<usize> {
    macro_rules! join {
        ($($kind:ident),*) => {
            match (flat.as_mut(), more) {
                $((None, Data::$kind(v)) => {
                    let count = v.data.len();
                    *flat = Some(Data::$kind(v));
                    Some(count)
                }
                (Some(Data::$kind(all)), Data::$kind(v)) => {
                    let count = v.data.len();
                    all.data.extend(v.data);
                    Some(count)
                })*
                _ => None,
            }
        };
    }
    join!(BoolData, IntData, LongData, FloatData, DoubleData, StringData)
}

/// A default as an array of one element; `None` if it is not of the type.
pub fn default_array(value: &DefaultValue, kind: &DataType) -> Option<ArrayRef> {
    Some(match (value, kind) {
        (DefaultValue::Bool(v), DataType::Bool) => Arc::new(BooleanArray::from(vec![*v])),
        (DefaultValue::Int(v), DataType::Int8) => {
            Arc::new(Int8Array::from(vec![i8::try_from(*v).ok()?]))
        }
        (DefaultValue::Int(v), DataType::Int16) => {
            Arc::new(Int16Array::from(vec![i16::try_from(*v).ok()?]))
        }
        (DefaultValue::Int(v), DataType::Int32) => {
            Arc::new(Int32Array::from(vec![i32::try_from(*v).ok()?]))
        }
        (DefaultValue::Int(v), DataType::Int64) => Arc::new(Int64Array::from(vec![*v])),
        (DefaultValue::Float(v), DataType::Float) => Arc::new(Float32Array::from(vec![*v])),
        (DefaultValue::Double(v), DataType::Double) => Arc::new(Float64Array::from(vec![*v])),
        (DefaultValue::Text(v), DataType::VarChar { .. } | DataType::Text | DataType::Geometry)
        | (DefaultValue::Json(v), DataType::Json) => Arc::new(StringArray::from(vec![v.as_str()])),
        (DefaultValue::Timestamp(v), DataType::Timestamptz) => moments(vec![*v]),
        _ => return None,
    })
}
