//! Merges segments into one: the executor that obeys the planner.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;

use crate::core::error::{Error, Result};
use crate::core::rowset::RowSet;
use crate::core::time::Timestamp;
use crate::segment::files::SegmentFiles;
use crate::segment::writer::{SegmentWriter, Written};
use crate::segment::{Segment, as_timestamps};

/// In a row map: the row was dropped.
pub const DROPPED: u32 = u32::MAX;

/// What a merge made.
#[derive(Debug)]
pub struct Merged {
    /// The new segment's files; none when no row was left.
    pub written: Option<Written>,
    /// For each input: the new row of each old row, or [`DROPPED`].
    pub row_maps: Vec<Vec<u32>>,
}

/// What a merge is to do.
pub struct MergeOrder<'a> {
    /// Files of the store.
    pub files: &'a SegmentFiles,
    /// Fresh folder of the new segment.
    pub folder: String,
    /// Columns of the new segment.
    pub storage_schema: &'a SchemaRef,
    /// Primary key column.
    pub key_column: &'a str,
    /// Rows deleted at or before this timestamp are dropped.
    pub at: Timestamp,
    /// Rows committed before this timestamp are past their time to live; 0: none.
    pub expire_before: Timestamp,
}

/// Streams the live rows of the inputs, oldest first, into a new segment; memory stays at a few batches.
pub async fn merge(
    order: &MergeOrder<'_>,
    inputs: &[Arc<Segment>],
    mut progress: impl FnMut(u64),
) -> Result<Merged> {
    let mut writer = SegmentWriter::create(
        order.files,
        order.folder.clone(),
        order.storage_schema,
        order.key_column,
    )
    .await?;
    let mut row_maps = Vec::with_capacity(inputs.len());
    for input in inputs {
        match merge_one(order, input, &mut writer, &mut progress).await {
            Ok(map) => row_maps.push(map),
            Err(e) => {
                writer.abort().await;
                return Err(e);
            }
        }
    }
    Ok(Merged { written: writer.finish().await?, row_maps })
}

async fn merge_one(
    order: &MergeOrder<'_>,
    input: &Segment,
    writer: &mut SegmentWriter<'_>,
    progress: &mut impl FnMut(u64),
) -> Result<Vec<u32>> {
    // Or a damaged value would be given a good checksum.
    input.check_data().await?;
    let alive = input.alive_at(order.at);
    let mut map = vec![DROPPED; input.identity.rows];
    let mut stream = std::pin::pin!(input.scan(order.storage_schema).await?);
    let mut start = 0;
    while let Some(batch) = stream.try_next().await? {
        if start + batch.num_rows() > alive.rows() {
            return Err(wrong_rows(input));
        }
        let keep = kept(order, &alive, start, &batch)?;
        for (at, next) in keep.iter().zip(writer.rows() as u32..) {
            map[start + at] = next;
        }
        start += batch.num_rows();
        let mask = BooleanArray::new(keep.bits().clone(), None);
        let kept = if keep.is_all() { batch } else { compute::filter_record_batch(&batch, &mask)? };
        writer.write(&kept).await?;
        progress(kept.num_rows() as u64);
    }
    if start != alive.rows() {
        return Err(wrong_rows(input));
    }
    Ok(map)
}

fn wrong_rows(input: &Segment) -> Error {
    Error::corrupted(&input.identity.folder, "its data file has not the manifest's number of rows")
}

fn kept(
    order: &MergeOrder<'_>,
    alive: &RowSet,
    start: usize,
    batch: &RecordBatch,
) -> Result<RowSet> {
    let alive = RowSet::from_bits(alive.bits().slice(start, batch.num_rows()));
    if order.expire_before == 0 {
        return Ok(alive);
    }
    let times = as_timestamps(batch.column(batch.num_columns() - 1))?;
    let fresh = arrow::buffer::BooleanBuffer::collect_bool(times.len(), |i| {
        times.value(i) >= order.expire_before
    });
    Ok(alive.and(&RowSet::from_bits(fresh)))
}
