//! Functions, patterns and null tests.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{Expr, ident, lit, not};
use elanus_engine::core::error::nearest_name;
use elanus_engine::core::schema::DataType;

use super::arith::{Arith, Leaf};
use super::array::{Question, ask};
use super::ast::{Kind, Node};
use super::elements;
use super::fault::{Fault, Outcome};
use super::geometry;
use super::sample;
use super::translate::{Meaning, Translator, type_name};
use super::udf::{self, Kernel};
use super::value::Value;
use super::words;

/// Functions that exist here.
const KNOWN: [&str; 7] = [
    "json_contains",
    "json_contains_all",
    "json_contains_any",
    "array_contains",
    "array_contains_all",
    "array_contains_any",
    "array_length",
];

/// Which of the three `contains` it is.
#[derive(Clone, Copy, PartialEq)]
enum Contains {
    One,
    All,
    Any,
}

impl Contains {
    fn name(self) -> &'static str {
        match self {
            Self::One => "contains",
            Self::All => "contains_all",
            Self::Any => "contains_any",
        }
    }
}

impl Translator<'_> {
    /// `name(args)`.
    pub(super) fn call(&self, node: &Node, name: &str, args: &[Node]) -> Outcome<Meaning> {
        match name {
            "json_contains" | "array_contains" => self.contains(name, args, Contains::One),
            "json_contains_all" | "array_contains_all" => self.contains(name, args, Contains::All),
            "json_contains_any" | "array_contains_any" => self.contains(name, args, Contains::Any),
            "array_length" => self.array_length(node, args),
            name if geometry::NAMES.contains(&name) => self.shape_call(node, name, args),
            sample::NAME => Err(Fault::at(
                node.start,
                "random sample expression can only be the last expression in the logical and \
                 expression",
            )),
            name if words::NAMES.contains(&name) => self.words_call(node, name, args),
            "text_match_fuzzy" => Err(Fault::unsupported(format!(
                "function {name} is not supported yet: use text_match or a regular expression"
            ))),
            name if elements::NAMES.contains(&name) => self.element_call(node, name, args),
            name => {
                let hint = nearest_name(name, KNOWN.into_iter())
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                Err(Fault::at(node.start, format!("function {name} is not known{hint}")))
            }
        }
    }

    fn contains(&self, function: &str, args: &[Node], which: Contains) -> Outcome<Meaning> {
        let name = which.name();
        let [field, wanted] = args else {
            let count = args.len();
            return Err(Fault::new(format!("{function} takes a field and a value, got {count}")));
        };
        let target = self.meaning(field)?;
        if !matches!(target, Meaning::Json(_) | Meaning::Array(..)) {
            return Err(Fault::new(format!(
                "{name} operation are only supported on json or array fields now, got: {}",
                self.source(field)
            )));
        }
        let Meaning::Const(value) = self.meaning(wanted)? else {
            return Err(Fault::new(format!(
                "{name} operation are only supported explicitly specified element, got: {}",
                self.source(wanted)
            )));
        };
        let values = match (which, value) {
            (Contains::One, value) => vec![value],
            (_, Value::List(values)) => values,
            (_, _) => return Err(Fault::new(format!("{name} operation element must be an array"))),
        };
        let truth = match target {
            Meaning::Array(expr, element) => {
                check_elements(name, &element, &values)?;
                let question = if which == Contains::All { Question::All } else { Question::Any };
                ask(expr, &element, question, &values)
            }
            Meaning::Json(place) if which == Contains::All => place.contains_all(&values),
            Meaning::Json(place) => place.contains_any(&values),
            _ => return Err(Fault::new(format!("{name} cannot be asked of this"))),
        };
        Ok(Meaning::Truth(truth))
    }

    fn array_length(&self, node: &Node, args: &[Node]) -> Outcome<Meaning> {
        if let [Node { kind: Kind::Sub { at: Some(at), .. }, .. }] = args {
            return Err(Fault::new(format!(
                "mismatched input '[{at}]': array_length takes all elements of a sub-field, as in \
                 array_length(s[sub])"
            )));
        }
        let meaning = match args {
            [field] => Some(self.meaning(field)?),
            _ => None,
        };
        Ok(Meaning::Calc(match meaning {
            Some(Meaning::Array(expr, _) | Meaning::Struct(expr)) => {
                Arith::leaf(expr, Leaf::Length, false)
            }
            Some(Meaning::Json(place)) => {
                Arith::leaf(ident(place.column), Leaf::JsonLength(place.path), false)
            }
            _ => {
                return Err(Fault::new(format!(
                    "array_length operation are only supported on json or array fields now, got: {}",
                    self.source(node)
                )));
            }
        }))
    }

    /// `exists a["k"]`.
    pub(super) fn exists(&self, value: &Node) -> Outcome<Meaning> {
        match self.meaning(value)? {
            Meaning::Json(place) if place.path.is_empty() => {
                Err(Fault::new("exists operations are only supportted on json key"))
            }
            Meaning::Json(place) => Ok(Meaning::Truth(place.exists())),
            other @ (Meaning::Scalar(..)
            | Meaning::Array(..)
            | Meaning::Vector(..)
            | Meaning::Struct(..)) => Err(Fault::new(format!(
                "exists operations are only supportted on json field, got:{}",
                other.type_name()
            ))),
            _ => Err(Fault::new(format!(
                "exists operations are only supported on single fields now, got: {}",
                self.source(value)
            ))),
        }
    }

    /// `a is null`.
    pub(super) fn is_null(&self, value: &Node, negated: bool) -> Outcome<Meaning> {
        let there = match self.meaning(value)? {
            Meaning::Json(place) if !place.path.is_empty() => place.exists(),
            Meaning::Json(place) => ident(place.column).is_not_null(),
            Meaning::Scalar(expr, _)
            | Meaning::Array(expr, _)
            | Meaning::Vector(expr, _)
            | Meaning::Struct(expr) => expr.is_not_null(),
            _ => {
                return Err(Fault::new(format!(
                    "'is null' can only be used on a field, but got: {}",
                    self.source(value)
                )));
            }
        };
        Ok(Meaning::Truth(if negated { there } else { not(there) }))
    }

    /// `a like "x%"`.
    pub(super) fn like(&self, value: &Node, pattern: &Node) -> Outcome<Meaning> {
        let text = self.text_of("like", value)?;
        let pattern = like_pattern(&self.pattern("like", pattern)?)?;
        let like = Like::new(false, Box::new(text), Box::new(lit(pattern)), None, false);
        Ok(Meaning::Truth(Expr::Like(like)))
    }

    /// `a =~ "x.*"`; it may match anywhere in the text.
    pub(super) fn regex(&self, value: &Node, pattern: &Node, negated: bool) -> Outcome<Meaning> {
        let text = self.text_of("regex", value)?;
        let pattern = self.pattern("=~", pattern)?;
        compute::regexp_is_match_scalar(&StringArray::from(vec![""]), &pattern, None)
            .map_err(|why| Fault::new(format!("invalid regex pattern {pattern:?}: {why}")))?;
        let found = udf::call(format!("regex_match({pattern:?})"), Regex(pattern), vec![text]);
        Ok(Meaning::Truth(if negated { not(found) } else { found }))
    }

    /// The text that a pattern is held against.
    fn text_of(&self, operation: &str, value: &Node) -> Outcome<Expr> {
        match self.meaning(value)? {
            Meaning::Scalar(expr, t) if t.is_text() => Ok(expr),
            Meaning::Json(place) => Ok(place.text()),
            Meaning::Array(..) => Err(Fault::new("can not comparisons array fields directly")),
            Meaning::Scalar(..) | Meaning::Vector(..) => Err(Fault::new(format!(
                "{operation} operation on non-string or no-json field is unsupported"
            ))),
            _ => {
                Err(Fault::new(format!("{operation} operation on complicated expr is unsupported")))
            }
        }
    }

    fn pattern(&self, operation: &str, pattern: &Node) -> Outcome<String> {
        match self.meaning(pattern)? {
            Meaning::Const(Value::Text(pattern)) => Ok(pattern),
            _ => Err(Fault::new(format!(
                "the right operand of {operation} must be a text, but got: {}",
                self.source(pattern)
            ))),
        }
    }
}

/// Whether an array of that type can hold such values at all.
fn check_elements(name: &str, element: &DataType, values: &[Value]) -> Outcome<()> {
    let fits = |value: &Value| match element {
        DataType::Bool => matches!(value, Value::Bool(_)),
        DataType::VarChar { .. } => matches!(value, Value::Text(_)),
        DataType::Timestamptz => matches!(value, Value::Moment(_)),
        _ => value.number().is_some(),
    };
    match values.iter().find(|v| !fits(v)) {
        None => Ok(()),
        Some(value) => Err(Fault::new(format!(
            "{name} operation can't compare between array element type: {} and elements type: {}",
            type_name(element),
            value.type_name()
        ))),
    }
}

/// The pattern with backslashes only before `%`, `_` and `\`, where DataFusion wants them.
fn like_pattern(pattern: &str) -> Outcome<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escaped) = chars.next() else {
            return Err(Fault::new(format!("the pattern {pattern:?} ends in a lone backslash")));
        };
        if matches!(escaped, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(escaped);
    }
    Ok(out)
}

#[derive(Debug)]
struct Regex(String);

impl Kernel for Regex {
    fn output(&self) -> ArrowType {
        ArrowType::Boolean
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let texts = args.first().and_then(|a| a.as_string_opt::<i32>()).ok_or_else(|| {
            DataFusionError::Execution("a regular expression is held against text".into())
        })?;
        Ok(Arc::new(compute::regexp_is_match_scalar(texts, &self.0, None)?))
    }
}
