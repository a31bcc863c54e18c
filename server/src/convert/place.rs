//! Names of what rows are grouped or ordered by: a field, a dynamic key, or a path inside JSON.

use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType};
use serde_json::Value;

use super::invalid;
use crate::status::Failure;

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// The element at a place, counted from 0.
    Index(usize),
}

/// A column, or a place inside one of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The column to fetch.
    pub column: String,
    /// The way inside; empty: the value as a whole.
    pub path: Vec<Step>,
    /// Whether the column is of JSON.
    pub json: bool,
}

impl Place {
    /// Finds what a name means: a field, `field["key"][0]` in one of JSON, or with dynamic fields any
    /// key. `None`: there is nothing of that name.
    ///
    /// # Errors
    /// If the name cannot be read.
    pub fn resolve(schema: &CollectionSchema, name: &str) -> Result<Option<Self>, Failure> {
        let name = name.trim();
        let plain =
            |column: &str, json, path| Ok(Some(Self { column: column.to_string(), path, json }));
        let is_json = |field: &str| {
            schema.fields.iter().any(|f| f.name == field && f.data_type == DataType::Json)
        };
        if schema.has_field(name) {
            return plain(name, is_json(name), Vec::new());
        }
        let base = name.split('[').next().unwrap_or(name).trim_end();
        if schema.has_field(base) {
            // Of a field that is not JSON the brackets mean nothing, as in Milvus.
            let json = is_json(base);
            let path = if json { steps(name, base)? } else { Vec::new() };
            return plain(base, json, path);
        }
        if !schema.enable_dynamic_field {
            return Ok(None);
        }
        let mut path = steps(name, base)?;
        if base != DYNAMIC_FIELD {
            if !is_identifier(base) {
                return Err(unreadable(name));
            }
            path.insert(0, Step::Key(base.to_string()));
        }
        plain(DYNAMIC_FIELD, true, path)
    }

    /// What is there in a JSON text; null counts as nothing.
    pub fn find(&self, text: &str) -> Option<Value> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        for step in &self.path {
            let inner = match step {
                Step::Key(key) => value.get_mut(key.as_str()),
                Step::Index(at) => value.get_mut(*at),
            };
            value = inner?.take();
        }
        Some(value).filter(|v| !v.is_null())
    }
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

fn unreadable(name: &str) -> Failure {
    invalid(format!("cannot parse identifier: {name}"))
}

/// The steps behind the base of a name: `["key"]`, `['key']` or `[0]`, any number of them.
fn steps(name: &str, base: &str) -> Result<Vec<Step>, Failure> {
    let wrong = || unreadable(name);
    let mut rest = name.strip_prefix(base).ok_or_else(wrong)?.trim();
    let mut path = Vec::new();
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(wrong)?.trim_start();
        let (step, after) = match inner.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            Some(quote) => {
                let text = inner.get(1..).ok_or_else(wrong)?;
                let (key, after) = text.split_once(quote).ok_or_else(wrong)?;
                (Step::Key(key.to_string()), after)
            }
            None => {
                let end = inner.find(']').ok_or_else(wrong)?;
                let (digits, after) = inner.split_at(end);
                (Step::Index(digits.trim().parse().map_err(|_| wrong())?), after)
            }
        };
        path.push(step);
        rest = after.trim_start().strip_prefix(']').ok_or_else(wrong)?.trim_start();
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;

    fn place(dynamic: bool, name: &str) -> Result<Option<(String, usize)>, String> {
        let mut schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("j", DataType::Json),
        ]);
        schema.enable_dynamic_field = dynamic;
        let found = Place::resolve(&schema, name).map_err(|f| f.reason)?;
        Ok(found.map(|p| (p.column, p.path.len())))
    }

    #[test]
    fn names_lead_to_columns_and_paths() {
        let at = |column: &str, steps| Ok(Some((column.to_string(), steps)));
        assert_eq!(place(false, "id"), at("id", 0));
        assert_eq!(place(false, "j"), at("j", 0));
        assert_eq!(place(false, "j['a'][0][\"b\"]"), at("j", 3));
        assert_eq!(place(true, "color"), at("$meta", 1));
        assert_eq!(place(true, "user[\"age\"]"), at("$meta", 2));
        assert_eq!(place(true, "$meta[\"age\"]"), at("$meta", 1));
        assert_eq!(place(false, "color"), Ok(None));
        for bad in ["21", "a[", "a[x]", "a['b'", "j['a']x"] {
            assert!(place(true, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_find_values_and_take_null_for_nothing() {
        let schema = CollectionSchema::new(vec![FieldSchema::new("j", DataType::Json)]);
        let find = |name, text| {
            let place = Place::resolve(&schema, name).ok().flatten()?;
            place.find(text).map(|v| v.to_string())
        };
        let text = "{\"a\": [1, {\"b\": \"x\"}], \"n\": null}";
        assert_eq!(find("j['a'][1]['b']", text).as_deref(), Some("\"x\""));
        assert_eq!(find("j['a'][0]", text).as_deref(), Some("1"));
        assert_eq!(find("j['n']", text), None);
        assert_eq!(find("j['z']", text), None);
    }
}
