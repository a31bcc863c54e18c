//! Tests of array columns against constants.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Expr;
use elanus_engine::core::schema::DataType;

use super::udf::{self, Kernel};
use super::value::Value;

/// What to ask of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether it holds one of the values.
    Any,
    /// Whether it holds every value.
    All,
    /// Whether it is the values, in order.
    Same,
}

/// Asks an array column. Null where the array is null.
pub(crate) fn ask(column: Expr, element: &DataType, question: Question, values: &[Value]) -> Expr {
    let mut keys: Vec<Key> = Vec::with_capacity(values.len());
    let mut seen = HashSet::new();
    for key in values.iter().map(|v| Key::of(v, element)) {
        if question == Question::Same || seen.insert(key.clone()) {
            keys.push(key);
        }
    }
    let name = match question {
        Question::Any => "array_contains_any",
        Question::All => "array_contains_all",
        Question::Same => "array_equals",
    };
    let label = format!("{name}({})", Value::List(values.to_vec()));
    udf::call(label, Asking { question, values: keys }, vec![column])
}

/// A value in the form in which elements of its type are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Bool(bool),
    Int(i64),
    /// Bits, so that it hashes.
    Float(u64),
    Text(String),
    /// Equal to no element, as 1.5 in an array of integers.
    Nothing,
}

impl Key {
    fn of(value: &Value, element: &DataType) -> Self {
        match (value, element) {
            (Value::Bool(v), DataType::Bool) => Self::Bool(*v),
            (Value::Text(v), DataType::VarChar { .. }) => Self::Text(v.clone()),
            (v, DataType::Float) => v.number().map_or(Self::Nothing, |n| {
                // Rounded as the stored element was.
                Self::float(f64::from(n.as_f64() as f32))
            }),
            (v, DataType::Double) => v.number().map_or(Self::Nothing, |n| Self::float(n.as_f64())),
            (v, e) if e.is_integer() => v
                .number()
                .and_then(|n| n.as_whole())
                .and_then(|n| i64::try_from(n).ok())
                .map_or(Self::Nothing, Self::Int),
            _ => Self::Nothing,
        }
    }

    fn float(value: f64) -> Self {
        // Plus zero makes the two zeros one.
        Self::Float((value + 0.0).to_bits())
    }
}

/// A question with its constants.
#[derive(Debug)]
pub(super) struct Asking {
    question: Question,
    values: Vec<Key>,
}

impl Kernel for Asking {
    fn output(&self) -> ArrowType {
        ArrowType::Boolean
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let list = args.first().and_then(|a| a.as_list_opt::<i32>()).ok_or_else(|| {
            DataFusionError::Execution("a function of arrays takes an array column".into())
        })?;
        let ids = self.ids(list.values())?;
        let result: BooleanArray = (0..list.len())
            .map(|row| {
                let range = |at: usize| usize::try_from(list.value_offsets()[at]).unwrap_or(0);
                list.is_valid(row).then(|| self.answer(ids.get(range(row)..range(row + 1))))
            })
            .collect();
        Ok(Arc::new(result))
    }
}

impl Asking {
    /// Of a question for any of some values: these, none inside if they are not all known as constants.
    pub fn wanted_any(&self) -> Option<Option<Vec<ScalarValue>>> {
        let constant = |key: &Key| match key {
            Key::Bool(v) => Some(ScalarValue::Boolean(Some(*v))),
            Key::Int(v) => Some(ScalarValue::Int64(Some(*v))),
            Key::Float(bits) => Some(ScalarValue::Float64(Some(f64::from_bits(*bits)))),
            Key::Text(v) => Some(ScalarValue::Utf8(Some(v.clone()))),
            Key::Nothing => None,
        };
        (self.question == Question::Any).then(|| self.values.iter().map(constant).collect())
    }

    /// For each element the place among the values of the first that it equals.
    fn ids(&self, elements: &ArrayRef) -> Result<Vec<Option<usize>>> {
        if let Some(texts) = elements.as_string_opt::<i32>() {
            let mut places: HashMap<&str, usize> = HashMap::with_capacity(self.values.len());
            for (at, key) in self.values.iter().enumerate() {
                if let Key::Text(text) = key {
                    places.entry(text).or_insert(at);
                }
            }
            return Ok(texts.iter().map(|text| places.get(text?).copied()).collect());
        }
        let mut places: HashMap<&Key, usize> = HashMap::with_capacity(self.values.len());
        for (at, key) in self.values.iter().enumerate() {
            places.entry(key).or_insert(at);
        }
        Ok(keys(elements)?.iter().map(|key| places.get(key.as_ref()?).copied()).collect())
    }

    fn answer(&self, ids: Option<&[Option<usize>]>) -> bool {
        let ids = ids.unwrap_or(&[]);
        match self.question {
            Question::Any => ids.iter().any(Option::is_some),
            Question::All => (0..self.values.len()).all(|at| ids.contains(&Some(at))),
            Question::Same => {
                let value = |id: &Option<usize>| id.and_then(|id| self.values.get(id));
                ids.len() == self.values.len()
                    && ids.iter().zip(&self.values).all(|(id, v)| value(id) == Some(v))
            }
        }
    }
}

/// The elements in the form of keys, all but texts.
fn keys(elements: &ArrayRef) -> Result<Vec<Option<Key>>> {
    Ok(match elements.data_type() {
        ArrowType::Boolean => elements.as_boolean().iter().map(|v| v.map(Key::Bool)).collect(),
        ArrowType::Float32 | ArrowType::Float64 => {
            let floats = compute::cast(elements, &ArrowType::Float64)?;
            floats.as_primitive::<Float64Type>().iter().map(|v| v.map(Key::float)).collect()
        }
        _ => {
            let ints = compute::cast(elements, &ArrowType::Int64)?;
            ints.as_primitive::<Int64Type>().iter().map(|v| v.map(Key::Int)).collect()
        }
    })
}
