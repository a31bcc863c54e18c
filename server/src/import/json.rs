//! JSON: `{"rows": […]}`, `[…]`, or one object after the other.

use std::io::{BufRead, BufReader, Read};

use arrow::array::RecordBatch;
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::{BATCH_ROWS, batch, failed, structs, values};
use crate::status::Failure;

/// Takes a batch; false ends the reading.
type Sink<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<bool, Failure>;

/// Rows on their way into batches.
pub struct Rows<'a> {
    schema: &'a CollectionSchema,
    held: Vec<Map<String, Value>>,
    sink: Sink<'a>,
    failure: Option<Failure>,
}

impl<'a> Rows<'a> {
    /// Batches of a schema go to the sink.
    pub fn new(schema: &'a CollectionSchema, sink: Sink<'a>) -> Self {
        Self { schema, held: Vec::new(), sink, failure: None }
    }

    /// One more row; false: no more are wanted.
    pub fn push(&mut self, row: Map<String, Value>) -> Result<bool, Failure> {
        self.held.push(row);
        if self.held.len() < BATCH_ROWS { Ok(true) } else { self.flush() }
    }

    /// Sends what is held.
    pub fn flush(&mut self) -> Result<bool, Failure> {
        if self.held.is_empty() {
            return Ok(true);
        }
        let rows = std::mem::take(&mut self.held);
        (self.sink)(to_batch(self.schema, rows)?)
    }
}

/// Reads a file.
pub fn read(source: impl Read, schema: &CollectionSchema, sink: Sink<'_>) -> Result<(), Failure> {
    let mut source = BufReader::new(source);
    let bad = |e: serde_json::Error| failed(format!("the file is no valid JSON: {e}"));
    let mut rows = Rows::new(schema, sink);
    let many_lines = starts_with_plain_object(&mut source)?;
    if many_lines {
        for row in serde_json::Deserializer::from_reader(source).into_iter::<Map<String, Value>>() {
            if !rows.push(row.map_err(bad)?)? {
                return Ok(());
            }
        }
    } else {
        let mut deserializer = serde_json::Deserializer::from_reader(source);
        let read = Document(&mut rows).deserialize(&mut deserializer);
        if let Some(failure) = rows.failure.take() {
            return Err(failure);
        }
        read.and_then(|()| deserializer.end()).map_err(bad)?;
    }
    rows.flush().map(|_| ())
}

/// Whether the file begins with an object that is itself a row: neither a list nor `{"rows"`.
fn starts_with_plain_object(source: &mut BufReader<impl Read>) -> Result<bool, Failure> {
    let start = source.fill_buf().map_err(|e| failed(format!("the file cannot be read: {e}")))?;
    let text: String = String::from_utf8_lossy(start).split_whitespace().take(8).collect();
    Ok(text.starts_with('{') && !text.starts_with("{\"rows\":"))
}

/// The whole document: its rows go on as they come.
struct Document<'r, 'a>(&'r mut Rows<'a>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of rows, or an object with the list \"rows\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(row) = list.next_element::<Map<String, Value>>()? {
            match self.0.push(row) {
                Ok(true) => {}
                Ok(false) => return Err(A::Error::custom("no more rows are wanted")),
                Err(failure) => {
                    let words = failure.reason.clone();
                    self.0.failure = Some(failure);
                    return Err(A::Error::custom(words));
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "rows" {
                map.next_value_seed(Document(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Rows as columns; what no field is named after goes into the dynamic column.
fn to_batch(
    schema: &CollectionSchema,
    mut rows: Vec<Map<String, Value>>,
) -> Result<RecordBatch, Failure> {
    let count = rows.len();
    let mut columns = Vec::new();
    for field in schema.plain_fields() {
        let take = |row: &mut Map<String, Value>| row.remove(&field.name);
        let cells: Vec<Option<Value>> = rows.iter_mut().map(take).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.filter(|v| !v.is_null())).collect();
            columns.push(values::column(field, cells)?);
        }
    }
    for own in &schema.structs {
        let take = |row: &mut Map<String, Value>| row.remove(&own.name);
        let cells: Vec<Option<Value>> = rows.iter_mut().map(take).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.filter(|v| !v.is_null())).collect();
            columns.push(structs::column(schema, own, cells)?);
        }
    }
    let rest: Vec<Value> = rows.into_iter().map(dynamic_part).collect::<Result<_, _>>()?;
    if schema.enable_dynamic_field {
        columns.push(values::dynamic(DYNAMIC_FIELD, rest));
    } else if let Some(name) = rest.iter().filter_map(Value::as_object).flat_map(Map::keys).next() {
        return Err(failed(format!("the field '{name}' is not defined in schema")));
    }
    batch(schema, columns, count)
}

/// What is left of a row, with the keys of its `$meta` among the others.
fn dynamic_part(mut row: Map<String, Value>) -> Result<Value, Failure> {
    let inner = match row.remove(DYNAMIC_FIELD) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(inner)) => inner,
        Some(Value::String(text)) => serde_json::from_str(&text)
            .map_err(|e| failed(format!("{DYNAMIC_FIELD} is no JSON object: {e}")))?,
        Some(_) => return Err(failed(format!("{DYNAMIC_FIELD} is no JSON object"))),
    };
    row.extend(inner);
    Ok(Value::Object(row))
}
