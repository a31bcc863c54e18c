//! Answers of statements.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use elanus_engine::core::error::Result;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::error::from_datafusion;

/// A statement's whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Columns; none for a statement that gives no rows, as `SET`.
    pub schema: SchemaRef,
    /// Rows.
    pub batches: Vec<RecordBatch>,
}

impl Answer {
    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// A statement's answer, batch by batch.
pub struct RowStream {
    schema: SchemaRef,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>,
}

impl RowStream {
    pub(super) fn new(inner: SendableRecordBatchStream) -> Self {
        let schema = inner.schema();
        Self { schema, batches: inner.map_err(from_datafusion).boxed() }
    }

    /// No columns and no rows.
    pub(super) fn nothing() -> Self {
        Self { schema: Arc::new(Schema::empty()), batches: stream::empty().boxed() }
    }

    /// One batch.
    pub(super) fn one(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: stream::once(async { Ok(batch) }).boxed() }
    }

    /// Columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Waits for all rows.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn collect(self) -> Result<Answer> {
        let batches = self.batches.try_collect().await?;
        Ok(Answer { schema: self.schema, batches })
    }
}

impl Stream for RowStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.poll_next_unpin(cx)
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RowStream({:?})", self.schema)
    }
}
