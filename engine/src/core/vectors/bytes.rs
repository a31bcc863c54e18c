//! Vectors as bytes, little-endian and row-major: how clients send and get them.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, PrimitiveArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType as ArrowType, Float16Type, Float32Type, Int8Type,
};
use elanus_kernels::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

use super::{VectorValues, VectorView};
use crate::core::error::{Error, Result};
use crate::core::schema::DataType;

/// A column of a vector type from the bytes of its rows, none of them null.
///
/// # Errors
/// [`ErrorKind::Internal`](crate::core::error::ErrorKind::Internal) if the type is no vector type or
/// the bytes are no whole number of rows.
pub fn vectors_from_bytes(data_type: &DataType, bytes: Vec<u8>) -> Result<ArrayRef> {
    let size = data_type.vector_bytes().unwrap_or(0) as usize;
    if size == 0 || !bytes.len().is_multiple_of(size) {
        let wanted = data_type.display_name();
        return Err(Error::internal(format!("{} bytes are no rows of {wanted}", bytes.len())));
    }
    match data_type {
        DataType::FloatVector { .. } => {
            let (values, _) = bytes.as_chunks::<4>();
            let values: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
            list::<Float32Type>(data_type, Buffer::from_vec(values))
        }
        DataType::Float16Vector { .. } => {
            let (values, _) = bytes.as_chunks::<2>();
            let values: Vec<u16> = values.iter().map(|v| u16::from_le_bytes(*v)).collect();
            list::<Float16Type>(data_type, Buffer::from_vec(values))
        }
        DataType::Int8Vector { .. } => list::<Int8Type>(data_type, Buffer::from_vec(bytes)),
        _ => {
            let size = i32::try_from(size).unwrap_or(i32::MAX);
            Ok(Arc::new(FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), None)?))
        }
    }
}

/// A column of a type of lists from its values, none of the rows null.
fn list<T: ArrowPrimitiveType>(data_type: &DataType, values: Buffer) -> Result<ArrayRef> {
    let ArrowType::FixedSizeList(item, dim) = data_type.to_arrow() else {
        return Err(Error::internal(format!("{} is no list", data_type.display_name())));
    };
    let values = Arc::new(PrimitiveArray::<T>::new(values.into(), None));
    Ok(Arc::new(FixedSizeListArray::try_new(item, dim, values, None)?))
}

/// 32-bit floats as the bytes of a column of a 16-bit type, rounded to nearest; what is too large
/// becomes infinite. `None` for other types.
pub fn narrowed(data_type: &DataType, values: &[f32]) -> Option<Vec<u8>> {
    let narrow = match data_type {
        DataType::Float16Vector { .. } => f32_to_f16,
        DataType::BFloat16Vector { .. } => f32_to_bf16,
        _ => return None,
    };
    Some(values.iter().flat_map(|v| narrow(*v).to_le_bytes()).collect())
}

/// 32-bit floats as a column of a type holds them: rounded to 16 bits where it has no more.
pub fn rounded(data_type: &DataType, values: &[f32]) -> Vec<f32> {
    match data_type {
        DataType::Float16Vector { .. } => {
            values.iter().map(|v| f16_to_f32(f32_to_f16(*v))).collect()
        }
        DataType::BFloat16Vector { .. } => {
            values.iter().map(|v| bf16_to_f32(f32_to_bf16(*v))).collect()
        }
        _ => values.to_vec(),
    }
}

impl VectorView<'_> {
    /// The bytes of some rows, one after the other.
    ///
    /// # Panics
    /// If a row is none of the view's, as an index does.
    pub fn bytes_of(&self, rows: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(rows.len() * self.row_bytes());
        for row in rows {
            match self.slice(row..row + 1).values {
                VectorValues::F32(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
                VectorValues::F16(v) => out.extend(v.iter().flat_map(|v| v.to_le_bytes())),
                VectorValues::Int8(v) => out.extend(v.iter().map(|v| v.cast_unsigned())),
                VectorValues::Bf16(v) | VectorValues::Bits(v) => out.extend_from_slice(v),
                VectorValues::Sparse(v) => out.extend_from_slice(v.bytes(0)),
            }
        }
        out
    }

    /// Bytes of one row; 0 where they differ from row to row.
    pub fn row_bytes(&self) -> usize {
        match self.values {
            VectorValues::F32(_) => 4 * self.dim,
            VectorValues::F16(_) | VectorValues::Bf16(_) => 2 * self.dim,
            VectorValues::Int8(_) => self.dim,
            VectorValues::Bits(_) => self.dim / 8,
            VectorValues::Sparse(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_each_type_come_back_and_slices_keep_their_rows() {
        let types = [
            (DataType::FloatVector { dim: 2 }, 8),
            (DataType::Float16Vector { dim: 4 }, 8),
            (DataType::BFloat16Vector { dim: 4 }, 8),
            (DataType::Int8Vector { dim: 8 }, 8),
            (DataType::BinaryVector { dim: 64 }, 8),
        ];
        let bytes: Vec<u8> = (0..32).collect();
        for (data_type, size) in types {
            let array = vectors_from_bytes(&data_type, bytes.clone()).unwrap();
            assert_eq!(array.data_type(), &data_type.to_arrow());
            let view = VectorView::of(array.as_ref(), &data_type).unwrap();
            assert_eq!((view.rows, view.row_bytes()), (4, size));
            assert_eq!(view.bytes_of(0..4), bytes, "{data_type:?}");
            let part = array.slice(1, 2);
            let part = VectorView::of(part.as_ref(), &data_type).unwrap();
            assert_eq!(part.bytes_of([1, 0].into_iter()), [&bytes[16..24], &bytes[8..16]].concat());
            assert!(vectors_from_bytes(&data_type, vec![0; size + 1]).is_err());
            assert!(VectorView::of(array.as_ref(), &DataType::Int8).is_err());
        }
    }

    #[test]
    fn narrow_values_widen_to_what_they_were() {
        let values = [0.0, -1.5, 0.25, 1024.0, -2.0, 3.0];
        for data_type in [DataType::Float16Vector { dim: 3 }, DataType::BFloat16Vector { dim: 3 }] {
            let bytes = narrowed(&data_type, &values).unwrap();
            let array = vectors_from_bytes(&data_type, bytes).unwrap();
            let view = VectorView::of(array.as_ref(), &data_type).unwrap();
            let mut out = [f32::NAN; 6];
            view.rows_f32(0..2, &mut out);
            assert_eq!(out, values, "{data_type:?}");
            assert_eq!(rounded(&data_type, &values), values);
            assert!(rounded(&data_type, &[f32::MAX])[0].is_infinite());
        }
        let int8 = DataType::Int8Vector { dim: 2 };
        let array = vectors_from_bytes(&int8, vec![0x80, 0x7f, 0xff, 1]).unwrap();
        let view = VectorView::of(array.as_ref(), &int8).unwrap();
        assert_eq!(view.block(0..2, &mut Vec::new()), [-128.0, 127.0, -1.0, 1.0]);
    }
}
