//! `order_by_fields`: `price:desc,rating:asc:nulls_last`.

use elanus_engine::core::schema::{CollectionSchema, DataType};

use crate::convert::place::Place;
use crate::convert::{invalid, schema as wire_schema};
use crate::status::Failure;

/// One thing that rows are ordered by; earlier ones weigh more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderKey {
    /// Where its value is.
    pub place: Place,
    /// Largest first.
    pub descending: bool,
    /// Whether rows without a value come first.
    pub nulls_first: bool,
}

/// Who asks: names and words differ a little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A search, which orders by JSON paths and dynamic keys too.
    Search,
    /// A query, which orders by fields alone.
    Query,
}

/// The name that an entry orders by, and its two options.
pub fn split(entry: &str) -> (&str, Option<&str>, Option<&str>) {
    let mut depth = 0usize;
    let colons: Vec<usize> = entry
        .char_indices()
        .filter(|(_, c)| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            *c == ':' && depth == 0
        })
        .map(|(at, _)| at)
        .collect();
    let part = |from: usize, to: usize| entry.get(from..to).map(str::trim);
    let end = entry.len();
    let name = part(0, colons.first().copied().unwrap_or(end)).unwrap_or_default();
    let second = colons.get(1).copied().unwrap_or(end);
    let direction = colons.first().and_then(|at| part(at + 1, second));
    let nulls = colons.get(1).and_then(|at| part(at + 1, end));
    (name, direction, nulls)
}

/// Reads the list. Nulls come last in ascending and first in descending order unless told otherwise.
pub fn order_keys(
    schema: &CollectionSchema,
    text: &str,
    asker: Asker,
) -> Result<Vec<OrderKey>, Failure> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| order_key(schema, entry, asker)).collect()
}

fn order_key(schema: &CollectionSchema, entry: &str, asker: Asker) -> Result<OrderKey, Failure> {
    let (name, direction, nulls) = split(entry);
    if name.is_empty() && asker == Asker::Search {
        return Err(invalid("empty field name in order_by_fields"));
    }
    let descending = match direction.unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "asc" | "ascending" => false,
        "desc" | "descending" => true,
        _ => {
            let expected = match asker {
                Asker::Search => "expected",
                Asker::Query => "must be",
            };
            return Err(invalid(format!(
                "invalid order direction '{}' for field '{name}', {expected} 'asc' or 'desc'",
                direction.unwrap_or_default()
            )));
        }
    };
    let nulls_first = match nulls.map(str::to_ascii_lowercase).as_deref() {
        None => descending,
        Some("nulls_first") => true,
        Some("nulls_last") => false,
        Some(other) => {
            return Err(invalid(format!(
                "invalid null ordering '{other}', expected 'nulls_first' or 'nulls_last'"
            )));
        }
    };
    Ok(OrderKey { place: sortable(schema, name, asker)?, descending, nulls_first })
}

fn sortable(schema: &CollectionSchema, name: &str, asker: Asker) -> Result<Place, Failure> {
    let absent = || invalid(format!("order_by field '{name}' does not exist in collection schema"));
    if asker == Asker::Query && !schema.has_field(name) {
        return Err(absent());
    }
    let place = Place::resolve(schema, name)?.ok_or_else(absent)?;
    let Some(field) = schema.fields.iter().find(|f| f.name == place.column) else {
        return Ok(place);
    };
    let bare = field.name == name;
    if !bare && !place.json {
        return Err(invalid(format!(
            "order_by field '{name}' has brackets but is not a JSON type"
        )));
    }
    if !bare || is_sortable(&field.data_type) {
        return Ok(place);
    }
    let kind = wire_schema::wire_type(&field.data_type).as_str_name();
    Err(invalid(match asker {
        Asker::Search => format!(
            "order_by field '{name}' has unsortable type {kind}; supported types: bool, \
             int8/16/32/64, float, double, string, varchar; for JSON fields use path syntax like \
             field[\"key\"]"
        ),
        Asker::Query => format!("order_by field '{name}' has type {kind} which is not sortable"),
    }))
}

fn is_sortable(kind: &DataType) -> bool {
    kind.is_bool_or_number() || matches!(kind, DataType::VarChar { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;

    fn keys(text: &str, asker: Asker) -> Result<Vec<(String, bool, bool)>, String> {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("a", DataType::Int64),
            FieldSchema::new("j", DataType::Json),
        ])
        .with_dynamic_field();
        let keys = order_keys(&schema, text, asker).map_err(|f| f.reason)?;
        Ok(keys.into_iter().map(|k| (k.place.column, k.descending, k.nulls_first)).collect())
    }

    #[test]
    fn entries_have_directions_and_places_for_nulls() {
        let key = |name: &str, down, nulls| (name.to_string(), down, nulls);
        assert_eq!(keys("a", Asker::Query), Ok(vec![key("a", false, false)]));
        assert_eq!(keys("a:desc, ", Asker::Query), Ok(vec![key("a", true, true)]));
        let both = Ok(vec![key("a", true, false), key("j", false, true)]);
        assert_eq!(keys("a:DESC:nulls_last,j['x:y']:asc:nulls_first", Asker::Search), both);
        assert_eq!(keys("color:desc", Asker::Search), Ok(vec![key("$meta", true, true)]));
    }

    #[test]
    fn wrong_entries_are_refused_in_milvus_words() {
        for (text, asker, words) in [
            ("a:up", Asker::Query, "invalid order direction 'up' for field 'a', must be 'asc'"),
            ("a:up", Asker::Search, "'up' for field 'a', expected 'asc' or 'desc'"),
            ("a:asc:x", Asker::Query, "invalid null ordering 'x'"),
            ("color", Asker::Query, "order_by field 'color' does not exist in collection schema"),
            ("j", Asker::Query, "order_by field 'j' has type JSON which is not sortable"),
            ("j", Asker::Search, "unsortable type JSON"),
            ("a['x']", Asker::Search, "has brackets but is not a JSON type"),
            (":desc", Asker::Query, "order_by field '' does not exist"),
        ] {
            let reason = keys(text, asker).err().unwrap_or_default();
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
