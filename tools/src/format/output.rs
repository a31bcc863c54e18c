//! Rows of one statement, written as they come.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{human, table};
use crate::args::Format;
use crate::failure::Result;

/// A table holds its rows until the end to know the widths; of longer answers only this many are shown.
const TABLE_ROWS: usize = 10_000;

/// Writes the rows of one statement in one format.
pub struct Output<'a> {
    out: &'a mut dyn Write,
    schema: SchemaRef,
    rows: u64,
    form: Form,
}

enum Form {
    Table { kept: Vec<RecordBatch>, kept_rows: usize },
    Csv,
    Json(Box<JsonWriter<Vec<u8>, JsonArray>>),
}

impl<'a> Output<'a> {
    /// Begins an answer with these columns.
    pub fn begin(out: &'a mut dyn Write, format: Format, schema: SchemaRef) -> Result<Self> {
        let form = match format {
            Format::Table => Form::Table { kept: Vec::new(), kept_rows: 0 },
            Format::Csv => Form::Csv,
            Format::Json => {
                Form::Json(Box::new(JsonBuilder::new().with_explicit_nulls(true).build(Vec::new())))
            }
        };
        let output = Self { out, schema, rows: 0, form };
        if format == Format::Csv { output.write_csv_header() } else { Ok(output) }
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        match &mut self.form {
            Form::Table { kept, kept_rows } => {
                let room = TABLE_ROWS - *kept_rows;
                let part = batch.slice(0, room.min(batch.num_rows()));
                *kept_rows += part.num_rows();
                if part.num_rows() > 0 {
                    kept.push(part);
                }
            }
            Form::Csv => self.out.write_all(&csv_bytes(batch, false)?)?,
            Form::Json(writer) => {
                writer.write(batch)?;
                self.out.write_all(&std::mem::take(writer.get_mut()))?;
            }
        }
        Ok(())
    }

    /// Ends the answer and tells how many rows it had. An answer without columns prints nothing.
    pub fn finish(self) -> Result<u64> {
        let Self { out, schema, rows, form } = self;
        match form {
            Form::Table { .. } if schema.fields().is_empty() => {}
            Form::Table { mut kept, kept_rows } => {
                if kept.is_empty() {
                    kept.push(RecordBatch::new_empty(schema));
                }
                writeln!(out, "{}", table::render(&kept)?)?;
                if rows > kept_rows as u64 {
                    let more = human::counted(rows - kept_rows as u64, "more row");
                    writeln!(out, "… {more}; --format csv and json print all")?;
                }
            }
            Form::Csv => {}
            Form::Json(mut writer) => {
                writer.finish()?;
                out.write_all(writer.get_ref())?;
                writeln!(out)?;
            }
        }
        out.flush()?;
        Ok(rows)
    }

    fn write_csv_header(self) -> Result<Self> {
        if !self.schema.fields().is_empty() {
            let none = RecordBatch::new_empty(Arc::clone(&self.schema));
            self.out.write_all(&csv_bytes(&none, true)?)?;
        }
        Ok(self)
    }
}

fn csv_bytes(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let mut bytes = Vec::new();
    if batch.num_columns() > 0 {
        CsvBuilder::new().with_header(header).build(&mut bytes).write(&flat(batch)?)?;
    }
    Ok(bytes)
}

/// CSV has no nested values: they become texts, complete.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(texts(column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let texts: StringArray = (0..column.len())
        .map(|row| (!column.is_null(row)).then(|| formatter.value(row).to_string()))
        .collect();
    Ok(Arc::new(texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};

    fn batch() -> Result<RecordBatch> {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let values = Float32Array::from_iter_values((0..20).map(|i| i as f32 / 4.0));
        let vectors = FixedSizeListArray::new(item, 10, Arc::new(values), None);
        Ok(RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef, true),
            ("word", Arc::new(StringArray::from(vec!["a, b", "c"])) as ArrayRef, true),
            ("v", Arc::new(vectors) as ArrayRef, true),
        ])?)
    }

    fn printed(format: Format, batches: &[RecordBatch], schema: SchemaRef) -> Result<String> {
        let mut bytes = Vec::new();
        let mut output = Output::begin(&mut bytes, format, schema)?;
        for batch in batches {
            output.write(batch)?;
        }
        let rows = output.finish()?;
        assert_eq!(rows, batches.iter().map(|b| b.num_rows() as u64).sum::<u64>());
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn csv_has_one_header_and_whole_vectors() -> Result<()> {
        let batch = batch()?;
        let text = printed(Format::Csv, &[batch.clone(), batch.clone()], batch.schema())?;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], "id,word,v");
        assert!(lines[1].starts_with("1,\"a, b\",\"[0.0, 0.25, "), "{text}");
        assert!(lines[1].ends_with("2.25]\""), "{text}");
        assert!(lines[2].starts_with(",c,"), "{text}");
        Ok(())
    }

    #[test]
    fn json_is_one_array_with_nulls_and_whole_vectors() -> Result<()> {
        let batch = batch()?;
        let text = printed(Format::Json, &[batch.clone(), batch.clone()], batch.schema())?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(value.as_array().map(Vec::len), Some(4), "{text}");
        assert!(value[1]["id"].is_null() && value[1]["v"][9] == 4.75, "{text}");
        let none = printed(Format::Json, &[], batch.schema())?;
        assert_eq!(none.trim(), "[]");
        Ok(())
    }

    #[test]
    fn a_table_of_no_rows_has_its_columns_and_a_long_one_an_end() -> Result<()> {
        let schema = batch()?.schema();
        assert!(printed(Format::Table, &[], schema)?.contains("| id | word | v |"));
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..12_000));
        let many = RecordBatch::try_from_iter([("n", many)])?;
        let text = printed(Format::Table, &[many.slice(0, 6_000), many.clone()], many.schema())?;
        assert!(text.ends_with("… 8,000 more rows; --format csv and json print all\n"));
        let nothing = printed(Format::Table, &[], Arc::new(Schema::empty()))?;
        assert_eq!(nothing, "");
        Ok(())
    }
}
