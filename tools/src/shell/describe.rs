//! What the shell's `\l`, `\d` and `\d NAME` print.

use elanus_engine::api::{CollectionInfo, Engine};
use elanus_engine::core::schema::{DYNAMIC_FIELD, FieldSchema};

use crate::failure::Result;
use crate::format::human::{bytes, count};
use crate::format::table::render_texts;

/// The databases.
pub fn databases(engine: &Engine) -> Result<String> {
    let rows = engine
        .databases()
        .into_iter()
        .map(|db| Ok(vec![count(engine.collections(&db.name)?.len() as u64), db.name]))
        .map(|row: Result<Vec<String>>| {
            row.map(|mut cells| {
                cells.reverse();
                cells
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(render_texts(&["database", "collections"], &rows)?)
}

/// The collections of a database.
pub fn collections(engine: &Engine, database: &str) -> Result<String> {
    let rows: Vec<Vec<String>> = engine
        .collections(database)?
        .iter()
        .map(|collection| {
            let stats = collection.stats();
            vec![
                collection.name(),
                count(stats.live_rows),
                count(stats.memtable_rows),
                count(stats.segments.len() as u64),
                bytes(stats.data_bytes),
                collection.info().aliases.join(", "),
            ]
        })
        .collect();
    let titles = ["collection", "rows", "in memory", "segments", "bytes", "aliases"];
    Ok(render_texts(&titles, &rows)?)
}

/// The fields of a collection, given as NAME or DATABASE.NAME.
pub fn collection(engine: &Engine, database: &str, name: &str) -> Result<String> {
    let (database, name) = name.split_once('.').unwrap_or((database, name));
    let info = engine.collection(database, name)?.info();
    let mut rows: Vec<Vec<String>> = info.schema.fields.iter().map(|f| row(&info, f)).collect();
    if info.schema.enable_dynamic_field {
        let cells = [DYNAMIC_FIELD, "Json", "fields that the schema does not name", ""];
        rows.push(cells.map(String::from).to_vec());
    }
    Ok(render_texts(&["field", "type", "notes", "index"], &rows)?)
}

fn row(info: &CollectionInfo, field: &FieldSchema) -> Vec<String> {
    let index = |i: &&elanus_engine::api::IndexInfo| i.field == field.name;
    let indexes = info.indexes.iter().filter(index).map(|i| {
        let param = |name| i.params.get(name).map_or("", String::as_str);
        format!("{} {} {}", i.name, param("index_type"), param("metric_type"))
            .trim_end()
            .to_string()
    });
    let index = indexes.collect::<Vec<_>>().join(", ");
    vec![field.name.clone(), field.data_type.display_name(), notes(field), index]
}

fn notes(field: &FieldSchema) -> String {
    let flags = [
        (field.is_primary, "primary key"),
        (field.auto_id, "made by the store"),
        (field.is_partition_key, "partition key"),
        (field.is_clustering_key, "clustering key"),
        (field.nullable, "nullable"),
    ];
    let mut notes: Vec<String> =
        flags.iter().filter(|(set, _)| *set).map(|(_, text)| text.to_string()).collect();
    if let Some(value) = &field.default_value {
        notes.push(format!("default {}", default_text(value)));
    }
    notes.join(", ")
}

fn default_text(value: &elanus_engine::core::schema::DefaultValue) -> String {
    use elanus_engine::core::schema::DefaultValue as V;
    match value {
        V::Bool(v) => v.to_string(),
        V::Int(v) => v.to_string(),
        V::Float(v) => v.to_string(),
        V::Double(v) => v.to_string(),
        V::Text(v) => format!("'{v}'"),
        V::Timestamp(_) => format!("'{}'", value.to_text()),
        V::Json(v) => v.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::{DataType, DefaultValue};

    #[test]
    fn notes_tell_what_is_special() {
        let plain = FieldSchema::new("a", DataType::Int64);
        assert_eq!(notes(&plain), "");
        assert_eq!(notes(&plain.clone().primary().auto_id()), "primary key, made by the store");
        let text = FieldSchema::new("t", DataType::VarChar { max_length: 9 });
        let text = text.nullable().default_value(DefaultValue::Text("x".into()));
        assert_eq!(notes(&text), "nullable, default 'x'");
    }
}
