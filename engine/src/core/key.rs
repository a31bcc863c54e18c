//! Primary keys.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::Int64Type;
use std::sync::Arc;

use super::error::{Error, Result};

/// One primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Of an Int64 key field.
    Int(i64),
    /// Of a VarChar key field.
    Text(Arc<str>),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Text(v) => write!(f, "{v}"),
        }
    }
}

/// A column of primary keys.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Of an Int64 key field.
    Int(Int64Array),
    /// Of a VarChar key field.
    Text(StringArray),
}

impl Keys {
    /// Asks for a row's key before it is needed.
    pub fn prefetch(&self, row: usize) {
        match self {
            Self::Int(keys) => elanus_kernels::prefetch(&keys.values()[row..=row]),
            Self::Text(keys) => elanus_kernels::prefetch(&keys.value_offsets()[row..=row]),
        }
    }

    /// Reads a key column; it must be Int64 or Utf8.
    pub fn from_array(array: &dyn Array) -> Result<Self> {
        if let Some(a) = array.as_primitive_opt::<Int64Type>() {
            return Ok(Self::Int(a.clone()));
        }
        if let Some(a) = array.as_string_opt::<i32>() {
            return Ok(Self::Text(a.clone()));
        }
        Err(Error::internal(format!("a key column cannot be {}", array.data_type())))
    }

    /// The Arrow column.
    pub fn to_array(&self) -> ArrayRef {
        match self {
            Self::Int(a) => Arc::new(a.clone()),
            Self::Text(a) => Arc::new(a.clone()),
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(a) => a.len(),
            Self::Text(a) => a.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key at a position, copied.
    pub fn get(&self, row: usize) -> Key {
        match self {
            Self::Int(a) => Key::Int(a.value(row)),
            Self::Text(a) => Key::Text(a.value(row).into()),
        }
    }

    /// The keys at some positions.
    pub fn pick(&self, rows: &[usize]) -> Result<Self> {
        let rows: UInt64Array = rows.iter().map(|row| *row as u64).collect();
        Self::from_array(arrow::compute::take(&self.to_array(), &rows, None)?.as_ref())
    }

    /// Some neighbouring keys, without copying.
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        match self {
            Self::Int(a) => Self::Int(a.slice(from, rows)),
            Self::Text(a) => Self::Text(a.slice(from, rows)),
        }
    }

    /// Orders two rows of this column by key.
    pub fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        match self {
            Self::Int(k) => k.value(a).cmp(&k.value(b)),
            Self::Text(k) => k.value(a).cmp(k.value(b)),
        }
    }

    /// Orders a row of this column against a row of another of the same type.
    pub fn compare_with(&self, a: usize, other: &Keys, b: usize) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Int(x), Self::Int(y)) => x.value(a).cmp(&y.value(b)),
            (Self::Text(x), Self::Text(y)) => x.value(a).cmp(y.value(b)),
            (Self::Int(_), Self::Text(_)) => std::cmp::Ordering::Less,
            (Self::Text(_), Self::Int(_)) => std::cmp::Ordering::Greater,
        }
    }

    /// A column of these keys; all must be of one kind.
    pub fn from_keys(keys: &[Key]) -> Result<Self> {
        match keys.first() {
            None | Some(Key::Int(_)) => keys
                .iter()
                .map(|k| match k {
                    Key::Int(v) => Ok(*v),
                    Key::Text(_) => Err(Error::internal("keys of two kinds in one column")),
                })
                .collect::<Result<Vec<_>>>()
                .map(|v| Self::Int(Int64Array::from(v))),
            Some(Key::Text(_)) => keys
                .iter()
                .map(|k| match k {
                    Key::Text(v) => Ok(v.as_ref()),
                    Key::Int(_) => Err(Error::internal("keys of two kinds in one column")),
                })
                .collect::<Result<Vec<_>>>()
                .map(|v| Self::Text(StringArray::from(v))),
        }
    }
}
