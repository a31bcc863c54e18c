//! `DELETE FROM`.
//!
//! DataFusion's own hook gives a table the filters it finds in the optimised plan, and none where
//! the plan has become empty or a join: then it would delete every row. So the plan is read here.

use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::DmlStatement;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use elanus_engine::api::{Collection, PartitionSet};
use elanus_engine::core::error::{Error, Result, Subject};
use elanus_engine::core::key::Keys;
use futures::TryStreamExt;

use super::statement::run_plan;
use crate::error::from_datafusion;
use crate::provider::{CollectionTable, compile};

/// Deletes the rows that the statement's plan gives and returns their number.
pub(super) async fn run(state: &SessionState, dml: &DmlStatement) -> Result<u64> {
    if matches!(dml.input.as_ref(), LogicalPlan::Limit(_)) {
        return Err(Error::unsupported(
            Subject::Expression,
            "DELETE … LIMIT is not supported: choose the rows with WHERE",
        ));
    }
    let provider = source_as_provider(&dml.target).map_err(from_datafusion)?;
    let Some(table) = provider.downcast_ref::<CollectionTable>() else {
        return Err(Error::invalid(
            Subject::Expression,
            format!("rows of {} cannot be deleted: it is no collection", dml.table_name),
        ));
    };
    table.refuse_past()?;
    let collection = table.collection();
    match state.optimize(&dml.input).map_err(from_datafusion)? {
        LogicalPlan::EmptyRelation(_) => Ok(0),
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => {
            let filter = conjunction(scan.filters).unwrap_or_else(|| lit(true));
            match compile(filter, &collection.schema()) {
                Some(filter) => {
                    let all = PartitionSet::default();
                    Ok(collection.delete_where(Arc::new(filter), &all).await?.count)
                }
                None => by_keys(state, dml, collection).await,
            }
        }
        _ => by_keys(state, dml, collection).await,
    }
}

/// Runs the plan as a query for keys and deletes those.
async fn by_keys(state: &SessionState, dml: &DmlStatement, collection: &Collection) -> Result<u64> {
    let schema = collection.schema();
    let key = Column::new(Some(dml.table_name.clone()), schema.primary()?.name.clone());
    let plan = LogicalPlanBuilder::from(dml.input.as_ref().clone())
        .project([Expr::Column(key)])
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_datafusion)?;
    let mut rows = run_plan(state, &plan).await?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        let keys = Keys::from_array(batch.column(0))?;
        count += collection.delete_keys(keys, &PartitionSet::default()).await?.count;
    }
    Ok(count)
}
