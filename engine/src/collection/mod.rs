//! A collection: rows checked and routed, DDL, maintenance. Over one shard.

pub mod check;
pub mod ddl;
pub mod evolve;
mod past;
pub mod rows;
mod structs;

use std::sync::Arc;

use crate::core::error::{Error, Result, Subject};
use crate::core::schema::CollectionSchema;
use crate::lsm::gc::GcReport;
use crate::lsm::info::CollectionInfo;
use crate::shard::maintain::{CompactMode, CompactReport};
use crate::shard::open::Shard;
use crate::shard::snapshot::Snapshot;

/// A collection that is open. Cheap to copy.
#[derive(Debug, Clone)]
pub struct Collection {
    pub(crate) shard: Arc<Shard>,
}

/// A segment as statistics show it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SegmentInfo {
    /// Number.
    pub id: u64,
    /// Partition.
    pub partition: String,
    /// Level in the tree.
    pub level: u32,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Deleted rows.
    pub deleted_rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// What a collection holds.
#[derive(Debug, Clone, serde::Serialize)]
pub struct CollectionStats {
    /// Rows in segments and memtables, deleted ones included.
    pub rows_stored: u64,
    /// Rows that a snapshot sees now.
    pub live_rows: u64,
    /// Rows in memtables, deleted ones included.
    pub memtable_rows: u64,
    /// Bytes of memtables, about.
    pub memtable_bytes: u64,
    /// Segments.
    pub segments: Vec<SegmentInfo>,
    /// Bytes of all segments.
    pub data_bytes: u64,
    /// Version of the manifest.
    pub version: u64,
    /// Epoch of the writer.
    pub epoch: u64,
}

impl Collection {
    /// Over an open shard.
    pub(crate) fn new(shard: Arc<Shard>) -> Self {
        Self { shard }
    }

    /// Number.
    pub fn id(&self) -> u64 {
        self.shard.collection_id
    }

    /// Name.
    pub fn name(&self) -> String {
        self.shard.tree().manifest.name.clone()
    }

    /// What it is, as one consistent copy.
    pub fn info(&self) -> CollectionInfo {
        CollectionInfo::from(self.shard.tree().manifest.as_ref())
    }

    /// The schema.
    pub fn schema(&self) -> Arc<CollectionSchema> {
        self.shard.tree().manifest.schema.clone()
    }

    /// The rows of this moment: every write acknowledged before the call is seen.
    pub fn snapshot(&self) -> Snapshot {
        self.shard.snapshot()
    }

    /// Brings every row acknowledged before the call into published segments; returns all segments.
    pub async fn flush(&self) -> Result<Vec<u64>> {
        let manifest = self.shard.flush().await?;
        Ok(manifest.segments.iter().map(|s| s.id).collect())
    }

    /// Compacts now, and returns when it is done.
    pub async fn compact(&self, mode: CompactMode) -> Result<CompactReport> {
        self.shard.compact(mode, &|_| {}).await
    }

    /// [`Self::compact`], telling the rows of each step.
    pub async fn compact_with_progress(
        &self,
        mode: CompactMode,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<CompactReport> {
        self.shard.compact(mode, progress).await
    }

    /// Removes files now that nothing names, nobody reads and that are older than the grace time.
    pub async fn collect_garbage(&self) -> Result<GcReport> {
        self.shard.collect_garbage().await
    }

    /// What it holds.
    pub fn stats(&self) -> CollectionStats {
        let tree = self.shard.tree();
        let name = |id: u64| {
            let known = tree.manifest.partitions.iter().find(|p| p.id == id);
            known.map(|p| p.name.clone()).unwrap_or_default()
        };
        let segments: Vec<SegmentInfo> = tree
            .manifest
            .segments
            .iter()
            .map(|meta| SegmentInfo {
                id: meta.id,
                partition: name(meta.partition_id),
                level: meta.level,
                rows: meta.rows,
                deleted_rows: tree
                    .segment(meta.id)
                    .map_or(meta.deleted_rows, |s| s.with_deletes(|d| d.len() as u64)),
                bytes: meta.size_bytes(),
            })
            .collect();
        let memtable_rows: u64 = tree.memtables().map(|m| m.rows() as u64).sum();
        let units = self.shard.snapshot().describe_units();
        CollectionStats {
            rows_stored: memtable_rows + segments.iter().map(|s| s.rows).sum::<u64>(),
            live_rows: units.iter().map(|u| u.live_rows).sum(),
            memtable_rows,
            memtable_bytes: tree.memtables().map(|m| m.bytes() as u64).sum(),
            data_bytes: segments.iter().map(|s| s.bytes).sum(),
            segments,
            version: tree.manifest.version,
            epoch: tree.manifest.epoch,
        }
    }

    /// Rows that are kept, of the collection or of one partition: in segments all rows, also those that
    /// were deleted since, until a merge leaves them out; in memtables the living ones, since a flush
    /// writes no others.
    pub fn kept_rows(&self, partition: Option<&str>) -> Result<u64> {
        let tree = self.shard.tree();
        let only = match partition {
            Some(name) => Some(tree.manifest.partition(name).ok_or_else(|| no_partition(name))?.id),
            None => None,
        };
        let counts = |id: u64| only.is_none_or(|only| only == id);
        let memtables: u64 = tree.memtables().map(|m| m.living_rows(counts) as u64).sum();
        let segments = tree.manifest.segments.iter();
        let sealed: u64 = segments.filter(|s| counts(s.partition_id)).map(|s| s.rows).sum();
        Ok(memtables + sealed)
    }
}

pub(crate) fn no_partition(name: &str) -> Error {
    Error::not_found(Subject::Partition, format!("partition not found[partition={name}]"))
}
