//! Partial update: rows that name only some fields take the others from the rows they replace, and
//! arrays may be changed instead of replaced.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, Scalar, StringArray,
    UInt32Array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::Schema;
use elanus_engine::api::{RowOrder, Selection, Snapshot};
use elanus_engine::core::error::Error;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType, FieldSchema};
use serde_json::{Map, Value};

use super::array_ops::{self, ArrayOps};
use crate::convert::{columns, ids, internal, invalid};
use crate::status::Failure;

/// Adds the columns that are missing: from the old row of the same key, or for a new key the
/// field's default or null. Dynamic fields are merged key by key.
///
/// # Errors
/// If a key is new and a missing field has neither a default nor null.
pub(super) async fn complete(
    snapshot: &Snapshot,
    given: RecordBatch,
    ops: &ArrayOps,
) -> Result<RecordBatch, Failure> {
    let schema = snapshot.schema().clone();
    let primary = schema.primary()?;
    let keys = ids::key_column(&given, &primary.name)?;
    let old = old_rows(snapshot, &schema, &keys).await?;
    let source = sources(&keys, &ids::key_column(&old, &primary.name)?);
    let is_new = arrow::compute::is_null(&source).map_err(Error::from)?;
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for field in schema.to_arrow().fields() {
        let before = old
            .column_by_name(field.name())
            .ok_or_else(|| internal(format!("column {} was not fetched", field.name())))?;
        let array = match given.column_by_name(field.name()) {
            Some(new) if field.name() == DYNAMIC_FIELD => merged(new, before, &source)?,
            Some(new) => match ops.get(field.name()) {
                Some(op) => {
                    let before = array_ops::in_order(before, &source)?;
                    array_ops::apply(*op, &before, new, capacity(&schema, field.name()))?
                }
                None => new.clone(),
            },
            None => {
                let taken = take(before, &source, None).map_err(Error::from)?;
                completed(&schema, field.name(), taken, &is_new)?
            }
        };
        fields.push(field.as_ref().clone().with_data_type(array.data_type().clone()));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(given.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(|e| Error::from(e).into())
}

/// The most elements of a field's array.
fn capacity(schema: &CollectionSchema, name: &str) -> u32 {
    match schema.fields.iter().find(|f| f.name == name).map(|f| &f.data_type) {
        Some(DataType::Array { max_capacity, .. }) => *max_capacity,
        _ => u32::MAX,
    }
}

/// The live rows that have one of the keys, with all columns.
async fn old_rows(
    snapshot: &Snapshot,
    schema: &CollectionSchema,
    keys: &Keys,
) -> Result<RecordBatch, Failure> {
    let primary = &schema.primary()?.name;
    let rows = match ids::KeyFilter::new(primary, keys) {
        Some(filter) => {
            let select = Selection { filter: Some(Arc::new(filter)), ..Default::default() };
            snapshot.select(&select, RowOrder::Any, 0, None).await?
        }
        None => Vec::new(),
    };
    let arrow = schema.to_arrow();
    let names: Vec<String> = arrow.fields().iter().map(|f| f.name().clone()).collect();
    Ok(snapshot.fetch(&rows, &names).await?)
}

/// For each key: where its old row is, or null.
fn sources(keys: &Keys, old: &Keys) -> UInt32Array {
    let rows: HashMap<Key, u32> = (0..).zip(0..old.len()).map(|(at, i)| (old.get(i), at)).collect();
    (0..keys.len()).map(|i| rows.get(&keys.get(i)).copied()).collect()
}

/// What a column that was not given has: the old values, and for new rows what stands in for them.
fn completed(
    schema: &CollectionSchema,
    name: &str,
    taken: ArrayRef,
    is_new: &BooleanArray,
) -> Result<ArrayRef, Failure> {
    if is_new.true_count() == 0 {
        return Ok(taken);
    }
    if name == DYNAMIC_FIELD {
        let empty = Scalar::new(StringArray::from(vec!["{}"]));
        return zip(is_new, &empty, &taken).map_err(|e| Error::from(e).into());
    }
    let field: &FieldSchema = schema.field(name)?;
    match &field.default_value {
        Some(value) => columns::fill_where(field, value, taken, is_new),
        None if field.nullable || field.is_function_output => Ok(taken),
        None => Err(invalid(format!("fieldSchema({name}) has no corresponding fieldData pass in"))),
    }
}

/// Lays the given dynamic fields over the old ones.
fn merged(new: &ArrayRef, old: &ArrayRef, source: &UInt32Array) -> Result<ArrayRef, Failure> {
    let wrong = || internal("the dynamic column is not text");
    let new = new.as_string_opt::<i32>().ok_or_else(wrong)?;
    let old = old.as_string_opt::<i32>().ok_or_else(wrong)?;
    let mut texts = Vec::with_capacity(new.len());
    for (row, at) in source.iter().enumerate() {
        let text = match at {
            Some(at) => laid_over(old.value(at as usize), new.value(row))?,
            None => new.value(row).to_string(),
        };
        texts.push(text);
    }
    Ok(Arc::new(StringArray::from(texts)))
}

fn laid_over(old: &str, new: &str) -> Result<String, Failure> {
    let object = |text| {
        serde_json::from_str::<Map<String, Value>>(text)
            .map_err(|e| internal(format!("dynamic fields are no JSON object: {e}")))
    };
    let mut fields = object(old)?;
    fields.extend(object(new)?);
    Ok(Value::Object(fields).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use elanus_engine::core::schema::{DataType, DefaultValue};

    fn failed<E: std::fmt::Display>(e: E) -> String {
        e.to_string()
    }

    #[test]
    fn keys_find_their_old_rows() {
        let keys = |v: &[i64]| Keys::Int(Int64Array::from(v.to_vec()));
        let found = sources(&keys(&[7, 1, 9]), &keys(&[9, 7]));
        assert_eq!(found, UInt32Array::from(vec![Some(1), None, Some(0)]));
    }

    #[test]
    fn new_rows_get_default_or_null_or_fail() -> Result<(), String> {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("d", DataType::Int64).default_value(DefaultValue::Int(5)),
            FieldSchema::new("n", DataType::Int64).nullable(),
            FieldSchema::new("r", DataType::Int64),
        ])
        .with_dynamic_field();
        let taken: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let is_new = BooleanArray::from(vec![false, true]);
        let fill = |name| completed(&schema, name, taken.clone(), &is_new).map_err(failed);
        assert_eq!(fill("d")?.as_ref(), &Int64Array::from(vec![1, 5]) as &dyn Array);
        assert_eq!(fill("n")?.null_count(), 1);
        assert!(fill("r").is_err_and(|e| e.contains("fieldSchema(r)")));
        let meta: ArrayRef = Arc::new(StringArray::from(vec![Some("{\"a\":1}"), None]));
        let meta = completed(&schema, DYNAMIC_FIELD, meta, &is_new).map_err(failed)?;
        assert_eq!(meta.as_string::<i32>().value(1), "{}");
        Ok(())
    }

    #[test]
    fn dynamic_fields_are_merged_by_key() {
        let merged = laid_over("{\"a\": 1.0, \"b\": {\"x\": 1}}", "{\"b\": 2}").ok();
        assert_eq!(merged.as_deref(), Some("{\"a\":1.0,\"b\":2}"));
    }
}
