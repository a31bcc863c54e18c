//! The filter `column < value`, made without the `sql` crate.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, Scalar};
use arrow::compute::kernels::cmp;
use arrow::datatypes::Int64Type;
use elanus_engine::core::error::Result;
use elanus_engine::core::filter::{RowFilter, UnitStats};

use crate::job::Bound;

/// `column < value` as the engine sees it.
#[derive(Debug)]
pub struct Below {
    columns: [String; 1],
    value: i64,
}

impl Below {
    /// The filter of a bound.
    pub fn filter(bound: &Bound) -> Arc<dyn RowFilter> {
        Arc::new(Self { columns: [bound.column.clone()], value: bound.value })
    }
}

impl RowFilter for Below {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let bound = Scalar::new(arrow::array::Int64Array::from(vec![self.value]));
        Ok(cmp::lt(batch.column(0), &bound)?)
    }

    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        let least = |unit: &UnitStats| {
            let min = &unit.columns.get(&self.columns[0])?.min;
            min.as_primitive_opt::<Int64Type>().filter(|m| m.len() == 1).map(|m| m.value(0))
        };
        units.iter().map(|unit| least(unit).is_none_or(|min| min < self.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};

    #[test]
    fn rows_below_the_bound_match() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 5, 9]));
        let batch = RecordBatch::try_from_iter([("u", column)]).expect("a batch");
        let filter = Below::filter(&Bound { column: "u".into(), value: 5 });
        let matches = filter.evaluate(&batch).expect("truth values");
        assert_eq!(matches, BooleanArray::from(vec![true, false, false]));
    }
}
