//! Parquet: a table, read in pieces.

use arrow::array::RecordBatch;
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD};
use elanus_proto::schema::FieldData;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::Value;

use super::source::Source;
use super::{BATCH_ROWS, arrays, batch, check_known, failed, refuse_struct, values};
use crate::status::Failure;

/// Reads a file.
pub fn read(
    source: &Source,
    schema: &CollectionSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    for table in reader(source)? {
        let table = table.map_err(|e| failed(format!("the file is no valid Parquet: {e}")))?;
        if table.num_rows() > 0 && !sink(to_batch(schema, &table)?)? {
            return Ok(());
        }
    }
    Ok(())
}

fn reader(source: &Source) -> Result<ParquetRecordBatchReader, Failure> {
    let bad = |e| failed(format!("the file is no valid Parquet: {e}"));
    let built = match source {
        Source::File(path) => ParquetRecordBatchReaderBuilder::try_new(source.file(path)?)
            .and_then(|b| b.with_batch_size(BATCH_ROWS).build()),
        Source::Memory(bytes) => ParquetRecordBatchReaderBuilder::try_new(bytes.clone())
            .and_then(|b| b.with_batch_size(BATCH_ROWS).build()),
    };
    built.map_err(bad)
}

fn to_batch(schema: &CollectionSchema, table: &RecordBatch) -> Result<RecordBatch, Failure> {
    let mut columns = Vec::new();
    for (name, array) in table.schema().fields().iter().zip(table.columns()) {
        let name = name.name();
        check_known(schema, name)?;
        refuse_struct(schema, name)?;
        columns.push(match schema.field(name) {
            Ok(field) => arrays::column(field, array)?,
            Err(_) => dynamic(array)?,
        });
    }
    batch(schema, columns, table.num_rows())
}

/// The column of dynamic fields: texts of JSON objects.
fn dynamic(array: &arrow::array::ArrayRef) -> Result<FieldData, Failure> {
    use arrow::array::AsArray;
    let texts = arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8);
    let texts = texts.map_err(|e| failed(format!("{DYNAMIC_FIELD} has to be texts: {e}")))?;
    let parse = |text: Option<&str>| match text {
        None | Some("") => Ok(Value::Object(Default::default())),
        Some(text) => serde_json::from_str(text)
            .map_err(|e| failed(format!("{DYNAMIC_FIELD} is no JSON object: {e}"))),
    };
    let objects = texts.as_string::<i32>().iter().map(parse).collect::<Result<_, _>>()?;
    Ok(values::dynamic(DYNAMIC_FIELD, objects))
}
