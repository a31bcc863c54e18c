//! Vectors of every type as readers of columns see them: borrowed from Arrow, never copied as a whole.

mod bytes;

use std::ops::Range;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float16Type, Float32Type, Int8Type};
use elanus_kernels::Kernels;

use super::error::{Error, Result};
use super::schema::DataType;
use super::sparse::SparseRows;

pub use bytes::{narrowed, rounded, vectors_from_bytes};

/// Values of neighbouring rows, row-major.
#[derive(Debug, Clone, Copy)]
pub enum VectorValues<'a> {
    /// FloatVector: `[rows, dim]`.
    F32(&'a [f32]),
    /// Float16Vector: `[rows, dim]`, the bits of each value.
    F16(&'a [u16]),
    /// BFloat16Vector: `[rows, dim, 2]`, little-endian.
    Bf16(&'a [u8]),
    /// Int8Vector: `[rows, dim]`.
    Int8(&'a [i8]),
    /// BinaryVector: `[rows, dim / 8]`, the lowest bit of a byte first.
    Bits(&'a [u8]),
    /// SparseFloatVector.
    Sparse(SparseRows<'a>),
}

/// A borrowed view of the vectors of neighbouring rows. What a row that is null holds is undefined.
#[derive(Debug, Clone, Copy)]
pub struct VectorView<'a> {
    /// The values.
    pub values: VectorValues<'a>,
    /// Dimensions (bits of a BinaryVector); of sparse vectors 0.
    pub dim: usize,
    /// Rows.
    pub rows: usize,
}

impl<'a> VectorView<'a> {
    /// Views 32-bit floats, row-major `[rows, dim]`; a last row that is cut off is left out.
    pub fn of_floats(values: &'a [f32], dim: usize) -> Self {
        let rows = values.len() / dim.max(1);
        Self { values: VectorValues::F32(&values[..rows * dim]), dim, rows }
    }

    /// Views vectors of bits, row-major `[rows, dim / 8]`; a last row that is cut off is left out.
    pub fn of_bits(values: &'a [u8], dim: usize) -> Self {
        let rows = values.len() / (dim / 8).max(1);
        Self { values: VectorValues::Bits(&values[..rows * (dim / 8)]), dim, rows }
    }

    /// Views a column of a vector type.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`](crate::core::error::ErrorKind::Internal) if the array is not of the type.
    pub fn of(array: &'a dyn Array, data_type: &DataType) -> Result<Self> {
        let dim = data_type.vector_dim().unwrap_or(0) as usize;
        let values = if array.data_type() == &data_type.to_arrow() {
            view(array, data_type, dim)
        } else {
            None
        };
        let values = values.ok_or_else(|| {
            let wanted = data_type.display_name();
            Error::internal(format!("a column of {} is read as {wanted}", array.data_type()))
        })?;
        Ok(Self { values, dim, rows: array.len() })
    }

    /// Whether the vectors are of numbers of one length.
    pub fn is_dense(&self) -> bool {
        !matches!(self.values, VectorValues::Bits(_) | VectorValues::Sparse(_))
    }

    /// The vectors of a range of rows.
    ///
    /// # Panics
    /// If the range passes the last row, as a slice does.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        let of = |size: usize| rows.start * size..rows.end * size;
        let values = match self.values {
            VectorValues::F32(v) => VectorValues::F32(&v[of(self.dim)]),
            VectorValues::F16(v) => VectorValues::F16(&v[of(self.dim)]),
            VectorValues::Bf16(v) => VectorValues::Bf16(&v[of(2 * self.dim)]),
            VectorValues::Int8(v) => VectorValues::Int8(&v[of(self.dim)]),
            VectorValues::Bits(v) => VectorValues::Bits(&v[of(self.dim / 8)]),
            VectorValues::Sparse(v) => VectorValues::Sparse(v.slice(rows.clone())),
        };
        Self { values, dim: self.dim, rows: rows.len() }
    }

    /// Widens the values of a range of rows, exactly, into `out[.. rows * dim]`. Dense types only: of
    /// others nothing is written.
    ///
    /// # Panics
    /// If the range passes the last row or `out` is too short, as a slice does.
    pub fn rows_f32(&self, rows: Range<usize>, out: &mut [f32]) {
        let part = self.slice(rows);
        let out = &mut out[..part.rows * part.dim];
        match part.values {
            VectorValues::F32(v) => out.copy_from_slice(v),
            VectorValues::F16(v) => Kernels::best().widen_f16(v, out),
            VectorValues::Bf16(v) => {
                for (out, v) in out.iter_mut().zip(v.chunks_exact(2)) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes([v[0], v[1]])) << 16);
                }
            }
            VectorValues::Int8(v) => {
                out.iter_mut().zip(v).for_each(|(out, v)| *out = f32::from(*v));
            }
            VectorValues::Bits(_) | VectorValues::Sparse(_) => {}
        }
    }

    /// Widens one row; see [`Self::rows_f32`].
    pub fn row_f32(&self, row: usize, out: &mut [f32]) {
        self.rows_f32(row..row + 1, out);
    }

    /// The values of a range of rows in single precision: borrowed if they are so, else widened into
    /// `buffer`. Of bits and sparse vectors: empty.
    pub fn block<'b>(&self, rows: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        if let VectorValues::F32(v) = self.values {
            return &v[rows.start * self.dim..rows.end * self.dim];
        }
        if !self.is_dense() {
            return &[];
        }
        buffer.resize(rows.len() * self.dim, 0.0);
        self.rows_f32(rows, buffer);
        buffer
    }

    /// The bytes of a row of bits; of other types empty.
    pub fn bits(&self, row: usize) -> &'a [u8] {
        let bytes = self.dim / 8;
        match self.values {
            VectorValues::Bits(v) => &v[row * bytes..(row + 1) * bytes],
            _ => &[],
        }
    }
}

/// The values of an array whose type was compared; `None` for types that are no vectors.
fn view<'a>(array: &'a dyn Array, data_type: &DataType, dim: usize) -> Option<VectorValues<'a>> {
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        let sparse = SparseRows::new(bytes.value_offsets(), bytes.value_data());
        return data_type.is_sparse_vector().then_some(VectorValues::Sparse(sparse));
    }
    if let Some(bytes) = array.as_fixed_size_binary_opt() {
        let size = usize::try_from(bytes.value_length()).unwrap_or(0);
        let values = bytes.value_data().get(..bytes.len() * size)?;
        return match data_type {
            DataType::BFloat16Vector { .. } => Some(VectorValues::Bf16(values)),
            DataType::BinaryVector { .. } => Some(VectorValues::Bits(values)),
            _ => None,
        };
    }
    let list = array.as_fixed_size_list_opt()?;
    let range = ..list.len() * dim;
    let values = list.values();
    match data_type {
        DataType::FloatVector { .. } => {
            Some(VectorValues::F32(&values.as_primitive_opt::<Float32Type>()?.values()[range]))
        }
        DataType::Int8Vector { .. } => {
            Some(VectorValues::Int8(&values.as_primitive_opt::<Int8Type>()?.values()[range]))
        }
        DataType::Float16Vector { .. } => {
            let values = values.as_primitive_opt::<Float16Type>()?.values();
            Some(VectorValues::F16(&values.inner().typed_data::<u16>()[range]))
        }
        _ => None,
    }
}
