//! The engine's whole view of a filter: columns in, one truth value a row out.

use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// What the elements that a search over elements finds are held to, beside their rows.
    fn elements(&self) -> Option<Arc<dyn ElementFilter>> {
        None
    }

    /// The filter taken apart, so that indexes of columns can answer some of it; none: it is one piece.
    fn parts(&self) -> Option<Arc<FilterNode>> {
        None
    }
}

/// Decides which elements of a struct array match.
pub trait ElementFilter: Send + Sync + std::fmt::Debug {
    /// The struct's name.
    fn of(&self) -> &str;

    /// The columns of sub-fields that [`Self::test`] is given; at least one.
    fn columns(&self) -> &[String];

    /// True, false or null for each element; `elements` are those of [`Self::columns`], of many rows end
    /// to end. Null means "not a match".
    fn test(&self, elements: Vec<ArrayRef>) -> Result<BooleanArray>;
}

/// A part of a filter that has a truth value of its own.
#[derive(Debug)]
pub struct FilterNode {
    /// The part as a filter.
    pub test: Arc<dyn RowFilter>,
    /// What it is made of.
    pub kind: FilterKind,
}

/// What a part of a filter is made of.
#[derive(Debug)]
pub enum FilterKind {
    /// True where all are.
    All(Vec<FilterNode>),
    /// True where any is.
    Any(Vec<FilterNode>),
    /// It reads one column: what is true of a value is true of all rows that have it.
    Column(ColumnTest),
    /// Anything else.
    Whole,
}

/// A test of one column.
#[derive(Debug)]
pub struct ColumnTest {
    /// The column.
    pub column: String,
    /// What of a value decides.
    pub view: ColumnView,
    /// Values for which it may be true: those outside need not be tested.
    pub candidates: Candidates,
}

/// What of a column's values decides a test.
#[derive(Debug)]
pub enum ColumnView {
    /// The whole value.
    Values,
    /// Of a list: the test is true of a list when it is true of the list of any one of its elements.
    Elements,
    /// Of a JSON text: what stands at one path.
    Json(Arc<dyn JsonView>),
}

/// The one place of JSON values that a test reads.
pub trait JsonView: Send + Sync + std::fmt::Debug {
    /// A narrower form of the texts of a column: the test gives the same for a text and for its narrow
    /// form, which keeps only what an index on `json_path` (Milvus's spelling, with the column's name
    /// `column` in front) holds. None if the test reads anything outside that path.
    fn narrow(&self, column: &str, json_path: &str, texts: &ArrayRef) -> Option<Result<ArrayRef>>;

    /// Whether [`Self::narrow`] gives texts for this path.
    fn is_under(&self, column: &str, json_path: &str) -> bool;
}

/// Values for which a test may be true. All arrays are of the column's type.
#[derive(Debug, Clone)]
pub enum Candidates {
    /// Any value, null too.
    All,
    /// These values.
    Values(ArrayRef),
    /// Values from the one to the other, each an array of one; none: no bound on that side.
    Range(Option<ArrayRef>, Option<ArrayRef>),
    /// Nulls.
    Nulls,
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
