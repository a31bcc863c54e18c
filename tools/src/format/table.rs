//! Batches as a table for people.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;

use super::plan;

/// Lists of numbers up to this length are shown whole.
pub(super) const WHOLE: usize = 8;
/// Of longer ones this many numbers are shown.
pub(super) const SHOWN: usize = 2;

/// The batches as one table, long vectors shortened, nulls as `NULL`. Plans get no frame.
pub fn render(batches: &[RecordBatch]) -> Result<String, ArrowError> {
    if let Some(plans) = plan::render(batches) {
        return Ok(plans);
    }
    let short = batches.iter().map(shorten_vectors).collect::<Result<Vec<_>, _>>()?;
    let options = FormatOptions::default().with_null("NULL").with_display_error(true);
    Ok(pretty_format_batches_with_options(&short, &options)?.to_string())
}

/// A table of texts with these column titles.
pub fn render_texts(titles: &[&str], rows: &[Vec<String>]) -> Result<String, ArrowError> {
    let columns = titles.iter().enumerate().map(|(i, title)| {
        let cells: StringArray = rows.iter().map(|row| row.get(i)).collect();
        (*title, Arc::new(cells) as ArrayRef)
    });
    render(&[RecordBatch::try_from_iter(columns)?])
}

fn shorten_vectors(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if is_number_list(column.data_type()) || is_long_bytes(column.data_type()) {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(short_texts(column)?);
        } else {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn is_number_list(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_numeric()
        }
        _ => false,
    }
}

/// Vectors of bits and of 16-bit floats are bytes; a byte takes two digits.
fn is_long_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeBinary(bytes) if usize::try_from(*bytes).is_ok_and(|b| b > 2 * WHOLE))
}

fn short_texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let whole = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let mut texts = StringBuilder::new();
    if let Some(bytes) = column.as_fixed_size_binary_opt() {
        for value in bytes {
            texts.append_option(value.map(short_bytes));
        }
        return Ok(Arc::new(texts.finish()));
    }
    for row in 0..column.len() {
        match list_value(column.as_ref(), row) {
            None => texts.append_null(),
            Some(list) if list.len() <= WHOLE => texts.append_value(whole.value(row).to_string()),
            Some(list) => texts.append_value(short_text(&list)?),
        }
    }
    Ok(Arc::new(texts.finish()))
}

fn list_value(column: &dyn Array, row: usize) -> Option<ArrayRef> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::FixedSizeList(..) => Some(column.as_fixed_size_list().value(row)),
        DataType::List(_) => Some(column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(column.as_list::<i64>().value(row)),
        _ => None,
    }
}

/// The first numbers and the length, as in `[0.12, -0.03, … 384]`.
pub fn short_text(list: &ArrayRef) -> Result<String, ArrowError> {
    let head = list.slice(0, SHOWN.min(list.len()));
    let digits = if head.data_type().is_floating() { 2 } else { 0 };
    let numbers = cast(&head, &DataType::Float64)?;
    let mut text = String::from("[");
    for number in numbers.as_primitive::<Float64Type>() {
        text += &number.map_or("NULL".to_string(), |n| format!("{n:.digits$}"));
        text += ", ";
    }
    Ok(format!("{text}… {}]", list.len()))
}

/// The first bytes in hexadecimal and their number, as in `0f03a1c2… 256 bytes`.
fn short_bytes(bytes: &[u8]) -> String {
    let head: String = bytes.iter().take(2 * SHOWN).map(|b| format!("{b:02x}")).collect();
    format!("{head}… {} bytes", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Int64Array, ListArray,
    };
    use arrow::datatypes::{Float32Type, Int64Type};

    fn vectors(dim: i32) -> ArrayRef {
        let values: Float32Array = (0..dim * 2).map(|i| Some(i as f32 / 8.0 - 0.25)).collect();
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        Arc::new(FixedSizeListArray::new(item, dim, Arc::new(values), None))
    }

    #[test]
    fn long_vectors_are_shortened_and_short_ones_not() -> Result<(), ArrowError> {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([
            ("id", ids),
            ("small", vectors(3)),
            ("big", vectors(384)),
        ])?;
        let text = render(&[batch])?;
        assert!(text.contains("[-0.25, -0.12, … 384]"), "{text}");
        assert!(text.contains("[-0.25, -0.125, 0.0]"), "{text}");
        Ok(())
    }

    #[test]
    fn long_bytes_are_shortened_and_short_ones_not() -> Result<(), ArrowError> {
        let bits = |size: usize| -> Result<ArrayRef, ArrowError> {
            let row: Vec<u8> = (0..=255).cycle().skip(15).take(size).collect();
            let rows = [Some(row), None].into_iter();
            let size = i32::try_from(size).unwrap_or(0);
            Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows, size)?))
        };
        let columns = [("small", bits(3)?, true), ("big", bits(256)?, true)];
        let text = render(&[RecordBatch::try_from_iter_with_nullable(columns)?])?;
        for part in ["| 0f1011 |", "| 0f101112… 256 bytes |", "NULL"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        Ok(())
    }

    #[test]
    fn lists_of_other_lengths_and_nulls_are_shown() -> Result<(), ArrowError> {
        let ints: ListArray = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some((0..20).map(Some).collect::<Vec<_>>()),
            None,
        ]);
        let empty: ListArray = ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some(vec![]),
            Some(vec![None; 9]),
        ]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("ints", Arc::new(ints) as ArrayRef, true),
            ("floats", Arc::new(empty) as ArrayRef, true),
        ])?;
        let text = render(&[batch])?;
        for part in ["[0, 1, … 20]", "NULL", "[]", "[NULL, NULL, … 9]"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        Ok(())
    }

    #[test]
    fn an_empty_answer_still_shows_its_columns() -> Result<(), ArrowError> {
        let text = render_texts(&["name", "rows"], &[])?;
        assert!(text.contains("| name | rows |"), "{text}");
        Ok(())
    }
}
