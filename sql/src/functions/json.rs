//! Access to values inside JSON columns and dynamic fields.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

/// The type that a `json_get` function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// Any value, as JSON text.
    Json,
    /// A whole number.
    Int,
    /// Any number.
    Float,
    /// A string.
    Str,
    /// True or false.
    Bool,
}

impl JsonKind {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Int, Self::Float, Self::Str, Self::Bool];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Json => "json_get",
            Self::Int => "json_get_int",
            Self::Float => "json_get_float",
            Self::Str => "json_get_str",
            Self::Bool => "json_get_bool",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Json | Self::Str => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// `json_get…(json, key, …)`: walks down by keys (text) and positions (whole numbers, from 0).
/// NULL where there is no such value or it is of another type.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonGet {
    kind: JsonKind,
    signature: Signature,
}

enum Step {
    Key(String),
    At(usize),
}

impl JsonGet {
    /// The function that gives this type.
    pub fn new(kind: JsonKind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn column(&self, texts: &StringArray, path: &[Step]) -> ArrayRef {
        let found = texts.iter().map(|text| walk(serde_json::from_str(text?).ok()?, path));
        match self.kind {
            JsonKind::Json => {
                Arc::new(found.map(|v| v.map(|v| v.to_string())).collect::<StringArray>())
            }
            JsonKind::Int => Arc::new(found.map(|v| v?.as_i64()).collect::<Int64Array>()),
            JsonKind::Float => Arc::new(found.map(|v| v?.as_f64()).collect::<Float64Array>()),
            JsonKind::Bool => Arc::new(found.map(|v| v?.as_bool()).collect::<BooleanArray>()),
            JsonKind::Str => Arc::new(
                found
                    .map(|v| match v? {
                        Value::String(s) => Some(s),
                        _ => None,
                    })
                    .collect::<StringArray>(),
            ),
        }
    }
}

fn walk(mut value: Value, path: &[Step]) -> Option<Value> {
    for step in path {
        value = match (step, value) {
            (Step::Key(key), Value::Object(mut map)) => map.remove(key)?,
            (Step::At(at), Value::Array(mut list)) if *at < list.len() => list.swap_remove(*at),
            _ => return None,
        };
    }
    // JSON's null is SQL's.
    (!value.is_null()).then_some(value)
}

fn step(name: &str, value: &ColumnarValue) -> Result<Step> {
    let ColumnarValue::Scalar(value) = value else {
        return exec_err!("{name}: a key must be a constant");
    };
    match value {
        ScalarValue::Utf8(Some(key)) => Ok(Step::Key(key.clone())),
        ScalarValue::Int64(Some(at)) => match usize::try_from(*at) {
            Ok(at) => Ok(Step::At(at)),
            Err(_) => exec_err!("{name}: a position counts from 0, not {at}"),
        },
        _ => exec_err!("{name}: a key cannot be null"),
    }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        if arg_types.len() < 2 {
            return plan_err!("{name} takes a JSON column and a key, as in {name}(doc, 'colour')");
        }
        let step = |t: &DataType| {
            if t.is_integer() { Ok(DataType::Int64) } else { text(name, t) }
        };
        let (json, path) = (&arg_types[0], &arg_types[1..]);
        std::iter::once(text(name, json)).chain(path.iter().map(step)).collect()
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.kind.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path @ ..] = args.args.as_slice() else {
            return exec_err!("{} takes a JSON column and a key", self.name());
        };
        let path: Vec<Step> = path.iter().map(|p| step(self.name(), p)).collect::<Result<_>>()?;
        match json {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(self.read(array, &path)?)),
            ColumnarValue::Scalar(value) => {
                let one = self.read(&value.to_array()?, &path)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
        }
    }
}

impl JsonGet {
    fn read(&self, array: &ArrayRef, path: &[Step]) -> Result<ArrayRef> {
        let texts = cast(array, &DataType::Utf8)?;
        Ok(self.column(texts.as_string::<i32>(), path))
    }
}

fn text(name: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
            Ok(DataType::Utf8)
        }
        other => plan_err!("{name} takes text, not {other}"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn walking_finds_values_and_gives_null_elsewhere() {
        let texts = StringArray::from(vec![
            Some(r#"{"a": {"b": [1, 2.5, "x", true, null]}}"#),
            Some("not json"),
            None,
        ]);
        let path = |at| [Step::Key("a".into()), Step::Key("b".into()), Step::At(at)];
        let get = |kind, at| JsonGet::new(kind).column(&texts, &path(at));
        assert_eq!(get(JsonKind::Int, 0).as_ref(), &Int64Array::from(vec![Some(1), None, None]));
        assert_eq!(
            get(JsonKind::Float, 1).as_ref(),
            &Float64Array::from(vec![Some(2.5), None, None])
        );
        assert_eq!(get(JsonKind::Str, 2).as_ref(), &StringArray::from(vec![Some("x"), None, None]));
        assert_eq!(
            get(JsonKind::Bool, 3).as_ref(),
            &BooleanArray::from(vec![Some(true), None, None])
        );
        assert_eq!(get(JsonKind::Json, 2).as_string::<i32>().value(0), "\"x\"");
        assert_eq!(get(JsonKind::Json, 4).null_count(), 3);
        assert_eq!(get(JsonKind::Int, 9).null_count(), 3);
        assert_eq!(get(JsonKind::Int, 2).null_count(), 3);
    }
}
