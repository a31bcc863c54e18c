//! The write-ahead log over fjall with our own group commit in front.
//!
//! fjall syncs its journal under a lock, so single durable writes queue up behind each other. Here all
//! writers hand their records to one thread, which writes everything that waits as one batch with one
//! sync, then acknowledges all. While it syncs, the next batch gathers: no timer is needed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::catalog::Catalog;
use super::disk::{Entry, Persist};
use super::local::LocalDb;
use crate::core::error::{Error, Result};
use crate::core::runtime::{self, Stopwatch};
use crate::core::settings::{Durability, LogSettings};
use crate::core::time::Timestamp;

/// The log of the store: one thread that commits for all collections.
#[derive(Debug)]
pub struct LogWriter {
    local: LocalDb,
    sender: Mutex<Option<mpsc::Sender<Pending>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Wakes the task that stands for the thread in a simulation.
    waiting: Arc<Notify>,
    failed: Arc<AtomicBool>,
}

struct Pending {
    table: Arc<str>,
    ts: Timestamp,
    record: Vec<u8>,
    progress: Arc<Progress>,
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
    fn new(durable: Timestamp) -> Self {
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

    fn advance(&self, ts: Timestamp) {
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

    fn send(&self, pending: Pending) -> Result<()> {
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

/// The log of one collection: generations of records in the order of timestamps.
///
/// A generation ends when its memtable is frozen and is dropped whole when that is flushed.
#[derive(Debug)]
pub struct CollectionLog {
    writer: Arc<LogWriter>,
    collection: u64,
    /// Tables of the generations.
    generations: Mutex<BTreeMap<u64, Arc<str>>>,
    progress: Arc<Progress>,
}

impl CollectionLog {
    /// Opens the log of a collection; `flushed_ts` is what its manifest holds.
    pub fn open(writer: Arc<LogWriter>, collection: u64, flushed_ts: Timestamp) -> Result<Self> {
        let prefix = format!("log/{collection}/");
        let mut generations = BTreeMap::new();
        for name in writer.local.tables() {
            if let Some(number) = name.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok()) {
                writer.local.open_table(&name)?;
                generations.insert(number, name.into());
            }
        }
        let progress = Arc::new(Progress::new(flushed_ts));
        Ok(Self { writer, collection, generations: Mutex::new(generations), progress })
    }

    /// How far it is durable.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Whether it holds any record.
    pub fn has_records(&self) -> Result<bool> {
        for table in self.generations.lock().values() {
            if !self.writer.local.is_empty(table)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Hands every record after `flushed_ts` to `apply`, in order.
    pub fn replay(
        &self,
        flushed_ts: Timestamp,
        mut apply: impl FnMut(Timestamp, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let from = (flushed_ts + 1).to_be_bytes();
        for table in self.generations.lock().values() {
            self.writer.local.scan(table, &from, &mut |key, value| {
                let key: [u8; 8] = key
                    .try_into()
                    .map_err(|_| Error::corrupted("the local log", "a record's key"))?;
                let ts = Timestamp::from_be_bytes(key);
                apply(ts, value)?;
                self.progress.advance(ts);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Notes beside the log that a version of the collection is published.
    pub fn note_version(&self, version: u64) -> Result<()> {
        Catalog::note_version(&self.writer.local, self.collection, version)
    }

    /// Starts a new generation and returns its number.
    pub fn begin_generation(&self) -> Result<u64> {
        let mut generations = self.generations.lock();
        let number = generations.last_key_value().map_or(1, |(n, _)| n + 1);
        let name = format!("log/{}/{number}", self.collection);
        self.writer.local.open_table(&name)?;
        generations.insert(number, name.into());
        Ok(number)
    }

    /// The newest generation if it holds no record, else a new one: an idle collection does not gather empty
    /// generations with each opening.
    pub fn open_generation(&self) -> Result<u64> {
        let newest = {
            let generations = self.generations.lock();
            generations.last_key_value().map(|(number, table)| (*number, table.clone()))
        };
        match newest {
            Some((number, table)) if self.writer.local.is_empty(&table)? => Ok(number),
            _ => self.begin_generation(),
        }
    }

    /// Queues a record; [`Progress::wait`] tells when it is durable. Calls must be in the order of `ts`.
    pub fn append(&self, generation: u64, ts: Timestamp, record: Vec<u8>) -> Result<()> {
        let table = {
            let generations = self.generations.lock();
            let table = generations.get(&generation);
            table
                .cloned()
                .ok_or_else(|| Error::internal("a write to a log generation that is gone"))?
        };
        self.writer.send(Pending { table, ts, record, progress: self.progress.clone() })
    }

    /// Drops generations up to and with this one; their rows must be in published segments.
    pub fn drop_generations(&self, through: u64) -> Result<()> {
        let dropped = {
            let mut generations = self.generations.lock();
            let keep = generations.split_off(&(through + 1));
            std::mem::replace(&mut *generations, keep)
        };
        if dropped.is_empty() {
            return Ok(());
        }
        let tables: Vec<Arc<str>> = dropped.into_values().collect();
        self.writer.local.drop_tables(&tables)
    }

    /// Drops everything, with the collection.
    pub fn drop_all(&self) -> Result<()> {
        self.drop_generations(u64::MAX - 1)
    }
}
