//! Which fields an answer carries.

use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD};

use crate::convert::invalid;
use crate::status::Failure;

/// The fields of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// Columns to fetch: fields of the schema, and `$meta` for dynamic fields.
    pub columns: Vec<String>,
    /// Names to tell the client. Clients pick from `$meta` the keys that stand here, or all of it
    /// when none does.
    pub names: Vec<String>,
}

impl Outputs {
    /// Reads `output_fields`: names of fields, structs and their sub-fields, `*`, and with dynamic fields also their keys, `$meta` and
    /// `$meta["key"]`.
    pub fn new(schema: &CollectionSchema, asked: &[String]) -> Result<Self, Failure> {
        let mut columns = Vec::new();
        let mut names = Vec::new();
        let mut keys = Vec::new();
        let mut whole = false;
        for name in asked.iter().map(|name| name.trim()) {
            if name == "*" {
                let shown = schema.plain_fields().filter(|f| !f.is_function_output);
                shown.for_each(|f| {
                    add(&mut columns, &f.name);
                    add(&mut names, &f.name);
                });
                for own in &schema.structs {
                    schema.sub_fields(own).for_each(|f| add(&mut columns, &f.name));
                    add(&mut names, &own.name);
                }
                whole |= schema.enable_dynamic_field;
            } else if let Some(field) = schema.fields.iter().find(|f| f.name == name) {
                if field.is_function_output {
                    return Err(invalid(format!(
                        "not allowed to retrieve raw data of field {name}"
                    )));
                }
                add(&mut columns, name);
                add(&mut names, name);
            } else if let Some(own) = schema.struct_named(name) {
                schema.sub_fields(own).for_each(|f| add(&mut columns, &f.name));
                add(&mut names, name);
            } else if !schema.enable_dynamic_field {
                return Err(invalid(format!("field {name} not exist")));
            } else if name == DYNAMIC_FIELD {
                whole = true;
            } else {
                let key = dynamic_key(name)
                    .ok_or_else(|| invalid(format!("parse output field name failed: {name}")))?;
                add(&mut keys, key);
            }
        }
        if whole {
            names.push(DYNAMIC_FIELD.to_string());
        } else {
            names.append(&mut keys.clone());
        }
        if whole || !keys.is_empty() {
            columns.push(DYNAMIC_FIELD.to_string());
        }
        Ok(Self { columns, names })
    }

    /// Adds a column in front if it is not among them.
    pub fn with_first(mut self, name: &str) -> Self {
        if !self.columns.iter().any(|c| c == name) {
            self.columns.insert(0, name.to_string());
            self.names.insert(0, name.to_string());
        }
        self
    }
}

fn add(list: &mut Vec<String>, name: &str) {
    if list.iter().all(|known| known != name) {
        list.push(name.to_string());
    }
}

/// The key that a name means: itself, or the one inside `$meta["…"]`.
fn dynamic_key(name: &str) -> Option<&str> {
    let identifier = |text: &str| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
            && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
    };
    if identifier(name) {
        return Some(name);
    }
    let inner =
        name.strip_prefix(DYNAMIC_FIELD)?.trim_start().strip_prefix('[')?.strip_suffix(']')?;
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let key = inner.strip_prefix(quote)?.strip_suffix(quote)?;
    (!key.is_empty() && !key.contains(['"', '\'', '\\'])).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::{DataType, FieldSchema};

    fn outputs(dynamic: bool, asked: &[&str]) -> Result<(String, String), String> {
        let mut schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
        ]);
        schema.enable_dynamic_field = dynamic;
        let asked: Vec<String> = asked.iter().map(|s| s.to_string()).collect();
        let outputs = Outputs::new(&schema, &asked).map_err(|f| f.reason)?;
        Ok((outputs.columns.join(" "), outputs.names.join(" ")))
    }

    fn both(columns: &str, names: &str) -> Result<(String, String), String> {
        Ok((columns.into(), names.into()))
    }

    #[test]
    fn names_become_columns() {
        assert_eq!(outputs(false, &[]), both("", ""));
        assert_eq!(outputs(false, &["v", " v "]), both("v", "v"));
        assert_eq!(outputs(false, &["*"]), both("id v", "id v"));
        assert_eq!(outputs(true, &["*"]), both("id v $meta", "id v $meta"));
        assert_eq!(outputs(true, &["a", "$meta[\"b\"]", "id"]), both("id $meta", "id a b"));
        assert_eq!(outputs(true, &["a", "$meta"]), both("$meta", "$meta"));
    }

    #[test]
    fn unknown_names_are_refused() {
        let reason = |dynamic, name| outputs(dynamic, &[name]).err().unwrap_or_default();
        assert!(reason(false, "x").contains("field x not exist"));
        assert!(reason(true, "$meta[\"a\"][\"b\"]").contains("parse output field name failed"));
        assert!(reason(true, "").contains("parse output field name failed"));
        assert!(reason(true, "1x").contains("parse output field name failed: 1x"));
    }
}
