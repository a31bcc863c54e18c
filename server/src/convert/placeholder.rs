//! Query vectors as they come on the wire.

use elanus_engine::api::Queries;
use elanus_engine::core::schema::{DataType, FieldSchema};
use elanus_proto::common::{PlaceholderGroup, PlaceholderType, PlaceholderValue};
use elanus_proto::schema::DataType as WireType;
use prost::Message;

use super::{invalid, schema, sparse, vectors};
use crate::status::Failure;

/// The query vectors of a serialized `PlaceholderGroup`, for a vector field.
///
/// 32-bit vectors for a field of 16-bit floats are rounded to them, as Milvus does.
///
/// # Errors
/// If the bytes are no such message, or a vector is not of the field's type and dimension, or not finite.
pub fn query_vectors(bytes: &[u8], field: &FieldSchema) -> Result<Queries, Failure> {
    let group = PlaceholderGroup::decode(bytes)
        .map_err(|e| invalid(format!("failed to unmarshal placeholder group: {e}")))?;
    let mut placeholders = group.placeholders.into_iter();
    let (Some(value), None) = (placeholders.next(), placeholders.next()) else {
        return Err(invalid("a search needs exactly one placeholder with its query vectors"));
    };
    let narrow = is_narrowed(&value, field)?;
    if field.data_type.is_sparse_vector() {
        return sparse::queries(value.values.iter());
    }
    let bytes = field.data_type.vector_bytes().unwrap_or(0) as usize;
    let expected = if narrow { 2 * bytes } else { bytes };
    if let Some(wrong) = value.values.iter().find(|v| v.len() != expected) {
        return Err(invalid(format!(
            "vector dimension mismatch, expected vector size(byte) {expected}, actual {}.",
            wrong.len()
        )));
    }
    if narrow {
        let mut narrowed = Vec::with_capacity(value.values.len());
        for vector in &value.values {
            narrowed.extend(vectors::narrowed_query(&field.data_type, vector)?);
        }
        return vectors::queries_of_bytes(&field.data_type, narrowed.iter().map(Vec::as_slice));
    }
    vectors::queries_of_bytes(&field.data_type, value.values.iter().map(AsRef::as_ref))
}

/// The query vectors for a struct's vectors, of which `field` is one element; `arrays` if an array is compared
/// with arrays. Then also the number of vectors of each query, all of which come end to end.
///
/// # Errors
/// As [`query_vectors`]; and if arrays are given for elements, or vectors for arrays.
pub fn array_queries(
    bytes: &[u8],
    field: &FieldSchema,
    arrays: bool,
) -> Result<(Queries, Option<Vec<usize>>), Failure> {
    let mut group = PlaceholderGroup::decode(bytes)
        .map_err(|e| invalid(format!("failed to unmarshal placeholder group: {e}")))?;
    let mut lengths = None;
    if let [value] = group.placeholders.as_mut_slice() {
        let one = one_of_array(value.r#type());
        match (arrays, one) {
            (true, Some(kind)) => {
                let narrow =
                    is_narrowed(&PlaceholderValue { r#type: kind.into(), ..value.clone() }, field)?;
                let own = field.data_type.vector_bytes().unwrap_or(0) as usize;
                let width = (if narrow { 2 * own } else { own }).max(1);
                let mut all = Vec::new();
                let mut counts = Vec::with_capacity(value.values.len());
                for array in &value.values {
                    if array.is_empty() || !array.len().is_multiple_of(width) {
                        return Err(invalid(format!(
                            "vector dimension mismatch, expected vector size(byte) {width} or a \
                             multiple of it, actual {}.",
                            array.len()
                        )));
                    }
                    counts.push(array.len() / width);
                    all.extend(array.chunks(width).map(<[u8]>::to_vec));
                }
                value.r#type = kind.into();
                value.values = all.into_iter().map(Into::into).collect();
                lengths = Some(counts);
            }
            (false, None) => {}
            (true, None) => {
                return Err(invalid(format!(
                    "field {} is searched by arrays of vectors (an embedding list), as its index's \
                     metric says, but the search has single vectors",
                    field.name
                )));
            }
            (false, Some(_)) => {
                return Err(invalid(format!(
                    "field {} is searched by single vectors, as its index's metric says, but the \
                     search has arrays of vectors (an embedding list)",
                    field.name
                )));
            }
        }
    }
    let queries = query_vectors(&group.encode_to_vec(), field)?;
    Ok((queries, lengths))
}

/// The type of the vectors in a type of arrays.
fn one_of_array(kind: PlaceholderType) -> Option<PlaceholderType> {
    Some(match kind {
        PlaceholderType::EmbListFloatVector => PlaceholderType::FloatVector,
        PlaceholderType::EmbListFloat16Vector => PlaceholderType::Float16Vector,
        PlaceholderType::EmbListBFloat16Vector => PlaceholderType::BFloat16Vector,
        PlaceholderType::EmbListInt8Vector => PlaceholderType::Int8Vector,
        PlaceholderType::EmbListBinaryVector => PlaceholderType::BinaryVector,
        PlaceholderType::EmbListSparseFloatVector => PlaceholderType::SparseFloatVector,
        _ => return None,
    })
}

/// The texts of a serialized `PlaceholderGroup`, for a field that a BM25 function fills.
///
/// # Errors
/// If the bytes are no such message, or hold no texts.
pub fn query_texts(bytes: &[u8]) -> Result<Vec<String>, Failure> {
    const WANTED: &str = "please provide varchar/text for BM25 Function based search";
    let group = PlaceholderGroup::decode(bytes)
        .map_err(|e| invalid(format!("failed to unmarshal BM25 search placeholder group: {e}")))?;
    let [value] = group.placeholders.as_slice() else { return Err(invalid(WANTED)) };
    if value.r#type() != PlaceholderType::VarChar {
        let kind = value.r#type().as_str_name();
        return Err(invalid(format!("{WANTED}, got {kind}")));
    }
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes);
        text.map(str::to_string).map_err(|_| invalid("a query text is not UTF-8"))
    };
    value.values.iter().map(|bytes| text(bytes)).collect()
}

/// Whether vectors of 32-bit floats are given for a field of 16-bit floats; else they must be of its type.
fn is_narrowed(value: &PlaceholderValue, field: &FieldSchema) -> Result<bool, Failure> {
    let kind = schema::wire_type(&field.data_type);
    let given = PlaceholderType::try_from(value.r#type)
        .map_err(|_| invalid(format!("unknown placeholder type {}", value.r#type)))?;
    if given.as_str_name() == kind.as_str_name() {
        return Ok(false);
    }
    let halves =
        matches!(field.data_type, DataType::Float16Vector { .. } | DataType::BFloat16Vector { .. });
    match given {
        PlaceholderType::FloatVector if halves => Ok(true),
        PlaceholderType::VarChar => Err(Failure::unsupported(format!(
            "field {} has no function that turns text into vectors: search it with float vectors",
            field.name
        ))),
        other => Err(invalid(format!(
            "vector type must be the same, field {} - type {}, search info type {}",
            field.name,
            vectors::type_name(kind).unwrap_or_default(),
            WireType::from_str_name(other.as_str_name())
                .and_then(vectors::type_name)
                .unwrap_or_else(|| other.as_str_name())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: PlaceholderType, values: Vec<Vec<u8>>) -> Vec<u8> {
        let value = PlaceholderValue {
            tag: "$0".into(),
            r#type: kind as i32,
            values: values.into_iter().map(Into::into).collect(),
            element_level: false,
        };
        PlaceholderGroup { placeholders: vec![value] }.encode_to_vec()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn query(kind: PlaceholderType, values: &[&[u8]], field: DataType) -> Result<Queries, String> {
        let values = values.iter().map(|v| v.to_vec()).collect();
        query_vectors(&group(kind, values), &FieldSchema::new("v", field)).map_err(|f| f.reason)
    }

    #[test]
    fn vectors_of_each_type_come_through() {
        use PlaceholderType as Kind;
        let dense = |v: &[f32]| Ok(Queries::Dense(vec![v.to_vec()]));
        let floats = floats(&[1.0, -2.5]);
        let two = DataType::FloatVector { dim: 2 };
        assert_eq!(query(Kind::FloatVector, &[&floats], two), dense(&[1.0, -2.5]));
        let halves = [0x00, 0x3c, 0x00, 0xc1];
        let type_16 = || DataType::Float16Vector { dim: 2 };
        assert_eq!(query(Kind::Float16Vector, &[&halves], type_16()), dense(&[1.0, -2.5]));
        let brains = [0x80, 0x3f, 0x20, 0xc0];
        let type_b16 = || DataType::BFloat16Vector { dim: 2 };
        assert_eq!(query(Kind::BFloat16Vector, &[&brains], type_b16()), dense(&[1.0, -2.5]));
        let bytes = DataType::Int8Vector { dim: 2 };
        assert_eq!(query(Kind::Int8Vector, &[&[0x80, 3]], bytes), dense(&[-128.0, 3.0]));
        let bits = DataType::BinaryVector { dim: 16 };
        let expected = Ok(Queries::Binary(vec![vec![1, 0x80], vec![2, 3]]));
        assert_eq!(query(Kind::BinaryVector, &[&[1, 0x80], &[2, 3]], bits), expected);
    }

    #[test]
    fn wide_floats_are_rounded_to_a_field_of_narrow_ones() {
        let third = floats(&[1.0 / 3.0, 2.0]);
        for (field, rounded) in [
            (DataType::Float16Vector { dim: 2 }, 0.333_251_95),
            (DataType::BFloat16Vector { dim: 2 }, 0.333_984_38),
        ] {
            let found = query(PlaceholderType::FloatVector, &[&third], field);
            assert_eq!(found, Ok(Queries::Dense(vec![vec![rounded, 2.0]])));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let float = |dim| DataType::FloatVector { dim };
        let half = |dim| DataType::Float16Vector { dim };
        let three = floats(&[1.0, 2.0, 3.0]);
        let nan = floats(&[f32::NAN]);
        let large = floats(&[70_000.0]);
        for (kind, vector, field, words) in [
            (
                PlaceholderType::FloatVector,
                &three[..],
                float(4),
                "expected vector size(byte) 16, actual 12.",
            ),
            (PlaceholderType::FloatVector, &three, half(4), "size(byte) 16, actual 12."),
            (PlaceholderType::Float16Vector, &three, half(4), "size(byte) 8, actual 12."),
            (
                PlaceholderType::FloatVector,
                &nan,
                float(1),
                "value 'NaN' is not a number or infinity",
            ),
            (PlaceholderType::Float16Vector, &[0, 0x7c], half(1), "nan or infinity"),
            (PlaceholderType::FloatVector, &large, half(1), "nan or infinity"),
            (
                PlaceholderType::BinaryVector,
                &[1],
                float(1),
                "vector type must be the same, field v - type VECTOR_FLOAT, search info type \
                 VECTOR_BINARY",
            ),
            (
                PlaceholderType::FloatVector,
                &nan,
                DataType::Int8Vector { dim: 4 },
                "type VECTOR_INT8, search info type VECTOR_FLOAT",
            ),
        ] {
            let reason = query(kind, &[vector], field).err().unwrap_or_default();
            assert!(reason.contains(words), "{reason}");
        }
        let field = FieldSchema::new("v", float(1));
        assert!(query_vectors(&[0xff, 1, 2], &field).is_err());
        assert!(query_vectors(&[], &field).is_err());
    }
}
