//! The background work of a store: flushes, compactions, garbage, each bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::engine::{Engine, Inner};
use crate::collection::Collection;
use crate::core::error::Result;
use crate::core::machine;
use crate::core::runtime::{self, Task};
use crate::lsm::{commit, gc};
use crate::shard::maintain::CompactReport;

/// How often the memory of the process is looked at.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(100);

/// The running tasks.
#[derive(Debug)]
pub(super) struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<Task<()>>,
}

impl Background {
    /// Starts the tasks. They hold the engine weakly: one that is dropped without `close` ends them.
    pub fn start(engine: &Engine) -> Self {
        let (stop, stopped) = watch::channel(false);
        let weak = Arc::downgrade(&engine.inner);
        let tasks = vec![
            runtime::spawn(flush_loop(weak.clone(), stopped.clone())),
            runtime::spawn(compaction_loop(weak.clone(), stopped.clone())),
            runtime::spawn(garbage_loop(weak.clone(), stopped.clone())),
            runtime::spawn(memory_loop(weak, stopped)),
        ];
        Self { stop, tasks }
    }

    /// Ends running jobs at their next step and waits for that. What they leave half done is garbage, rows that are
    /// not flushed stay in the log; only a version that is being published is published.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if task.await.is_err() {
                tracing::warn!("a background task ended early");
            }
        }
    }
}

/// Does some work, or as much of it as there is time for before the end.
async fn until_stopped<T>(
    stopped: &mut watch::Receiver<bool>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = stopped.changed() => None,
        done = work => Some(done),
    }
}

type Weak = std::sync::Weak<Inner>;

fn collections(inner: &Inner) -> Vec<Collection> {
    inner.names.read().collections.values().cloned().collect()
}

async fn flush_loop(engine: Weak, mut stopped: watch::Receiver<bool>) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        let work = inner.context.work.clone();
        let flushes = async {
            for collection in collections(&inner) {
                report(collection.shard.flush_due().await, "flush", &collection);
            }
        };
        if until_stopped(&mut stopped, flushes).await.is_none() {
            return;
        }
        drop(inner);
        let pause = runtime::within(Duration::from_millis(500), work.notified());
        if until_stopped(&mut stopped, pause).await.is_none() {
            return;
        }
    }
}

async fn compaction_loop(engine: Weak, mut stopped: watch::Receiver<bool>) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        let settings = inner.context.settings.compaction.clone();
        let interval = Duration::from_millis(settings.interval_ms);
        // A merge needs room before it gives any: what is left is for the log and for flushes.
        if settings.enabled && inner.context.space.check().is_ok() {
            let slots = Arc::new(Semaphore::new(settings.max_jobs));
            let jobs = collections(&inner).into_iter().map(|c| compact_one(c, slots.clone()));
            let jobs = futures::future::join_all(jobs);
            if until_stopped(&mut stopped, jobs).await.is_none() {
                return;
            }
        }
        drop(inner);
        if until_stopped(&mut stopped, runtime::sleep(interval)).await.is_none() {
            return;
        }
    }
}

async fn compact_one(collection: Collection, slots: Arc<Semaphore>) {
    while let Some(job) = collection.shard.next_job() {
        let Ok(_slot) = slots.acquire().await else { return };
        let mut done = CompactReport::default();
        let outcome = collection.shard.run_job(&job, &mut done, &|_| {}).await;
        let failed = outcome.is_err();
        report(outcome, "compaction", &collection);
        if failed {
            return;
        }
    }
}

/// Compares what the process takes with what is counted.
async fn memory_loop(engine: Weak, mut stopped: watch::Receiver<bool>) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        let Some(bytes) = machine::process_bytes() else { return };
        let budget = &inner.context.files.budget;
        budget.observe(bytes);
        inner.context.files.cache.trim();
        tracing::trace!("the process has {} MiB, of which {budget}", bytes >> 20);
        drop(inner);
        if until_stopped(&mut stopped, runtime::sleep(LOOK_AT_MEMORY)).await.is_none() {
            return;
        }
    }
}

async fn garbage_loop(engine: Weak, mut stopped: watch::Receiver<bool>) {
    loop {
        let Some(inner) = engine.upgrade() else { return };
        let interval = inner.context.settings.gc.interval_ms;
        if interval > 0 {
            let engine = Engine { inner: inner.clone() };
            if until_stopped(&mut stopped, collect_all(&engine)).await.is_none() {
                return;
            }
        }
        drop(inner);
        let pause = Duration::from_millis(interval.max(1_000));
        if until_stopped(&mut stopped, runtime::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn collect_all(engine: &Engine) {
    for collection in collections(&engine.inner) {
        report(collection.shard.collect_garbage().await, "garbage collection", &collection);
    }
    if let Err(e) = engine.collect_dropped().await {
        tracing::warn!("garbage of dropped collections: {e}");
    }
}

impl Engine {
    /// Removes folders of collections that the catalog does not know: dropped ones, and tries that failed.
    pub async fn collect_dropped(&self) -> Result<()> {
        let context = &self.inner.context;
        let (bucket, settings) = (&context.files.bucket, &context.settings.gc);
        let _ddl = self.inner.ddl.lock().await;
        context.check_lease()?;
        for id in commit::collections(bucket).await? {
            if self.inner.names.read().collections.contains_key(&id) {
                continue;
            }
            let now = context.clock.now_ms();
            let in_use = &context.in_use;
            let named = in_use.named_by_clones(bucket, id, settings, now).await?;
            let folders = in_use.folders();
            let needed = |path: &str| {
                named.contains(path)
                    || path.rsplit_once('/').is_some_and(|(f, _)| folders.contains(f))
            };
            gc::collect(bucket, id, settings, now, needed).await?;
        }
        Ok(())
    }
}

fn report<T>(outcome: Result<T>, what: &str, collection: &Collection) {
    if let Err(e) = outcome {
        tracing::warn!("{what} of collection {} failed, to be tried again: {e}", collection.name());
    }
}
