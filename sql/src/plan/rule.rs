//! The rule that puts a vector search in place of a sorted scan.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExpr, update_expr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use elanus_engine::api::Effort;

use super::options::SqlOptions;
use super::pattern::SortedScan;
use super::top_k::{DISTANCE, VectorTopKExec};

/// Turns `ORDER BY l2_distance(v, […]) LIMIT k` over a scan into [`VectorTopKExec`].
///
/// It runs after all other rules, on the finished plan: nothing may come between the search and
/// those who rely on its order. `SET elanus.vector_top_k = false` turns it off, `SET elanus.effort`
/// says how hard the search tries.
#[derive(Debug)]
pub struct VectorTopK;

impl PhysicalOptimizerRule for VectorTopK {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let options = config.extensions.get::<SqlOptions>().cloned().unwrap_or_default();
        if !options.vector_top_k {
            return Ok(plan);
        }
        let effort = options.effort.0;
        let searched = plan.transform_up(|node| match search_for(&node, effort)? {
            Some(search) => Ok(Transformed::yes(search)),
            None => Ok(Transformed::no(node)),
        })?;
        let rewritten = searched.data.transform_down(|node| match absorbed(&node)? {
            Some(narrower) => Ok(Transformed::yes(narrower)),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &str {
        "vector_top_k"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The search that gives what a sorted scan gives.
fn search_for(
    plan: &Arc<dyn ExecutionPlan>,
    effort: Effort,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(sorted) = SortedScan::of(plan)? else { return Ok(None) };
    let Some(distance) = sorted.distance() else { return Ok(None) };
    let search = VectorTopKExec::new(sorted.scan, distance, sorted.fetch, effort);
    let mut node: Arc<dyn ExecutionPlan> = Arc::new(search);
    for projection in sorted.projections.iter().rev() {
        node = Arc::new(ProjectionExec::try_new(projection.expr().to_vec(), node)?);
    }
    Ok(Some(node))
}

/// A projection over a search, with limits and further projections between, as one projection let
/// into the search: that then fetches no more than what is asked and gives the distance it knows.
fn absorbed(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(top) = plan.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let mut exprs = top.expr().to_vec();
    let mut limits = Vec::new();
    let mut node = top.input();
    loop {
        if let Some(search) = node.downcast_ref::<VectorTopKExec>() {
            if !search.is_whole() {
                return Ok(None);
            }
            let mut node = project(&exprs, search)?;
            while let Some((skip, fetch)) = limits.pop() {
                node = Arc::new(GlobalLimitExec::new(node, skip, fetch));
            }
            return Ok(Some(node));
        } else if let Some(limit) = node.downcast_ref::<GlobalLimitExec>() {
            limits.push((limit.skip(), limit.fetch()));
            node = limit.input();
        } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            // A volatile value that is used twice must be computed once.
            if projection.expr().iter().any(|p| is_volatile(&p.expr)) {
                return Ok(None);
            }
            for outer in &mut exprs {
                if let Some(merged) = update_expr(&outer.expr, projection.expr(), true)? {
                    outer.expr = merged;
                }
            }
            node = projection.input();
        } else {
            return Ok(None);
        }
    }
}

/// The projection over the search, which gives just the columns it uses.
fn project(exprs: &[ProjectionExpr], search: &VectorTopKExec) -> Result<Arc<dyn ExecutionPlan>> {
    let mut used = BTreeSet::new();
    let mut uses_distance = false;
    for projected in exprs {
        projected.expr.apply(|node| {
            if search.is_distance(node) {
                uses_distance = true;
                return Ok(TreeNodeRecursion::Jump);
            }
            if let Some(column) = node.downcast_ref::<Column>() {
                used.insert(column.index());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let used: Vec<usize> = used.into_iter().collect();
    let narrow = Arc::new(search.narrowed(&used, uses_distance)?);
    let exprs = exprs
        .iter()
        .map(|projected| {
            let expr = moved(search, projected.expr.clone(), &used)?;
            Ok(ProjectionExpr { expr, alias: projected.alias.clone() })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(exprs, narrow)?))
}

/// The expression over a search that gives the `used` columns, then the distance.
fn moved(
    search: &VectorTopKExec,
    expr: Arc<dyn PhysicalExpr>,
    used: &[usize],
) -> Result<Arc<dyn PhysicalExpr>> {
    let expr = expr.transform_down(|node| {
        let column = if search.is_distance(&node) {
            Column::new(DISTANCE, used.len())
        } else if let Some(column) = node.downcast_ref::<Column>() {
            let at = used.iter().position(|u| *u == column.index()).unwrap_or(used.len());
            Column::new(column.name(), at)
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::new(Arc::new(column) as _, true, TreeNodeRecursion::Jump))
    })?;
    Ok(expr.data)
}
