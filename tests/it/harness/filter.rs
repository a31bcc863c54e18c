//! Filters of the test's own: the engine knows them only as a trait.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::Int64Type;
use elanus_engine::core::error::Result;
use elanus_engine::core::filter::{RowFilter, UnitStats};

use super::rows::Row;

/// A condition on `n` or `tag`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `n % divisor == rest`.
    Modulo(i64, i64),
    /// `low <= n <= high`; units are pruned by their bounds.
    Between(i64, i64),
    /// `tag == text`.
    Tag(String),
    /// Nothing.
    Never,
}

/// [`Test`] as the engine sees it.
#[derive(Debug)]
pub struct Filter {
    test: Test,
    columns: Vec<String>,
}

impl Test {
    /// As a filter.
    pub fn filter(&self) -> Arc<dyn RowFilter> {
        let columns = match self {
            Self::Modulo(..) | Self::Between(..) => vec!["n".to_string()],
            Self::Tag(_) => vec!["tag".to_string()],
            Self::Never => Vec::new(),
        };
        Arc::new(Filter { test: self.clone(), columns })
    }

    /// Whether a row of the model passes.
    pub fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Modulo(divisor, rest) => row.n.is_some_and(|n| n.rem_euclid(*divisor) == *rest),
            Self::Between(low, high) => row.n.is_some_and(|n| (*low..=*high).contains(&n)),
            Self::Tag(tag) => row.tag == *tag,
            Self::Never => false,
        }
    }
}

impl RowFilter for Filter {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let rows = batch.num_rows();
        if let Test::Tag(tag) = &self.test {
            let tags = batch.column(0).as_string::<i32>();
            return Ok(tags.iter().map(|t| t.map(|t| t == tag)).collect());
        }
        if self.columns.is_empty() {
            return Ok(BooleanArray::from(vec![false; rows]));
        }
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let holds = |n: i64| match self.test {
            Test::Modulo(divisor, rest) => n.rem_euclid(divisor) == rest,
            Test::Between(low, high) => (low..=high).contains(&n),
            _ => false,
        };
        Ok(numbers.iter().map(|n| n.map(holds)).collect())
    }

    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        let Test::Between(low, high) = self.test else { return vec![true; units.len()] };
        let may = |unit: &&UnitStats| {
            let Some(bounds) = unit.columns.get("n") else { return true };
            assert_eq!((bounds.min.len(), bounds.max.len()), (1, 1));
            let min = bounds.min.as_primitive::<Int64Type>().value(0);
            let max = bounds.max.as_primitive::<Int64Type>().value(0);
            min <= high && max >= low
        };
        units.iter().map(may).collect()
    }
}
