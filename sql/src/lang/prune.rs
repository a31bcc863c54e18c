//! Leaves out units that cannot hold a match, by their statistics.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array, new_null_array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use elanus_engine::core::filter::{ColumnStats, UnitStats};

/// Asks a condition about bounds in place of values. In doubt a unit stays in.
#[derive(Debug, Clone)]
pub(super) struct Pruner {
    predicate: PruningPredicate,
}

impl Pruner {
    /// `None` when bounds say nothing about the condition.
    pub fn new(condition: Arc<dyn PhysicalExpr>, schema: SchemaRef) -> Option<Self> {
        let predicate = PruningPredicate::try_new(condition, schema).ok()?;
        (!predicate.always_true()).then_some(Self { predicate })
    }

    /// For each unit whether a row in it could match.
    pub fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        let all = || vec![true; units.len()];
        if units.is_empty() {
            return Vec::new();
        }
        let statistics = Statistics { units, schema: self.predicate.schema() };
        match self.predicate.prune(&statistics) {
            Ok(kept) if kept.len() == units.len() => kept,
            _ => all(),
        }
    }
}

struct Statistics<'a> {
    units: &'a [&'a UnitStats],
    schema: &'a SchemaRef,
}

impl Statistics<'_> {
    fn of<'u>(unit: &'u UnitStats, column: &Column) -> Option<&'u ColumnStats> {
        unit.columns.get(&column.name)
    }

    fn type_of(&self, column: &Column) -> Option<DataType> {
        self.schema.field_with_name(&column.name).ok().map(|f| f.data_type().clone())
    }

    /// One bound of each unit in one array, null where it is not known.
    fn bounds(&self, column: &Column, bound: fn(&ColumnStats) -> &ArrayRef) -> Option<ArrayRef> {
        let wanted = self.type_of(column)?;
        let unknown = new_null_array(&wanted, 1);
        let one = |unit: &&UnitStats| match Self::of(unit, column).map(bound) {
            Some(value) if value.len() == 1 && *value.data_type() == wanted => value.clone(),
            _ => unknown.clone(),
        };
        let each: Vec<ArrayRef> = self.units.iter().map(one).collect();
        let each: Vec<&dyn Array> = each.iter().map(AsRef::as_ref).collect();
        compute::concat(&each).ok()
    }
}

impl PruningStatistics for Statistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |stats| &stats.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |stats| &stats.max)
    }

    fn num_containers(&self) -> usize {
        self.units.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let nulls = self.units.iter().map(|unit| Self::of(unit, column).map(|stats| stats.nulls));
        Some(Arc::new(nulls.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.units.iter().map(|unit| Some(unit.rows)).collect::<UInt64Array>()))
    }

    /// `false` where none of the values lies within a unit's bounds; else unknown. This is what
    /// prunes for a long `in`, which has no form in bounds alone.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let mut sorted: Vec<&ScalarValue> = values.iter().filter(|v| !v.is_null()).collect();
        if sorted.len() != values.len() {
            return None;
        }
        let mut comparable = true;
        sorted.sort_by(|a, b| {
            a.partial_cmp(b).unwrap_or_else(|| {
                comparable = false;
                Ordering::Equal
            })
        });
        if !comparable {
            return None;
        }
        let outside = |unit: &&UnitStats| {
            let stats = Self::of(unit, column)?;
            let (min, max) = (bound(&stats.min)?, bound(&stats.max)?);
            let first =
                sorted.partition_point(|v| matches!(v.partial_cmp(&&min), Some(Ordering::Less)));
            let Some(value) = sorted.get(first) else {
                return (sorted.last()?.partial_cmp(&&min) == Some(Ordering::Less))
                    .then_some(false);
            };
            (value.partial_cmp(&&max) == Some(Ordering::Greater)).then_some(false)
        };
        Some(self.units.iter().map(outside).collect())
    }
}

/// The one value of a bound, if it is known.
fn bound(array: &ArrayRef) -> Option<ScalarValue> {
    let known = array.len() == 1 && array.is_valid(0);
    known.then(|| ScalarValue::try_from_array(array, 0).ok()).flatten()
}
