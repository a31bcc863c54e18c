//! Writes a segment: the Lance file, then the key index, both durable when `finish` returns.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{SchemaRef, UInt64Type};
use lance_core::datatypes::Schema as LanceSchema;
use lance_file::version::ConcreteFileVersion;
use lance_file::writer::{FileWriter, FileWriterOptions};
use object_store::path::Path;

use super::bounds::{Bounds, BoundsBuilder};
use super::files::SegmentFiles;
use super::keys::SegmentKeys;
use super::{DATA_FILE, KEYS_FILE, SUMS_FILE};
use crate::core::error::{Error, Result};
use crate::core::key::Keys;
use crate::core::runtime;
use crate::core::schema::TIMESTAMP_FIELD;
use crate::core::time::Timestamp;
use crate::storage::frame;

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Rows.
    pub rows: usize,
    /// Smallest commit timestamp.
    pub min_ts: Timestamp,
    /// Largest commit timestamp.
    pub max_ts: Timestamp,
    /// Bounds of the columns.
    pub bounds: Vec<Bounds>,
    /// The key index.
    pub keys: Arc<SegmentKeys>,
    /// Bytes and XXH3-64 of the Lance file.
    pub data: (u64, u64),
    /// Bytes and XXH3-64 of the key index.
    pub keys_file: (u64, u64),
    /// Bytes and XXH3-64 of the file with the sums of the Lance file's blocks.
    pub sums_file: (u64, u64),
}

/// A segment being written. Rows come as batches of the storage schema in their final order.
pub struct SegmentWriter<'a> {
    files: &'a SegmentFiles,
    folder: String,
    writer: FileWriter,
    key_column: String,
    keys: Vec<arrow::array::ArrayRef>,
    bounds: BoundsBuilder,
    rows: usize,
    min_ts: Timestamp,
    max_ts: Timestamp,
}

impl<'a> SegmentWriter<'a> {
    /// Starts a segment in a fresh folder.
    pub async fn create(
        files: &'a SegmentFiles,
        folder: String,
        storage_schema: &SchemaRef,
        key_column: &str,
    ) -> Result<Self> {
        let path = Path::from(format!("{folder}/{DATA_FILE}"));
        let writer = lance_file::versions::create_writer(
            ConcreteFileVersion::V2_2,
            runtime::in_one_step(files.store.create(&path)).await?,
            LanceSchema::try_from(storage_schema.as_ref())?,
            FileWriterOptions::default(),
        )?;
        Ok(Self {
            files,
            folder,
            writer,
            key_column: key_column.into(),
            keys: Vec::new(),
            bounds: BoundsBuilder::new(storage_schema),
            rows: 0,
            min_ts: Timestamp::MAX,
            max_ts: 0,
        })
    }

    /// Rows written so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| Error::internal(format!("a batch to write lacks {name}")))
        };
        let times = column(TIMESTAMP_FIELD)?
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| Error::internal("a batch to write has wrong timestamps"))?;
        self.min_ts = self.min_ts.min(compute::min(times).unwrap_or(Timestamp::MAX));
        self.max_ts = self.max_ts.max(compute::max(times).unwrap_or(0));
        self.keys.push(column(&self.key_column)?.clone());
        self.bounds.add(batch)?;
        self.rows += batch.num_rows();
        runtime::in_one_step(self.writer.write_batch(batch)).await?;
        Ok(())
    }

    /// Makes the files durable. A segment of no rows leaves nothing behind.
    pub async fn finish(mut self) -> Result<Option<Written>> {
        if self.rows == 0 {
            runtime::in_one_step(self.writer.abort()).await;
            return Ok(None);
        }
        runtime::in_one_step(self.writer.finish()).await?;
        let parts: Vec<&dyn Array> = self.keys.iter().map(AsRef::as_ref).collect();
        let keys = SegmentKeys::build(&Keys::from_array(&compute::concat(&parts)?)?)?;
        let key_bytes = keys.encode();
        let keys_file = (key_bytes.len() as u64, frame::checksum(&key_bytes));
        let bucket = &self.files.bucket;
        // Reading the file back gives its checksums and proves that the store has all of it.
        let (sum, blocks) = bucket.sums(&format!("{}/{DATA_FILE}", self.folder)).await?;
        let data = (blocks.size_bytes(), sum);
        let sum_bytes = blocks.encode();
        let sums_file = (sum_bytes.len() as u64, frame::checksum(&sum_bytes));
        let (keys_path, sums_path) =
            (format!("{}/{KEYS_FILE}", self.folder), format!("{}/{SUMS_FILE}", self.folder));
        futures::future::try_join(
            bucket.put_fresh(&keys_path, key_bytes),
            bucket.put_fresh(&sums_path, sum_bytes),
        )
        .await?;
        Ok(Some(Written {
            rows: self.rows,
            min_ts: self.min_ts,
            max_ts: self.max_ts,
            bounds: self.bounds.finish(),
            keys: Arc::new(keys),
            data,
            keys_file,
            sums_file,
        }))
    }

    /// Gives up; what was written is left to garbage collection.
    pub async fn abort(mut self) {
        runtime::in_one_step(self.writer.abort()).await;
    }
}
