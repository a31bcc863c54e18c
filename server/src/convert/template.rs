//! Values for `{name}` in filters.

use std::collections::HashMap;

use elanus_proto::schema::template_array_value::Data;
use elanus_proto::schema::template_value::Val;
use elanus_proto::schema::{self, TemplateArrayValue};
use elanus_sql::lang::TemplateValue;

use super::invalid;
use crate::status::Failure;

/// The values of a request, by name.
pub fn templates(
    values: HashMap<String, schema::TemplateValue>,
) -> Result<HashMap<String, TemplateValue>, Failure> {
    values
        .into_iter()
        .map(|(name, value)| {
            let value = template(&name, value)?;
            Ok((name, value))
        })
        .collect()
}

fn template(name: &str, value: schema::TemplateValue) -> Result<TemplateValue, Failure> {
    match value.val {
        Some(Val::BoolVal(v)) => Ok(TemplateValue::Bool(v)),
        Some(Val::Int64Val(v)) => Ok(TemplateValue::Int(v)),
        Some(Val::FloatVal(v)) => Ok(TemplateValue::Float(v)),
        Some(Val::StringVal(v)) => Ok(TemplateValue::Text(v)),
        Some(Val::ArrayVal(v)) => Ok(TemplateValue::Array(array(name, v)?)),
        Some(Val::BytesVal(_)) => Err(Failure::unsupported(format!(
            "the value of expression template variable {name} is raw bytes, which filters do not take"
        ))),
        None => {
            Err(invalid(format!("the value of expression template variable name {name} is empty")))
        }
    }
}

fn array(name: &str, values: TemplateArrayValue) -> Result<Vec<TemplateValue>, Failure> {
    Ok(match values.data {
        None => Vec::new(),
        Some(Data::BoolData(v)) => v.data.into_iter().map(TemplateValue::Bool).collect(),
        Some(Data::LongData(v)) => v.data.into_iter().map(TemplateValue::Int).collect(),
        Some(Data::DoubleData(v)) => v.data.into_iter().map(TemplateValue::Float).collect(),
        Some(Data::StringData(v)) => v.data.into_iter().map(TemplateValue::Text).collect(),
        Some(Data::ArrayData(v)) => v
            .data
            .into_iter()
            .map(|inner| Ok(TemplateValue::Array(array(name, inner)?)))
            .collect::<Result<_, Failure>>()?,
        Some(Data::JsonData(v)) => v
            .data
            .iter()
            .map(|bytes| {
                serde_json::from_slice(bytes).map(TemplateValue::Json).map_err(|e| {
                    invalid(format!("expression template variable {name} holds no valid JSON: {e}"))
                })
            })
            .collect::<Result<_, Failure>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_proto::schema::{JsonArray, LongArray};

    fn one(val: Val) -> Result<TemplateValue, Failure> {
        template("x", schema::TemplateValue { val: Some(val) })
    }

    #[test]
    fn values_keep_their_kind() {
        assert!(matches!(one(Val::Int64Val(3)), Ok(TemplateValue::Int(3))));
        assert!(matches!(one(Val::FloatVal(3.0)), Ok(TemplateValue::Float(_))));
        let list =
            TemplateArrayValue { data: Some(Data::LongData(LongArray { data: vec![1, 2] })) };
        assert!(matches!(one(Val::ArrayVal(list)), Ok(TemplateValue::Array(v)) if v.len() == 2));
        let json = Data::JsonData(JsonArray { data: vec![b"{\"a\":1}".to_vec()] });
        let list = TemplateArrayValue { data: Some(json) };
        assert!(matches!(one(Val::ArrayVal(list)), Ok(TemplateValue::Array(_))));
        assert!(one(Val::BytesVal(vec![1])).is_err());
    }
}
