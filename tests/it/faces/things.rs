//! The collection that is asked: a column of every kind, rows in every place.

use std::collections::BTreeMap;

use elanus_proto::schema::value_field::Data;
use elanus_proto::schema::{DataType as Wire, FieldData, FieldSchema, ValueField};
use elanus_proto::service::CreateCollectionRequest;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::value::{Val, column};
use crate::served::{creation, field};

/// The collection's name.
pub const THINGS: &str = "things";
/// Its partitions.
pub const PARTITIONS: [&str; 3] = ["_default", "p1", "p2"];
/// What a row has in `filled` when the insert leaves it out.
const FILLED: i64 = 7;

/// A field: name, type, element type of arrays, whether it takes null.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    pub kind: Wire,
    pub element: Wire,
    pub nullable: bool,
    pub dim: usize,
}

const fn plain(name: &'static str, kind: Wire, nullable: bool) -> Column {
    Column { name, kind, element: Wire::None, nullable, dim: 0 }
}

const fn list(name: &'static str, element: Wire, nullable: bool) -> Column {
    Column { name, kind: Wire::Array, element, nullable, dim: 0 }
}

const fn vector(name: &'static str, dim: usize, nullable: bool) -> Column {
    Column { name, kind: Wire::FloatVector, element: Wire::None, nullable, dim }
}

/// All columns but the key, in the order of rows.
pub const COLUMNS: [Column; 29] = [
    plain("part", Wire::VarChar, false),
    plain("b", Wire::Bool, false),
    plain("i8", Wire::Int8, false),
    plain("i16", Wire::Int16, false),
    plain("i32", Wire::Int32, false),
    plain("i64", Wire::Int64, false),
    plain("f", Wire::Float, false),
    plain("d", Wire::Double, false),
    plain("s", Wire::VarChar, false),
    plain("nb", Wire::Bool, true),
    plain("ni8", Wire::Int8, true),
    plain("ni16", Wire::Int16, true),
    plain("ni32", Wire::Int32, true),
    plain("ni64", Wire::Int64, true),
    plain("nf", Wire::Float, true),
    plain("nd", Wire::Double, true),
    plain("ns", Wire::VarChar, true),
    plain("filled", Wire::Int64, false),
    plain("j", Wire::Json, false),
    plain("nj", Wire::Json, true),
    list("ints", Wire::Int64, false),
    list("nints", Wire::Int32, true),
    list("words", Wire::VarChar, true),
    list("floats", Wire::Float, false),
    vector("v", 6, false),
    vector("u", 4, false),
    vector("c", 5, false),
    vector("w", 3, true),
    plain("$meta", Wire::Json, false),
];

/// Vector fields and the metric of their index.
pub const METRICS: [(&str, &str); 4] = [("v", "L2"), ("u", "IP"), ("c", "COSINE"), ("w", "L2")];

/// Texts of rows and of conditions.
pub const TEXTS: [&str; 12] = [
    "",
    "apple",
    "Apple",
    "app%le",
    "a_b",
    "it's",
    "日本",
    "back\\slash",
    "line\nbreak",
    "zebra",
    "ox",
    "oxen",
];

/// Values of the columns of [`COLUMNS`].
pub type Row = Vec<Val>;

/// The request that makes the collection.
pub fn create(text_keys: bool) -> CreateCollectionRequest {
    let kind = if text_keys { Wire::VarChar } else { Wire::Int64 };
    let key = FieldSchema { is_primary_key: true, ..field("id", kind, &[("max_length", "20")]) };
    let key = if text_keys { key } else { FieldSchema { type_params: Vec::new(), ..key } };
    let others = COLUMNS.iter().filter(|c| c.name != "$meta").map(wire_field);
    creation(THINGS, std::iter::once(key).chain(others).collect(), true)
}

fn wire_field(c: &Column) -> FieldSchema {
    let dim = c.dim.to_string();
    let params: &[(&str, &str)] = match (c.kind, c.element) {
        (Wire::VarChar, _) => &[("max_length", "100")],
        (Wire::Array, Wire::VarChar) => &[("max_capacity", "8"), ("max_length", "100")],
        (Wire::Array, _) => &[("max_capacity", "8")],
        (Wire::FloatVector, _) => &[("dim", &dim)],
        _ => &[],
    };
    let default = (c.name == "filled").then_some(ValueField { data: Some(Data::LongData(FILLED)) });
    FieldSchema {
        nullable: c.nullable,
        element_type: c.element.into(),
        default_value: default,
        ..field(c.name, c.kind, params)
    }
}

/// The key of a number.
pub fn key(text_keys: bool, number: i64) -> Val {
    if text_keys { Val::text(format!("k{number:05}")) } else { Val::Int(number) }
}

/// A number of eighths, which no arithmetic rounds, or sometimes one that 32 bits do not hold.
pub fn eighths(rng: &mut StdRng) -> f64 {
    f64::from(rng.random_range(-80..=80)) / 8.0
}

/// A vector: often of small whole numbers, so that there are ties.
pub fn random_vector(rng: &mut StdRng, dim: usize) -> Vec<f32> {
    let whole = rng.random_bool(0.5);
    let one = |rng: &mut StdRng| match whole {
        true => rng.random_range(-1..=1) as f32,
        false => rng.random_range(-2.0..2.0),
    };
    (0..dim).map(|_| one(rng)).collect()
}

fn json(rng: &mut StdRng) -> String {
    let mut parts = Vec::new();
    match rng.random_range(0..8) {
        0..3 => parts.push(format!(r#""a":{}"#, rng.random_range(-5..6))),
        3 => parts.push(format!(r#""a":{:?}"#, eighths(rng))),
        4 => parts.push(r#""a":"1""#.to_string()),
        5 => parts.push(r#""a":null"#.to_string()),
        6 => parts.push(r#""a":true"#.to_string()),
        _ => {}
    }
    if rng.random_bool(0.7) {
        let text = TEXTS.choose(rng).expect("a text");
        parts.push(format!(r#""s":{}"#, serde_json::Value::from(*text)));
    }
    if rng.random_bool(0.6) {
        parts.push(format!(r#""flag":{}"#, rng.random::<bool>()));
    }
    if rng.random_bool(0.6) {
        let numbers: Vec<i32> =
            (0..rng.random_range(0..4)).map(|_| rng.random_range(0..9)).collect();
        parts.push(format!(r#""n":{{"m":{numbers:?}}}"#));
    }
    match rng.random_range(0..4) {
        0 => parts.push(r#""t":"no list""#.to_string()),
        1 => parts.push(r#""t":["x",1,null,[2]]"#.to_string()),
        2 => {
            let all = ["\"x\"", "\"y\"", "1", "2.5"];
            let some = (0..rng.random_range(0..4)).map(|_| *all.choose(rng).expect("one"));
            parts.push(format!(r#""t":[{}]"#, some.collect::<Vec<_>>().join(",")));
        }
        _ => {}
    }
    format!("{{{}}}", parts.join(","))
}

fn dynamic(rng: &mut StdRng) -> String {
    let color = ["\"red\"", "\"green\"", "null", "5"].choose(rng).expect("one");
    match rng.random_range(0..4) {
        0 => "{}".into(),
        1 => format!(r#"{{"color":{color}}}"#),
        _ => format!(r#"{{"color":{color},"n":{}}}"#, rng.random_range(-3..9)),
    }
}

fn random(rng: &mut StdRng, kind: Wire, dim: usize) -> Val {
    match kind {
        Wire::Bool => Val::Bool(rng.random()),
        Wire::Int8 => Val::Int(rng.random_range(-20..=20)),
        Wire::Int16 => Val::Int(rng.random_range(-300..=300)),
        Wire::Int32 => Val::Int(rng.random_range(-1000..=1000)),
        Wire::Int64 => Val::Int(match rng.random_range(0..20) {
            0 => i64::MAX,
            1 => i64::MIN + 1,
            2 => (1 << 53) + 1,
            _ => rng.random_range(0..50),
        }),
        Wire::Float => {
            let odd = [0.1f32, 0.2, 1e-7, 3.3e7].choose(rng).copied().expect("one");
            Val::Float(if rng.random_bool(0.2) { odd } else { eighths(rng) as f32 }.to_bits())
        }
        Wire::Double => {
            let odd = [0.1, 0.25, 1e300, -1e-300].choose(rng).copied().expect("one");
            Val::Double(if rng.random_bool(0.2) { odd } else { eighths(rng) }.to_bits())
        }
        Wire::VarChar => Val::text(*TEXTS.choose(rng).expect("a text")),
        Wire::Json => Val::text(json(rng)),
        Wire::FloatVector => Val::vector(&random_vector(rng, dim)),
        other => panic!("no value of {other:?}"),
    }
}

/// A row of a partition.
pub fn row(rng: &mut StdRng, partition: &str) -> Row {
    let value = |c: &Column| match (c.name, c.kind) {
        ("part", _) => Val::text(partition),
        ("$meta", _) => Val::Text(dynamic(rng)),
        ("filled", _) => Val::Int(*[FILLED, 1, 2].choose(rng).expect("one")),
        _ if c.nullable && rng.random_bool(0.25) => Val::Null,
        (_, Wire::Array) => {
            let few = |rng: &mut StdRng| match c.element {
                Wire::VarChar => Val::text(*["a", "b", "it's", ""].choose(rng).expect("one")),
                Wire::Float => Val::Float((rng.random_range(0..5) as f32 / 2.0).to_bits()),
                _ => Val::Int(rng.random_range(0..6)),
            };
            Val::List((0..rng.random_range(0..5)).map(|_| few(rng)).collect())
        }
        (_, kind) => random(rng, kind, c.dim),
    };
    COLUMNS.iter().map(value).collect()
}

/// The columns of an insert. What `filled` has by default is left to the server, as a null.
pub fn fields_data(keys: &[Val], rows: &[&Row], compact: bool) -> Vec<FieldData> {
    let key_kind = if matches!(keys[0], Val::Text(_)) { Wire::VarChar } else { Wire::Int64 };
    let mut data = vec![column("id", key_kind, Wire::None, keys, compact)];
    for (at, c) in COLUMNS.iter().enumerate() {
        let values: Vec<Val> = rows
            .iter()
            .map(|row| match c.name {
                "filled" if row[at] == Val::Int(FILLED) => Val::Null,
                _ => row[at].clone(),
            })
            .collect();
        data.push(column(c.name, c.kind, c.element, &values, compact));
    }
    data
}

/// What the collection must hold, by the number of the key.
pub type Model = BTreeMap<i64, Row>;

/// The place of a column in a row.
pub fn place(name: &str) -> usize {
    COLUMNS.iter().position(|c| c.name == name).expect("a column")
}
