//! Query vectors as they come on the wire.

use elanus_proto::common::{PlaceholderGroup, PlaceholderType, PlaceholderValue};
use prost::Message;

use super::invalid;
use crate::status::Failure;

/// The query vectors of a serialized `PlaceholderGroup`, for a field of `dim` dimensions.
///
/// # Errors
/// If the bytes are no such message, or a vector is not of `dim` finite 32-bit floats.
pub fn query_vectors(bytes: &[u8], field: &str, dim: u32) -> Result<Vec<Vec<f32>>, Failure> {
    let group = PlaceholderGroup::decode(bytes)
        .map_err(|e| invalid(format!("failed to unmarshal placeholder group: {e}")))?;
    let mut placeholders = group.placeholders.into_iter();
    let (Some(value), None) = (placeholders.next(), placeholders.next()) else {
        return Err(invalid("a search needs exactly one placeholder with its query vectors"));
    };
    check_type(&value, field)?;
    value.values.iter().map(|bytes| decode(bytes, dim)).collect()
}

fn check_type(value: &PlaceholderValue, field: &str) -> Result<(), Failure> {
    match PlaceholderType::try_from(value.r#type) {
        Ok(PlaceholderType::FloatVector) => Ok(()),
        Ok(PlaceholderType::VarChar) => Err(Failure::unsupported(format!(
            "field {field} has no function that turns text into vectors: search it with float vectors"
        ))),
        Ok(other) => Err(invalid(format!(
            "vector type must be the same, field {field} - type VECTOR_FLOAT, \
             search info type {}",
            other.as_str_name()
        ))),
        Err(_) => Err(invalid(format!("unknown placeholder type {}", value.r#type))),
    }
}

fn decode(bytes: &[u8], dim: u32) -> Result<Vec<f32>, Failure> {
    let expected = dim as usize * 4;
    if bytes.len() != expected {
        return Err(invalid(format!(
            "vector dimension mismatch, expected vector size(byte) {expected}, actual {}.",
            bytes.len()
        )));
    }
    let (values, _) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = values.iter().map(|v| f32::from_le_bytes(*v)).collect();
    match vector.iter().find(|v| !v.is_finite()) {
        Some(bad) => Err(invalid(format!("value '{bad}' is not a number or infinity"))),
        None => Ok(vector),
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

    #[test]
    fn vectors_come_through() {
        let bytes =
            group(PlaceholderType::FloatVector, vec![floats(&[1.0, 2.0]), floats(&[3.0, 4.0])]);
        let vectors = query_vectors(&bytes, "v", 2).ok();
        assert_eq!(vectors, Some(vec![vec![1.0, 2.0], vec![3.0, 4.0]]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = |kind, values, dim| {
            query_vectors(&group(kind, values), "v", dim)
                .err()
                .map(|f| f.reason)
                .unwrap_or_default()
        };
        let short = text(PlaceholderType::FloatVector, vec![floats(&[1.0, 2.0, 3.0])], 4);
        assert!(short.contains("expected vector size(byte) 16, actual 12."), "{short}");
        let nan = text(PlaceholderType::FloatVector, vec![floats(&[f32::NAN])], 1);
        assert!(nan.contains("value 'NaN' is not a number or infinity"), "{nan}");
        let kind = text(PlaceholderType::BinaryVector, vec![vec![1]], 1);
        assert!(kind.contains("vector type must be the same"), "{kind}");
        assert!(query_vectors(&[0xff, 1, 2], "v", 1).is_err());
        assert!(query_vectors(&[], "v", 1).is_err());
    }
}
