//! Lists of numbers as vectors of 32-bit floats.

use arrow::array::{Array, ArrayRef, AsArray, Float32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use datafusion::common::{Result, ScalarValue, exec_err};

/// Whether values of the type can be read as vectors.
pub(crate) fn is_vector_like(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
            f.data_type().is_numeric() || f.data_type().is_null()
        }
        DataType::Null => true,
        _ => false,
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
    /// Reads a list column; `constant`: its one row stands for all rows.
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

/// A constant as a vector; `None` if it is null or no vector.
pub(crate) fn vector_from_scalar(value: &ScalarValue) -> Option<Vec<f32>> {
    if value.is_null() || !is_vector_like(&value.data_type()) {
        return None;
    }
    let array = value.to_array().ok()?;
    let vectors = Vectors::new(&array, true).ok()?;
    vectors.get(0).ok()?.map(<[f32]>::to_vec)
}
