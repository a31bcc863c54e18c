//! `INSERT INTO` and `REPLACE INTO` a collection.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use elanus_engine::api::{Collection, Rows};
use elanus_engine::core::schema::CollectionSchema;
use futures::{StreamExt, stream};

use crate::error::to_datafusion;

/// Rows that are written in one atomic step; a longer statement takes several.
const ROWS_AT_ONCE: usize = 65_536;

/// Writes its input to a collection and gives the number of rows as one row of one column.
pub struct InsertExec {
    collection: Collection,
    input: Arc<dyn ExecutionPlan>,
    upsert: bool,
    properties: Arc<PlanProperties>,
}

/// One row of one column `count`, as DataFusion expects it of a write.
pub(crate) fn count_batch(count: u64) -> Result<RecordBatch> {
    let column: ArrayRef = Arc::new(UInt64Array::from(vec![count]));
    Ok(RecordBatch::try_new(count_schema(), vec![column])?)
}

/// The schema of [`count_batch`].
fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

impl InsertExec {
    /// `upsert`: a row replaces one of the same key.
    pub fn new(collection: Collection, input: Arc<dyn ExecutionPlan>, upsert: bool) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(count_schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { collection, input, upsert, properties: Arc::new(properties) }
    }
}

async fn write(
    collection: Collection,
    mut input: SendableRecordBatchStream,
    upsert: bool,
) -> Result<RecordBatch> {
    let schema = collection.schema();
    let columns = nullable(&input.schema());
    let (mut waiting, mut rows, mut count) = (Vec::new(), 0, 0);
    loop {
        let batch = input.next().await.transpose()?;
        let at_end = batch.is_none();
        if let Some(batch) = batch.filter(|b| b.num_rows() > 0) {
            rows += batch.num_rows();
            waiting.push(RecordBatch::try_new(columns.clone(), batch.columns().to_vec())?);
        }
        if rows >= ROWS_AT_ONCE || (at_end && rows > 0) {
            let batch = concat_batches(&columns, &waiting)?;
            let rows_to_write = Rows { columns: given(&batch, &schema)?, partition: None };
            let written = match upsert {
                true => collection.upsert(rows_to_write).await,
                false => collection.insert(rows_to_write).await,
            };
            count += written.map_err(to_datafusion)?.count;
            waiting.clear();
            rows = 0;
        }
        if at_end {
            return count_batch(count);
        }
    }
}

/// The schema with null allowed everywhere: DataFusion fills what the statement leaves out with
/// null, and the engine is the judge of it.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns that the statement gives values for: one of nothing but null is left out, so that
/// the engine completes it with its default, a fresh key or null, or says that it is missing.
fn given(batch: &RecordBatch, schema: &CollectionSchema) -> Result<RecordBatch> {
    let keep: Vec<usize> = (0..batch.num_columns())
        .filter(|i| batch.column(*i).null_count() < batch.num_rows())
        .collect();
    let made = schema.fields.iter().find(|f| f.auto_id);
    let made = made.and_then(|f| batch.schema().index_of(&f.name).ok());
    if made.is_some_and(|i| keep.contains(&i) && batch.column(i).null_count() > 0) {
        return exec_err!("the key is made by the engine: give it in every row or in none");
    }
    Ok(batch.project(&keep)?)
}

impl fmt::Debug for InsertExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Verbose, f)
    }
}

impl DisplayAs for InsertExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let mode = if self.upsert { "upsert" } else { "insert" };
        write!(f, "InsertExec: collection={}, mode={mode}", self.collection.name())
    }
}

impl ExecutionPlan for InsertExec {
    fn name(&self) -> &str {
        "InsertExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => {
                Ok(Arc::new(Self::new(self.collection.clone(), input, self.upsert)))
            }
            _ => internal_err!("an insert has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("an insert has one partition");
        }
        let input = self.input.execute(0, context)?;
        let work = write(self.collection.clone(), input, self.upsert);
        Ok(Box::pin(RecordBatchStreamAdapter::new(count_schema(), stream::once(work).boxed())))
    }
}
