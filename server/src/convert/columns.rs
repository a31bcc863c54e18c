//! Columns of an insert: from `FieldData` to one Arrow batch.
//!
//! Nulls come in two layouts. Compact: the data holds the valid values only. Dense: it holds a
//! filler for each null. Flags say which rows are valid; both layouts are told apart by length.

mod scalar;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch,
    RecordBatchOptions, Scalar, StringArray, UInt32Array, new_empty_array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{
    CollectionSchema, DYNAMIC_FIELD, DataType, DefaultValue, FieldSchema,
};
use elanus_proto::schema::field_data::Field as Payload;
use elanus_proto::schema::{FieldData, scalar_field};

use super::{internal, invalid, mismatch, sparse, structs, vectors};
use crate::status::Failure;
use scalar::{default_array, scalar_values};

/// The columns of a request of `rows` rows as one batch, in the order in which they came.
///
/// Large columns are moved, not copied, where they have no nulls. Columns that are missing are left
/// to the engine; see [`check_complete`].
///
/// # Errors
/// If a column is unknown, given twice, of another type than its field or of another length.
pub fn to_batch(
    schema: &CollectionSchema,
    columns: Vec<FieldData>,
    rows: usize,
) -> Result<RecordBatch, Failure> {
    let columns = structs::spread(schema, columns)?;
    let mut seen = HashSet::new();
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    for data in columns {
        let (field, array) = if data.is_dynamic || data.field_name == DYNAMIC_FIELD {
            dynamic_column(schema, data, rows)?
        } else {
            let field = known_field(schema, &data.field_name)?;
            if field.is_function_output {
                return Err(invalid(format!(
                    "field {} is the output of a function: its values are made, not given",
                    field.name
                )));
            }
            (field.to_arrow(), column(field, data, rows)?)
        };
        if !seen.insert(field.name().clone()) {
            return Err(invalid(format!("duplicated field {} found", field.name())));
        }
        // Elements of arrays and vectors may be declared nullable or not: take what is there.
        fields.push(field.with_data_type(array.data_type().clone()));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|e| Error::from(e).into())
}

fn known_field<'a>(schema: &'a CollectionSchema, name: &str) -> Result<&'a FieldSchema, Failure> {
    schema.field(name).map_err(|_| {
        let hint = if schema.enable_dynamic_field {
            "; dynamic fields go into the JSON column $meta"
        } else {
            ""
        };
        invalid(format!("fieldName {name} not exist in collection schema{hint}"))
    })
}

/// Refuses a batch that lacks a field which has neither a default nor null to stand in for it.
pub fn check_complete(schema: &CollectionSchema, batch: &RecordBatch) -> Result<(), Failure> {
    let lacking = schema.fields.iter().find(|f| {
        let made = f.is_function_output || (f.is_primary && f.auto_id);
        let replaceable = f.nullable || f.default_value.is_some() || made;
        !replaceable && batch.column_by_name(&f.name).is_none()
    });
    match lacking {
        Some(f) => {
            Err(invalid(format!("fieldSchema({}) has no corresponding fieldData pass in", f.name)))
        }
        None => Ok(()),
    }
}

/// One column of a field of the schema.
fn column(field: &FieldSchema, data: FieldData, rows: usize) -> Result<ArrayRef, Failure> {
    let (values, valid) = match (data.field, &field.data_type) {
        (None, kind) => (new_empty_array(&kind.to_arrow()), Vec::new()),
        (Some(Payload::Vectors(v)), DataType::SparseFloatVector) => sparse::from_wire(field, v)?,
        (Some(Payload::Vectors(v)), kind) => match (kind.vector_dim(), kind.vector_element()) {
            (Some(dim), _) => vectors::from_wire(field, dim, v)?,
            (None, Some(element)) => structs::vector_lists(field, element, v)?,
            (None, None) => return Err(wrong_type(&field.name, kind)),
        },
        (Some(Payload::Scalars(s)), kind) if !kind.is_vector() => {
            (scalar_values(&field.name, kind, s.data)?, s.valid_data)
        }
        (Some(_), kind) => return Err(wrong_type(&field.name, kind)),
    };
    let valid = if valid.is_empty() { data.valid_data } else { valid };
    if rows > 0 && values.is_empty() && field.data_type.is_vector() && !field.nullable {
        return Err(no_vectors(&field.name, &field.data_type));
    }
    let placed = place(&field.name, values, &valid, rows)?;
    fill_nulls(field, placed)
}

/// A column of 32-bit vectors, moved.
pub(super) fn floats(dim: u32, values: Vec<f32>) -> Result<ArrayRef, Failure> {
    if dim == 0 || !values.len().is_multiple_of(dim as usize) {
        let length = values.len();
        return Err(invalid(format!(
            "the length({length}) of float data should divide the dim({dim})"
        )));
    }
    let width = i32::try_from(dim).map_err(|_| invalid(format!("invalid dimension: {dim}")))?;
    let item = Arc::new(Field::new("item", ArrowType::Float32, true));
    let flat = Arc::new(Float32Array::new(values.into(), None));
    let array = FixedSizeListArray::try_new(item, width, flat, None).map_err(Error::from)?;
    Ok(Arc::new(array))
}

/// The error for a column whose data is not of its field's type.
pub(super) fn wrong_type(name: &str, kind: &DataType) -> Failure {
    wrong_data(name, kind, "data of another type")
}

/// The error for a column without a vector.
fn no_vectors(name: &str, kind: &DataType) -> Failure {
    wrong_data(name, kind, "got nil")
}

fn wrong_data(name: &str, kind: &DataType, got: &str) -> Failure {
    let (what, need) = match kind {
        DataType::FloatVector { .. } => ("float vector field ", "float vector"),
        DataType::Float16Vector { .. } => ("float16 vector field ", "float16 vector"),
        DataType::BFloat16Vector { .. } => ("bfloat16 vector field ", "bfloat16 vector"),
        DataType::Int8Vector { .. } => ("int8 vector field ", "int8 vector"),
        DataType::BinaryVector { .. } => ("binary vector field ", "binary vector"),
        DataType::SparseFloatVector => ("sparse float vector field ", "sparse float vector"),
        DataType::VarChar { .. } => ("varchar field ", "string array"),
        DataType::Text => ("text field ", "string array"),
        DataType::Timestamptz => ("timestamptz field ", "string array"),
        DataType::Geometry => ("geometry field ", "geometry wkt array"),
        DataType::Json => ("json field ", "json array"),
        DataType::Array { .. } => ("array field ", "array"),
        DataType::Bool => ("field ", "bool array"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ("field ", "int array"),
        DataType::Int64 => ("field ", "long int array"),
        DataType::Float => ("field ", "float32 array"),
        DataType::Double => ("field ", "float64(double) array"),
    };
    let text = format!("{what}'{name}' is illegal, array type mismatch");
    mismatch(text, format!("need {need}"), got)
}

/// Puts values in their rows: null where a flag is false. No flags: every row is valid.
fn place(name: &str, values: ArrayRef, valid: &[bool], rows: usize) -> Result<ArrayRef, Failure> {
    let wrong_rows = |count: usize| {
        let text = format!(
            "the num_rows ({count}) of field ({name}) is not equal to passed num_rows ({rows})"
        );
        mismatch(text, rows, count)
    };
    if valid.is_empty() {
        return if values.len() == rows { Ok(values) } else { Err(wrong_rows(values.len())) };
    }
    if valid.len() != rows {
        let text = format!("the length of valid_data of field({name}) is wrong");
        return Err(mismatch(text, rows, valid.len()));
    }
    let present = valid.iter().filter(|v| **v).count();
    let dense = values.len() == rows;
    if dense && present == rows {
        return Ok(values);
    }
    if !dense && values.len() != present {
        return Err(wrong_rows(values.len()));
    }
    let mut next = 0;
    let source: UInt32Array = (0..)
        .zip(valid)
        .map(|(row, valid)| {
            let at = if dense { row } else { next };
            valid.then(|| {
                next += 1;
                at
            })
        })
        .collect();
    take(&values, &source, None).map_err(|e| Error::from(e).into())
}

/// Null becomes the default where there is one, and is refused where the field is not nullable.
fn fill_nulls(field: &FieldSchema, array: ArrayRef) -> Result<ArrayRef, Failure> {
    if array.null_count() == 0 {
        return Ok(array);
    }
    let missing = arrow::compute::is_null(&array).map_err(Error::from)?;
    match &field.default_value {
        Some(value) => fill_where(field, value, array, &missing),
        None if field.nullable => Ok(array),
        None => Err(invalid(format!("field {} is not nullable but has null values", field.name))),
    }
}

/// The default at each marked row.
pub fn fill_where(
    field: &FieldSchema,
    value: &DefaultValue,
    array: ArrayRef,
    rows: &BooleanArray,
) -> Result<ArrayRef, Failure> {
    let default = default_array(value, &field.data_type).ok_or_else(|| {
        internal(format!("the default of field {} is of another type", field.name))
    })?;
    zip(rows, &Scalar::new(default), &array).map_err(|e| Error::from(e).into())
}

/// The column of dynamic fields: a JSON object in each row.
fn dynamic_column(
    schema: &CollectionSchema,
    data: FieldData,
    rows: usize,
) -> Result<(Field, ArrayRef), Failure> {
    if !schema.enable_dynamic_field {
        return Err(invalid(
            "without dynamic schema enabled, the field name cannot be set to $meta",
        ));
    }
    let arrow = schema.to_arrow();
    let field = arrow
        .field_with_name(DYNAMIC_FIELD)
        .map_err(|_| internal("a dynamic schema has no dynamic column"))?
        .clone();
    let (texts, valid) = match data.field {
        None => (Vec::new(), data.valid_data),
        Some(Payload::Scalars(s)) => {
            let valid = if s.valid_data.is_empty() { data.valid_data } else { s.valid_data };
            match s.data {
                None => (Vec::new(), valid),
                Some(scalar_field::Data::JsonData(v)) => (v.data, valid),
                Some(_) => return Err(wrong_type(DYNAMIC_FIELD, &DataType::Json)),
            }
        }
        Some(_) => return Err(wrong_type(DYNAMIC_FIELD, &DataType::Json)),
    };
    let mut checked = Vec::with_capacity(texts.len());
    for text in &texts {
        checked.push(dynamic_object(schema, text)?);
    }
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(checked));
    let placed = place(DYNAMIC_FIELD, values, &valid, rows)?;
    if placed.null_count() == 0 {
        return Ok((field, placed));
    }
    let missing = arrow::compute::is_null(&placed).map_err(Error::from)?;
    let empty = Scalar::new(StringArray::from(vec!["{}"]));
    Ok((field, zip(&missing, &empty, &placed).map_err(Error::from)?))
}

/// Checks that the bytes are a JSON object which does not name a field of the schema.
fn dynamic_object<'a>(schema: &CollectionSchema, text: &'a [u8]) -> Result<&'a str, Failure> {
    let wrong = || invalid("the dynamic fields of a row are not a valid JSON object");
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    if text == "{}" || text.is_empty() {
        return Ok("{}");
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| wrong())?;
    let taken = |k: &str| schema.has_field(k) || schema.struct_named(k).is_some();
    match object.keys().find(|k| *k == DYNAMIC_FIELD || taken(k)) {
        Some(key) => Err(invalid(format!(
            "dynamic json cannot include the key {key}: it is a field of the schema or reserved"
        ))),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
