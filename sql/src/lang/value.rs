//! Constants of a filter: literals and what is filled in for templates.

use std::cmp::Ordering;

use elanus_engine::core::timestamptz::utc_text;

use super::number::Number;
use super::template::TemplateValue;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A moment: microseconds since 1970.
    Moment(i64),
    /// A list.
    List(Vec<Value>),
    /// A JSON object or null, only from a template.
    Json(serde_json::Value),
}

impl Value {
    /// The number, if it is one.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Int(v) => Some(Number::Int((*v).into())),
            Self::Float(v) => Some(Number::Float(*v)),
            _ => None,
        }
    }

    /// A constant from a calculated number; `None` past 64 bits.
    pub fn from_number(number: Number) -> Option<Self> {
        match number {
            Number::Int(v) => i64::try_from(v).ok().map(Self::Int),
            Number::Float(v) => Some(Self::Float(v)),
        }
    }

    /// The name Milvus gives its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "Bool",
            Self::Int(_) => "Int64",
            Self::Float(_) => "Double",
            Self::Text(_) => "VarChar",
            Self::Moment(_) => "Timestamptz",
            Self::List(_) => "Array",
            Self::Json(_) => "JSON",
        }
    }

    /// The text Milvus puts into errors, `int64_val:1`.
    pub fn proto_text(&self) -> String {
        match self {
            Self::Bool(v) => format!("bool_val:{v}"),
            Self::Int(v) => format!("int64_val:{v}"),
            Self::Float(v) => format!("float_val:{v}"),
            Self::Text(v) => format!("string_val:{v:?}"),
            Self::Moment(v) => format!("int64_val:{v}"),
            Self::List(_) => format!("array_val:{self}"),
            Self::Json(v) => format!("json_val:{v}"),
        }
    }

    /// The order of two constants; the outer `None` when their types do not compare.
    pub fn compare(&self, other: &Self) -> Option<Option<Ordering>> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(Some(a.cmp(b))),
            (Self::Text(a), Self::Text(b)) => Some(Some(a.cmp(b))),
            (Self::Moment(a), Self::Moment(b)) => Some(Some(a.cmp(b))),
            (a, b) => Some(a.number()?.compare(b.number()?)),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            // Debug keeps the point of 1.0, which tells it from the integer.
            Self::Float(v) => write!(f, "{v:?}"),
            Self::Text(v) => write!(f, "{v:?}"),
            Self::Moment(v) => f.write_str(&utc_text(*v)),
            Self::Json(v) => write!(f, "{v}"),
            Self::List(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<&TemplateValue> for Value {
    fn from(value: &TemplateValue) -> Self {
        match value {
            TemplateValue::Bool(v) => Self::Bool(*v),
            TemplateValue::Int(v) => Self::Int(*v),
            TemplateValue::Float(v) => Self::Float(*v),
            TemplateValue::Text(v) => Self::Text(v.clone()),
            TemplateValue::Array(v) => Self::List(v.iter().map(Self::from).collect()),
            TemplateValue::Json(v) => Self::from(v),
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Bool(v) => Self::Bool(*v),
            Json::String(v) => Self::Text(v.clone()),
            Json::Array(v) => Self::List(v.iter().map(Self::from).collect()),
            Json::Number(v) => match (v.as_i64(), v.as_f64()) {
                (Some(v), _) => Self::Int(v),
                (None, Some(v)) => Self::Float(v),
                (None, None) => Self::Json(value.clone()),
            },
            Json::Null | Json::Object(_) => Self::Json(value.clone()),
        }
    }
}
