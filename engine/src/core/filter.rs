//! The engine's whole view of a filter: columns in, one truth value a row out.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};

use super::error::Result;

/// Decides which rows an operation may touch. Made by the `sql` crate from SQL or from Milvus's language.
pub trait RowFilter: Send + Sync + std::fmt::Debug {
    /// Columns that [`Self::evaluate`] reads.
    fn columns(&self) -> &[String];

    /// True, false or null for each row of a batch that holds [`Self::columns`] in that order
    /// (a batch of no columns but a row count when there are none). Null means "not a match".
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray>;

    /// For each unit: whether a row in it could match. `true` when in doubt.
    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        vec![true; units.len()]
    }
}

/// What is known of a unit of rows without reading it.
#[derive(Debug, Clone, Default)]
pub struct UnitStats {
    /// Number of rows, deleted ones included.
    pub rows: u64,
    /// By column; a column that is missing is unknown.
    pub columns: BTreeMap<String, ColumnStats>,
}

/// Bounds of one column in one unit.
#[derive(Debug, Clone)]
pub struct ColumnStats {
    /// Smallest value, as an array of one element; text may be cut short (still a lower bound).
    pub min: ArrayRef,
    /// Largest value, as an array of one element.
    pub max: ArrayRef,
    /// Number of nulls.
    pub nulls: u64,
}
