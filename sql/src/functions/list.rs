//! Lists of numbers as vectors of 32-bit floats, and texts or bytes as vectors of bits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use elanus_engine::core::schema::{DataType as FieldType, TYPE_METADATA};
use elanus_engine::core::vectors::{VectorView, rounded};

/// Whether values of the type can be read as dense vectors. Of bytes a field's mark decides: see
/// [`is_bfloat16`].
pub(crate) fn is_vector_like(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
            f.data_type().is_numeric() || f.data_type().is_null()
        }
        DataType::Null | DataType::FixedSizeBinary(_) => true,
        _ => false,
    }
}

/// Whether values of the type can be read as vectors of bits.
pub(crate) fn is_bits_like(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Null
            | DataType::FixedSizeBinary(_)
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
    )
}

/// Whether the bytes of a column are vectors of 16-bit floats, as its mark says.
pub(crate) fn is_bfloat16(field: &Field) -> bool {
    field.metadata().get(TYPE_METADATA).is_some_and(|mark| mark == "bfloat16_vector")
}

/// The type of a field of vectors of 16-bit floats.
pub(crate) fn narrow_type(field: &Field) -> Option<FieldType> {
    match field.data_type() {
        DataType::FixedSizeList(item, dim) if *item.data_type() == DataType::Float16 => {
            Some(FieldType::Float16Vector { dim: u32::try_from(*dim).ok()? })
        }
        DataType::FixedSizeBinary(bytes) if is_bfloat16(field) => {
            Some(FieldType::BFloat16Vector { dim: u32::try_from(*bytes).ok()? / 2 })
        }
        _ => None,
    }
}

/// A column of vectors, or one vector for all rows.
pub(crate) struct Vectors {
    values: Float32Array,
    /// Where each vector starts and ends in `values`.
    bounds: Bounds,
    nulls: Option<NullBuffer>,
    constant: bool,
}

enum Bounds {
    Fixed(usize),
    Offsets(Vec<usize>),
    /// Every row is null.
    None,
}

impl Vectors {
    /// Reads a column of lists, or of bytes that hold 16-bit floats; `constant`: its one row stands
    /// for all rows.
    pub(crate) fn new(array: &ArrayRef, constant: bool) -> Result<Self> {
        let (values, bounds) = match array.data_type() {
            DataType::FixedSizeList(_, dim) => {
                let list = array.as_fixed_size_list();
                (list.values().clone(), Bounds::Fixed(usize::try_from(*dim).unwrap_or(0)))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets = list.offsets().iter().map(|o| usize::try_from(*o).unwrap_or(0));
                (list.values().clone(), Bounds::Offsets(offsets.collect()))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let offsets = list.offsets().iter().map(|o| usize::try_from(*o).unwrap_or(0));
                (list.values().clone(), Bounds::Offsets(offsets.collect()))
            }
            DataType::FixedSizeBinary(bytes) => {
                let dim = u32::try_from(*bytes).unwrap_or(0) / 2;
                let values: ArrayRef = Arc::new(widened(array, dim)?);
                (values, Bounds::Fixed(dim as usize))
            }
            DataType::Null => (arrow::array::new_empty_array(&DataType::Float32), Bounds::None),
            other => return exec_err!("a vector is a list of numbers, not {other}"),
        };
        let values = match values.data_type() {
            DataType::Float32 => values,
            _ => cast(&values, &DataType::Float32)?,
        };
        let values = values.as_primitive::<Float32Type>().clone();
        Ok(Self { values, bounds, nulls: array.nulls().cloned(), constant })
    }

    /// With the values rounded to those that a column of the type can hold.
    pub(crate) fn rounded(mut self, kind: &FieldType) -> Self {
        let values = rounded(kind, self.values.values());
        self.values = Float32Array::new(values.into(), self.values.nulls().cloned());
        self
    }

    /// The vector of a row; `None` if it is null.
    pub(crate) fn get(&self, row: usize) -> Result<Option<&[f32]>> {
        let row = if self.constant { 0 } else { row };
        if self.nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            return Ok(None);
        }
        let (from, to) = match &self.bounds {
            Bounds::Fixed(dim) => (row * dim, (row + 1) * dim),
            Bounds::Offsets(offsets) => (offsets[row], offsets[row + 1]),
            Bounds::None => return Ok(None),
        };
        if self.values.nulls().is_some_and(|n| n.slice(from, to - from).null_count() > 0) {
            return exec_err!("an element of a vector cannot be null");
        }
        Ok(Some(&self.values.values()[from..to]))
    }
}

/// A column of bytes that hold 16-bit floats, as 32-bit ones.
fn widened(array: &ArrayRef, dim: u32) -> Result<Float32Array> {
    let kind = FieldType::BFloat16Vector { dim };
    let view = VectorView::of(array.as_ref(), &kind)
        .map_err(|e| DataFusionError::External(Box::new(e)))?;
    let mut values = vec![0.0; view.rows * view.dim];
    view.rows_f32(0..view.rows, &mut values);
    Ok(values.into())
}

/// A constant as a vector; `None` if it is null or no vector.
pub(crate) fn vector_from_scalar(value: &ScalarValue) -> Option<Vec<f32>> {
    let kind = value.data_type();
    if value.is_null() || !is_vector_like(&kind) || matches!(kind, DataType::FixedSizeBinary(_)) {
        return None;
    }
    let array = value.to_array().ok()?;
    let vectors = Vectors::new(&array, true).ok()?;
    vectors.get(0).ok()?.map(<[f32]>::to_vec)
}

/// A column of vectors of bits, or one vector for all rows.
pub(crate) struct Bits {
    values: BinaryArray,
    constant: bool,
}

impl Bits {
    /// Reads a column of bytes, or of texts with two hexadecimal digits for each byte.
    pub(crate) fn new(array: &ArrayRef, constant: bool) -> Result<Self> {
        let values = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                let texts = cast(array, &DataType::Utf8)?;
                let bytes = texts.as_string::<i32>().iter().map(|t| t.map(unhex).transpose());
                bytes.collect::<Result<BinaryArray>>()?
            }
            _ => cast(array, &DataType::Binary)?.as_binary::<i32>().clone(),
        };
        Ok(Self { values, constant })
    }

    /// The vector of a row; `None` if it is null.
    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    match bytes.collect::<Option<Vec<u8>>>() {
        Some(bytes) if rest.is_empty() => Ok(bytes),
        _ => exec_err!(
            "a vector of bits is bytes, as in X'ff00', or a text of two hexadecimal digits for each \
             byte, not '{text}'"
        ),
    }
}

/// A constant as a vector of bits; `None` if it is null or no such vector.
pub(crate) fn bits_from_scalar(value: &ScalarValue) -> Option<Vec<u8>> {
    if value.is_null() || !is_bits_like(&value.data_type()) {
        return None;
    }
    let bits = Bits::new(&value.to_array().ok()?, true).ok()?;
    bits.get(0).map(<[u8]>::to_vec)
}
