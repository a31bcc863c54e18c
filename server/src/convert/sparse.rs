//! Sparse vectors between the wire and Arrow: rows of pairs of position and value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray};
use elanus_engine::api::Queries;
use elanus_engine::core::schema::FieldSchema;
use elanus_engine::core::sparse::{SparseVector, check, dimensions, pairs};
use elanus_proto::schema::vector_field::Data;
use elanus_proto::schema::{SparseFloatArray, VectorField};

use super::columns::wrong_type;
use super::{internal, invalid};
use crate::status::Failure;

/// A column of sparse vectors, and the flags that say which rows are valid.
///
/// # Errors
/// If a row is no sparse vector, or has a negative value.
pub(super) fn from_wire(
    field: &FieldSchema,
    data: VectorField,
) -> Result<(ArrayRef, Vec<bool>), Failure> {
    let rows = match data.data {
        None => Vec::new(),
        Some(Data::SparseFloatVector(v)) => v.contents,
        Some(_) => return Err(wrong_type(&field.name, &field.data_type)),
    };
    for row in &rows {
        check(row).map_err(invalid)?;
        if pairs(row).any(|(_, value)| value < 0.0) {
            return Err(invalid("negative value in sparse float vector"));
        }
    }
    Ok((Arc::new(BinaryArray::from_iter_values(rows)), data.valid_data))
}

/// A sparse column for the wire; null rows are left out.
pub(super) fn to_wire(array: &dyn Array) -> Result<VectorField, Failure> {
    let rows = array
        .as_binary_opt::<i32>()
        .ok_or_else(|| internal("a column of sparse vectors is not of bytes"))?;
    let contents: Vec<Vec<u8>> = rows.iter().flatten().map(<[u8]>::to_vec).collect();
    let dim = contents.iter().map(|row| dimensions(row)).max().unwrap_or(0);
    let dim = i64::try_from(dim).unwrap_or(i64::MAX);
    let data = Data::SparseFloatVector(SparseFloatArray { contents, dim });
    Ok(VectorField { dim, data: Some(data), ..Default::default() })
}

/// Query vectors from the bytes of each.
pub(super) fn queries(rows: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<Queries, Failure> {
    let read = |row: &[u8]| SparseVector::new(row).map_err(invalid);
    rows.map(|row| read(row.as_ref())).collect::<Result<_, _>>().map(Queries::Sparse)
}
