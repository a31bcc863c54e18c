//! Functions over JSON columns: what a path holds, and tests of it.
//!
//! A path that is missing, null or of another type than the test asks for gives null, so that
//! neither the test nor its negation matches. Only `exists` and `is null` always know.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::ast::{Step, path_text};
use super::number::Number;
use super::scan::{Elements, Json, find_present, read};
use super::udf::{self, Kernel};
use super::value::Value;

/// A place in a JSON column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// The column.
    pub column: String,
    /// The way from its root.
    pub path: Vec<Step>,
}

impl Place {
    fn expr(&self) -> Expr {
        datafusion::logical_expr::ident(&self.column)
    }

    fn call(&self, what: &str, kernel: impl Kernel) -> Expr {
        udf::call(format!("json_{what}{}", path_text(&self.path)), kernel, vec![self.expr()])
    }

    /// The text there, null when it is no text.
    pub fn text(&self) -> Expr {
        self.call("text", TextAt(self.path.clone()))
    }

    /// The truth value there.
    pub fn boolean(&self) -> Expr {
        self.test("bool", Test::Bool)
    }

    /// Whether something other than null is there.
    pub fn exists(&self) -> Expr {
        self.test("exists", Test::Exists)
    }

    /// Whether an array equal to this one is there; null when no array is.
    pub fn equals_list(&self, list: &[Value]) -> Expr {
        let label = format!("equals({})", Value::List(list.to_vec()));
        self.test(&label, Test::Equals(list.to_vec()))
    }

    /// Whether one of the values is there; null when no value of the list's types is.
    pub fn is_in(&self, list: &[Value]) -> Expr {
        let label = format!("in({})", Value::List(list.to_vec()));
        self.test(&label, Test::In(Set::new(list)))
    }

    /// Whether the array there holds any of the values; null when no array is there.
    pub fn contains_any(&self, values: &[Value]) -> Expr {
        let label = format!("contains_any({})", Value::List(values.to_vec()));
        self.test(&label, Test::ContainsAny(Set::new(values)))
    }

    /// Whether the array there holds all of the values; null when no array is there.
    pub fn contains_all(&self, values: &[Value]) -> Expr {
        let label = format!("contains_all({})", Value::List(values.to_vec()));
        self.test(&label, Test::ContainsAll(values.to_vec()))
    }

    fn test(&self, what: &str, test: Test) -> Expr {
        self.call(what, TestAt { path: self.path.clone(), test })
    }
}

/// The text of a JSON column.
pub(crate) fn json_texts(column: &ArrayRef) -> Result<StringArray> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Ok(texts.clone());
    }
    let cast = compute::cast(column, &DataType::Utf8)?;
    let texts = cast.as_string_opt::<i32>().cloned();
    texts.ok_or_else(|| DataFusionError::Execution("a JSON column must hold text".into()))
}

/// The one argument of a JSON function.
fn argument(args: &[ArrayRef]) -> Result<StringArray> {
    match args {
        [column] => json_texts(column),
        _ => Err(DataFusionError::Execution("a JSON function takes one column".into())),
    }
}

#[derive(Debug)]
struct TextAt(Vec<Step>);

impl Kernel for TextAt {
    fn output(&self) -> DataType {
        DataType::Utf8
    }

    fn json_paths(&self) -> Option<Vec<Vec<Step>>> {
        Some(vec![self.0.clone()])
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let texts = argument(args)?;
        let found = texts.iter().map(|row| match find_present(row?, &self.0)? {
            Json::Text(text) => Some(text),
            _ => None,
        });
        Ok(Arc::new(StringArray::from_iter(found)))
    }
}

#[derive(Debug)]
struct TestAt {
    path: Vec<Step>,
    test: Test,
}

impl Kernel for TestAt {
    fn output(&self) -> DataType {
        DataType::Boolean
    }

    fn json_paths(&self) -> Option<Vec<Vec<Step>>> {
        Some(vec![self.path.clone()])
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let texts = argument(args)?;
        let result: BooleanArray = texts
            .iter()
            .map(|row| self.test.apply(row.and_then(|text| find_present(text, &self.path))))
            .collect();
        Ok(Arc::new(result))
    }
}

/// What to ask of a value.
#[derive(Debug)]
enum Test {
    Bool,
    Exists,
    Equals(Vec<Value>),
    In(Set),
    ContainsAny(Set),
    ContainsAll(Vec<Value>),
}

impl Test {
    fn apply(&self, json: Option<Json<'_>>) -> Option<bool> {
        match (self, json) {
            (Self::Exists, json) => Some(json.is_some()),
            (_, None) => None,
            (Self::Bool, Some(Json::Bool(value))) => Some(value),
            (Self::In(set), Some(json)) => set.has_type_of(&json).then(|| set.contains(&json)),
            (Self::Equals(list), Some(Json::Array(text))) => Some(list_equals(text, list)),
            (Self::ContainsAny(set), Some(Json::Array(text))) => {
                Some(Elements::of(text).filter_map(read).any(|element| set.contains(&element)))
            }
            (Self::ContainsAll(values), Some(Json::Array(text))) => {
                Some(contains_all(text, values))
            }
            _ => None,
        }
    }
}

fn contains_all(array: &str, values: &[Value]) -> bool {
    let mut missing: Vec<&Value> = values.iter().collect();
    for element in Elements::of(array).filter_map(read) {
        if missing.is_empty() {
            break;
        }
        missing.retain(|value| !equals(&element, value));
    }
    missing.is_empty()
}

fn list_equals(array: &str, list: &[Value]) -> bool {
    let mut wanted = list.iter();
    for element in Elements::of(array) {
        let same = wanted.next().is_some_and(|v| read(element).is_some_and(|e| equals(&e, v)));
        if !same {
            return false;
        }
    }
    wanted.next().is_none()
}

/// Whether a JSON value is this constant. Numbers compare by value, arrays element by element.
fn equals(json: &Json<'_>, value: &Value) -> bool {
    match (json, value) {
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Text(a), Value::Text(b)) => a == b,
        (Json::Array(a), Value::List(b)) => list_equals(a, b),
        (Json::Number(a), b) => b.number().is_some_and(|b| a.compare(b).is_some_and(|o| o.is_eq())),
        (Json::Object(a), Value::Json(b)) => {
            serde_json::from_str::<serde_json::Value>(a).is_ok_and(|a| a == *b)
        }
        (Json::Null, Value::Json(b)) => b.is_null(),
        _ => false,
    }
}

/// A set of constants, quick to look a JSON value up in.
#[derive(Debug, Default)]
struct Set {
    booleans: [bool; 2],
    whole: HashSet<i128>,
    /// Bits of floats that are not whole.
    fractions: HashSet<u64>,
    texts: HashSet<String>,
    others: Vec<Value>,
}

impl Set {
    fn new(values: &[Value]) -> Self {
        let mut set = Self::default();
        for value in values {
            match (value, value.number()) {
                (_, Some(number)) => set.add_number(number),
                (Value::Bool(v), _) => set.booleans[usize::from(*v)] = true,
                (Value::Text(v), _) => {
                    set.texts.insert(v.clone());
                }
                _ => set.others.push(value.clone()),
            }
        }
        set
    }

    fn add_number(&mut self, number: Number) {
        match number.as_whole() {
            Some(whole) => self.whole.insert(whole),
            None => self.fractions.insert(number.as_f64().to_bits()),
        };
    }

    fn contains(&self, json: &Json<'_>) -> bool {
        match json {
            Json::Bool(v) => self.booleans[usize::from(*v)],
            Json::Text(v) => self.texts.contains(v.as_ref()),
            Json::Number(v) => match v.as_whole() {
                Some(whole) => self.whole.contains(&whole),
                None => self.fractions.contains(&v.as_f64().to_bits()),
            },
            other => self.others.iter().any(|value| equals(other, value)),
        }
    }

    /// Whether the set holds values of that type, so that "not in it" is known.
    fn has_type_of(&self, json: &Json<'_>) -> bool {
        match json {
            Json::Bool(_) => self.booleans.contains(&true),
            Json::Text(_) => !self.texts.is_empty(),
            Json::Number(_) => !self.whole.is_empty() || !self.fractions.is_empty(),
            Json::Array(_) => self.others.iter().any(|v| matches!(v, Value::List(_))),
            Json::Object(_) | Json::Null => self.others.iter().any(|v| matches!(v, Value::Json(_))),
        }
    }
}
