//! Indexes of fields that are no vectors.

use elanus_engine::core::schema::{DataType, FieldSchema};
use elanus_engine::core::structs::split_name;

use super::{AUTO, Params, invalid_params, kinds, milvus_name};
use crate::status::Failure;

/// Their names.
pub const SCALAR: [&str; 7] = ["INVERTED", "BITMAP", "STL_SORT", "TRIE", "Trie", "NGRAM", "RTREE"];

const CAST_TYPES: [&str; 7] =
    ["BOOL", "DOUBLE", "VARCHAR", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR", "JSON"];

/// Checks the parameters of an index on a field that is no vector, and fills in what is left open.
pub fn complete(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    if kind != AUTO && kinds::is_known(kind) {
        return Err(Failure::parameter(format!("index {kind} only supports vector data type")));
    }
    match &field.data_type {
        // Milvus sorts the elements of a struct's sub-field, but not those of an array.
        DataType::Array { element, .. } if kind == "STL_SORT" && is_sub_field(field) => {
            let element = FieldSchema::new(field.name.as_str(), element.as_ref().clone());
            check_scalar_type(&element, kind)?;
        }
        _ => check_scalar_type(field, kind)?,
    }
    if field.data_type == DataType::Json {
        complete_json(field, kind, params)?;
    }
    if kind == "NGRAM" {
        check_grams(params)?;
    }
    Ok(())
}

fn is_sub_field(field: &FieldSchema) -> bool {
    split_name(&field.name).is_some()
}

fn check_scalar_type(field: &FieldSchema, kind: &str) -> Result<(), Failure> {
    let got = milvus_name(&field.data_type);
    let text = field.data_type.is_text();
    let moment = field.data_type == DataType::Timestamptz;
    let json = field.data_type == DataType::Json;
    let number = field.data_type.is_integer()
        || matches!(field.data_type, DataType::Float | DataType::Double);
    let bits =
        |t: &DataType| t.is_integer() || matches!(t, DataType::Bool | DataType::VarChar { .. });
    let why = match kind {
        "BITMAP" if field.is_primary => "create bitmap index on primary key not supported".into(),
        "BITMAP" => match &field.data_type {
            DataType::Array { element, .. } if !bits(element) => {
                "bitmap index are only supported on bool, int, string for array field".into()
            }
            DataType::Array { .. } => return Ok(()),
            other if bits(other) => return Ok(()),
            _ => "bitmap index are only supported on bool, int, string and array field".into(),
        },
        "STL_SORT" if !number && !text && !moment => {
            format!(
                "STL_SORT are only supported on numeric, varchar or timestamptz field, got {got}"
            )
        }
        "TRIE" | "Trie" if !text => "TRIE are only supported on varchar field".into(),
        "NGRAM" if !text && !json => {
            "ngram index can only be created on VARCHAR or JSON field".into()
        }
        "INVERTED" if moment || field.data_type == DataType::Geometry => {
            format!("INVERTED are not supported on {got} field")
        }
        "RTREE" if field.data_type != DataType::Geometry => {
            format!("RTREE index can only be built on geometry field, got {got}")
        }
        _ => return Ok(()),
    };
    Err(invalid_params(&why))
}

fn complete_json(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    let Some(cast) = params.get_mut("json_cast_type") else {
        if kind == AUTO {
            return Ok(());
        }
        return Err(Failure::missing("json index must specify cast type"));
    };
    let upper = cast.trim().to_uppercase();
    if !CAST_TYPES.contains(&upper.as_str()) || kind == "NGRAM" && upper != "VARCHAR" {
        return Err(Failure::parameter(format!("json_cast_type {upper} is not supported")));
    }
    *cast = upper;
    params.entry("json_path".into()).or_insert_with(|| field.name.clone());
    Ok(())
}

fn check_grams(params: &Params) -> Result<(), Failure> {
    let (Some(min), Some(max)) = (params.get("min_gram"), params.get("max_gram")) else {
        return Err(Failure::missing("Ngram index must specify both min_gram and max_gram"));
    };
    let number = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| {
            Failure::parameter(format!("{name} for Ngram index must be an integer, got: {text}"))
        })
    };
    let (min, max) = (number("min_gram", min)?, number("max_gram", max)?);
    if min == 0 || min > max {
        return Err(Failure::parameter(format!(
            "invalid min_gram or max_gram value for Ngram index, min_gram: {min}, max_gram: {max}"
        )));
    }
    Ok(())
}
