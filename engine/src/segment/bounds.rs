//! Bounds of columns: computed at writing, turned into arrays for pruning.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::compute;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, SchemaRef};

use crate::core::error::Result;
use crate::core::filter::{ColumnStats, UnitStats};
use crate::core::schema::{DefaultValue, TYPE_METADATA};

/// A longer text is no bound: manifests stay small.
const MAX_TEXT_BYTES: usize = 256;

/// Smallest and largest value, and nulls, of one column of a segment.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Column.
    pub column: String,
    /// Smallest and largest value; none when unknown.
    pub range: Option<(DefaultValue, DefaultValue)>,
    /// Nulls.
    pub nulls: u64,
}

/// Gathers bounds batch by batch.
#[derive(Debug)]
pub struct BoundsBuilder {
    columns: Vec<(Bounds, bool)>,
}

impl BoundsBuilder {
    /// For the columns of a schema that have an order we can keep.
    pub fn new(schema: &SchemaRef) -> Self {
        let ordered = |t: &DataType| {
            t.is_integer()
                || matches!(t, DataType::Float32 | DataType::Float64 | DataType::Utf8)
                || matches!(t, DataType::Timestamp(..))
        };
        let columns = schema
            .fields()
            .iter()
            .filter(|f| ordered(f.data_type()) && !f.metadata().contains_key(TYPE_METADATA))
            .map(|f| (Bounds { column: f.name().clone(), range: None, nulls: 0 }, true))
            .collect();
        Self { columns }
    }

    /// Adds a batch.
    pub fn add(&mut self, batch: &arrow::array::RecordBatch) -> Result<()> {
        for (bounds, known) in &mut self.columns {
            let Some(column) = batch.column_by_name(&bounds.column) else { continue };
            bounds.nulls += column.null_count() as u64;
            if !*known || column.null_count() == column.len() {
                continue;
            }
            match range_of(column)? {
                Some(range) => bounds.range = Some(widen(bounds.range.take(), range)),
                None => {
                    *known = false;
                    bounds.range = None;
                }
            }
        }
        Ok(())
    }

    /// The bounds.
    pub fn finish(self) -> Vec<Bounds> {
        self.columns.into_iter().map(|(bounds, _)| bounds).collect()
    }
}

fn range_of(column: &ArrayRef) -> Result<Option<(DefaultValue, DefaultValue)>> {
    Ok(match column.data_type() {
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            match (compute::min_string(column), compute::max_string(column)) {
                (Some(a), Some(b)) if a.len().max(b.len()) <= MAX_TEXT_BYTES => {
                    Some((DefaultValue::Text(a.into()), DefaultValue::Text(b.into())))
                }
                _ => None,
            }
        }
        DataType::Float32 => {
            let column = column.as_primitive::<Float32Type>();
            match (compute::min(column), compute::max(column)) {
                (Some(a), Some(b)) if !a.is_nan() && !b.is_nan() => {
                    Some((DefaultValue::Float(a), DefaultValue::Float(b)))
                }
                _ => None,
            }
        }
        DataType::Float64 => {
            let column = column.as_primitive::<Float64Type>();
            match (compute::min(column), compute::max(column)) {
                (Some(a), Some(b)) if !a.is_nan() && !b.is_nan() => {
                    Some((DefaultValue::Double(a), DefaultValue::Double(b)))
                }
                _ => None,
            }
        }
        DataType::UInt64 => None,
        _ => {
            let column = compute::cast(column, &DataType::Int64)?;
            let column = column.as_primitive::<Int64Type>();
            match (compute::min(column), compute::max(column)) {
                (Some(a), Some(b)) => Some((DefaultValue::Int(a), DefaultValue::Int(b))),
                _ => None,
            }
        }
    })
}

fn widen(
    old: Option<(DefaultValue, DefaultValue)>,
    new: (DefaultValue, DefaultValue),
) -> (DefaultValue, DefaultValue) {
    let Some(old) = old else { return new };
    let pick = |a: DefaultValue, b: DefaultValue, smaller: bool| {
        let less = match (&a, &b) {
            (DefaultValue::Int(x), DefaultValue::Int(y)) => x < y,
            (DefaultValue::Float(x), DefaultValue::Float(y)) => x < y,
            (DefaultValue::Double(x), DefaultValue::Double(y)) => x < y,
            (DefaultValue::Text(x), DefaultValue::Text(y)) => x < y,
            _ => smaller,
        };
        if less == smaller { a } else { b }
    };
    (pick(old.0, new.0, true), pick(old.1, new.1, false))
}

/// Bounds as a filter sees them: arrays of one element in the column's own type.
pub fn to_unit_stats(schema: &SchemaRef, rows: u64, bounds: &[Bounds]) -> UnitStats {
    let mut stats = UnitStats { rows, ..Default::default() };
    for bound in bounds {
        let Ok(field) = schema.field_with_name(&bound.column) else { continue };
        let Some((min, max)) = &bound.range else { continue };
        let typed = |value| compute::cast(&one(value), field.data_type()).ok();
        if let (Some(min), Some(max)) = (typed(min), typed(max)) {
            stats
                .columns
                .insert(bound.column.clone(), ColumnStats { min, max, nulls: bound.nulls });
        }
    }
    stats
}

fn one(value: &DefaultValue) -> ArrayRef {
    match value {
        DefaultValue::Bool(v) => Arc::new(arrow::array::BooleanArray::from(vec![*v])),
        DefaultValue::Int(v) | DefaultValue::Timestamp(v) => Arc::new(Int64Array::from(vec![*v])),
        DefaultValue::Float(v) => Arc::new(Float32Array::from(vec![*v])),
        DefaultValue::Double(v) => Arc::new(Float64Array::from(vec![*v])),
        DefaultValue::Text(v) | DefaultValue::Json(v) => {
            Arc::new(StringArray::from(vec![v.as_str()]))
        }
    }
}
