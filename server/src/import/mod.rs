//! Bulk import: files of rows or columns into a collection.
//!
//! A job reads its files twice: first everything is checked, then everything is written, so that a bad
//! value in the last row leaves nothing behind. Formats become columns of Milvus's messages and go
//! the way of any insert. [`Jobs`] runs them and remembers how far they are; it knows nothing of how it
//! is asked.

mod arrays;
mod csv;
mod job;
mod jobs;
mod json;
mod numpy;
mod parquet;
mod run;
mod source;
mod structs;
mod values;

pub use job::{Job, Request, Stage};
pub use jobs::Jobs;

use arrow::array::RecordBatch;
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD};
use elanus_proto::schema::FieldData;

use crate::convert::columns;
use crate::status::{Failure, code};

/// Rows that are held in memory at once.
const BATCH_ROWS: usize = 4_096;

/// Code 2100: the fault is in the files.
pub(crate) fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(code::IMPORT_FAILED, format!("{why}: importing data failed"))
}

/// Columns as a batch that the engine takes.
fn batch(
    schema: &CollectionSchema,
    columns: Vec<FieldData>,
    rows: usize,
) -> Result<RecordBatch, Failure> {
    let primary = schema.primary()?;
    if primary.auto_id && columns.iter().any(|c| c.field_name == primary.name) {
        return Err(failed(format!(
            "the primary key '{}' is auto-generated, no need to provide",
            primary.name
        )));
    }
    let batch = columns::to_batch(schema, columns, rows)?;
    columns::check_complete(schema, &batch)?;
    Ok(batch)
}

/// Refuses a column of a struct field in a file that holds no JSON.
fn refuse_struct(schema: &CollectionSchema, name: &str) -> Result<(), Failure> {
    match schema.struct_named(name) {
        Some(_) => Err(Failure::unsupported(format!(
            "struct field '{name}': struct arrays are imported from JSON and CSV files only"
        ))),
        None => Ok(()),
    }
}

/// Whether a name that is no field's is welcome.
fn check_known(schema: &CollectionSchema, name: &str) -> Result<(), Failure> {
    let dynamic = schema.enable_dynamic_field && name == DYNAMIC_FIELD;
    let plain = schema.has_field(name) && schema.struct_of(name).is_none();
    if dynamic || plain || schema.struct_named(name).is_some() {
        return Ok(());
    }
    Err(failed(format!("the field '{name}' is not defined in schema")))
}
