//! Recognises the filters that only list primary keys, so that a delete by keys needs no scan.

use std::collections::HashMap;

use arrow::array::{Int64Array, StringArray};
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_sql::lang::TemplateValue;

/// The keys of `key in [1, 2]`, `key in {name}` or `key == 1`. Any other text, right or wrong, gives
/// `None` and is for the filter language to judge.
pub(super) fn keys(
    text: &str,
    schema: &CollectionSchema,
    templates: &HashMap<String, TemplateValue>,
) -> Option<Keys> {
    let primary = schema.primary().ok()?;
    let rest = text.trim().strip_prefix(primary.name.as_str())?;
    let values = match rest.trim_start() {
        list if rest.starts_with(char::is_whitespace)
            && list.get(..2)?.eq_ignore_ascii_case("in") =>
        {
            // The language knows the word in these two forms only.
            if !matches!(list.get(..2), Some("in" | "IN")) {
                return None;
            }
            listed(list.get(2..)?.trim(), templates)?
        }
        equal => vec![value(equal.strip_prefix("==")?.trim(), templates)?],
    };
    to_keys(values, &primary.data_type)
}

#[derive(Debug, PartialEq)]
enum Value {
    Int(i64),
    Text(String),
}

fn listed(text: &str, templates: &HashMap<String, TemplateValue>) -> Option<Vec<Value>> {
    if let Some(name) = text.strip_prefix('{') {
        let TemplateValue::Array(values) = templates.get(name.strip_suffix('}')?.trim())? else {
            return None;
        };
        return values.iter().map(plain).collect();
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut values = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (first, after) = split_first(rest)?;
        values.push(literal(first)?);
        rest = after;
    }
    Some(values)
}

/// The first literal and what follows its comma.
fn split_first(text: &str) -> Option<(&str, &str)> {
    let end = match text.chars().next()? {
        quote @ ('"' | '\'') => text.get(1..)?.find(quote)? + 2,
        _ => text.find(',').unwrap_or(text.len()),
    };
    let (first, after) = text.split_at_checked(end)?;
    let after = after.trim_start();
    if after.is_empty() {
        return Some((first, after));
    }
    Some((first, after.strip_prefix(',')?.trim_start()))
}

fn value(text: &str, templates: &HashMap<String, TemplateValue>) -> Option<Value> {
    match text.strip_prefix('{') {
        Some(name) => plain(templates.get(name.strip_suffix('}')?.trim())?),
        None => literal(text),
    }
}

fn plain(value: &TemplateValue) -> Option<Value> {
    match value {
        TemplateValue::Int(v) => Some(Value::Int(*v)),
        TemplateValue::Text(v) => Some(Value::Text(v.clone())),
        _ => None,
    }
}

/// A decimal integer, or a text in quotes without escapes; other literals are left to the language.
fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let octal = digits.len() > 1 && digits.starts_with('0');
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !octal {
        return text.parse().ok().map(Value::Int);
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let simple = !inner.contains(['\\', quote, '\n']);
    simple.then(|| Value::Text(inner.to_string()))
}

fn to_keys(values: Vec<Value>, kind: &DataType) -> Option<Keys> {
    if *kind == DataType::Int64 {
        let ints: Option<Vec<i64>> = values
            .into_iter()
            .map(|v| match v {
                Value::Int(i) => Some(i),
                Value::Text(_) => None,
            })
            .collect();
        return Some(Keys::Int(Int64Array::from(ints?)));
    }
    let texts: Option<Vec<String>> = values
        .into_iter()
        .map(|v| match v {
            Value::Text(t) => Some(t),
            Value::Int(_) => None,
        })
        .collect();
    Some(Keys::Text(StringArray::from(texts?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;

    fn found(kind: DataType, text: &str) -> Option<Vec<String>> {
        let schema = CollectionSchema::new(vec![FieldSchema::new("id", kind).primary()]);
        let list = TemplateValue::Array(vec![TemplateValue::Int(8), TemplateValue::Int(9)]);
        let templates = HashMap::from([("ids".to_string(), list)]);
        let keys = keys(text, &schema, &templates)?;
        Some((0..keys.len()).map(|i| keys.get(i).to_string()).collect())
    }

    #[test]
    fn lists_of_keys_are_recognised() {
        let int = |text| found(DataType::Int64, text).map(|k| k.join(" "));
        assert_eq!(int("id in [1, -2,3]").as_deref(), Some("1 -2 3"));
        assert_eq!(int(" id IN [ 4 ] ").as_deref(), Some("4"));
        assert_eq!(int("id == 5").as_deref(), Some("5"));
        assert_eq!(int("id==5").as_deref(), Some("5"));
        assert_eq!(int("id in {ids}").as_deref(), Some("8 9"));
        assert_eq!(int("id in []").as_deref(), Some(""));
        let text = |text| found(DataType::VarChar { max_length: 9 }, text).map(|k| k.join(" "));
        assert_eq!(text("id in [\"a\", 'b,c']").as_deref(), Some("a b,c"));
    }

    #[test]
    fn everything_else_is_left_to_the_language() {
        for text in [
            "",
            "id",
            "id > 5",
            "ids in [1]",
            "idx == 1",
            "id in [1] and x > 2",
            "id not in [1]",
            "id in [1.5]",
            "id in [0x10]",
            "id in [010]",
            "id in [\"a\"]",
            "id in [1 2]",
            "id in [1,,2]",
            "id In [1]",
            "id in {other}",
            "id in [99999999999999999999]",
            "id == 1 or id == 2",
            "id in [1] or id in [2]",
        ] {
            assert_eq!(found(DataType::Int64, text), None, "{text}");
        }
        let kind = DataType::VarChar { max_length: 9 };
        assert_eq!(found(kind, "id in [\"a\\\"b\"]"), None);
    }
}
