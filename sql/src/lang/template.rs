//! Values for the `{name}` places of a filter.

use std::collections::HashMap;

use super::fault::{Fault, Outcome};
use super::value::Value;

/// A value for a place `{name}` in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum TemplateValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A list, as for `in {name}`.
    Array(Vec<TemplateValue>),
    /// Any JSON value.
    Json(serde_json::Value),
}

/// The value of that name.
pub(crate) fn fill(name: &str, values: &HashMap<String, TemplateValue>) -> Outcome<Value> {
    values.get(name).map(Value::from).ok_or_else(|| {
        Fault::new(format!(
            "the value of expression template variable name {{{name}}} is not found"
        ))
    })
}
