//! A store opened only for maintenance: the writer's right and the shards, without catalog and replay.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::opening::{files, pools};
use crate::core::error::Result;
use crate::core::runtime::{self, Clock, SystemClock};
use crate::core::settings::Settings;
use crate::core::time::TimestampOracle;
use crate::lsm::commit;
use crate::shard::context::StoreContext;
use crate::shard::in_use::InUse;
use crate::shard::open::Shard;
use crate::storage::bucket::Bucket;
use crate::storage::lease::WriterLease;
use crate::storage::local::LocalDb;
use crate::storage::log::LogWriter;
use crate::storage::probe::check_put_if_absent;
use crate::storage::space::Space;

/// Shards of a store over an empty scratch log: rows in the server's own log are not touched, and stay after
/// the manifests' flushed timestamps.
pub(crate) struct MaintenanceEngine {
    context: Arc<StoreContext>,
    shards: Vec<Arc<Shard>>,
    scratch: std::path::PathBuf,
}

impl MaintenanceEngine {
    /// Opens every collection of a bucket.
    pub async fn open(location: &str, settings: Settings) -> Result<Self> {
        settings.check()?;
        let bucket = Bucket::open(location, false)?;
        if bucket.is_remote() {
            check_put_if_absent(&bucket).await?;
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let holder = format!("maintenance-{:016x}", runtime::random_id());
        let lease = WriterLease::take(&bucket, &holder, clock.clone()).await?;
        let scratch = std::env::temp_dir().join(format!("elanus-{holder}"));
        let local = LocalDb::open(&scratch)?;
        let context = Arc::new(StoreContext {
            files: files(bucket, &settings)?,
            log: Arc::new(LogWriter::start(local, &settings.log)?),
            oracle: TimestampOracle::default(),
            clock,
            pools: pools(&settings.read)?,
            writer_id: None,
            lease,
            memtable_bytes: AtomicUsize::new(0),
            in_use: InUse::default(),
            space: Space::default(),
            work: Arc::default(),
            settings,
        });
        let mut shards = Vec::new();
        for head in commit::heads(&context.files.bucket).await? {
            shards.push(Arc::new(Shard::open(context.clone(), head).await?));
        }
        Ok(Self { context, shards, scratch })
    }

    /// The shards.
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// Gives the right to write back and removes the scratch log.
    pub async fn close(self) -> Result<()> {
        self.context.log.stop()?;
        self.context.lease.release().await?;
        let Self { context, shards, scratch } = self;
        drop((shards, context));
        if let Err(e) = std::fs::remove_dir_all(&scratch) {
            tracing::warn!("{} could not be removed: {e}", scratch.display());
        }
        Ok(())
    }
}
