//! A collection as a table.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, tree_node::TreeNode};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use elanus_engine::api::{Collection, Selection, Snapshot};
use elanus_engine::core::error::{Error, Subject};
use elanus_engine::core::schema::CollectionSchema;

use super::{InsertExec, ScanExec};
use crate::error::to_datafusion;
use crate::lang::Filter;

/// A collection, pinned to one snapshot for reading.
pub struct CollectionTable {
    collection: Collection,
    snapshot: Snapshot,
    schema: SchemaRef,
    max_top_k: usize,
    past: bool,
}

impl CollectionTable {
    /// Reads from the snapshot, writes to the collection. `max_top_k`: longer searches are scans.
    pub fn new(collection: Collection, snapshot: Snapshot, max_top_k: usize) -> Self {
        let schema = snapshot.schema().to_arrow();
        Self { collection, snapshot, schema, max_top_k, past: false }
    }

    /// One that reads a moment of the past: nothing can be written to it.
    pub fn as_past(self) -> Self {
        Self { past: true, ..self }
    }

    /// Refuses a write to the past.
    pub(crate) fn refuse_past(&self) -> elanus_engine::core::error::Result<()> {
        if self.past {
            return Err(Error::invalid(
                Subject::Expression,
                "the past cannot be written: leave AS OF out, or make a table with \
                 CREATE TABLE new CLONE old AS OF VERSION n",
            ));
        }
        Ok(())
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Longest search that the engine accepts.
    pub(crate) fn max_top_k(&self) -> usize {
        self.max_top_k
    }
}

impl fmt::Debug for CollectionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CollectionTable({})", self.collection.name())
    }
}

/// The filter for a scan, if the engine can apply all of the expression.
pub(crate) fn compile(expr: Expr, schema: &CollectionSchema) -> Option<Filter> {
    let beyond_a_row = expr
        .exists(|e| {
            Ok(matches!(
                e,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
            ))
        })
        .unwrap_or(true);
    if beyond_a_row || expr.is_volatile() {
        return None;
    }
    Filter::from_expr(unnormalize_col(expr), schema).ok()
}

#[async_trait]
impl TableProvider for CollectionTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = match conjunction(filters.iter().cloned()) {
            None => None,
            Some(expr) => Some(compile(expr, self.snapshot.schema()).ok_or_else(|| {
                to_datafusion(Error::internal("a filter that was accepted cannot be compiled"))
            })?),
        };
        let all: Vec<usize>;
        let projection = match projection {
            Some(projection) => projection,
            None => {
                all = (0..self.schema.fields().len()).collect();
                &all
            }
        };
        let schema = Arc::new(self.schema.project(projection)?);
        let scan = ScanExec::new(self, schema, filters, filter, limit, state.config());
        // Without columns and filter only the number of rows is asked: the engine knows it.
        if projection.is_empty() && filters.is_empty() {
            let rows = self.snapshot.count(&Selection::default()).await.map_err(to_datafusion)?;
            return Ok(Arc::new(scan.with_exact_rows(rows)));
        }
        Ok(Arc::new(scan))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.snapshot.schema();
        let answer = |filter: &&Expr| match compile((*filter).clone(), schema) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn insert_into(
        &self,
        _state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert_op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.refuse_past().map_err(to_datafusion)?;
        let upsert = match insert_op {
            InsertOp::Append => false,
            InsertOp::Replace => true,
            InsertOp::Overwrite => {
                return Err(to_datafusion(Error::unsupported(
                    Subject::Expression,
                    "INSERT OVERWRITE is not supported: use DELETE and INSERT, or REPLACE INTO",
                )));
            }
        };
        Ok(Arc::new(InsertExec::new(self.collection.clone(), input, upsert)))
    }
}

impl CollectionTable {
    /// What the table reads from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
