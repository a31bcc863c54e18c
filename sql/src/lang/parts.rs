//! A filter taken apart for indexes: which parts read one column, and which of its values can pass.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::{InList, Like, ScalarFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use elanus_engine::core::filter::{Candidates, ColumnTest, ColumnView, FilterKind, FilterNode};
use elanus_engine::core::schema::TYPE_METADATA;

use super::array::Asking;
use super::ast::Step;
use super::filter::Filter;
use super::json_view::PathView;
use super::udf::Function;

type Outcome<T> = Result<T, DataFusionError>;

/// Takes a simplified condition apart.
pub(super) fn take_apart(expr: &Expr, schema: &SchemaRef) -> Outcome<FilterNode> {
    let test = || Filter::of_simple(expr, schema).map(|filter| Arc::new(filter) as _);
    let kind = match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }) => {
            FilterKind::All(conjuncts(expr, schema)?)
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, left, right }) => {
            let mut parts = Vec::new();
            for side in [left, right] {
                match take_apart(side, schema)? {
                    FilterNode { kind: FilterKind::Any(inner), .. } => parts.extend(inner),
                    node => parts.push(node),
                }
            }
            FilterKind::Any(parts)
        }
        _ => column_test(expr, schema).map_or(FilterKind::Whole, FilterKind::Column),
    };
    Ok(FilterNode { test: test()?, kind })
}

/// The parts of an `and`. Those of one column are one part, so that `1 < a and a < 5` is one range.
fn conjuncts(expr: &Expr, schema: &SchemaRef) -> Outcome<Vec<FilterNode>> {
    let mut columns: Vec<(ColumnTest, Vec<Expr>)> = Vec::new();
    let mut nodes = Vec::new();
    for part in split_conjunction(expr) {
        let Some(test) = column_test(part, schema) else {
            nodes.push(take_apart(part, schema)?);
            continue;
        };
        let joins = |known: &ColumnTest| {
            known.column == test.column
                && matches!((&known.view, &test.view), (ColumnView::Values, ColumnView::Values))
        };
        match columns.iter_mut().find(|(known, _)| joins(known)) {
            Some((known, parts)) => {
                known.candidates = narrower(&known.candidates, &test.candidates);
                parts.push(part.clone());
            }
            None => columns.push((test, vec![part.clone()])),
        }
    }
    for (test, parts) in columns {
        let Some(joined) = conjunction(parts) else { continue };
        let filter = Arc::new(Filter::of_simple(&joined, schema)?);
        nodes.push(FilterNode { test: filter, kind: FilterKind::Column(test) });
    }
    Ok(nodes)
}

/// Candidates of which both tests may be true, or more.
fn narrower(a: &Candidates, b: &Candidates) -> Candidates {
    let pick = |a: &Option<ArrayRef>, b: &Option<ArrayRef>, larger: bool| match (a, b) {
        (Some(x), Some(y)) => {
            let value = |array: &ArrayRef| ScalarValue::try_from_array(array, 0).ok();
            let first = match value(x).partial_cmp(&value(y)) {
                Some(order) => order.is_gt() == larger,
                None => true,
            };
            Some(if first { x.clone() } else { y.clone() })
        }
        (x, y) => x.clone().or_else(|| y.clone()),
    };
    match (a, b) {
        (Candidates::All, other) | (other, Candidates::All) => other.clone(),
        (Candidates::Range(a1, a2), Candidates::Range(b1, b2)) => {
            Candidates::Range(pick(a1, b1, true), pick(a2, b2, false))
        }
        (Candidates::Range(..), other) => other.clone(),
        (one, _) => one.clone(),
    }
}

/// The condition as a test of its one column, if it is one that an index may answer.
fn column_test(expr: &Expr, schema: &SchemaRef) -> Option<ColumnTest> {
    let used = expr.column_refs();
    let (Some(column), 1) = (used.iter().next(), used.len()) else { return None };
    if expr.is_volatile() {
        return None;
    }
    let field = schema.field_with_name(&column.name).ok()?;
    let json = field.metadata().get(TYPE_METADATA).is_some_and(|mark| mark == "json");
    let (view, candidates) = match field.data_type() {
        _ if json => {
            (ColumnView::Json(Arc::new(PathView::new(json_paths(expr)?))), Candidates::All)
        }
        DataType::List(element) => {
            let values = asked_elements(expr, element.data_type())?;
            (ColumnView::Elements, values.map_or(Candidates::All, Candidates::Values))
        }
        other if other.is_nested() || matches!(other, DataType::FixedSizeBinary(_)) => return None,
        // Marked columns (times, shapes) compare by functions of their own.
        _ if field.metadata().contains_key(TYPE_METADATA) => (ColumnView::Values, Candidates::All),
        other => (ColumnView::Values, candidates(expr, other)),
    };
    Some(ColumnTest { column: column.name.clone(), view, candidates })
}

/// Every path of JSON that the condition reads; none if some of it is not known.
fn json_paths(expr: &Expr) -> Option<Vec<Vec<Step>>> {
    let mut paths = Vec::new();
    let mut known = true;
    let walk = expr.apply(|part| {
        match part {
            Expr::ScalarFunction(call) => match own(call).and_then(|f| f.kernel.json_paths()) {
                Some(more) => {
                    paths.extend(more);
                    return Ok(TreeNodeRecursion::Jump);
                }
                None => known = false,
            },
            // Read by itself, as in `doc is null`.
            Expr::Column(_) => known = false,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    (walk.is_ok() && known && !paths.is_empty()).then_some(paths)
}

/// Our own function behind a call.
fn own(call: &ScalarFunction) -> Option<&Function> {
    let inner: &dyn Any = call.func.inner().as_ref();
    inner.downcast_ref::<Function>()
}

/// The elements that a condition asks a list for one of; none inside: any may do.
fn asked_elements(expr: &Expr, element: &DataType) -> Option<Option<ArrayRef>> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [Expr::Column(_)] = call.args.as_slice() else { return None };
    let kernel: &dyn Any = own(call)?.kernel.as_ref();
    Some(kernel.downcast_ref::<Asking>()?.wanted_any()?.and_then(|v| typed(&v, element)))
}

/// Constants as an array of a column's type; none if one is of another type.
fn typed(values: &[ScalarValue], data_type: &DataType) -> Option<ArrayRef> {
    let exact = |value: &ScalarValue| {
        // Of the two zeros a column may hold either.
        let zero = matches!(value,
            ScalarValue::Float32(Some(v)) if *v == 0.0)
            || matches!(value, ScalarValue::Float64(Some(v)) if *v == 0.0);
        if zero {
            return None;
        }
        if value.data_type() == *data_type {
            return Some(value.clone());
        }
        let cast = value.cast_to(data_type).ok()?;
        (cast.cast_to(&value.data_type()).ok()? == *value).then_some(cast)
    };
    let values: Vec<ScalarValue> = values.iter().map(exact).collect::<Option<_>>()?;
    ScalarValue::iter_to_array(values).ok()
}

/// Values of the one plain column for which the condition may be true.
fn candidates(expr: &Expr, data_type: &DataType) -> Candidates {
    let one = |value: &ScalarValue| typed(std::slice::from_ref(value), data_type);
    let found = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (value, op) = match (left.as_ref(), right.as_ref()) {
                (Expr::Column(_), Expr::Literal(value, _)) => (value, Some(*op)),
                (Expr::Literal(value, _), Expr::Column(_)) => (value, op.swap()),
                _ => return Candidates::All,
            };
            one(value).and_then(|value| match op? {
                Operator::Eq => Some(Candidates::Values(value)),
                Operator::Lt | Operator::LtEq => Some(Candidates::Range(None, Some(value))),
                Operator::Gt | Operator::GtEq => Some(Candidates::Range(Some(value), None)),
                _ => None,
            })
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr) => {
            let value = |item: &Expr| match item {
                Expr::Literal(value, _) => Some(value.clone()),
                _ => None,
            };
            let values: Option<Vec<ScalarValue>> = list.iter().map(value).collect();
            values.and_then(|values| typed(&values, data_type)).map(Candidates::Values)
        }
        Expr::Between(Between { expr, negated: false, low, high }) if is_column(expr) => {
            match (low.as_ref(), high.as_ref()) {
                (Expr::Literal(low, _), Expr::Literal(high, _)) => {
                    Some(Candidates::Range(one(low), one(high)))
                }
                _ => None,
            }
        }
        Expr::IsNull(column) if is_column(column) => Some(Candidates::Nulls),
        Expr::IsNotNull(column) if is_column(column) => Some(Candidates::Range(None, None)),
        Expr::Like(like) => prefix(like).map(|(from, to)| {
            let text = |text: String| one(&ScalarValue::Utf8(Some(text)));
            Candidates::Range(text(from), to.and_then(text))
        }),
        _ => None,
    };
    found.unwrap_or(Candidates::All)
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_))
}

/// The first text that a pattern's fixed beginning allows, and one behind the last.
fn prefix(like: &Like) -> Option<(String, Option<String>)> {
    let Like { negated: false, case_insensitive: false, expr, pattern, escape_char } = like else {
        return None;
    };
    let (true, Expr::Literal(ScalarValue::Utf8(Some(pattern)), _)) = (is_column(expr), &**pattern)
    else {
        return None;
    };
    let escape = escape_char.unwrap_or('\\');
    let fixed: String =
        pattern.chars().take_while(|c| *c != '%' && *c != '_' && *c != escape).collect();
    let last = fixed.chars().next_back()?;
    let mut behind = fixed.clone();
    behind.pop();
    let next = char::from_u32(u32::from(last) + 1);
    Some((fixed, next.map(|next| format!("{behind}{next}"))))
}
