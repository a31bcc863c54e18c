//! Vectors of every type between the wire and Arrow.

use arrow::array::{Array, ArrayRef, new_empty_array};
use elanus_engine::api::{Metric, Queries};
use elanus_engine::core::schema::{DataType, FieldSchema};
use elanus_engine::core::vectors::{VectorView, narrowed, vectors_from_bytes};
use elanus_proto::schema::vector_field::Data;
use elanus_proto::schema::{DataType as WireType, FloatArray, VectorField};

use super::columns::{floats, wrong_type};
use super::{invalid, mismatch, sparse};
use crate::status::Failure;

/// A column of a vector field, and the flags that say which rows are valid.
///
/// 32-bit floats for a field of 16-bit floats are rounded to them, as Milvus does.
///
/// # Errors
/// If the data is of another type or dimension than the field, or no whole number of rows.
pub(super) fn from_wire(
    field: &FieldSchema,
    dim: u32,
    data: VectorField,
) -> Result<(ArrayRef, Vec<bool>), Failure> {
    let data_type = &field.data_type;
    let Some(values) = data.data else {
        return Ok((new_empty_array(&data_type.to_arrow()), data.valid_data));
    };
    let bytes = match (values, data_type) {
        (Data::FloatVector(v), DataType::FloatVector { .. }) => {
            check_dim(field, dim, data.dim)?;
            return Ok((floats(dim, v.data)?, data.valid_data));
        }
        (Data::FloatVector(v), _) => match narrow(data_type, &v.data)? {
            Some(bytes) => bytes,
            None => return Err(wrong_type(&field.name, data_type)),
        },
        (Data::Float16Vector(v), DataType::Float16Vector { .. })
        | (Data::Bfloat16Vector(v), DataType::BFloat16Vector { .. })
        | (Data::Int8Vector(v), DataType::Int8Vector { .. })
        | (Data::BinaryVector(v), DataType::BinaryVector { .. }) => v,
        _ => return Err(wrong_type(&field.name, data_type)),
    };
    check_dim(field, dim, data.dim)?;
    check_length(data_type, dim, bytes.len())?;
    let array = vectors_from_bytes(data_type, bytes).map_err(Failure::from)?;
    Ok((array, data.valid_data))
}

pub(super) fn check_dim(field: &FieldSchema, dim: u32, given: i64) -> Result<(), Failure> {
    if given == 0 || given == i64::from(dim) {
        return Ok(());
    }
    let text = format!(
        "the dim ({given}) of field data({}) is not equal to schema dim ({dim})",
        field.name
    );
    Err(mismatch(text, dim, given))
}

fn check_length(data_type: &DataType, dim: u32, length: usize) -> Result<(), Failure> {
    let width = data_type.vector_bytes().unwrap_or(0) as usize;
    if width > 0 && length.is_multiple_of(width) {
        return Ok(());
    }
    Err(invalid(match data_type {
        DataType::BinaryVector { .. } => {
            format!("the num({}) of all bits should divide the dim({dim})", 8 * length)
        }
        DataType::Int8Vector { .. } => {
            format!("the length({length}) of int8 data should divide the dim({dim})")
        }
        DataType::BFloat16Vector { .. } => {
            format!("the length({length}) of bfloat data should divide the row width({width})")
        }
        _ => format!("the length({length}) of float16 data should divide the row width({width})"),
    }))
}

/// 32-bit floats as bytes of a type of 16-bit floats; `None` for other types.
fn narrow(data_type: &DataType, values: &[f32]) -> Result<Option<Vec<u8>>, Failure> {
    match values.iter().find(|v| !v.is_finite()) {
        Some(bad) => Err(invalid(format!("value '{bad}' is not a number or infinity"))),
        None => Ok(narrowed(data_type, values)),
    }
}

/// A vector column for the wire; null rows are left out.
pub(super) fn to_wire(data_type: &DataType, array: &dyn Array) -> Result<VectorField, Failure> {
    if data_type.is_sparse_vector() {
        return sparse::to_wire(array);
    }
    let view = VectorView::of(array, data_type).map_err(Failure::from)?;
    let present: Vec<usize> = (0..array.len()).filter(|row| array.is_valid(*row)).collect();
    let bytes = || view.bytes_of(present.iter().copied());
    let data = match data_type {
        DataType::Float16Vector { .. } => Data::Float16Vector(bytes()),
        DataType::BFloat16Vector { .. } => Data::Bfloat16Vector(bytes()),
        DataType::Int8Vector { .. } => Data::Int8Vector(bytes()),
        DataType::BinaryVector { .. } => Data::BinaryVector(bytes()),
        _ => Data::FloatVector(FloatArray { data: floats_of(&view, &present) }),
    };
    Ok(VectorField { dim: view.dim as i64, data: Some(data), ..Default::default() })
}

/// Rows widened to 32 bits, one after the other; of bits nothing.
fn floats_of(view: &VectorView<'_>, rows: &[usize]) -> Vec<f32> {
    let mut data = Vec::with_capacity(rows.len() * view.dim);
    let mut buffer = Vec::new();
    for row in rows {
        data.extend_from_slice(view.block(*row..row + 1, &mut buffer));
    }
    data
}

/// Each row widened to 32 bits; of bits nothing.
fn dense_rows(view: &VectorView<'_>, rows: &[usize]) -> Vec<Vec<f32>> {
    let mut buffer = Vec::new();
    rows.iter().map(|row| view.block(*row..row + 1, &mut buffer).to_vec()).collect()
}

/// Rows of a fetched vector column as query vectors.
pub fn queries_of_rows(
    data_type: &DataType,
    array: &dyn Array,
    rows: &[usize],
) -> Result<Queries, Failure> {
    let view = VectorView::of(array, data_type).map_err(Failure::from)?;
    let bytes = || rows.iter().map(|row| view.bytes_of([*row].into_iter()));
    Ok(match data_type {
        DataType::SparseFloatVector => sparse::queries(bytes())?,
        DataType::BinaryVector { .. } => Queries::Binary(bytes().collect()),
        _ => Queries::Dense(dense_rows(&view, rows)),
    })
}

/// Query vectors from the bytes of each, which have the length of the type.
///
/// # Errors
/// If a value is not finite.
pub(super) fn queries_of_bytes<'a>(
    data_type: &DataType,
    vectors: impl Iterator<Item = &'a [u8]>,
) -> Result<Queries, Failure> {
    let bytes: Vec<&[u8]> = vectors.collect();
    let array = vectors_from_bytes(data_type, bytes.concat()).map_err(Failure::from)?;
    let rows: Vec<usize> = (0..array.len()).collect();
    let queries = queries_of_rows(data_type, array.as_ref(), &rows)?;
    if let Queries::Dense(vectors) = &queries
        && let Some(bad) = vectors.iter().flatten().find(|v| !v.is_finite())
    {
        return Err(invalid(match data_type {
            DataType::Float16Vector { .. } => {
                "float16 vector contain nan or infinity value.".into()
            }
            DataType::BFloat16Vector { .. } => {
                "bfloat16 vector contain nan or infinity value.".into()
            }
            _ => format!("value '{bad}' is not a number or infinity"),
        }));
    }
    Ok(queries)
}

/// 32-bit query vectors for a field of 16-bit floats, rounded to them, as bytes; `None` for other types.
pub(super) fn narrowed_query(
    data_type: &DataType,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, Failure> {
    let (values, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
    narrow(data_type, &values)
}

/// The vector type of a wire type and a dimension.
pub(super) fn vector_type(kind: WireType, dim: u32) -> Option<DataType> {
    Some(match kind {
        WireType::FloatVector => DataType::FloatVector { dim },
        WireType::Float16Vector => DataType::Float16Vector { dim },
        WireType::BFloat16Vector => DataType::BFloat16Vector { dim },
        WireType::Int8Vector => DataType::Int8Vector { dim },
        WireType::BinaryVector => DataType::BinaryVector { dim },
        _ => return None,
    })
}

/// The name that Milvus's search gives a vector type in its errors.
pub fn type_name(kind: WireType) -> Option<&'static str> {
    Some(match kind {
        WireType::FloatVector => "VECTOR_FLOAT",
        WireType::Float16Vector => "VECTOR_FLOAT16",
        WireType::BFloat16Vector => "VECTOR_BFLOAT16",
        WireType::Int8Vector => "VECTOR_INT8",
        WireType::BinaryVector => "VECTOR_BINARY",
        WireType::SparseFloatVector => "VECTOR_SPARSE_U32_F32",
        _ => return None,
    })
}

/// The metric of a field that has no index.
pub fn default_metric(data_type: &DataType) -> Metric {
    match data_type {
        DataType::BinaryVector { .. } => Metric::Hamming,
        DataType::SparseFloatVector => Metric::Ip,
        _ => Metric::Cosine,
    }
}

#[cfg(test)]
mod tests;
