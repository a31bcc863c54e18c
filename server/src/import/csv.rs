//! CSV: a line of names, then a line for each row; lists and objects are JSON.

use std::io::Read;

use arrow::array::RecordBatch;
use csv::{ReaderBuilder, StringRecord};
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType};
use serde_json::{Map, Value};

use super::json::Rows;
use super::{check_known, failed};
use crate::status::Failure;

/// Reads a file.
pub fn read(
    source: impl Read,
    schema: &CollectionSchema,
    (separator, null): (u8, &str),
    sink: &mut dyn FnMut(RecordBatch) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let bad = |e: csv::Error| failed(format!("the file is no valid CSV: {e}"));
    let mut reader = ReaderBuilder::new().delimiter(separator).from_reader(source);
    let names: Vec<String> = reader.headers().map_err(bad)?.iter().map(str::to_string).collect();
    for name in &names {
        if !schema.enable_dynamic_field {
            check_known(schema, name)?;
        }
        if names.iter().filter(|other| *other == name).count() > 1 {
            return Err(failed(format!("the column '{name}' stands twice in the line of names")));
        }
    }
    let mut rows = Rows::new(schema, sink);
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(bad)? {
        let mut row = Map::new();
        for (name, text) in names.iter().zip(&record) {
            if let Some(value) = cell(schema, name, text, null)? {
                row.insert(name.clone(), value);
            }
        }
        if !rows.push(row)? {
            return Ok(());
        }
    }
    rows.flush().map(|_| ())
}

/// The value of a cell; none where it is null.
fn cell(
    schema: &CollectionSchema,
    name: &str,
    text: &str,
    null: &str,
) -> Result<Option<Value>, Failure> {
    if let Some(own) = schema.struct_named(name) {
        if own.nullable && text == null {
            return Ok(Some(Value::Null));
        }
        let list = serde_json::from_str(text);
        return list
            .map(Some)
            .map_err(|_| failed(format!("struct field '{name}': '{text}' is no list of objects")));
    }
    let Ok(field) = schema.field(name) else {
        let guess = serde_json::from_str(text);
        return match guess {
            Ok(Value::Object(object)) if name == DYNAMIC_FIELD => Ok(Some(Value::Object(object))),
            _ if name == DYNAMIC_FIELD && text.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(_) => Ok(Some(Value::String(text.to_string()))),
        };
    };
    let replaceable = field.nullable || field.default_value.is_some();
    if replaceable && text == null {
        return Ok(Some(Value::Null));
    }
    let parsed = || {
        serde_json::from_str::<Value>(text).map_err(|_| {
            failed(format!("field '{name}': '{text}' is no {}", field.data_type.display_name()))
        })
    };
    Ok(Some(match &field.data_type {
        DataType::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => parsed()?,
        },
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => parsed()?,
        DataType::Float | DataType::Double | DataType::Array { .. } => parsed()?,
        kind if kind.is_vector() => parsed()?,
        _ => Value::String(text.to_string()),
    }))
}
