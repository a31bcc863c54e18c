//! The write-ahead log over fjall with our own group commit in front.
//!
//! fjall syncs its journal under a lock, so single durable writes queue up behind each other. Here all
//! writers hand their records to one thread, which writes everything that waits as one batch with one
//! sync, then acknowledges all. While it syncs, the next batch gathers: no timer is needed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::disk::{Entry, Persist};
use super::local::LocalDb;
use crate::core::error::{Error, Result};
use crate::core::runtime::{self, Stopwatch};
use crate::core::settings::{Durability, LogSettings};
use crate::core::time::Timestamp;

/// The log of the store: one thread that commits for all collections.
#[derive(Debug)]
pub struct LogWriter {
    pub(super) local: LocalDb,
    sender: Mutex<Option<mpsc::Sender<Pending>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Wakes the task that stands for the thread in a simulation.
    waiting: Arc<Notify>,
    failed: Arc<AtomicBool>,
    /// See [`LogSettings::reuse_max_bytes`].
    pub(super) reuse_max_bytes: u64,
}

pub(super) struct Pending {
    pub table: Arc<str>,
    pub ts: Timestamp,
    pub record: Bytes,
    pub progress: Arc<Progress>,
}

/// How far one collection's log is durable, and its memtable in step with it.
#[derive(Debug)]
pub struct Progress {
    durable: AtomicU64,
    /// A record may be durable before it is applied; readers wait for both.
    applied: AtomicU64,
    notify: watch::Sender<Timestamp>,
    failed: AtomicBool,
}

impl Progress {
    pub(super) fn new(durable: Timestamp) -> Self {
        let (notify, _) = watch::channel(durable);
        let applied = AtomicU64::new(durable);
        Self { durable: AtomicU64::new(durable), applied, notify, failed: AtomicBool::new(false) }
    }

    /// Every write at or before this timestamp is durable.
    pub fn durable_ts(&self) -> Timestamp {
        self.durable.load(Ordering::Acquire)
    }

    /// Every write at or before this timestamp is durable and applied.
    pub fn visible_ts(&self) -> Timestamp {
        self.durable_ts().min(self.applied.load(Ordering::Acquire))
    }

    /// The newest write in the memtable.
    pub fn applied_ts(&self) -> Timestamp {
        self.applied.load(Ordering::Acquire)
    }

    /// Every write at or before this timestamp is in the memtable, with all that it replaced or deleted.
    pub fn applied(&self, ts: Timestamp) {
        self.applied.fetch_max(ts, Ordering::AcqRel);
    }

    pub(super) fn advance(&self, ts: Timestamp) {
        self.durable.fetch_max(ts, Ordering::AcqRel);
        self.notify.send_replace(ts);
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.notify.send_replace(self.durable_ts());
    }

    /// Waits until the write at `ts` is durable.
    pub async fn wait(&self, ts: Timestamp) -> Result<()> {
        let mut watch = self.notify.subscribe();
        loop {
            if self.durable_ts() >= ts {
                return Ok(());
            }
            if self.failed.load(Ordering::Acquire) {
                return Err(log_failed());
            }
            if watch.changed().await.is_err() {
                return Err(log_failed());
            }
        }
    }
}

fn log_failed() -> Error {
    Error::new(
        crate::core::error::ErrorKind::Storage,
        crate::core::error::Subject::Store,
        "the write-ahead log could not be written; reads go on, writes are refused: \
         look at the disk (space, permissions), then restart",
    )
}

impl LogWriter {
    /// Starts the committing thread.
    pub fn start(local: LocalDb, settings: &LogSettings) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let failed = Arc::new(AtomicBool::new(false));
        let committer = Committer {
            local: local.clone(),
            receiver,
            settings: settings.clone(),
            failed: failed.clone(),
        };
        let waiting = Arc::new(Notify::new());
        let thread = if runtime::simulated() {
            runtime::spawn(committer.run_as_task(waiting.clone()));
            None
        } else {
            Some(runtime::spawn_thread("log-commit", move || committer.run())?)
        };
        Ok(Self {
            local,
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(thread),
            waiting,
            failed,
            reuse_max_bytes: settings.reuse_max_bytes,
        })
    }

    /// Commits what waits, syncs, and stops the thread. Later appends fail.
    pub fn stop(&self) -> Result<()> {
        self.sender.lock().take();
        self.waiting.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            thread.join().map_err(|_| Error::internal("the log thread ended early"))?;
        }
        if self.failed.load(Ordering::Acquire) {
            return Err(log_failed());
        }
        self.local.sync(Persist::All)
    }

    pub(super) fn send(&self, pending: Pending) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(log_failed());
        }
        let sender = self.sender.lock();
        let sender = sender.as_ref().ok_or_else(|| Error::busy("the store is shutting down"))?;
        sender.send(pending).map_err(|_| log_failed())?;
        self.waiting.notify_one();
        Ok(())
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.sender.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked has already refused all writes.
            thread.join().ok();
        }
    }
}

struct Committer {
    local: LocalDb,
    receiver: mpsc::Receiver<Pending>,
    settings: LogSettings,
    failed: Arc<AtomicBool>,
}

impl Committer {
    fn run(self) {
        let interval = Duration::from_millis(self.settings.os_sync_interval_ms);
        let mut unsynced: Option<Stopwatch> = None;
        loop {
            let spent = unsynced.map_or(Duration::ZERO, |since| since.elapsed());
            match self.receiver.recv_timeout(interval.saturating_sub(spent)) {
                Ok(first) => {
                    let group = self.gather(first);
                    if self.commit(group) {
                        unsynced.get_or_insert_with(Stopwatch::start);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            // Also while records come without a pause.
            if unsynced.is_some_and(|since| since.elapsed() >= interval) {
                unsynced = None;
                self.sync();
            }
        }
    }

    /// [`Self::run`] as a task, which only a simulation has.
    async fn run_as_task(self, waiting: Arc<Notify>) {
        let interval = Duration::from_millis(self.settings.os_sync_interval_ms);
        let mut unsynced = false;
        loop {
            match self.receiver.try_recv() {
                Ok(first) => {
                    let group = self.gather(first);
                    runtime::gate("log.group").await;
                    unsynced |= self.commit(group);
                    runtime::gate("log.committed").await;
                }
                Err(mpsc::TryRecvError::Empty) if unsynced => {
                    runtime::sleep(interval).await;
                    unsynced = false;
                    self.sync();
                }
                Err(mpsc::TryRecvError::Empty) => waiting.notified().await,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
    }

    fn gather(&self, first: Pending) -> Vec<Pending> {
        let mut bytes = first.record.len();
        let mut group = vec![first];
        while bytes < self.settings.group_max_bytes {
            match self.receiver.try_recv() {
                Ok(next) => {
                    bytes += next.record.len();
                    group.push(next);
                }
                Err(_) => break,
            }
        }
        group
    }

    /// Writes one group; `true` if it still needs a sync.
    fn commit(&self, group: Vec<Pending>) -> bool {
        let mode = match self.settings.durability {
            Durability::Sync if !runtime::planted("an fsync is skipped") => Persist::Data,
            _ => Persist::Buffer,
        };
        let mut batch = Vec::with_capacity(group.len());
        let mut done = Vec::with_capacity(group.len());
        for Pending { table, ts, record, progress } in group {
            batch.push(Entry { table, key: ts.to_be_bytes().to_vec(), value: Some(record) });
            done.push((progress, ts));
        }
        // After one failure nothing may follow: a later record would make the gap look durable.
        if !self.failed.load(Ordering::Acquire) {
            // A panic below must reach the writers as an error, or they would wait for ever.
            let commit = std::panic::AssertUnwindSafe(|| self.local.write(batch, mode));
            let outcome = std::panic::catch_unwind(commit)
                .unwrap_or_else(|_| Err(Error::internal("the log's database panicked")));
            match outcome {
                Ok(()) => {
                    done.iter().for_each(|(progress, ts)| progress.advance(*ts));
                    return self.settings.durability == Durability::Os;
                }
                Err(e) => {
                    tracing::error!("the write-ahead log failed: {e}");
                    self.failed.store(true, Ordering::Release);
                }
            }
        }
        done.iter().for_each(|(progress, _)| progress.fail());
        false
    }

    fn sync(&self) {
        if let Err(e) = self.local.sync(Persist::Data) {
            tracing::error!("the write-ahead log could not be synced: {e}");
            self.failed.store(true, Ordering::Release);
        }
    }
}
