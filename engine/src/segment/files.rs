//! What all segments of a store share: the bucket, Lance's view of it, the column cache.

use std::sync::Arc;
use std::time::Duration;

use lance_core::cache::LanceCache;
use lance_io::object_store::ObjectStore as LanceStore;
use lance_io::scheduler::{ScanScheduler, SchedulerConfig};
use url::Url;

use super::cache::ColumnCache;
use crate::core::budget::{Budget, Reservation, Use};
use crate::core::error::{Error, Result};
use crate::core::runtime;
use crate::storage::bucket::Bucket;
use crate::storage::checked::CheckedStore;

/// Read block on a local disk: rows are taken one by one, neighbours are few. A block is checked whole, so a
/// smaller one would save nothing.
const LOCAL_BLOCK_BYTES: usize = crate::storage::blocks::BLOCK_BYTES as usize;
/// Read block on an object store: a request costs more than the bytes.
const REMOTE_BLOCK_BYTES: usize = 64 << 10;
/// Memory for decoded metadata of Lance files.
const METADATA_CACHE_BYTES: usize = 128 << 20;

/// Shared by all segments of a store.
pub struct SegmentFiles {
    /// The bucket.
    pub bucket: Bucket,
    /// Columns in memory.
    pub cache: ColumnCache,
    pub(super) checked: Arc<CheckedStore>,
    /// The memory of the store.
    pub budget: Arc<Budget>,
    pub(super) store: Arc<LanceStore>,
    pub(super) scheduler: Arc<ScanScheduler>,
    pub(super) metadata_cache: LanceCache,
}

impl std::fmt::Debug for SegmentFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentFiles({})", self.bucket.name())
    }
}

impl SegmentFiles {
    /// Over a bucket, with so much memory for columns and no other bound.
    pub fn new(bucket: Bucket, cache_bytes: usize) -> Result<Self> {
        Self::within(bucket, cache_bytes, Budget::unlimited())
    }

    /// Over a bucket, with at most so much memory for columns, within a budget.
    pub fn within(bucket: Bucket, cache_bytes: usize, budget: Arc<Budget>) -> Result<Self> {
        let local = bucket.folder().is_some();
        let block = if local { LOCAL_BLOCK_BYTES } else { REMOTE_BLOCK_BYTES };
        // Lance writes its own local files without fsync. Under this scheme it goes through
        // object_store instead, which syncs the file and its folder.
        let url = Url::parse("file-object-store:///")
            .map_err(|e| Error::internal(format!("a fixed URL: {e}")))?;
        let checked = Arc::new(CheckedStore::new(bucket.store().clone()));
        let store = Arc::new(LanceStore::new(
            checked.clone(),
            url,
            Some(block),
            None,
            false,
            true,
            8,
            3,
            None,
        ));
        let _threads = runtime::side_context();
        let scheduler = ScanScheduler::new(store.clone(), SchedulerConfig::max_bandwidth(&store));
        Ok(Self {
            bucket,
            cache: ColumnCache::within(cache_bytes, budget.clone()),
            checked,
            store,
            scheduler,
            metadata_cache: LanceCache::with_capacity(
                METADATA_CACHE_BYTES.min(budget.limit_bytes() / 16),
            ),
            budget,
        })
    }

    /// Takes memory from the budget, and waits for it; the cache gives way.
    pub async fn reserve(
        &self,
        what: Use,
        bytes: usize,
        patience: Duration,
    ) -> Result<Reservation> {
        let taken = self.budget.reserve(what, bytes, patience).await?;
        self.cache.trim();
        Ok(taken)
    }

    /// Counts memory that is taken in any case; the cache gives way.
    pub fn hold(&self, what: Use, bytes: usize) -> Reservation {
        let taken = self.budget.hold(what, bytes);
        self.cache.trim();
        taken
    }
}
