//! The one home of the clock, randomness, ids and spawning, so that a seeded run can replace them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::{Error, Result};
use super::wanted::Wanted;

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    fn now_ms(&self) -> u64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
            .unwrap_or(0)
    }
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Stands at `ms`.
    pub fn at(ms: u64) -> Self {
        Self(AtomicU64::new(ms))
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A stopwatch; the only use of the machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts.
    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A random 64-bit number, never zero.
#[allow(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub fn random_id() -> u64 {
    rand::random::<u64>().max(1)
}

/// Starts a task on the async runtime.
#[allow(clippy::disallowed_methods, reason = "this is the home of spawning")]
pub fn spawn<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(task)
}

/// Runs a task to its end, even if the caller goes away meanwhile: for steps that must not be left half done.
pub async fn finish<T: Send + 'static>(
    task: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    spawn(task).await.map_err(|e| Error::internal(format!("a task ended early: {e}")))?
}

/// Waits for a task that gives a result.
pub async fn join<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.map_err(|e| Error::internal(format!("a task ended early: {e}")))?
}

/// Starts a named thread, for work that blocks.
#[allow(clippy::disallowed_methods, reason = "this is the home of spawning")]
pub fn spawn_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_string())
        .spawn(work)
        .map_err(|e| Error::storage("cannot start a thread", e))
}

/// Runs blocking I/O away from the async threads.
#[allow(clippy::disallowed_methods, reason = "this is the home of spawning")]
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal(format!("a blocking task ended early: {e}")))?
}

/// Threads for CPU work, away from the async threads: one pool for searches, one for maintenance,
/// so that a search never waits behind a build.
#[derive(Debug, Clone)]
pub struct CpuPools {
    search: Arc<rayon::ThreadPool>,
    maintenance: Arc<rayon::ThreadPool>,
}

impl CpuPools {
    /// Pools of that many threads.
    pub fn new(search_threads: usize, maintenance_threads: usize) -> Result<Self> {
        let pool = |name: &'static str, threads: usize| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.max(1))
                .thread_name(move |i| format!("{name}-{i}"))
                .build()
                .map(Arc::new)
                .map_err(|e| Error::storage("cannot start threads", e))
        };
        Ok(Self {
            search: pool("search", search_threads)?,
            maintenance: pool("maintenance", maintenance_threads)?,
        })
    }

    /// Runs a search's CPU work; the closure must not wait for anything.
    pub async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(&self.search, work).await
    }

    /// Runs CPU work of a flush or compaction; the closure must not wait for anything.
    pub async fn maintenance<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        run(&self.maintenance, work).await
    }
}

async fn run<T: Send + 'static>(
    pool: &rayon::ThreadPool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (_waiting, wanted) = Wanted::pair();
    pool.spawn(move || {
        // The asker may have gone away; then nobody wants the answer.
        if !wanted.still() {
            return;
        }
        let work = || wanted.during(work);
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let done = done.unwrap_or_else(|_| Err(Error::internal("CPU work broke off")));
        sender.send(done).ok();
    });
    receiver.await.map_err(|_| Error::internal("CPU work ended without an answer"))?
}
