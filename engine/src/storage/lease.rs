//! Who may write to a store.
//!
//! A folder is guarded by a lock on `elanus.lock`, which the operating system releases when the process
//! ends. A bucket is guarded by numbered lease files made with put-if-absent: the newest says who holds
//! the store and until when; the holder renews it by making the next number. A holder that finds its next
//! number taken has been replaced and must stop. Manifest epochs stand behind both (FORMAT.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use elanus_proto::disk;
use prost::Message;

use super::bucket::Bucket;
use super::frame;
use crate::core::error::{Error, Result};
use crate::core::runtime::{self, Clock};

const LEASE_MS: u64 = 15_000;
const RENEW: Duration = Duration::from_secs(5);

/// The right to write to a store, held until it is dropped or released.
#[derive(Debug)]
pub struct WriterLease {
    lost: Arc<AtomicBool>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Held by this open, locked file.
    Folder(#[allow(dead_code, reason = "dropping it releases the lock")] std::fs::File),
    Bucket {
        renewal: runtime::Task<()>,
        state: Arc<BucketLease>,
    },
    /// A store in memory has one process.
    None,
}

#[derive(Debug)]
struct BucketLease {
    bucket: Bucket,
    holder: String,
    clock: Arc<dyn Clock>,
    number: tokio::sync::Mutex<u64>,
    /// When the newest lease that we wrote runs out.
    valid_until_ms: AtomicU64,
    /// Number of the newest lease that we wrote.
    held: AtomicU64,
}

impl WriterLease {
    /// Takes the right to write. `holder` is the id of our local log: our own lease from before a crash
    /// is taken over at once.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](crate::core::error::ErrorKind::Fenced) while another writer holds it.
    pub async fn take(bucket: &Bucket, holder: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let lost = Arc::new(AtomicBool::new(false));
        if let Some(folder) = bucket.folder() {
            let file = lock_folder(folder)?;
            return Ok(Self { lost, kind: Kind::Folder(file) });
        }
        if bucket.name() == "memory" {
            return Ok(Self { lost, kind: Kind::None });
        }
        let state = Arc::new(BucketLease {
            bucket: bucket.clone(),
            holder: holder.into(),
            clock,
            number: tokio::sync::Mutex::new(0),
            valid_until_ms: AtomicU64::new(0),
            held: AtomicU64::new(0),
        });
        state.acquire().await?;
        let renewal = runtime::spawn(renew(state.clone(), lost.clone()));
        Ok(Self { lost, kind: Kind::Bucket { renewal, state } })
    }

    /// Whether another writer has taken over, or may have: our lease has run out.
    pub fn is_lost(&self) -> bool {
        let expired = match &self.kind {
            Kind::Bucket { state, .. } => {
                state.clock.now_ms() > state.valid_until_ms.load(Ordering::Acquire)
            }
            Kind::Folder(_) | Kind::None => false,
        };
        expired || self.lost.load(Ordering::Acquire)
    }

    /// Greater than that of every writer before us; 0 where no other writer can be.
    pub fn number(&self) -> u64 {
        match &self.kind {
            Kind::Bucket { state, .. } => state.held.load(Ordering::Acquire),
            Kind::Folder(_) | Kind::None => 0,
        }
    }

    /// Notes that another writer has taken over.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Gives the right back.
    pub async fn release(&self) -> Result<()> {
        match &self.kind {
            Kind::Folder(_) | Kind::None => Ok(()),
            Kind::Bucket { renewal, state } => {
                renewal.abort();
                if self.is_lost() {
                    return Ok(());
                }
                state.write_next(true).await.map(|_| ())
            }
        }
    }
}

impl Drop for WriterLease {
    fn drop(&mut self) {
        if let Kind::Bucket { renewal, .. } = &self.kind {
            renewal.abort();
        }
    }
}

fn lock_folder(folder: &std::path::Path) -> Result<std::fs::File> {
    let path = folder.join("elanus.lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| Error::storage(format!("cannot open {}", path.display()), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::fenced(format!(
            "the store {} is in use by another process: stop it first, or work through it",
            folder.display()
        ))),
        Err(std::fs::TryLockError::Error(e)) => {
            Err(Error::storage(format!("cannot lock {}", path.display()), e))
        }
    }
}

impl BucketLease {
    async fn newest_number(&self) -> Result<Option<u64>> {
        let files = self.bucket.list("lease").await?;
        Ok(files.iter().filter_map(|f| f.path.rsplit('/').next()?.parse().ok()).max())
    }

    async fn newest(&self) -> Result<Option<(u64, disk::Lease)>> {
        let Some(number) = self.newest_number().await? else { return Ok(None) };
        match self.bucket.get_if_present(&lease_path(number)).await? {
            None => Ok(None),
            Some(bytes) => {
                let payload = frame::open(&bytes, &lease_path(number))?;
                let lease = disk::Lease::decode(payload)
                    .map_err(|e| Error::corrupted(lease_path(number), e))?;
                Ok(Some((number, lease)))
            }
        }
    }

    async fn acquire(&self) -> Result<()> {
        if let Some((number, lease)) = self.newest().await? {
            let now = self.clock.now_ms();
            if !lease.released && lease.holder != self.holder && lease.expires_ms > now {
                return Err(Error::fenced(format!(
                    "the store {} is in use by another writer for at least {} ms more: \
                     stop it first, or wait",
                    self.bucket.name(),
                    lease.expires_ms - now
                )));
            }
            *self.number.lock().await = number;
        }
        if self.write_next(false).await? {
            return Ok(());
        }
        Err(Error::fenced(format!(
            "another writer has just taken the store {}: stop it first, or try again",
            self.bucket.name()
        )))
    }

    /// Makes the next lease file; `false` if somebody else did.
    async fn write_next(&self, released: bool) -> Result<bool> {
        let mut number = self.number.lock().await;
        let expires_ms = self.clock.now_ms() + LEASE_MS;
        let nonce = runtime::random_id();
        let lease = disk::Lease { holder: self.holder.clone(), expires_ms, released, nonce };
        let bytes: bytes::Bytes = frame::seal(&lease.encode_to_vec()).into();
        let next = *number + 1;
        let mut valid_until_ms = expires_ms;
        if !self.bucket.put_if_absent(&lease_path(next), bytes).await? {
            // Taken: perhaps by a try of ours whose answer was lost; then that one counts.
            let Some(found) = self.bucket.get_if_present(&lease_path(next)).await? else {
                return Ok(false);
            };
            let found = disk::Lease::decode(frame::open(&found, &lease_path(next))?)
                .map_err(|e| Error::corrupted(lease_path(next), e))?;
            if found.holder != self.holder || found.released != released {
                return Ok(false);
            }
            valid_until_ms = found.expires_ms;
        }
        // Who was replaced long ago finds its next number free again, because its followers remove old files.
        if self.newest_number().await? > Some(next) {
            return Ok(false);
        }
        self.valid_until_ms.store(valid_until_ms, Ordering::Release);
        self.held.store(next, Ordering::Release);
        runtime::gate("lease.written").await;
        let old = std::mem::replace(&mut *number, next);
        if old > 0
            && let Err(e) = self.bucket.delete(&lease_path(old)).await
        {
            tracing::warn!("an old lease file stays: {e}");
        }
        Ok(true)
    }
}

fn lease_path(number: u64) -> String {
    format!("lease/{number:020}")
}

async fn renew(state: Arc<BucketLease>, lost: Arc<AtomicBool>) {
    loop {
        runtime::sleep(RENEW).await;
        match state.write_next(false).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!("another writer has taken the store {}", state.bucket.name());
                lost.store(true, Ordering::Release);
                return;
            }
            Err(e) => tracing::warn!("the lease could not be renewed, trying again: {e}"),
        }
    }
}
