//! Primary keys on the wire, and a filter for a list of them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::filter::{
    Candidates, ColumnTest, ColumnView, FilterKind, FilterNode, RowFilter, UnitStats,
};
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::i_ds::IdField;
use elanus_proto::schema::{IDs, LongArray, StringArray as WireStrings};

use super::{internal, invalid};
use crate::status::Failure;

/// Keys for the wire.
pub fn to_wire(keys: &Keys) -> IDs {
    let id_field = match keys {
        Keys::Int(a) => IdField::IntId(LongArray { data: a.values().to_vec() }),
        Keys::Text(a) => {
            let data = (0..a.len()).map(|i| a.value(i).to_string()).collect();
            IdField::StrId(WireStrings { data })
        }
    };
    IDs { id_field: Some(id_field) }
}

/// Keys from the wire, of the type of the schema's primary key.
pub fn from_wire(ids: IDs, schema: &CollectionSchema) -> Result<Keys, Failure> {
    let primary = schema.primary()?;
    match (ids.id_field, &primary.data_type) {
        (Some(IdField::IntId(v)), DataType::Int64) => Ok(Keys::Int(Int64Array::from(v.data))),
        (Some(IdField::StrId(v)), DataType::VarChar { .. }) => {
            Ok(Keys::Text(StringArray::from_iter_values(v.data)))
        }
        (None, _) => Err(invalid("ids must not be empty")),
        (Some(_), wanted) => Err(invalid(format!(
            "ids are not of the type of the primary key {}: {}",
            primary.name,
            wanted.display_name()
        ))),
    }
}

/// Reads a key column of a batch.
pub fn key_column(batch: &RecordBatch, name: &str) -> Result<Keys, Failure> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| internal(format!("the key column {name} was not fetched")))?;
    Ok(Keys::from_array(column)?)
}

#[derive(Debug, Clone)]
enum KeySet {
    Int(Arc<HashSet<i64>>, i64, i64),
    Text(Arc<HashSet<String>>, String, String),
}

/// Matches rows whose primary key is one of a list.
#[derive(Debug)]
pub struct KeyFilter {
    column: [String; 1],
    keys: KeySet,
}

impl KeyFilter {
    /// For a list that is not empty.
    pub fn new(primary: &str, keys: &Keys) -> Option<Self> {
        let keys = match keys {
            Keys::Int(a) => {
                let set: HashSet<i64> = a.values().iter().copied().collect();
                let (least, most) = (*set.iter().min()?, *set.iter().max()?);
                KeySet::Int(Arc::new(set), least, most)
            }
            Keys::Text(a) => {
                let set: HashSet<String> = (0..a.len()).map(|i| a.value(i).to_string()).collect();
                let (least, most) = (set.iter().min()?.clone(), set.iter().max()?.clone());
                KeySet::Text(Arc::new(set), least, most)
            }
        };
        Some(Self { column: [primary.to_string()], keys })
    }

    fn overlaps(&self, unit: &UnitStats) -> bool {
        let Some(bounds) = unit.columns.get(&self.column[0]) else { return true };
        match &self.keys {
            KeySet::Int(_, least, most) => {
                let low = bounds.min.as_primitive_opt::<Int64Type>();
                let high = bounds.max.as_primitive_opt::<Int64Type>();
                match (low, high) {
                    (Some(low), Some(high)) if holds_one(low) && holds_one(high) => {
                        low.value(0) <= *most && *least <= high.value(0)
                    }
                    _ => true,
                }
            }
            KeySet::Text(_, least, most) => {
                let low = bounds.min.as_string_opt::<i32>();
                let high = bounds.max.as_string_opt::<i32>();
                match (low, high) {
                    (Some(low), Some(high)) if holds_one(low) && holds_one(high) => {
                        low.value(0) <= most.as_str() && least.as_str() <= high.value(0)
                    }
                    _ => true,
                }
            }
        }
    }
}

fn holds_one(array: &dyn Array) -> bool {
    array.len() == 1 && array.is_valid(0)
}

impl RowFilter for KeyFilter {
    fn columns(&self) -> &[String] {
        &self.column
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let wrong = || Error::internal("a key filter was given a column of another type");
        let column = batch.columns().first().ok_or_else(wrong)?;
        match &self.keys {
            KeySet::Int(set, ..) => {
                let keys = column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                Ok(keys.values().iter().map(|k| Some(set.contains(k))).collect())
            }
            KeySet::Text(set, ..) => {
                let keys = column.as_string_opt::<i32>().ok_or_else(wrong)?;
                Ok((0..keys.len()).map(|i| Some(set.contains(keys.value(i)))).collect())
            }
        }
    }

    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        units.iter().map(|unit| self.overlaps(unit)).collect()
    }

    fn parts(&self) -> Option<Arc<FilterNode>> {
        let keys: ArrayRef = match &self.keys {
            KeySet::Int(set, ..) => Arc::new(set.iter().copied().collect::<Int64Array>()),
            KeySet::Text(set, ..) => Arc::new(set.iter().map(Some).collect::<StringArray>()),
        };
        let test = ColumnTest {
            column: self.column[0].clone(),
            view: ColumnView::Values,
            candidates: Candidates::Values(keys),
        };
        let whole = Self { column: self.column.clone(), keys: self.keys.clone() };
        Some(Arc::new(FilterNode { test: Arc::new(whole), kind: FilterKind::Column(test) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::filter::ColumnStats;
    use elanus_engine::core::schema::FieldSchema;

    #[test]
    fn keys_round_trip_and_types_must_agree() {
        let ints = CollectionSchema::new(vec![FieldSchema::new("id", DataType::Int64).primary()]);
        let wire = to_wire(&Keys::Int(Int64Array::from(vec![3, 1])));
        let back = from_wire(wire.clone(), &ints).ok().map(|k| to_wire(&k));
        assert_eq!(back, Some(wire.clone()));
        let text = DataType::VarChar { max_length: 9 };
        let texts = CollectionSchema::new(vec![FieldSchema::new("id", text).primary()]);
        assert!(from_wire(wire, &texts).is_err());
        assert!(from_wire(IDs { id_field: None }, &ints).is_err());
    }

    #[test]
    fn key_filter_finds_its_keys_and_skips_units() -> Result<()> {
        let Some(filter) = KeyFilter::new("id", &Keys::Int(Int64Array::from(vec![5, 9]))) else {
            return Err(Error::internal("no filter"));
        };
        let column: arrow::array::ArrayRef = Arc::new(Int64Array::from(vec![1, 5, 9, 10]));
        let batch = RecordBatch::try_from_iter([("id", column)])?;
        let mask = filter.evaluate(&batch)?;
        assert_eq!(mask, BooleanArray::from(vec![false, true, true, false]));
        let unit = |min: i64, max: i64| {
            let stats = ColumnStats {
                min: Arc::new(Int64Array::from(vec![min])),
                max: Arc::new(Int64Array::from(vec![max])),
                nulls: 0,
            };
            UnitStats { rows: 1, columns: [("id".to_string(), stats)].into() }
        };
        let units = [unit(0, 4), unit(4, 6), unit(10, 20), UnitStats::default()];
        let refs: Vec<&UnitStats> = units.iter().collect();
        assert_eq!(filter.may_match(&refs), vec![false, true, false, true]);
        assert!(KeyFilter::new("id", &Keys::Int(Int64Array::from(Vec::<i64>::new()))).is_none());
        Ok(())
    }
}
