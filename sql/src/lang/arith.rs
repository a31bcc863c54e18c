//! Comparisons of calculated numbers, over plain columns, JSON paths and array lengths alike.
//!
//! Integers are calculated in 64 bits and an overflow is an error, never a wrong row; a division
//! by a zero that a row holds gives null. Whole and fractional numbers compare exactly.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, Scalar,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::{self, kernels::cmp};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::ast::{ArithOp, CompareOp, Sign, Step, path_text};
use super::json::json_texts;
use super::number::{NoResult, Number, float_op, int_op};
use super::scan::{Elements, Json, find_present};
use super::udf::{self, Kernel};

/// A calculation. Leaves name the argument they read by its position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Calc {
    /// The same number for each row.
    Const(Number),
    /// What an argument holds.
    Leaf(usize, Leaf),
    /// `-x` or `~x`.
    Signed(Sign, Box<Calc>),
    /// `x op y`.
    Binary(ArithOp, Box<Calc>, Box<Calc>),
}

/// How an argument becomes a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Leaf {
    /// It is one.
    Plain,
    /// The number at a path of JSON.
    Json(Vec<Step>),
    /// The length of the array at a path of JSON.
    JsonLength(Vec<Step>),
    /// The length of a list.
    Length,
}

/// A calculation with the columns it reads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arith {
    calc: Calc,
    args: Vec<Expr>,
    /// Whether a fraction can come out whatever the rows hold.
    pub fractional: bool,
}

impl Arith {
    /// A constant.
    pub fn constant(number: Number) -> Self {
        let fractional = matches!(number, Number::Float(_));
        Self { calc: Calc::Const(number), args: Vec::new(), fractional }
    }

    /// A column, read in some way; `fractional` when it is of a float type.
    pub fn leaf(column: Expr, leaf: Leaf, fractional: bool) -> Self {
        Self { calc: Calc::Leaf(0, leaf), args: vec![column], fractional }
    }

    /// `-x` or `~x`.
    pub fn signed(self, sign: Sign) -> Self {
        Self { calc: Calc::Signed(sign, Box::new(self.calc)), ..self }
    }

    /// `x op y`.
    pub fn binary(self, op: ArithOp, other: Self) -> Self {
        let right = other.calc.moved(self.args.len());
        let mut args = self.args;
        args.extend(other.args);
        let fractional = self.fractional || other.fractional;
        Self { calc: Calc::Binary(op, Box::new(self.calc), Box::new(right)), args, fractional }
    }

    /// The comparison of two calculations.
    pub fn compare(self, op: CompareOp, other: Self) -> Expr {
        let right = other.calc.moved(self.args.len());
        let label = format!("{} {} {right}", self.calc, op.symbol());
        let mut args = self.args;
        args.extend(other.args);
        udf::call(label, Comparison { left: self.calc, op, right }, args)
    }
}

impl Calc {
    /// The same with its arguments `by` places further on.
    fn moved(self, by: usize) -> Self {
        match self {
            Self::Const(number) => Self::Const(number),
            Self::Leaf(at, leaf) => Self::Leaf(at + by, leaf),
            Self::Signed(sign, x) => Self::Signed(sign, Box::new(x.moved(by))),
            Self::Binary(op, x, y) => {
                Self::Binary(op, Box::new(x.moved(by)), Box::new(y.moved(by)))
            }
        }
    }

    /// Adds the paths that its leaves read of JSON; `false` if one reads something else.
    fn gather_paths(&self, paths: &mut Vec<Vec<Step>>) -> bool {
        match self {
            Self::Const(_) => true,
            Self::Leaf(_, Leaf::Json(path) | Leaf::JsonLength(path)) => {
                paths.push(path.clone());
                true
            }
            Self::Leaf(..) => false,
            Self::Signed(_, x) => x.gather_paths(paths),
            Self::Binary(_, x, y) => x.gather_paths(paths) && y.gather_paths(paths),
        }
    }

    fn evaluate(&self, args: &[ArrayRef]) -> Result<Numbers> {
        match self {
            Self::Const(number) => Ok(Numbers::Const(*number)),
            Self::Leaf(at, leaf) => match args.get(*at) {
                Some(column) => leaf.read(column),
                None => Err(fault("an argument of a calculation is missing")),
            },
            Self::Signed(sign, x) => x.evaluate(args)?.signed(*sign),
            Self::Binary(op, x, y) => x.evaluate(args)?.binary(*op, &y.evaluate(args)?),
        }
    }
}

impl std::fmt::Display for Calc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Const(Number::Int(v)) => write!(f, "{v}"),
            Self::Const(Number::Float(v)) => write!(f, "{v:?}"),
            Self::Leaf(at, Leaf::Plain) => write!(f, "${at}"),
            Self::Leaf(at, Leaf::Json(path)) => write!(f, "${at}{}", path_text(path)),
            Self::Leaf(at, Leaf::JsonLength(path)) => write!(f, "length(${at}{})", path_text(path)),
            Self::Leaf(at, Leaf::Length) => write!(f, "length(${at})"),
            Self::Signed(Sign::Invert, x) => write!(f, "~({x})"),
            Self::Signed(_, x) => write!(f, "-({x})"),
            Self::Binary(op, x, y) => write!(f, "({x} {} {y})", op.symbol()),
        }
    }
}

impl Leaf {
    fn read(&self, column: &ArrayRef) -> Result<Numbers> {
        match self {
            Self::Plain if column.data_type().is_floating() => {
                let cast = compute::cast(column, &DataType::Float64)?;
                Ok(Numbers::Float(cast.as_primitive::<Float64Type>().clone()))
            }
            Self::Plain => {
                let cast = compute::cast(column, &DataType::Int64)?;
                Ok(Numbers::Int(cast.as_primitive::<Int64Type>().clone()))
            }
            Self::Json(path) => {
                let number = |text: &str| match find_present(text, path)? {
                    Json::Number(number) => Some(number),
                    _ => None,
                };
                let texts = json_texts(column)?;
                Ok(Numbers::Mixed(texts.iter().map(|row| row.and_then(number)).collect()))
            }
            Self::JsonLength(path) => {
                let length = |text: &str| match find_present(text, path)? {
                    Json::Array(array) => i64::try_from(Elements::of(array).count()).ok(),
                    _ => None,
                };
                let texts = json_texts(column)?;
                Ok(Numbers::Int(texts.iter().map(|row| row.and_then(length)).collect()))
            }
            Self::Length => {
                let lengths = compute::kernels::length::length(column)?;
                let cast = compute::cast(&lengths, &DataType::Int64)?;
                Ok(Numbers::Int(cast.as_primitive::<Int64Type>().clone()))
            }
        }
    }
}

/// One number for each row, or one for all.
enum Numbers {
    Const(Number),
    Int(Int64Array),
    Float(Float64Array),
    /// From JSON, where each row has its own kind.
    Mixed(Vec<Option<Number>>),
}

impl Numbers {
    fn get(&self, row: usize) -> Option<Number> {
        match self {
            Self::Const(number) => Some(*number),
            Self::Int(a) => a.is_valid(row).then(|| Number::Int(a.value(row).into())),
            Self::Float(a) => a.is_valid(row).then(|| Number::Float(a.value(row))),
            Self::Mixed(numbers) => numbers.get(row).copied().flatten(),
        }
    }

    /// The number of rows, if it matters.
    fn rows(&self) -> Option<usize> {
        match self {
            Self::Const(_) => None,
            Self::Int(a) => Some(a.len()),
            Self::Float(a) => Some(a.len()),
            Self::Mixed(numbers) => Some(numbers.len()),
        }
    }

    fn signed(self, sign: Sign) -> Result<Self> {
        if let Self::Float(a) = &self
            && sign == Sign::Minus
        {
            return Ok(Self::Float(a.unary(|v| -v)));
        }
        let apply = |number: Number| match sign {
            Sign::Invert => number.invert(),
            _ => number.negate(),
        };
        let Some(rows) = self.rows() else { return self.map(1, apply) };
        self.map(rows, apply)
    }

    fn map(&self, rows: usize, f: impl Fn(Number) -> Result<Number, NoResult>) -> Result<Self> {
        let results = (0..rows).map(|row| self.get(row).map_or(Ok(None), |n| known(f(n))));
        Ok(Self::Mixed(results.collect::<Result<_>>()?))
    }

    fn binary(&self, op: ArithOp, other: &Self) -> Result<Self> {
        let rows = self.rows().or(other.rows()).unwrap_or(1);
        match (self.kind(), other.kind()) {
            // A negative power of an integer is a fraction, so each row has its own kind.
            (NumberKind::Int, NumberKind::Int) if op != ArithOp::Pow => {
                let f = int_op(op);
                let (x, y) = (self.ints(rows), other.ints(rows));
                let nulls = NullBuffer::union(x.nulls(), y.nulls());
                zip(x.values(), y.values(), nulls, f)
                    .map(|(values, nulls)| Self::Int(Int64Array::new(values.into(), nulls)))
            }
            (NumberKind::Float, NumberKind::Float | NumberKind::Int)
            | (NumberKind::Int, NumberKind::Float) => {
                let f = float_op(op);
                let (x, y) = (self.floats(rows)?, other.floats(rows)?);
                let nulls = NullBuffer::union(x.nulls(), y.nulls());
                zip(x.values(), y.values(), nulls, f)
                    .map(|(values, nulls)| Self::Float(Float64Array::new(values.into(), nulls)))
            }
            _ => {
                let results = (0..rows).map(|row| match (self.get(row), other.get(row)) {
                    (Some(x), Some(y)) => known(x.calculate(op, y)),
                    _ => Ok(None),
                });
                Ok(Self::Mixed(results.collect::<Result<_>>()?))
            }
        }
    }

    fn kind(&self) -> NumberKind {
        match self {
            Self::Int(_) => NumberKind::Int,
            Self::Const(Number::Int(v)) if i64::try_from(*v).is_ok() => NumberKind::Int,
            Self::Float(_) | Self::Const(Number::Float(_)) => NumberKind::Float,
            Self::Const(_) | Self::Mixed(_) => NumberKind::Mixed,
        }
    }

    /// As integers; only for [`NumberKind::Int`].
    fn ints(&self, rows: usize) -> Int64Array {
        match self {
            Self::Int(a) => a.clone(),
            Self::Const(Number::Int(v)) => {
                Int64Array::from(vec![i64::try_from(*v).unwrap_or_default(); rows])
            }
            _ => Int64Array::new_null(rows),
        }
    }

    /// As floats; only for [`NumberKind::Int`] and [`NumberKind::Float`].
    fn floats(&self, rows: usize) -> Result<Float64Array> {
        Ok(match self {
            Self::Float(a) => a.clone(),
            Self::Const(number) => Float64Array::from(vec![number.as_f64(); rows]),
            Self::Int(a) => {
                compute::cast(a, &DataType::Float64)?.as_primitive::<Float64Type>().clone()
            }
            Self::Mixed(_) => Float64Array::new_null(rows),
        })
    }
}

/// What is known of all rows at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NumberKind {
    Int,
    Float,
    Mixed,
}

/// Applies a checked operator to the rows that have both numbers.
fn zip<T: Copy + Default>(
    x: &[T],
    y: &[T],
    nulls: Option<NullBuffer>,
    f: fn(T, T) -> Result<T, NoResult>,
) -> Result<(Vec<T>, Option<NullBuffer>)> {
    let mut valid: Vec<bool> = Vec::new();
    let mut out = Vec::with_capacity(x.len());
    for (row, (a, b)) in x.iter().zip(y).enumerate() {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            out.push(T::default());
            continue;
        }
        match known(f(*a, *b))? {
            Some(value) => out.push(value),
            None => {
                if valid.is_empty() {
                    valid = vec![true; x.len()];
                }
                valid[row] = false;
                out.push(T::default());
            }
        }
    }
    if valid.is_empty() {
        return Ok((out, nulls));
    }
    let divided = NullBuffer::from(valid);
    Ok((out, NullBuffer::union(nulls.as_ref(), Some(&divided))))
}

/// A row's result: an overflow is an error, what the row's own values do not allow is null.
fn known<T>(result: Result<T, NoResult>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(NoResult::Overflow) => Err(fault(NoResult::Overflow.message())),
        Err(NoResult::Zero | NoResult::Fraction) => Ok(None),
    }
}

fn fault(message: &str) -> DataFusionError {
    DataFusionError::Execution(message.to_owned())
}

#[derive(Debug)]
struct Comparison {
    left: Calc,
    op: CompareOp,
    right: Calc,
}

impl Kernel for Comparison {
    fn output(&self) -> DataType {
        DataType::Boolean
    }

    fn json_paths(&self) -> Option<Vec<Vec<Step>>> {
        let mut paths = Vec::new();
        let known = self.left.gather_paths(&mut paths) && self.right.gather_paths(&mut paths);
        known.then_some(paths)
    }

    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let (left, right) = (self.left.evaluate(args)?, self.right.evaluate(args)?);
        if let (Numbers::Int(a), Numbers::Const(Number::Int(b))) = (&left, &right)
            && let Ok(b) = i64::try_from(*b)
        {
            return Ok(Arc::new(compare_ints(a, self.op, b)?));
        }
        let result: BooleanArray = (0..rows)
            .map(|row| match (left.get(row), right.get(row)) {
                (Some(a), Some(b)) => Some(self.op.holds(a.compare(b))),
                _ => None,
            })
            .collect();
        Ok(Arc::new(result))
    }
}

fn compare_ints(a: &Int64Array, op: CompareOp, b: i64) -> Result<BooleanArray> {
    let b = Scalar::new(Int64Array::from(vec![b]));
    Ok(match op {
        CompareOp::Lt => cmp::lt(a, &b),
        CompareOp::Le => cmp::lt_eq(a, &b),
        CompareOp::Gt => cmp::gt(a, &b),
        CompareOp::Ge => cmp::gt_eq(a, &b),
        CompareOp::Eq => cmp::eq(a, &b),
        CompareOp::Ne => cmp::neq(a, &b),
    }?)
}
