//! Reads what a compaction merges.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use futures::TryStreamExt;

use super::layout::Rows;
use crate::core::error::{Error, Result};
use crate::core::rowset::RowSet;
use crate::core::time::Timestamp;
use crate::index::cluster::Codebook;
use crate::segment::{Segment, as_timestamps};

/// In a row map: the row was dropped.
pub const DROPPED: u32 = u32::MAX;

/// Which rows are merged.
pub struct MergeOrder<'a> {
    /// Columns of the new segment.
    pub storage_schema: &'a SchemaRef,
    /// Rows deleted at or before this timestamp are dropped.
    pub at: Timestamp,
    /// Rows committed before this timestamp are past their time to live; 0: none.
    pub expire_before: Timestamp,
    /// The field of moments until which rows live, and the present in microseconds since 1970.
    pub ends: Option<(&'a str, i64)>,
}

/// The rows of a merge.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The rows that stay, oldest input first.
    pub rows: Rows,
    /// For each batch: its input, and the row of the input of each of its rows.
    pub origins: Vec<(usize, Vec<u32>)>,
}

/// Reads the live rows of the inputs, oldest first.
pub async fn gather(
    order: &MergeOrder<'_>,
    inputs: &[Arc<Segment>],
    mut progress: impl FnMut(u64),
) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    for (at, input) in inputs.iter().enumerate() {
        gather_one(order, at, input, &mut gathered, &mut progress).await?;
    }
    Ok(gathered)
}

async fn gather_one(
    order: &MergeOrder<'_>,
    at: usize,
    input: &Segment,
    gathered: &mut Gathered,
    progress: &mut impl FnMut(u64),
) -> Result<()> {
    let alive = input.alive_at(order.at);
    let mut stream = std::pin::pin!(input.scan(order.storage_schema).await?);
    let mut start = 0;
    while let Some(batch) = stream.try_next().await? {
        if start + batch.num_rows() > alive.rows() {
            return Err(wrong_rows(input));
        }
        let keep = kept(order, &alive, start, &batch)?;
        let rows: Vec<u32> = keep.iter().map(|row| (start + row) as u32).collect();
        start += batch.num_rows();
        let mask = BooleanArray::new(keep.bits().clone(), None);
        let kept = if keep.is_all() { batch } else { compute::filter_record_batch(&batch, &mask)? };
        progress(kept.num_rows() as u64);
        if kept.num_rows() > 0 {
            gathered.rows.batches.push(kept);
            gathered.origins.push((at, rows));
        }
    }
    if start != alive.rows() {
        return Err(wrong_rows(input));
    }
    Ok(())
}

impl Gathered {
    /// Notes the codes that the rows have already under a field's codebook, so that they are copied.
    pub async fn find_codes(&mut self, inputs: &[Arc<Segment>], field: &str, book: &Codebook) {
        let mut codes = Vec::with_capacity(inputs.len());
        for input in inputs {
            let file = input.codes_file(field).filter(|f| f.codebook_version == book.version);
            codes.push(match file {
                Some(file) => {
                    input.codes(file, book).await.filter(|c| !c.is_flat() && c.order.is_none())
                }
                None => None,
            });
        }
        let known =
            self.origins.iter().map(|(input, rows)| Some((codes[*input].clone()?, rows.clone())));
        self.rows.known = known.collect();
    }

    /// For each input the new row of each old row, or [`DROPPED`], from the new rows of each batch.
    pub fn row_maps(
        origins: &[(usize, Vec<u32>)],
        new_rows: &[Vec<u32>],
        inputs: &[Arc<Segment>],
    ) -> Vec<Vec<u32>> {
        let mut maps: Vec<Vec<u32>> =
            inputs.iter().map(|input| vec![DROPPED; input.identity.rows]).collect();
        for ((input, rows), new_rows) in origins.iter().zip(new_rows) {
            for (old, new) in rows.iter().zip(new_rows) {
                maps[*input][*old as usize] = *new;
            }
        }
        maps
    }
}

fn wrong_rows(input: &Segment) -> Error {
    Error::corrupted(&input.identity.folder, "its data file has not the manifest's number of rows")
}

/// The rows whose moment has not come yet, or that have none.
pub fn still_living(ends: &ArrayRef, now_us: i64) -> Result<RowSet> {
    let ends = ends
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or_else(|| Error::internal("a time to live is no column of moments"))?;
    let living = |row| ends.is_null(row) || ends.value(row) > now_us;
    Ok(RowSet::from_bits(BooleanBuffer::collect_bool(ends.len(), living)))
}

fn kept(
    order: &MergeOrder<'_>,
    alive: &RowSet,
    start: usize,
    batch: &RecordBatch,
) -> Result<RowSet> {
    let mut alive = RowSet::from_bits(alive.bits().slice(start, batch.num_rows()));
    if let Some((field, now_us)) = order.ends
        && let Some(column) = batch.column_by_name(field)
    {
        alive = alive.and(&still_living(column, now_us)?);
    }
    if order.expire_before == 0 {
        return Ok(alive);
    }
    let times = as_timestamps(batch.column(batch.num_columns() - 1))?;
    let fresh = BooleanBuffer::collect_bool(times.len(), |i| times.value(i) >= order.expire_before);
    Ok(alive.and(&RowSet::from_bits(fresh)))
}
