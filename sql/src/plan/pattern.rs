//! Finds `ORDER BY distance(vector, constant) LIMIT k` over a scan.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::projection::{ProjectionExpr, update_expr};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, ScalarFunctionExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use elanus_engine::api::Queries;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_engine::core::vectors::rounded;

use crate::functions::{VectorFunction, VectorMeasure, bits_from_scalar, vector_from_scalar};
use crate::provider::ScanExec;

/// A call of a vector function with a column and a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Distance {
    pub measure: VectorMeasure,
    /// Name of the vector column.
    pub field: String,
    /// Its position in the input.
    pub column: usize,
    /// One vector, as it was given.
    query: Queries,
}

impl Distance {
    /// Reads a call, whichever way round its arguments are.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
        let measure = call.fun().inner().downcast_ref::<VectorFunction>()?.measure();
        let [a, b] = call.args() else { return None };
        let (column, constant) = match (a.downcast_ref::<Column>(), b.downcast_ref::<Column>()) {
            (Some(column), None) => (column, b),
            (None, Some(column)) => (column, a),
            _ => return None,
        };
        let constant = literal(constant)?;
        let query = match measure.is_binary() {
            true => vec![bits_from_scalar(constant)?].into(),
            false => vec![vector_from_scalar(constant)?].into(),
        };
        Some(Self { measure, field: column.name().to_string(), column: column.index(), query })
    }

    /// The query of a search in a field of the type: what the function compares its values with.
    pub(super) fn query(&self, data_type: &DataType) -> Queries {
        match &self.query {
            Queries::Dense(q) => q.iter().map(|q| rounded(data_type, q)).collect::<Vec<_>>().into(),
            other => other.clone(),
        }
    }
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<&ScalarValue> {
    expr.downcast_ref::<Literal>().map(Literal::value)
}

/// A sort with a limit over a scan.
pub(super) struct SortedScan<'a> {
    pub fetch: usize,
    /// Projections between the two, the upper first.
    pub projections: Vec<&'a ProjectionExec>,
    pub scan: &'a ScanExec,
    /// Sort keys as the scan's columns give them.
    pub keys: Vec<PhysicalSortExpr>,
}

impl<'a> SortedScan<'a> {
    /// Reads a plan; `None` if it is no such sort or anything stands between that changes rows.
    pub(super) fn of(plan: &'a Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let Some((sort, fetch)) = sort_and_fetch(plan) else { return Ok(None) };
        let mut projections = Vec::new();
        let mut node = sort.input();
        let scan = loop {
            if let Some(scan) = node.downcast_ref::<ScanExec>() {
                break scan;
            } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                projections.push(projection);
            } else if !keeps_rows(node) {
                return Ok(None);
            }
            match node.children().as_slice() {
                [only] => node = only,
                _ => return Ok(None),
            }
        };
        let mut keys = Vec::with_capacity(sort.expr().len());
        for key in sort.expr() {
            keys.push(PhysicalSortExpr::new(under(&key.expr, &projections)?, key.options));
        }
        Ok(Some(Self { fetch, projections, scan, keys }))
    }

    /// The distance that the rows are sorted by, if a search gives just the same rows.
    pub(super) fn distance(&self) -> Option<Distance> {
        let (first, rest) = self.keys.split_first()?;
        let distance = Distance::of(&first.expr)?;
        let schema = self.scan.snapshot().schema();
        let fits = self.fetch >= 1
            && self.fetch <= self.scan.max_top_k()
            && self.scan.limit().is_none()
            && first.options.descending == distance.measure.nearest_is_greatest()
            && field_fits(schema, &distance, self.scan.conjuncts())
            && rest_fits(schema, distance.measure, rest);
        fits.then_some(distance)
    }
}

/// A sort to one partition and its limit.
fn sort_and_fetch(plan: &Arc<dyn ExecutionPlan>) -> Option<(&SortExec, usize)> {
    if let Some(merge) = plan.downcast_ref::<SortPreservingMergeExec>() {
        let sort = merge.input().downcast_ref::<SortExec>()?;
        if merge.expr() != sort.expr() {
            return None;
        }
        return Some((sort, merge.fetch()?));
    }
    let sort = plan.downcast_ref::<SortExec>()?;
    if plan.output_partitioning().partition_count() != 1 {
        return None;
    }
    Some((sort, sort.fetch()?))
}

/// Whether a node only moves rows about.
fn keeps_rows(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.fetch().is_none()
        && (plan.is::<CooperativeExec>()
            || plan.is::<CoalescePartitionsExec>()
            || plan.is::<RepartitionExec>()
            || plan.is::<SortPreservingMergeExec>())
}

/// The expression in terms of the input of the last projection.
fn under(
    expr: &Arc<dyn PhysicalExpr>,
    projections: &[&ProjectionExec],
) -> Result<Arc<dyn PhysicalExpr>> {
    let mut expr = expr.clone();
    for projection in projections {
        let projected: &[ProjectionExpr] = projection.expr();
        expr = update_expr(&expr, projected, true)?.unwrap_or(expr);
    }
    Ok(expr)
}

/// Whether a search of the field sees every row that SQL's order has first: its type and dimension
/// are right and no row is without a vector (SQL puts those last, a search leaves them out).
fn field_fits(schema: &CollectionSchema, distance: &Distance, conjuncts: &[Expr]) -> bool {
    let Ok(field) = schema.field(&distance.field) else { return false };
    let present = || {
        conjuncts.iter().any(|c| match c {
            Expr::IsNotNull(of) => {
                matches!(of.as_ref(), Expr::Column(c) if c.name == distance.field)
            }
            _ => false,
        })
    };
    distance.query(&field.data_type).check(field, distance.measure.metric()).is_ok()
        && (!field.nullable || present())
}

/// Whether further sort keys ask for no more than a search gives: ties in the order of keys.
fn rest_fits(schema: &CollectionSchema, measure: VectorMeasure, rest: &[PhysicalSortExpr]) -> bool {
    let (Some(key), Ok(primary)) = (rest.first(), schema.primary()) else {
        return rest.is_empty();
    };
    // Two scores may give one cosine distance: then a search's ties are not SQL's.
    rest.len() == 1
        && measure != VectorMeasure::CosineDistance
        && key.options == SortOptions { descending: false, nulls_first: key.options.nulls_first }
        && key.expr.downcast_ref::<Column>().is_some_and(|c| c.name() == primary.name)
}
