//! JSON values of one field as a column of Milvus's messages.

use elanus_engine::core::schema::{DataType, FieldSchema};
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    ArrayArray, BoolArray, DataType as WireType, DoubleArray, FieldData, FloatArray, IntArray,
    JsonArray, LongArray, ScalarField, SparseFloatArray, StringArray, VectorArray, VectorField,
    vector_field,
};
use serde_json::Value;

use super::failed;
use crate::status::Failure;

/// A column of one value for each row; null where there is none.
pub fn column(field: &FieldSchema, values: Vec<Option<Value>>) -> Result<FieldData, Failure> {
    let flags: Vec<bool> = values.iter().map(Option::is_some).collect();
    let present: Vec<Value> = values.into_iter().flatten().collect();
    let at = |e: Failure| failed(format!("field '{}': {}", field.name, e.reason));
    let kind = &field.data_type;
    let payload = match (kind.is_vector(), kind.vector_element()) {
        (true, _) => Field::Vectors(vectors(kind, &present).map_err(at)?),
        (false, Some(element)) => Field::Vectors(lists(element, &present).map_err(at)?),
        (false, None) => {
            let data = Some(scalars(&field.data_type, present).map_err(at)?);
            Field::Scalars(ScalarField { data, ..Default::default() })
        }
    };
    Ok(assemble(&field.name, payload, flags))
}

/// A column with the flags that say where values are; the payload holds only these.
pub fn assemble(name: &str, payload: Field, flags: Vec<bool>) -> FieldData {
    FieldData {
        field_name: name.to_string(),
        field: Some(payload),
        valid_data: if flags.iter().all(|f| *f) { Vec::new() } else { flags },
        ..Default::default()
    }
}

/// A column of dynamic fields.
pub fn dynamic(name: &str, objects: Vec<Value>) -> FieldData {
    let data = objects.into_iter().map(|o| o.to_string().into_bytes()).collect();
    let data = Some(Data::JsonData(JsonArray { data }));
    FieldData {
        r#type: WireType::Json.into(),
        is_dynamic: true,
        ..assemble(name, Field::Scalars(ScalarField { data, ..Default::default() }), Vec::new())
    }
}

fn wrong(expected: &str, value: &Value) -> Failure {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(60) {
        text.truncate(end);
        text += "…";
    }
    failed(format!("expected {expected}, but got {text}"))
}

fn integers(values: &[Value]) -> Result<Vec<i64>, Failure> {
    values.iter().map(|v| v.as_i64().ok_or_else(|| wrong("an integer", v))).collect()
}

fn small(values: &[Value], least: i64, most: i64) -> Result<Vec<i32>, Failure> {
    let fits = |v: &Value| v.as_i64().filter(|i| (least..=most).contains(i));
    let one = |v: &Value| fits(v).and_then(|i| i32::try_from(i).ok());
    let expected = format!("an integer from {least} to {most}");
    values.iter().map(|v| one(v).ok_or_else(|| wrong(&expected, v))).collect()
}

fn numbers(values: &[Value]) -> Result<Vec<f64>, Failure> {
    values.iter().map(|v| v.as_f64().ok_or_else(|| wrong("a number", v))).collect()
}

fn singles(values: &[Value]) -> Result<Vec<f32>, Failure> {
    let narrow = |(value, of): (f64, &Value)| match value as f32 {
        single if single.is_finite() => Ok(single),
        _ => Err(wrong("a number of 32 bits", of)),
    };
    numbers(values)?.into_iter().zip(values).map(narrow).collect()
}

fn scalars(kind: &DataType, values: Vec<Value>) -> Result<Data, Failure> {
    Ok(match kind {
        DataType::Bool => {
            let one = |v: &Value| v.as_bool().ok_or_else(|| wrong("true or false", v));
            let data: Result<_, _> = values.iter().map(one).collect();
            Data::BoolData(BoolArray { data: data? })
        }
        DataType::Int8 => Data::IntData(IntArray { data: small(&values, -128, 127)? }),
        DataType::Int16 => Data::IntData(IntArray { data: small(&values, -32_768, 32_767)? }),
        DataType::Int32 => {
            let data = small(&values, i32::MIN.into(), i32::MAX.into())?;
            Data::IntData(IntArray { data })
        }
        DataType::Int64 => Data::LongData(LongArray { data: integers(&values)? }),
        DataType::Float => Data::FloatData(FloatArray { data: singles(&values)? }),
        DataType::Double => Data::DoubleData(DoubleArray { data: numbers(&values)? }),
        DataType::Json => {
            let data = values.into_iter().map(|v| json_text(v).into_bytes()).collect();
            Data::JsonData(JsonArray { data })
        }
        DataType::Array { element, .. } => {
            let row = |value: Value| match value {
                Value::Array(items) => {
                    let data = Some(scalars(element, items)?);
                    Ok(ScalarField { data, ..Default::default() })
                }
                other => Err(wrong("a list", &other)),
            };
            let data: Result<_, _> = values.into_iter().map(row).collect();
            Data::ArrayData(ArrayArray { data: data?, ..Default::default() })
        }
        _ => {
            let one = |value: Value| match value {
                Value::String(text) => Ok(text),
                other => Err(wrong("a text", &other)),
            };
            let data: Result<_, _> = values.into_iter().map(one).collect();
            Data::StringData(StringArray { data: data? })
        }
    })
}

/// A text that is itself JSON stands for its value, as Milvus's writers of files have it.
fn json_text(value: Value) -> String {
    match value {
        Value::String(text) if serde_json::from_str::<Value>(&text).is_ok() => text,
        other => other.to_string(),
    }
}

/// Lists of vectors.
fn lists(element: &DataType, values: &[Value]) -> Result<VectorField, Failure> {
    let data: Result<_, Failure> = values.iter().map(|row| vectors(element, list(row)?)).collect();
    let rows = VectorArray { data: data?, ..Default::default() };
    Ok(VectorField { data: Some(vector_field::Data::VectorArray(rows)), ..Default::default() })
}

fn list(value: &Value) -> Result<&[Value], Failure> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong("a list", value))
}

fn vectors(kind: &DataType, values: &[Value]) -> Result<VectorField, Failure> {
    use vector_field::Data as Vectors;
    let dim = kind.vector_dim().unwrap_or(0);
    let lists = || values.iter().map(list).collect::<Result<Vec<_>, _>>();
    let check = |items: &[Value], length: u32| match items.len() == length as usize {
        true => Ok(()),
        false => Err(failed(format!("expected {length} elements, but got {}", items.len()))),
    };
    let data = match kind {
        DataType::FloatVector { .. }
        | DataType::Float16Vector { .. }
        | DataType::BFloat16Vector { .. } => {
            let lists = lists()?;
            lists.iter().try_for_each(|items| check(items, dim))?;
            let data: Result<Vec<_>, _> = lists.into_iter().map(singles).collect();
            Vectors::FloatVector(FloatArray { data: data?.concat() })
        }
        DataType::Int8Vector { .. } => {
            let lists = lists()?;
            lists.iter().try_for_each(|items| check(items, dim))?;
            let data: Result<Vec<_>, _> = lists.iter().map(|l| small(l, -128, 127)).collect();
            Vectors::Int8Vector(data?.concat().into_iter().map(|v| v.to_le_bytes()[0]).collect())
        }
        DataType::BinaryVector { .. } => {
            let lists = lists()?;
            lists.iter().try_for_each(|items| check(items, dim / 8))?;
            let data: Result<Vec<_>, _> = lists.iter().map(|l| small(l, 0, 255)).collect();
            Vectors::BinaryVector(data?.concat().into_iter().map(|v| v.to_le_bytes()[0]).collect())
        }
        _ => {
            let rows: Result<Vec<_>, _> = values.iter().map(sparse).collect();
            return Ok(sparse_field(rows?));
        }
    };
    Ok(VectorField { dim: dim.into(), data: Some(data), ..Default::default() })
}

fn sparse_field(rows: Vec<Vec<(u32, f32)>>) -> VectorField {
    let dim = rows.iter().flatten().map(|(i, _)| i64::from(*i) + 1).max().unwrap_or(0);
    let bytes = |row: Vec<(u32, f32)>| {
        let pair = |(i, v): (u32, f32)| [i.to_le_bytes(), v.to_le_bytes()].concat();
        row.into_iter().flat_map(pair).collect()
    };
    let contents = rows.into_iter().map(bytes).collect();
    let data = vector_field::Data::SparseFloatVector(SparseFloatArray { contents, dim });
    VectorField { dim, data: Some(data), ..Default::default() }
}

/// `{"3": 0.5}` or `{"indices": [3], "values": [0.5]}`, also as a text of that.
fn sparse(value: &Value) -> Result<Vec<(u32, f32)>, Failure> {
    let parsed;
    let object = match value {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).map_err(failed)?;
            parsed.as_object()
        }
        other => other.as_object(),
    };
    let object = object.ok_or_else(|| wrong("an object of indices and values", value))?;
    let bad = || wrong("indices from 0 to 4294967294 with numbers", value);
    let mut pairs: Vec<(u32, f32)> = match (object.get("indices"), object.get("values")) {
        (Some(Value::Array(indices)), Some(Value::Array(values))) => {
            if indices.len() != values.len() {
                return Err(failed("indices and values of a sparse vector differ in length"));
            }
            let index = |v: &Value| v.as_u64().and_then(|i| u32::try_from(i).ok()).ok_or_else(bad);
            let indices: Result<Vec<u32>, _> = indices.iter().map(index).collect();
            indices?.into_iter().zip(singles(values)?).collect()
        }
        _ => {
            let one = |(key, v): (&String, &Value)| {
                let index = key.parse::<u32>().map_err(|_| bad())?;
                Ok((index, singles(std::slice::from_ref(v))?[0]))
            };
            object.iter().map(one).collect::<Result<_, Failure>>()?
        }
    };
    pairs.sort_by_key(|(index, _)| *index);
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(kind: DataType) -> FieldSchema {
        FieldSchema::new("f", kind)
    }

    #[test]
    fn bad_values_are_told_with_their_field() {
        for (kind, value, words) in [
            (DataType::Int8, json!(128), "an integer from -128 to 127"),
            (DataType::Int64, json!(1.5), "an integer, but got 1.5"),
            (DataType::Bool, json!(1), "true or false"),
            (DataType::Float, json!(1e300), "a number of 32 bits"),
            (DataType::VarChar { max_length: 9 }, json!(1), "a text, but got 1"),
            (DataType::FloatVector { dim: 2 }, json!([1.0]), "expected 2 elements, but got 1"),
            (DataType::BinaryVector { dim: 8 }, json!([256]), "from 0 to 255"),
            (
                DataType::Array { element: Box::new(DataType::Int64), max_capacity: 3 },
                json!({}),
                "a list",
            ),
        ] {
            let reason = column(&field(kind), vec![Some(value)]).expect_err(words).reason;
            assert!(reason.contains(words) && reason.contains("field 'f'"), "{reason}");
        }
    }

    #[test]
    fn sparse_vectors_are_read_in_both_forms() {
        let expected = vec![(1, 0.5), (7, 2.0)];
        assert_eq!(sparse(&json!({"7": 2.0, "1": 0.5})), Ok(expected.clone()));
        assert_eq!(sparse(&json!({"indices": [7, 1], "values": [2, 0.5]})), Ok(expected.clone()));
        assert_eq!(sparse(&json!("{\"7\": 2.0, \"1\": 0.5}")), Ok(expected));
        assert!(sparse(&json!({"-1": 1})).is_err() && sparse(&json!([1])).is_err());
    }

    #[test]
    fn json_texts_stand_for_their_values() {
        assert_eq!(json_text(json!("{\"a\":1}")), "{\"a\":1}");
        assert_eq!(json_text(json!("plain")), "\"plain\"");
        assert_eq!(json_text(json!({"a": 1})), "{\"a\":1}");
    }
}
