//! What all shards of a store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::in_use::InUse;
use crate::core::error::{Error, Result};
use crate::core::runtime::{Clock, CpuPools};
use crate::core::settings::Settings;
use crate::core::time::{Timestamp, TimestampOracle};
use crate::segment::files::SegmentFiles;
use crate::storage::lease::WriterLease;
use crate::storage::log::LogWriter;
use crate::storage::space::Space;

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
        self.memtable_bytes.load(Ordering::Relaxed) >= self.settings.memtable.budget_bytes
    }
}
