//! What rows are grouped and ordered by, fetched and made comparable.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray, UInt8Array};
use arrow::compute::SortOptions;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use elanus_engine::api::{RowAddress, Snapshot};
use elanus_engine::core::error::Error;
use serde_json::Value;

use crate::convert::internal;
use crate::convert::params::OrderKey;
use crate::convert::place::Place;
use crate::status::Failure;

/// The values of places in rows as comparable bytes: equal where the values are, and all that is
/// missing or null is equal too.
pub(crate) fn equal_by(batch: &RecordBatch, places: &[Place]) -> Result<Rows, Failure> {
    let mut columns = Vec::with_capacity(places.len());
    for place in places {
        columns.push(whole(batch, place)?);
    }
    let kinds = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    converted(kinds, &columns)
}

/// The values of order keys as bytes whose order is the keys'.
pub(crate) fn ordered_by(batch: &RecordBatch, keys: &[OrderKey]) -> Result<Rows, Failure> {
    let mut kinds = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for key in keys {
        let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
        let parts = match key.place.json {
            true => json_parts(batch, &key.place)?,
            false => vec![whole(batch, &key.place)?],
        };
        for part in parts {
            kinds.push(SortField::new_with_options(part.data_type().clone(), options));
            columns.push(part);
        }
    }
    converted(kinds, &columns)
}

/// The columns that places need, each once.
pub(crate) fn columns_of<'a>(places: impl Iterator<Item = &'a Place>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for place in places {
        if !columns.contains(&place.column) {
            columns.push(place.column.clone());
        }
    }
    columns
}

/// Fetches what places need.
pub(crate) async fn fetch(
    snapshot: &Snapshot,
    rows: &[RowAddress],
    places: &[Place],
) -> Result<RecordBatch, Failure> {
    Ok(snapshot.fetch(rows, &columns_of(places.iter())).await?)
}

fn converted(kinds: Vec<SortField>, columns: &[ArrayRef]) -> Result<Rows, Failure> {
    let converter = RowConverter::new(kinds).map_err(Error::from)?;
    Ok(converter.convert_columns(columns).map_err(Error::from)?)
}

fn column<'a>(batch: &'a RecordBatch, place: &Place) -> Result<&'a ArrayRef, Failure> {
    batch
        .column_by_name(&place.column)
        .ok_or_else(|| internal(format!("field {} was not fetched", place.column)))
}

/// A place's values as one column; values of JSON as their text.
pub(crate) fn whole(batch: &RecordBatch, place: &Place) -> Result<ArrayRef, Failure> {
    if !place.json {
        return Ok(column(batch, place)?.clone());
    }
    let texts = found(batch, place)?.into_iter().map(|v| v.map(|v| v.to_string()));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

fn found(batch: &RecordBatch, place: &Place) -> Result<Vec<Option<Value>>, Failure> {
    let array = column(batch, place)?;
    let texts = array
        .as_string_opt::<i32>()
        .ok_or_else(|| internal(format!("column {} is not text", place.column)))?;
    Ok(texts.iter().map(|text| place.find(text?)).collect())
}

/// Values of JSON as what orders them: kind, number, text. Truth values come before numbers, these
/// before texts, and the rest is ordered by its text.
fn json_parts(batch: &RecordBatch, place: &Place) -> Result<Vec<ArrayRef>, Failure> {
    let values = found(batch, place)?;
    let kind = |value: &Value| match value {
        Value::Bool(_) => 0u8,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        _ => 3,
    };
    let number = |value: &Value| match value {
        Value::Bool(b) => Some(f64::from(*b)),
        Value::Number(n) => n.as_f64(),
        _ => None,
    };
    let text = |value: &Value| match value {
        Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let values = || values.iter().map(Option::as_ref);
    Ok(vec![
        Arc::new(values().map(|v| v.map(kind)).collect::<UInt8Array>()),
        Arc::new(values().map(|v| v.and_then(number)).collect::<Float64Array>()),
        Arc::new(values().map(|v| v.and_then(text)).collect::<StringArray>()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    fn order(texts: &[&str], descending: bool, nulls_first: bool) -> Vec<usize> {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let batch = RecordBatch::try_from_iter([("j", column)]).expect("a batch");
        let place = Place { column: "j".into(), path: Vec::new(), json: true };
        let keys = [OrderKey { place, descending, nulls_first }];
        let rows = ordered_by(&batch, &keys).expect("rows");
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by(|a, b| rows.row(*a).cmp(&rows.row(*b)));
        order
    }

    #[test]
    fn json_is_ordered_by_kind_and_value() {
        let texts = ["\"b\"", "10", "null", "9.5", "\"a\"", "true"];
        assert_eq!(order(&texts, false, false), [5, 3, 1, 4, 0, 2]);
        assert_eq!(order(&texts, true, true), [2, 0, 4, 1, 3, 5]);
        assert_eq!(order(&texts, false, true), [2, 5, 3, 1, 4, 0]);
    }

    #[test]
    fn nulls_are_equal_and_values_by_value() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(1), None]));
        let batch = RecordBatch::try_from_iter([("i", column)]).expect("a batch");
        let place = Place { column: "i".into(), path: Vec::new(), json: false };
        let rows = equal_by(&batch, &[place]).expect("rows");
        assert_eq!(rows.row(0), rows.row(2));
        assert_eq!(rows.row(1), rows.row(3));
        assert_ne!(rows.row(0), rows.row(1));
    }
}
