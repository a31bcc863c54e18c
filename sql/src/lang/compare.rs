//! Comparisons and `in`: each field type against each kind of constant.

use std::cmp::Ordering;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, Operator, and, binary_expr, lit, not, or};
use elanus_engine::core::schema::DataType;

use super::arith::Arith;
use super::ast::{CompareOp, Node};
use super::fault::{Fault, Outcome};
use super::json::Place;
use super::moment;
use super::number::Number;
use super::translate::{Meaning, Translator, json_number, type_name};
use super::value::Value;

/// `left op right`; `text` is what was written.
pub(super) fn compare(
    text: &str,
    op: CompareOp,
    left: Meaning,
    right: Meaning,
) -> Outcome<Meaning> {
    let wrong = wrong(text, &left, &right);
    let truth = match (left, right) {
        (Meaning::Const(a), Meaning::Const(b)) => {
            return constants(text, op, &a, &b).map(|b| Meaning::Const(Value::Bool(b)));
        }
        (Meaning::Const(a), other) => against_constant(op.swapped(), other, &a, wrong)?,
        (other, Meaning::Const(b)) => against_constant(op, other, &b, wrong)?,
        (Meaning::Array(..), _) | (_, Meaning::Array(..)) => {
            return Err(Fault::new("can not comparisons array fields directly"));
        }
        (Meaning::Json(_), Meaning::Json(_) | Meaning::Scalar(..))
        | (Meaning::Scalar(..), Meaning::Json(_)) => {
            return Err(Fault::new("two column comparison with JSON type is not supported"));
        }
        (Meaning::Scalar(a, at), Meaning::Scalar(b, bt)) => columns(op, (a, &at), (b, &bt), wrong)?,
        (Meaning::Truth(a), Meaning::Truth(b) | Meaning::Scalar(b, DataType::Bool))
        | (Meaning::Scalar(a, DataType::Bool), Meaning::Truth(b)) => plain(a, op, b),
        (a @ Meaning::Calc(_), b) | (a, b @ Meaning::Calc(_)) => match (a.arith(), b.arith()) {
            (Some(a), Some(b)) => a.compare(op, b),
            _ => return Err(wrong),
        },
        _ => return Err(wrong),
    };
    Ok(Meaning::Truth(truth))
}

/// The error for sides that do not compare.
fn wrong(text: &str, left: &Meaning, right: &Meaning) -> Fault {
    let moment = |side: &Meaning| matches!(side, Meaning::Const(Value::Moment(_)));
    if moment(left) || moment(right) {
        return Fault::new(format!("only a timestamptz datatype compares with a moment: {text}"));
    }
    Fault::new(format!(
        "comparisons between {} and {} are not supported",
        left.type_name(),
        right.type_name()
    ))
}

fn constants(text: &str, op: CompareOp, a: &Value, b: &Value) -> Outcome<bool> {
    a.compare(b).map(|order| op.holds(order)).ok_or_else(|| {
        Fault::new(format!(
            "comparison operations cannot be applied to two incompatible operands: {text}"
        ))
    })
}

fn against_constant(op: CompareOp, left: Meaning, value: &Value, wrong: Fault) -> Outcome<Expr> {
    match left {
        Meaning::Scalar(expr, t) => scalar(op, expr, &t, value).ok_or(wrong),
        Meaning::Json(place) => json(op, place, value, wrong),
        Meaning::Array(expr, element) => array(op, expr, &element, value, wrong),
        Meaning::Moment(expr, interval) => moment::compare(op, expr, interval, value),
        Meaning::Calc(arith) => match value.number() {
            Some(number) => Ok(arith.compare(op, Arith::constant(number))),
            None => Err(wrong),
        },
        Meaning::Truth(expr) => match value {
            Value::Bool(v) => Ok(plain(expr, op, lit(*v))),
            _ => Err(wrong),
        },
        Meaning::Vector(..) | Meaning::Struct(_) | Meaning::Const(_) | Meaning::Interval(_) => {
            Err(wrong)
        }
    }
}

/// Two columns of types that compare.
fn columns(
    op: CompareOp,
    (a, at): (Expr, &DataType),
    (b, bt): (Expr, &DataType),
    wrong: Fault,
) -> Outcome<Expr> {
    let is_float = |t: &DataType| matches!(t, DataType::Float | DataType::Double);
    let is_moment = |t: &DataType| *t == DataType::Timestamptz;
    let both = |test: &dyn Fn(&DataType) -> bool| test(at) && test(bt);
    if both(&|t| t.is_integer()) || both(&DataType::is_text) || both(&is_moment) {
        return Ok(plain(a, op, b));
    }
    if both(&|t| *t == DataType::Bool) {
        return Ok(plain(a, op, b));
    }
    if !both(&|t| t.is_integer() || is_float(t)) {
        return Err(wrong);
    }
    // With a fraction on one side: exact, and with one zero.
    let leaf = |expr, t: &DataType| Meaning::Scalar(expr, t.clone()).arith();
    match (leaf(a, at), leaf(b, bt)) {
        (Some(a), Some(b)) => Ok(a.compare(op, b)),
        _ => Err(wrong),
    }
}

fn array(
    op: CompareOp,
    expr: Expr,
    element: &DataType,
    value: &Value,
    wrong: Fault,
) -> Outcome<Expr> {
    use super::array::{Question, ask};
    let Value::List(values) = value else { return Err(wrong) };
    if values.iter().any(|v| literal(element, v).is_none()) {
        return Err(wrong);
    }
    let same = ask(expr, element, Question::Same, values);
    match op {
        CompareOp::Eq => Ok(same),
        CompareOp::Ne => Ok(not(same)),
        _ => Err(Fault::new("can not comparisons array fields directly")),
    }
}

fn json(op: CompareOp, place: Place, value: &Value, wrong: Fault) -> Outcome<Expr> {
    match value {
        Value::Text(text) => Ok(plain(place.text(), op, lit(text.clone()))),
        Value::Bool(v) => Ok(plain(place.boolean(), op, lit(*v))),
        Value::List(list) => match op {
            CompareOp::Eq => Ok(place.equals_list(list)),
            CompareOp::Ne => Ok(not(place.equals_list(list))),
            _ => Err(wrong),
        },
        Value::Json(_) | Value::Moment(_) => Err(wrong),
        Value::Int(_) | Value::Float(_) => match value.number() {
            Some(number) => Ok(json_number(place).compare(op, Arith::constant(number))),
            None => Err(wrong),
        },
    }
}

/// A scalar column and a constant; `None` when the types do not compare.
fn scalar(op: CompareOp, expr: Expr, t: &DataType, value: &Value) -> Option<Expr> {
    let number = value.number();
    match (t, number) {
        (DataType::Float | DataType::Double, Some(n)) => Some(float(op, expr, t, n.as_f64())),
        (t, Some(Number::Int(v))) if t.is_integer() => Some(integer(op, expr, t, v)),
        (t, Some(Number::Float(v))) if t.is_integer() => Some(integer_with_float(op, expr, t, v)),
        _ => Some(plain(expr, op, lit(literal(t, value)??))),
    }
}

/// A constant in a field's type: `None` when the types do not go together, `Some(None)` when
/// no value of the type equals it.
fn literal(t: &DataType, value: &Value) -> Option<Option<ScalarValue>> {
    Some(match (t, value) {
        (DataType::Bool, Value::Bool(v)) => Some(ScalarValue::Boolean(Some(*v))),
        (t, Value::Text(v)) if t.is_text() => Some(ScalarValue::Utf8(Some(v.clone()))),
        (DataType::Timestamptz, Value::Moment(v)) => Some(moment::literal(*v)),
        (DataType::Float | DataType::Double, v) => Some(float_literal(t, v.number()?.as_f64())),
        (t, Value::Int(v)) if t.is_integer() => int_literal(t, (*v).into()),
        _ => return None,
    })
}

fn int_literal(t: &DataType, v: i128) -> Option<ScalarValue> {
    match t {
        DataType::Int8 => i8::try_from(v).ok().map(|v| ScalarValue::Int8(Some(v))),
        DataType::Int16 => i16::try_from(v).ok().map(|v| ScalarValue::Int16(Some(v))),
        DataType::Int32 => i32::try_from(v).ok().map(|v| ScalarValue::Int32(Some(v))),
        DataType::Int64 => i64::try_from(v).ok().map(|v| ScalarValue::Int64(Some(v))),
        _ => None,
    }
}

/// Rounded as a value of a Float field was rounded when it was stored.
fn float_literal(t: &DataType, v: f64) -> ScalarValue {
    match t {
        DataType::Float => ScalarValue::Float32(Some(v as f32)),
        _ => ScalarValue::Float64(Some(v)),
    }
}

/// Past the range of the type the answer is the same for every value.
fn integer(op: CompareOp, expr: Expr, t: &DataType, v: i128) -> Expr {
    match int_literal(t, v) {
        Some(literal) => plain(expr, op, lit(literal)),
        None => same_for_all(expr, op.holds(Some(0.cmp(&v)))),
    }
}

/// Moves the bound to the next integer, so that no 64-bit value is rounded to a float.
fn integer_with_float(op: CompareOp, expr: Expr, t: &DataType, v: f64) -> Expr {
    if v.is_nan() {
        return same_for_all(expr, op == CompareOp::Ne);
    }
    if v.abs() > 1e19 {
        let order = if v > 0.0 { Ordering::Less } else { Ordering::Greater };
        return same_for_all(expr, op.holds(Some(order)));
    }
    let bound = match op {
        CompareOp::Lt | CompareOp::Ge => v.ceil(),
        CompareOp::Le | CompareOp::Gt => v.floor(),
        CompareOp::Eq | CompareOp::Ne if v.fract() != 0.0 => {
            return same_for_all(expr, op == CompareOp::Ne);
        }
        CompareOp::Eq | CompareOp::Ne => v,
    };
    integer(op, expr, t, bound as i128)
}

/// Arrow orders −0 before +0; users know one zero. NaN compares to nothing.
fn float(op: CompareOp, expr: Expr, t: &DataType, v: f64) -> Expr {
    let number = |v: f64| lit(float_literal(t, v));
    let zero = match float_literal(t, v) {
        ScalarValue::Float32(Some(v)) => v == 0.0,
        _ => v == 0.0,
    };
    if v.is_nan() {
        return same_for_all(expr, op == CompareOp::Ne);
    }
    if !zero {
        return plain(expr, op, number(v));
    }
    match op {
        CompareOp::Lt | CompareOp::Ge => plain(expr, op, number(-0.0)),
        CompareOp::Gt | CompareOp::Le => plain(expr, op, number(0.0)),
        CompareOp::Eq => or(plain(expr.clone(), op, number(0.0)), plain(expr, op, number(-0.0))),
        CompareOp::Ne => and(plain(expr.clone(), op, number(0.0)), plain(expr, op, number(-0.0))),
    }
}

/// One answer for every value, null for null.
fn same_for_all(expr: Expr, answer: bool) -> Expr {
    let unknown = lit(ScalarValue::Boolean(None));
    if answer { or(expr.is_not_null(), unknown) } else { and(expr.is_null(), unknown) }
}

pub(super) fn plain(left: Expr, op: CompareOp, right: Expr) -> Expr {
    let op = match op {
        CompareOp::Lt => Operator::Lt,
        CompareOp::Le => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::Ge => Operator::GtEq,
        CompareOp::Eq => Operator::Eq,
        CompareOp::Ne => Operator::NotEq,
    };
    binary_expr(left, op, right)
}

impl Translator<'_> {
    /// `1 < a <= 5` and `5 >= a > 1`.
    pub(super) fn range(
        &self,
        node: &Node,
        parts: &[Node; 3],
        [first, second]: [CompareOp; 2],
    ) -> Outcome<Meaning> {
        let [left, middle, right] = parts;
        let (left, middle, right) =
            (self.meaning(left)?, self.meaning(middle)?, self.meaning(right)?);
        if let (Meaning::Const(a), Meaning::Const(b)) = (&left, &right) {
            // Either bound being open makes equal bounds empty as well.
            let strict = matches!(first, CompareOp::Lt | CompareOp::Gt)
                || matches!(second, CompareOp::Lt | CompareOp::Gt);
            let rising = matches!(first, CompareOp::Lt | CompareOp::Le);
            let (low, high) = if rising { (a, b) } else { (b, a) };
            let wanted = if strict { CompareOp::Lt } else { CompareOp::Le };
            if low.compare(high).is_some_and(|order| !wanted.holds(order)) {
                let why = "invalid range: lowerbound is greater than upperbound";
                return Err(Fault::new(why));
            }
        }
        let text = self.source(node);
        let one = compare(text, first, left, middle.clone())?;
        let two = compare(text, second, middle, right)?;
        match (one, two) {
            (Meaning::Truth(a), Meaning::Truth(b)) => Ok(Meaning::Truth(and(a, b))),
            _ => Err(Fault::new(format!("the middle of a range must be a field: {text}"))),
        }
    }

    /// `a in [1, 2]`.
    pub(super) fn is_in(&self, value: &Node, list: &Node, negated: bool) -> Outcome<Meaning> {
        let found = self.meaning(value)?;
        let text = self.source(value);
        if matches!(found, Meaning::Const(_)) {
            return Err(Fault::new(format!(
                "'term' can only be used on non-const expression, but got: {text}"
            )));
        }
        let Meaning::Const(Value::List(values)) = self.meaning(list)? else {
            return Err(Fault::new(format!(
                "the right-hand side of 'in' must be a list, but got: {}",
                self.source(list)
            )));
        };
        let truth = match found {
            Meaning::Scalar(expr, t) => scalar_in(expr, &t, &values, negated)?,
            Meaning::Json(place) if values.is_empty() => {
                // Known for what is there, unknown for what is missing.
                let missing = and(not(place.exists()), lit(ScalarValue::Boolean(None)));
                if negated { not(missing) } else { missing }
            }
            Meaning::Json(place) => {
                let inside = place.is_in(&values);
                if negated { not(inside) } else { inside }
            }
            Meaning::Array(..) => {
                return Err(Fault::new("can not comparisons array fields directly"));
            }
            _ => {
                return Err(Fault::new(format!(
                    "'term' can only be used on single field, but got: {text}"
                )));
            }
        };
        Ok(Meaning::Truth(truth))
    }
}

fn scalar_in(expr: Expr, t: &DataType, values: &[Value], negated: bool) -> Outcome<Expr> {
    let mut list = Vec::with_capacity(values.len());
    for value in values {
        let literal = literal(t, value).ok_or_else(|| {
            let (value, t) = (value.proto_text(), type_name(t));
            Fault::new(format!("value '{value}' in list cannot be casted to {t}"))
        })?;
        match literal {
            Some(ScalarValue::Float32(Some(0.0))) => {
                list.extend([lit(0.0f32), lit(-0.0f32)]);
            }
            Some(ScalarValue::Float64(Some(0.0))) => {
                list.extend([lit(0.0f64), lit(-0.0f64)]);
            }
            Some(literal) => list.push(lit(literal)),
            None => {}
        }
    }
    if list.is_empty() {
        return Ok(same_for_all(expr, negated));
    }
    Ok(Expr::InList(InList::new(Box::new(expr), list, negated)))
}
