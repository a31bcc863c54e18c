//! A scan of a collection's units at one snapshot.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::prelude::SessionConfig;
use elanus_engine::api::{ScanCounts, Selection, Snapshot};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::CollectionTable;
use crate::error::to_datafusion;
use crate::lang::Filter;

/// Reads the rows that match, unit by unit. Its partitions share the units that statistics do not
/// rule out.
#[derive(Clone)]
pub struct ScanExec {
    snapshot: Snapshot,
    selection: Selection,
    /// The filter as text.
    filter: Option<String>,
    /// The parts of the filter as DataFusion gave them.
    conjuncts: Arc<[Expr]>,
    columns: Arc<[String]>,
    limit: Option<usize>,
    /// Units by partition.
    partitions: Arc<[Vec<usize>]>,
    rows: Precision<usize>,
    max_top_k: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    pub(super) fn new(
        table: &CollectionTable,
        schema: SchemaRef,
        conjuncts: &[Expr],
        filter: Option<Filter>,
        limit: Option<usize>,
        config: &SessionConfig,
    ) -> Self {
        let snapshot = table.snapshot().clone();
        let text = filter.as_ref().map(ToString::to_string);
        let selection =
            Selection { filter: filter.map(|f| Arc::new(f) as _), ..Selection::default() };
        let (partitions, rows) = spread(&snapshot, &selection, config.target_partitions());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            snapshot,
            selection,
            filter: text,
            conjuncts: conjuncts.into(),
            columns: schema.fields().iter().map(|f| f.name().clone()).collect(),
            limit,
            partitions: partitions.into(),
            rows: Precision::Inexact(limit.map_or(rows, |l| rows.min(l))),
            max_top_k: table.max_top_k(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// With a number of rows that is known, not estimated.
    pub(super) fn with_exact_rows(mut self, rows: u64) -> Self {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        self.rows = Precision::Exact(self.limit.map_or(rows, |l| rows.min(l)));
        self
    }

    /// What is read.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Which rows.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The filter as text.
    pub(crate) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// The indexes that serve the filter.
    pub(crate) fn indexes(&self) -> Vec<String> {
        let filter = self.selection.filter.as_deref();
        filter.map(|filter| self.snapshot.serving_indexes(filter)).unwrap_or_default()
    }

    /// The parts of the filter, all of which must be true.
    pub(crate) fn conjuncts(&self) -> &[Expr] {
        &self.conjuncts
    }

    /// Most rows that are read.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Longest search that the engine accepts.
    pub(crate) fn max_top_k(&self) -> usize {
        self.max_top_k
    }

    fn cursor(&self, partition: usize) -> Cursor {
        Cursor {
            snapshot: self.snapshot.clone(),
            selection: self.selection.clone(),
            columns: self.columns.clone(),
            schema: self.schema(),
            units: self.partitions[partition].clone().into_iter(),
            left: self.limit,
            scanned: MetricBuilder::new(&self.metrics).counter("rows_scanned", partition),
        }
    }
}

/// Shares the units that may hold matches among at most `most` partitions, the largest first to
/// whichever has the fewest rows; also gives the number of rows in them.
fn spread(snapshot: &Snapshot, selection: &Selection, most: usize) -> (Vec<Vec<usize>>, usize) {
    let known = snapshot.describe_units();
    let rows = |unit: usize| {
        known.get(unit).map_or(0, |u| usize::try_from(u.live_rows).unwrap_or(usize::MAX))
    };
    let mut units = snapshot.prune(selection);
    let total = units.iter().map(|u| rows(*u)).fold(0, usize::saturating_add);
    units.sort_by_key(|unit| std::cmp::Reverse(rows(*unit)));
    let count = units.len().clamp(1, most.max(1));
    let mut partitions = vec![(0usize, Vec::new()); count];
    for unit in units {
        if let Some(least) = partitions.iter_mut().min_by_key(|p| (p.0, p.1.len())) {
            least.0 = least.0.saturating_add(rows(unit));
            least.1.push(unit);
        }
    }
    let mut partitions: Vec<Vec<usize>> = partitions.into_iter().map(|p| p.1).collect();
    partitions.iter_mut().for_each(|p| p.sort_unstable());
    (partitions, total)
}

/// Where a partition's stream stands.
struct Cursor {
    snapshot: Snapshot,
    selection: Selection,
    columns: Arc<[String]>,
    schema: SchemaRef,
    units: std::vec::IntoIter<usize>,
    left: Option<usize>,
    scanned: Count,
}

impl Cursor {
    /// The batches of the next unit; `None` after the last one or when the limit is reached.
    async fn next(mut self) -> Result<Option<(Vec<RecordBatch>, Self)>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let Some(unit) = self.units.next() else { return Ok(None) };
        let (batches, counts) = self
            .snapshot
            .scan_unit(unit, &self.selection, &self.columns, self.left)
            .await
            .map_err(to_datafusion)?;
        self.count(counts);
        let mut out = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = self.left.map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
            self.left = self.left.map(|left| left - rows);
            if rows > 0 {
                out.push(conform(&batch.slice(0, rows), &self.schema)?);
            }
        }
        Ok(Some((out, self)))
    }

    fn count(&self, counts: ScanCounts) {
        self.scanned.add(usize::try_from(counts.rows_scanned).unwrap_or(usize::MAX));
    }

    fn stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(self, Self::next)
            .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
            .try_flatten()
    }
}

/// The batch under the plan's schema, which may differ in names of list items and metadata.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => arrow::compute::cast(column, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Verbose, f)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let units: usize = self.partitions.iter().map(Vec::len).sum();
        write!(
            f,
            "ScanExec: collection={}, columns=[{}]",
            self.snapshot.info().name,
            self.columns.join(", ")
        )?;
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter}, indexes=[{}]", self.indexes().join(", "))?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        write!(
            f,
            ", units={units}, pruned_units={}, rows={}",
            self.snapshot.units().saturating_sub(units),
            self.rows.get_value().copied().unwrap_or(0)
        )
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
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
        internal_err!("a scan has no children")
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
        if partition >= self.partitions.len() {
            return internal_err!("a scan has {} partitions", self.partitions.len());
        }
        let most = context.session_config().batch_size();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = Box::pin(self.cursor(partition).stream())
            .map_ok(move |batch| stream::iter(pieces(batch, most).map(Ok)))
            .try_flatten()
            .inspect_ok(move |batch| baseline.record_output(batch.num_rows()));
        let stream = RecordBatchStreamAdapter::new(self.schema(), batches.boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = match partition {
            None => self.rows,
            Some(_) if self.partitions.len() == 1 => self.rows,
            Some(_) => {
                let rows = self.rows.get_value().copied().unwrap_or(0);
                Precision::Inexact(rows / self.partitions.len())
            }
        };
        Ok(Arc::new(statistics))
    }
}

/// A batch in pieces of at most `most` rows.
pub(crate) fn pieces(batch: RecordBatch, most: usize) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let most = most.max(1);
    (0..rows).step_by(most).map(move |from| batch.slice(from, most.min(rows - from)))
}
