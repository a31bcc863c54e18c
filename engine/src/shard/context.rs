//! What all shards of a store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::in_use::InUse;
use crate::core::budget::Use;
use crate::core::error::{Error, Result};
use crate::core::runtime::{Clock, CpuPools};
use crate::core::settings::{CompactionSettings, Settings};
use crate::core::time::{Timestamp, TimestampOracle};
use crate::segment::files::SegmentFiles;
use crate::storage::lease::WriterLease;
use crate::storage::log::LogWriter;
use crate::storage::space::Space;

/// Twice the memory of a memtable by the bytes of its rows: the rows, the log's copy of them, codes and keys.
const MEMTABLE_WEIGHT: usize = 5;
/// The memory of a merge by the bytes of its inputs: what was read, what is written, vectors and their codes.
pub const MERGE_WEIGHT: u64 = 3;

/// What all shards of a store share.
#[derive(Debug)]
pub struct StoreContext {
    /// Settings, checked.
    pub settings: Settings,
    /// The bucket and the columns in memory.
    pub files: Arc<SegmentFiles>,
    /// The write-ahead log.
    pub log: Arc<LogWriter>,
    /// Timestamps.
    pub oracle: TimestampOracle,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Threads for CPU work.
    pub pools: CpuPools,
    /// Id of the local log; none when it is only a scratch log.
    pub writer_id: Option<String>,
    /// The right to write.
    pub lease: WriterLease,
    /// Bytes in all memtables.
    pub memtable_bytes: AtomicUsize,
    /// Room on the disks.
    pub space: Space,
    /// Files that readers or clones need though their own collection does not name them.
    pub in_use: InUse,
    /// Wakes the maintenance task.
    pub work: Arc<tokio::sync::Notify>,
}

impl StoreContext {
    /// A fresh timestamp.
    pub fn next_timestamp(&self) -> Timestamp {
        self.oracle.next(self.clock.now_ms())
    }

    /// Refuses when another writer has taken the store over.
    pub fn check_lease(&self) -> Result<()> {
        if self.lease.is_lost() {
            return Err(Error::fenced(
                "another writer has taken over the store: this process must stop writing",
            ));
        }
        Ok(())
    }

    /// Whether the memtables hold all the memory that they may.
    pub fn memtables_full(&self) -> bool {
        let bytes = self.memtable_bytes.load(Ordering::Relaxed);
        let weight = bytes.saturating_mul(MEMTABLE_WEIGHT) / 2;
        self.files.budget.set(Use::Memtables, weight);
        bytes >= self.settings.memtable.budget_bytes
            || weight >= self.files.budget.share_bytes(Use::Memtables)
    }

    /// The size at which a memtable is frozen: several must fit, one that is filled and those that are flushed.
    pub fn memtable_max_bytes(&self) -> usize {
        let share = self.files.budget.share_bytes(Use::Memtables) / MEMTABLE_WEIGHT * 2;
        self.settings.memtable.max_size_bytes.min(share / 3)
    }

    /// The settings of compactions, none of which may need more memory than there is for builds.
    pub fn compaction(&self) -> CompactionSettings {
        let share = self.files.budget.share_bytes(Use::Builds) as u64 / MERGE_WEIGHT;
        let mut settings = self.settings.compaction.clone();
        settings.max_segment_bytes = settings.max_segment_bytes.min(share);
        settings
    }
}
