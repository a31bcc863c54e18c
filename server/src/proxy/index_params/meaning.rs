//! What an index is here, as describe_index shows it.

use elanus_engine::api::{Effort, IndexInfo};
use elanus_engine::core::schema::DataType;

use super::Params;
use super::kinds::{self, Knob, Vectors};
use crate::status::Failure;

/// Key under which describe_index shows how rows are searched.
const INDEX: &str = "elanus.index";
/// Key under which describe_index shows the effort of searches without parameters.
const EFFORT: &str = "elanus.effort";

/// Vectors of fewer dimensions get codes of more bits each.
const FEW_DIMENSIONS: u32 = 256;

/// What a field of a type is searched by under an index of a name. Exact indexes compare every row;
/// all others are one thing: rows in clusters, short codes first, then longer ones, then the vector.
fn searched_by(data_type: &DataType, kind: &str) -> &'static str {
    match data_type {
        DataType::BinaryVector { .. } => "exact bit scan",
        DataType::SparseFloatVector => "exact sparse scan",
        _ if is_exact(kind) => "exact scan",
        other if other.vector_dim().is_some_and(|dim| dim < FEW_DIMENSIONS) => {
            "clustered: 4-bit product codes, int8, original"
        }
        _ => "clustered: 1-bit codes (RaBitQ), int8, original",
    }
}

fn is_exact(kind: &str) -> bool {
    kinds::named(kind, Vectors::Dense).is_some_and(|k| k.knob == Knob::Exact)
}

/// What describe_index adds to the parameters of an index; nothing for an index of no vectors.
pub fn shown(index: &IndexInfo, data_type: &DataType) -> Params {
    let kind = index.params.get("index_type").map_or(super::AUTO, String::as_str);
    of(kind, data_type)
}

fn of(kind: &str, data_type: &DataType) -> Params {
    let by = match data_type {
        list if list.vector_element().is_some() => "exact scan",
        vector if vector.is_vector() => searched_by(data_type, kind),
        _ => return Params::new(),
    };
    let effort = if by.starts_with("exact") { Effort::EXACT } else { Effort::DEFAULT };
    [(INDEX.into(), by.into()), (EFFORT.into(), effort.recall().to_string())].into()
}

/// Takes off what describe_index added, so that its answer can be given to create_index again.
///
/// # Errors
/// Another value than describe_index would show: it cannot be set.
pub fn take_shown(params: &mut Params, kind: &str, data_type: &DataType) -> Result<(), Failure> {
    let shown = of(kind, data_type);
    for key in [INDEX, EFFORT] {
        match (params.remove(key), shown.get(key)) {
            (Some(given), own) if own != Some(&given) => {
                return Err(Failure::parameter(format!(
                    "{key} is shown by describe_index and cannot be set: leave it out, got: {given}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
