//! Checks rows against a schema and completes them: defaults, nulls, made keys.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray, new_null_array,
};
use arrow::compute;
use arrow::datatypes::{DataType as ArrowType, Float32Type, Float64Type, SchemaRef};

use super::error::{Error, Result, Subject, nearest_name};
use super::schema::{
    CollectionSchema, DEFAULT_METADATA, DYNAMIC_FIELD, DataType, DefaultValue, FieldSchema,
};
use super::settings::LimitSettings;
use super::structs::split_name;
use super::vectors::{VectorValues, VectorView};
use super::{geometry, sparse};

/// Checks columns by name and returns them in the schema's order, complete.
///
/// `made_keys` gives the keys of rows when the schema makes its own.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](super::error::ErrorKind::InvalidRequest) naming the field, the row, what
/// came and what was expected. Nothing is changed to fit: a value out of range is refused.
pub fn complete_rows(
    schema: &CollectionSchema,
    rows: &RecordBatch,
    limits: &LimitSettings,
    made_keys: impl FnOnce(usize) -> Vec<i64>,
) -> Result<RecordBatch> {
    for (at, field) in rows.schema().fields().iter().enumerate() {
        let name = field.name();
        if rows.schema().fields().iter().take(at).any(|before| before.name() == name) {
            return Err(Error::invalid(Subject::Field, format!("field {name} is given twice")));
        }
        let known =
            schema.has_field(name) || (name == DYNAMIC_FIELD && schema.enable_dynamic_field);
        if !known {
            let hint = nearest_name(name, schema.fields.iter().map(|f| f.name.as_str()))
                .map(|n| format!("; did you mean \"{n}\"?"))
                .unwrap_or_default();
            return Err(Error::invalid(
                Subject::Field,
                format!("field {name} is not in the schema, and dynamic fields are off{hint}"),
            ));
        }
    }
    let count = rows.num_rows();
    let mut made_keys = Some(made_keys);
    let mut columns = Vec::with_capacity(schema.fields.len() + 1);
    for field in &schema.fields {
        let column = match (rows.column_by_name(&field.name), made_keys.take()) {
            (Some(column), keys) => {
                made_keys = keys;
                check_column(field, column, limits)?
            }
            (None, Some(keys)) if field.auto_id => made_key_column(field, keys(count)),
            (None, keys) => {
                made_keys = keys;
                filled_column(field, count)?
            }
        };
        columns.push(column);
    }
    if schema.enable_dynamic_field {
        columns.push(match rows.column_by_name(DYNAMIC_FIELD) {
            Some(column) => check_dynamic(column, limits)?,
            None => Arc::new(StringArray::from(vec!["{}"; count])),
        });
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
    let rows = RecordBatch::try_new_with_options(schema.to_arrow(), columns, &options)?;
    schema.check_lengths(&rows)?;
    Ok(rows)
}

/// Made keys as the column that they are.
pub fn made_key_column(field: &FieldSchema, keys: Vec<i64>) -> ArrayRef {
    match field.data_type {
        DataType::VarChar { .. } => {
            Arc::new(StringArray::from_iter_values(keys.iter().map(i64::to_string)))
        }
        _ => Arc::new(Int64Array::from(keys)),
    }
}

fn filled_column(field: &FieldSchema, rows: usize) -> Result<ArrayRef> {
    if let Some(default) = &field.default_value {
        return constant(&field.data_type.to_arrow(), &default.to_text(), rows);
    }
    if field.nullable || field.is_function_output {
        return Ok(new_null_array(&field.data_type.to_arrow(), rows));
    }
    Err(Error::invalid(
        Subject::Field,
        format!(
            "Insert missed an field `{}` to collection without set nullable==true or set \
             default_value",
            field.name
        ),
    ))
}

/// A column that a file or request lacks: its default, else nulls, else empty JSON.
pub fn absent_column(schema: &SchemaRef, name: &str, rows: usize) -> Result<ArrayRef> {
    let field = schema.field_with_name(name).map_err(|_| {
        Error::not_found(Subject::Field, format!("column {name} is not in the schema"))
    })?;
    if name == DYNAMIC_FIELD {
        return constant(field.data_type(), "{}", rows);
    }
    match field.metadata().get(DEFAULT_METADATA) {
        Some(text) => constant(field.data_type(), text, rows),
        None => Ok(new_null_array(field.data_type(), rows)),
    }
}

fn constant(data_type: &ArrowType, text: &str, rows: usize) -> Result<ArrayRef> {
    let column = StringArray::from(vec![text; rows]);
    let column = compute::cast(&column, data_type)?;
    if column.null_count() > 0 {
        return Err(Error::internal(format!("default {text} is not a {data_type}")));
    }
    Ok(column)
}

fn check_column(
    field: &FieldSchema,
    column: &ArrayRef,
    limits: &LimitSettings,
) -> Result<ArrayRef> {
    let column = retype(field, column)?;
    if column.null_count() > 0 && !field.nullable && !field.is_function_output {
        if let Some(default) = &field.default_value {
            return fill_nulls(&column, default);
        }
        let row = (0..column.len()).find(|r| column.is_null(*r)).unwrap_or(0);
        return Err(Error::invalid(
            Subject::Field,
            format!(
                "the num_rows of field {}: row {row} is null, and the field is not nullable",
                field.name
            ),
        ));
    }
    match &field.data_type {
        DataType::VarChar { max_length } => check_text(field, &column, *max_length)?,
        DataType::Json => check_json(field, &column, limits)?,
        DataType::SparseFloatVector => check_sparse(field, &column)?,
        DataType::Geometry => geometry::check(field, &column)?,
        DataType::Array { element, max_capacity } => {
            check_array(field, &column, element, *max_capacity)?;
        }
        vector if vector.is_vector() => check_vector(field, &column)?,
        DataType::Float | DataType::Double => check_finite(field, &column)?,
        _ => {}
    }
    Ok(column)
}

fn fill_nulls(column: &ArrayRef, default: &DefaultValue) -> Result<ArrayRef> {
    let filler = constant(column.data_type(), &default.to_text(), column.len())?;
    let present = compute::is_not_null(column)?;
    Ok(compute::kernels::zip::zip(&present, column, &filler)?)
}

/// Accepts the column's own type, or the same with other child names or flags; nothing is converted.
fn retype(field: &FieldSchema, column: &ArrayRef) -> Result<ArrayRef> {
    let wanted = field.data_type.to_arrow();
    if column.data_type() == &wanted {
        return Ok(column.clone());
    }
    let mismatch = || {
        Error::invalid(
            Subject::Field,
            format!(
                "field {} is {}, the data is {}",
                field.name,
                field.data_type.display_name(),
                column.data_type()
            ),
        )
    };
    match (column.data_type(), &wanted) {
        (ArrowType::FixedSizeList(child, dim), ArrowType::FixedSizeList(want, want_dim)) => {
            if child.data_type() == want.data_type() && dim != want_dim {
                return Err(Error::invalid(
                    Subject::Field,
                    format!(
                        "vector dimension mismatch, expected vector size(byte) {}, actual {}. \
                         (field {}: dim {want_dim}, the data has {dim})",
                        byte_width(want.data_type()) * want_dim,
                        byte_width(want.data_type()) * dim,
                        field.name
                    ),
                ));
            }
            if child.data_type() != want.data_type() {
                return Err(mismatch());
            }
        }
        (ArrowType::FixedSizeBinary(bytes), ArrowType::FixedSizeBinary(want)) => {
            return Err(Error::invalid(
                Subject::Field,
                format!(
                    "vector dimension mismatch, expected vector size(byte) {want}, actual {bytes}. \
                     (field {}: {})",
                    field.name,
                    field.data_type.display_name()
                ),
            ));
        }
        (ArrowType::List(child), ArrowType::List(want))
            if child.data_type() == want.data_type() => {}
        _ => return Err(mismatch()),
    }
    let data = column.to_data().into_builder().data_type(wanted).build()?;
    Ok(arrow::array::make_array(data))
}

fn check_text(field: &FieldSchema, column: &ArrayRef, max_length: u32) -> Result<()> {
    let texts = column.as_string::<i32>();
    for row in 0..texts.len() {
        let length = texts.value_length(row);
        if i64::from(length) > i64::from(max_length) && texts.is_valid(row) {
            return Err(Error::invalid(
                Subject::Field,
                format!(
                    "length of varchar field {} exceeds max length, row number: {row}, \
                     length: {length}, max length: {max_length}",
                    field.name
                ),
            ));
        }
    }
    Ok(())
}

fn check_json(field: &FieldSchema, column: &ArrayRef, limits: &LimitSettings) -> Result<()> {
    for (row, text) in column.as_string::<i32>().iter().enumerate() {
        let Some(text) = text else { continue };
        check_json_text(&field.name, row, text, limits)?;
    }
    Ok(())
}

fn check_json_text(field: &str, row: usize, text: &str, limits: &LimitSettings) -> Result<()> {
    if text.len() > limits.max_json_bytes {
        return Err(Error::invalid(
            Subject::Field,
            format!(
                "the length ({}) of json field ({field}) exceeds max length ({}), row {row}",
                text.len(),
                limits.max_json_bytes
            ),
        ));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|e| {
        Error::invalid(Subject::Field, format!("field {field}, row {row}: not JSON: {e}"))
    })?;
    Ok(())
}

fn check_dynamic(column: &ArrayRef, limits: &LimitSettings) -> Result<ArrayRef> {
    let texts = column.as_string_opt::<i32>().ok_or_else(|| {
        Error::invalid(Subject::Field, "the dynamic column $meta must be JSON texts")
    })?;
    for (row, text) in texts.iter().enumerate() {
        let text = text.unwrap_or("{}");
        check_json_text(DYNAMIC_FIELD, row, text, limits)?;
        if !text.trim_start().starts_with('{') {
            return Err(Error::invalid(
                Subject::Field,
                format!("row {row}: dynamic fields must be a JSON object"),
            ));
        }
    }
    if texts.null_count() == 0 {
        return Ok(column.clone());
    }
    Ok(Arc::new(StringArray::from_iter_values(texts.iter().map(|t| t.unwrap_or("{}")))))
}

fn check_array(
    field: &FieldSchema,
    column: &ArrayRef,
    element: &DataType,
    max_capacity: u32,
) -> Result<()> {
    let lists: &ListArray = column.as_list();
    for row in 0..lists.len() {
        let length = lists.value_length(row);
        if lists.is_valid(row) && i64::from(length) > i64::from(max_capacity) {
            // Milvus has another word before it for a struct's arrays.
            let of_struct = split_name(&field.name).is_some();
            let first = if of_struct { "array length exceeds max capacity: " } else { "" };
            return Err(Error::invalid(
                Subject::Field,
                format!(
                    "{first}the length ({length}) of {row}th array exceeds max capacity ({max_capacity}) \
                     of field {}",
                    field.name
                ),
            ));
        }
    }
    match element {
        DataType::VarChar { max_length } => check_text(field, lists.values(), *max_length),
        vector if vector.is_vector() => {
            let element = FieldSchema::new(field.name.as_str(), vector.clone());
            check_vector(&element, lists.values())
        }
        _ => Ok(()),
    }
}

fn byte_width(element: &ArrowType) -> i32 {
    element.primitive_width().and_then(|w| i32::try_from(w).ok()).unwrap_or(1)
}

fn check_sparse(field: &FieldSchema, column: &ArrayRef) -> Result<()> {
    for (row, bytes) in column.as_binary::<i32>().iter().enumerate() {
        let Some(bytes) = bytes else { continue };
        sparse::check(bytes).map_err(|why| {
            Error::invalid(Subject::Field, format!("{why}: field {}, row {row}", field.name))
        })?;
    }
    Ok(())
}

/// Refuses vectors with a value that is missing or not finite.
pub fn check_vector(field: &FieldSchema, column: &ArrayRef) -> Result<()> {
    let dim = field.data_type.vector_dim().unwrap_or(0).max(1) as usize;
    if let Some(vectors) = column.as_fixed_size_list_opt()
        && let Some(nulls) = vectors.values().nulls().filter(|n| n.null_count() > 0)
    {
        let bad = |at: &usize| nulls.is_null(*at) && vectors.is_valid(*at / dim);
        if let Some(at) = (0..vectors.len() * dim).find(bad) {
            return Err(Error::invalid(
                Subject::Field,
                format!("an element of a vector is null: field {}, row {}", field.name, at / dim),
            ));
        }
    }
    let vectors = VectorView::of(column.as_ref(), &field.data_type)?;
    let Some((row, value)) = first_not_finite(&vectors, column.as_ref()) else { return Ok(()) };
    let why = match field.data_type {
        DataType::Float16Vector { .. } => "float16 vector contain nan or infinity value.".into(),
        DataType::BFloat16Vector { .. } => "bfloat16 vector contain nan or infinity value.".into(),
        _ => format!("value '{value}' is not a number or infinity:"),
    };
    Err(Error::invalid(Subject::Field, format!("{why} field {}, row {row}", field.name)))
}

/// The first value of a row that is there which is not finite, and its row.
fn first_not_finite(vectors: &VectorView<'_>, column: &dyn Array) -> Option<(usize, f32)> {
    let odd = match vectors.values {
        // The sum of zero times each value is NaN exactly if one is not finite; it needs no branch.
        VectorValues::F32(v) => v.iter().map(|v| v * 0.0).sum::<f32>() != 0.0,
        // All bits of the exponent set.
        VectorValues::F16(v) => v.iter().any(|v| v & 0x7c00 == 0x7c00),
        VectorValues::Bf16(v) => {
            v.chunks_exact(2).any(|v| v[1] & 0x7f == 0x7f && v[0] & 0x80 == 0x80)
        }
        VectorValues::Int8(_) | VectorValues::Bits(_) | VectorValues::Sparse(_) => false,
    };
    if !odd {
        return None;
    }
    let mut buffer = Vec::new();
    let rows = (0..vectors.rows).filter(|row| column.is_valid(*row));
    rows.filter_map(|row| {
        let values = vectors.block(row..row + 1, &mut buffer);
        values.iter().find(|v| !v.is_finite()).map(|v| (row, *v))
    })
    .next()
}

fn check_finite(field: &FieldSchema, column: &ArrayRef) -> Result<()> {
    let bad = match column.data_type() {
        ArrowType::Float32 => {
            let c = column.as_primitive::<Float32Type>();
            (0..c.len()).find(|r| c.is_valid(*r) && !c.value(*r).is_finite())
        }
        _ => {
            let c = column.as_primitive::<Float64Type>();
            (0..c.len()).find(|r| c.is_valid(*r) && !c.value(*r).is_finite())
        }
    };
    match bad {
        None => Ok(()),
        Some(row) => Err(Error::invalid(
            Subject::Field,
            format!("value is not a number or infinity: field {}, row {row}", field.name),
        )),
    }
}
