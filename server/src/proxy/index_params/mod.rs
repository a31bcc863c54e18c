//! Which index may be made on which field, and with what parameters.
//!
//! All of Milvus's names are taken and their parameters checked as Milvus does; what an index then
//! is here, [`meaning`] tells.

mod hints;
pub mod kinds;
pub mod lists;
pub mod meaning;
pub mod rules;
mod scalar;
mod sparse;
#[cfg(test)]
mod tests;
pub mod value;
mod vector;

use std::collections::BTreeMap;

use elanus_engine::core::schema::{DataType, FieldSchema};

use crate::status::Failure;
use kinds::Vectors;
use scalar::SCALAR;

/// Leaves the choice of the index to the server.
pub const AUTO: &str = "AUTOINDEX";

/// What older clients call TRIE.
const OLD_TRIE: [&str; 2] = ["Trie", "marisa-trie"];

/// A map of parameters.
pub type Params = BTreeMap<String, String>;

/// Checks the parameters of a new index and fills in what is left open.
///
/// # Errors
/// Code 1100 in Milvus's words; code 10 for what Milvus has and this server has not.
pub fn complete(field: &FieldSchema, mut params: Params) -> Result<Params, Failure> {
    if params.get("index_type").is_some_and(String::is_empty) {
        params.remove("index_type");
    }
    let kind = params.entry("index_type".into()).or_insert_with(|| AUTO.into()).clone();
    let kind = if OLD_TRIE.contains(&kind.as_str()) { "TRIE".into() } else { kind };
    if !kinds::is_known(&kind) && !SCALAR.contains(&kind.as_str()) {
        let actual = format!("invalid index type: {kind}");
        let why = match kind.starts_with("GPU_") {
            true => "this server runs without a GPU, use HNSW, IVF_FLAT or AUTOINDEX",
            false => "",
        };
        return Err(Failure::expected("valid index", &actual, why));
    }
    meaning::take_shown(&mut params, &kind, &field.data_type)?;
    if field.data_type.is_vector() {
        vector::complete(field, &kind, &mut params)?;
    } else if let Some(element) = field.data_type.vector_element() {
        lists::complete(field, element, &kind, &mut params)?;
    } else {
        scalar::complete(field, &kind, &mut params)?;
        hints::check_scalar(&kind, &params)?;
    }
    Ok(params)
}

/// Checks what an index would be with changed hints.
pub fn check_altered(data_type: &DataType, changed: &Params) -> Result<(), Failure> {
    let kind = changed.get("index_type").map_or(AUTO, String::as_str);
    let data_type = data_type.vector_element().unwrap_or(data_type);
    if data_type.is_vector() {
        let mmap = kinds::named(kind, Vectors::of(data_type)).is_some_and(|k| k.mmap);
        return hints::check(kind, mmap, changed);
    }
    hints::check_scalar(kind, changed)
}

/// Refuses keys that an existing index does not let change.
pub fn check_alterable<'a>(keys: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    for key in keys {
        if !hints::is_hint(key) {
            return Err(Failure::parameter(format!("{key} is not a configable index property")));
        }
    }
    Ok(())
}

fn invalid_params(why: &str) -> Failure {
    Failure::expected("valid index params", "invalid index params", why)
}

fn milvus_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Bool => "Bool",
        DataType::Int8 => "Int8",
        DataType::Int16 => "Int16",
        DataType::Int32 => "Int32",
        DataType::Int64 => "Int64",
        DataType::Float => "Float",
        DataType::Double => "Double",
        DataType::VarChar { .. } => "VarChar",
        DataType::Json => "JSON",
        DataType::Array { .. } => "Array",
        DataType::FloatVector { .. } => "FloatVector",
        DataType::Float16Vector { .. } => "Float16Vector",
        DataType::BFloat16Vector { .. } => "BFloat16Vector",
        DataType::Int8Vector { .. } => "Int8Vector",
        DataType::BinaryVector { .. } => "BinaryVector",
        DataType::SparseFloatVector => "SparseFloatVector",
        DataType::Text => "Text",
        DataType::Timestamptz => "Timestamptz",
        DataType::Geometry => "Geometry",
    }
}
