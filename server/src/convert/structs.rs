//! Struct arrays between the wire and columns. The wire nests the columns of sub-fields in one message;
//! the engine has each as a column of its own, named `name[sub]`.

pub mod schema;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::structs::sub_name;
use elanus_proto::schema::field_data::Field as Payload;
use elanus_proto::schema::vector_field::Data;
use elanus_proto::schema::{
    DataType as WireType, FieldData, FloatArray, StructArrayField, VectorArray, VectorField,
};

use super::schema::wire_type;
use super::{internal, invalid, mismatch, vectors};
use crate::status::Failure;

/// The columns of an insert with each struct's column in the place of those of its sub-fields.
///
/// # Errors
/// If a struct or a sub-field is not of the schema, or a sub-field is given by itself.
pub(super) fn spread(
    schema: &CollectionSchema,
    columns: Vec<FieldData>,
) -> Result<Vec<FieldData>, Failure> {
    let mut out = Vec::with_capacity(columns.len());
    for column in columns {
        let own = schema.struct_named(&column.field_name);
        let Some(own) = own else {
            if schema.struct_of(&column.field_name).is_some() {
                return Err(unknown(&column.field_name));
            }
            out.push(column);
            continue;
        };
        let subs = match column.field {
            Some(Payload::StructArrays(subs)) => subs.fields,
            None => Vec::new(),
            Some(_) => {
                return Err(mismatch(
                    format!("struct array field '{}' is illegal, type mismatch", own.name),
                    "need struct array",
                    "data of another type",
                ));
            }
        };
        for sub in subs {
            let name = match own.sub_of(&sub.field_name) {
                Some(_) => sub.field_name.clone(),
                None => sub_name(&own.name, &sub.field_name),
            };
            if !schema.has_field(&name) {
                return Err(unknown(&name));
            }
            // The flags of a struct are those of each sub-field that has none.
            let valid_data = match sub.valid_data.is_empty() {
                true => column.valid_data.clone(),
                false => sub.valid_data,
            };
            out.push(FieldData { field_name: name, valid_data, ..sub });
        }
    }
    Ok(out)
}

fn unknown(name: &str) -> Failure {
    invalid(format!("fieldName {name} not exist in collection schema"))
}

/// The columns of an answer with those of one struct's sub-fields nested, where the first of them stood.
pub fn gather(schema: &CollectionSchema, columns: Vec<FieldData>) -> Vec<FieldData> {
    let mut out: Vec<FieldData> = Vec::with_capacity(columns.len());
    for mut column in columns {
        let Some(own) = schema.struct_of(&column.field_name) else {
            out.push(column);
            continue;
        };
        if let Some(sub) = own.sub_of(&column.field_name) {
            column.field_name = sub.to_string();
        }
        let nested = out.iter_mut().find_map(|c| match &mut c.field {
            Some(Payload::StructArrays(nested)) if c.field_name == own.name => Some(nested),
            _ => None,
        });
        match nested {
            Some(nested) => nested.fields.push(column),
            None => out.push(FieldData {
                r#type: WireType::ArrayOfStruct.into(),
                field_name: own.name.clone(),
                field_id: own.id,
                valid_data: column.valid_data.clone(),
                field: Some(Payload::StructArrays(StructArrayField { fields: vec![column] })),
                ..Default::default()
            }),
        }
    }
    out
}

/// A column of arrays of vectors, and the flags that say which rows are valid.
pub(super) fn vector_lists(
    field: &FieldSchema,
    element: &DataType,
    data: VectorField,
) -> Result<(ArrayRef, Vec<bool>), Failure> {
    let wrong = || {
        let text = format!("vector array field '{}' is illegal, type mismatch", field.name);
        mismatch(text, format!("need {}", element.display_name()), "data of another type")
    };
    let valid = data.valid_data;
    let rows = match data.data {
        None => Vec::new(),
        Some(Data::VectorArray(rows)) => rows.data,
        Some(_) => return Err(wrong()),
    };
    let dim = element.vector_dim().unwrap_or(0);
    let mut lengths = Vec::with_capacity(rows.len());
    let mut flat: Option<Data> = None;
    for row in rows {
        vectors::check_dim(field, dim, row.dim)?;
        let size = match row.data {
            None => 0,
            Some(more) => append(&mut flat, more).ok_or_else(wrong)?,
        };
        lengths.push(size);
    }
    let wide = match &flat {
        Some(Data::FloatVector(_)) => dim as usize,
        _ => element.vector_bytes().unwrap_or(0) as usize,
    };
    if let Some(odd) = lengths.iter().find(|size| wide == 0 || !size.is_multiple_of(wide)) {
        return Err(invalid(format!(
            "the length({odd}) of the vectors of a row of field {} should divide the dim({dim})",
            field.name
        )));
    }
    let own = FieldSchema::new(field.name.as_str(), element.clone());
    let all = VectorField { dim: 0, data: flat, valid_data: Vec::new() };
    let (values, _) = vectors::from_wire(&own, dim, all)?;
    let item = Arc::new(Field::new("item", element.to_arrow(), true));
    let offsets = OffsetBuffer::from_lengths(lengths.into_iter().map(|size| size / wide));
    let lists = ListArray::try_new(item, offsets, values, None).map_err(Error::from)?;
    Ok((Arc::new(lists), valid))
}

/// Joins the values of one row to those before and says how many they are; `None` if they are of another kind.
fn append(flat: &mut Option<Data>, more: Data) -> Option<usize> {
    macro_rules! bytes {
        ($($kind:ident),*) => {
            match (flat.as_mut(), more) {
                (Some(Data::FloatVector(all)), Data::FloatVector(v)) => {
                    all.data.extend_from_slice(&v.data);
                    Some(v.data.len())
                }
                $((Some(Data::$kind(all)), Data::$kind(v)) => {
                    all.extend_from_slice(&v);
                    Some(v.len())
                })*
                (None, Data::FloatVector(v)) => {
                    let count = v.data.len();
                    *flat = Some(Data::FloatVector(v));
                    Some(count)
                }
                $((None, Data::$kind(v)) => {
                    let count = v.len();
                    *flat = Some(Data::$kind(v));
                    Some(count)
                })*
                _ => None,
            }
        };
    }
    bytes!(Float16Vector, Bfloat16Vector, Int8Vector, BinaryVector)
}

/// A column of arrays of vectors for the wire, dense: a null is an empty array, and the flags tell.
pub(super) fn lists_to_wire(element: &DataType, array: &dyn Array) -> Result<VectorField, Failure> {
    let lists = array.as_list_opt::<i32>();
    let lists = lists.ok_or_else(|| {
        internal(format!("a column of {} is read as arrays of vectors", array.data_type()))
    })?;
    let dim = i64::from(element.vector_dim().unwrap_or(0));
    let nothing = VectorField { dim, data: Some(empty(element)), valid_data: Vec::new() };
    let rows = (0..lists.len()).map(|row| match lists.is_valid(row) {
        true => vectors::to_wire(element, lists.value(row).as_ref()),
        false => Ok(nothing.clone()),
    });
    let data = rows.collect::<Result<_, _>>()?;
    let rows = VectorArray { dim, data, element_type: wire_type(element).into() };
    Ok(VectorField { dim, data: Some(Data::VectorArray(rows)), valid_data: Vec::new() })
}

fn empty(element: &DataType) -> Data {
    match element {
        DataType::Float16Vector { .. } => Data::Float16Vector(Vec::new()),
        DataType::BFloat16Vector { .. } => Data::Bfloat16Vector(Vec::new()),
        DataType::Int8Vector { .. } => Data::Int8Vector(Vec::new()),
        DataType::BinaryVector { .. } => Data::BinaryVector(Vec::new()),
        _ => Data::FloatVector(FloatArray::default()),
    }
}
