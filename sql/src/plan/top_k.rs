//! The nearest vectors from the engine's search.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use elanus_engine::api::{Effort, Hit, Queries, RowAddress, SearchRequest, Snapshot};
use futures::{StreamExt, TryStreamExt, stream};

use super::pattern::Distance;
use crate::error::to_datafusion;
use crate::provider::{ScanExec, conform, pieces};

/// Name of the column with the distance.
pub(super) const DISTANCE: &str = "__distance";

/// The `k` rows nearest to a vector that match a filter, nearest first, ties in the order of keys:
/// the same search that gRPC runs.
#[derive(Clone)]
pub struct VectorTopKExec {
    snapshot: Snapshot,
    request: SearchRequest,
    distance: Distance,
    /// The filter as text.
    filter: Option<String>,
    /// Indexes that serve the filter.
    indexes: Vec<String>,
    /// Columns that are fetched.
    columns: Vec<String>,
    /// Whether the distance follows as the last column.
    gives_distance: bool,
    /// Whether it has just the columns of the scan it stands for.
    whole: bool,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl VectorTopKExec {
    /// The search in place of a scan, with the scan's columns.
    pub(super) fn new(scan: &ScanExec, distance: Distance, k: usize, effort: Effort) -> Self {
        let field = scan.snapshot().schema().fields.iter().find(|f| f.name == distance.field);
        // The pattern has found the field; without one the search itself says what is missing.
        let query = field.map_or(Queries::Dense(Vec::new()), |f| distance.query(&f.data_type));
        let request = SearchRequest {
            field: distance.field.clone(),
            queries: Arc::new(query),
            metric: distance.measure.metric(),
            top_k: k,
            select: scan.selection().clone(),
            range: None,
            effort,
        };
        let schema = scan.schema();
        Self {
            snapshot: scan.snapshot().clone(),
            request,
            distance,
            filter: scan.filter().map(ToString::to_string),
            indexes: scan.indexes(),
            columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
            gives_distance: false,
            whole: true,
            properties: Arc::new(properties(EquivalenceProperties::new(schema))),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Whether it has just the columns of the scan it stands for.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether an expression over the columns is the distance that the search knows.
    pub(super) fn is_distance(&self, expr: &Arc<dyn PhysicalExpr>) -> bool {
        self.whole && Distance::of(expr).is_some_and(|d| d == self.distance)
    }

    /// With only these columns and, if asked, the distance after them.
    pub(super) fn narrowed(&self, columns: &[usize], gives_distance: bool) -> Result<Self> {
        let mut fields: Vec<Field> =
            self.schema().project(columns)?.fields().iter().map(|f| f.as_ref().clone()).collect();
        let names = fields.iter().map(|f| f.name().clone()).collect();
        let mut ordering = Vec::new();
        if gives_distance {
            ordering.push(PhysicalSortExpr::new(
                Arc::new(Column::new(DISTANCE, fields.len())),
                SortOptions {
                    descending: self.distance.measure.nearest_is_greatest(),
                    nulls_first: false,
                },
            ));
            // As the function's own result; no value is null.
            fields.push(Field::new(DISTANCE, DataType::Float32, true));
        }
        let schema = Arc::new(Schema::new(fields));
        let equivalence = match ordering.is_empty() {
            true => EquivalenceProperties::new(schema),
            false => EquivalenceProperties::new_with_orderings(schema, [ordering]),
        };
        Ok(Self {
            columns: names,
            gives_distance,
            whole: false,
            properties: Arc::new(properties(equivalence)),
            metrics: ExecutionPlanMetricsSet::new(),
            ..self.clone()
        })
    }

    async fn search(self, schema: SchemaRef) -> Result<RecordBatch> {
        let result = self.snapshot.search(&self.request).await.map_err(to_datafusion)?;
        let count = |name: &'static str, value: u64| {
            let counter = MetricBuilder::new(&self.metrics).counter(name, 0);
            counter.add(usize::try_from(value).unwrap_or(usize::MAX));
        };
        count("units", result.counts.units as u64);
        count("pruned_units", result.counts.pruned_units as u64);
        count("rows_considered", result.counts.rows_considered);
        count("rows_scanned", result.counts.rows_scanned);
        count("lists_scanned", result.counts.lists_scanned);
        count("codes_scanned", result.counts.codes_scanned);
        let hits = result.hits.into_iter().next().unwrap_or_default();
        MetricBuilder::new(&self.metrics).output_rows(0).add(hits.len());
        let rows: Vec<RowAddress> = hits.iter().map(|hit| hit.row).collect();
        let fetched = self.snapshot.fetch(&rows, &self.columns).await.map_err(to_datafusion)?;
        conform(&self.with_distance(fetched, &hits)?, &schema)
    }

    fn with_distance(&self, fetched: RecordBatch, hits: &[Hit]) -> Result<RecordBatch> {
        if !self.gives_distance {
            return Ok(fetched);
        }
        let of = |hit: &Hit| self.distance.measure.of_score(hit.score);
        let distances: ArrayRef = Arc::new(Float32Array::from_iter_values(hits.iter().map(of)));
        let mut columns = fetched.columns().to_vec();
        columns.push(distances);
        let mut fields = fetched.schema().fields().to_vec();
        fields.push(Arc::new(Field::new(DISTANCE, DataType::Float32, true)));
        let options = RecordBatchOptions::new().with_row_count(Some(hits.len()));
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn properties(equivalence: EquivalenceProperties) -> PlanProperties {
    PlanProperties::new(
        equivalence,
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    )
    .with_scheduling_type(SchedulingType::Cooperative)
}

impl fmt::Debug for VectorTopKExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Verbose, f)
    }
}

impl DisplayAs for VectorTopKExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let units = self.snapshot.prune(&self.request.select).len();
        write!(
            f,
            "VectorTopKExec: field={}, metric={}, k={}, filter={}, indexes=[{}], collection={}, \
             columns=[{}], units={units}, pruned_units={}, effort={}",
            self.distance.field,
            self.distance.measure.metric().name(),
            self.request.top_k,
            self.filter.as_deref().unwrap_or("none"),
            self.indexes.join(", "),
            self.snapshot.info().name,
            self.columns.join(", "),
            self.snapshot.units().saturating_sub(units),
            self.request.effort,
        )
    }
}

impl ExecutionPlan for VectorTopKExec {
    fn name(&self) -> &str {
        "VectorTopKExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            return Ok(self);
        }
        internal_err!("a vector search has no children")
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Arc::new(Self { metrics, ..self.as_ref().clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a vector search has one partition");
        }
        let most = context.session_config().batch_size();
        let batches = stream::once(self.clone().search(self.schema()))
            .map_ok(move |batch| stream::iter(pieces(batch, most).map(Ok)))
            .try_flatten();
        let stream = RecordBatchStreamAdapter::new(self.schema(), batches.boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn fetch(&self) -> Option<usize> {
        Some(self.request.top_k)
    }

    fn partition_statistics(&self, _partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(self.request.top_k);
        Ok(Arc::new(statistics))
    }
}
