//! The one home of the clock, randomness, ids and spawning. On a thread that simulates a [`Machine`](sim::Machine)
//! all of them are the machine's, so that a run follows from its seed.

pub mod sim;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
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
pub struct Stopwatch(Start);

#[derive(Debug, Clone, Copy)]
enum Start {
    Real(std::time::Instant),
    Simulated(u64),
}

impl Stopwatch {
    /// Starts.
    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn start() -> Self {
        Self(match sim::machine() {
            Some(machine) => Start::Simulated(machine.now_us()),
            None => Start::Real(std::time::Instant::now()),
        })
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        match self.0 {
            Start::Real(start) => start.elapsed(),
            Start::Simulated(start) => {
                let now = sim::machine().map_or(start, |machine| machine.now_us());
                Duration::from_micros(now - start)
            }
        }
    }
}

/// Waits.
pub async fn sleep(time: Duration) {
    match sim::on() {
        true => sim::sleep(time).await,
        false => tokio::time::sleep(time).await,
    }
}

/// What a future gives, if it gives it in time.
pub async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = work => Some(value),
        () = sleep(time) => None,
    }
}

/// A random 64-bit number, never zero.
#[allow(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub fn random_id() -> u64 {
    match sim::machine() {
        Some(machine) => machine.random().max(1),
        None => rand::random::<u64>().max(1),
    }
}

/// A place between two steps whose order matters. Here a simulation may end the process, and lets other tasks
/// go first; elsewhere it is nothing.
pub async fn gate(name: &'static str) {
    sim::Turns(sim::turns_at(name)).await;
}

/// Whether a simulation makes a named mistake on purpose, to see that its checks find it; elsewhere never.
#[cfg(debug_assertions)]
pub fn planted(mistake: &'static str) -> bool {
    sim::machine().is_some_and(|machine| machine.planted(mistake))
}

/// Release builds cannot be told to make mistakes.
#[cfg(not(debug_assertions))]
pub const fn planted(_: &'static str) -> bool {
    false
}

/// Tells a simulation a number; elsewhere it is nothing.
pub fn note(what: &'static str, value: u64) {
    if let Some(machine) = sim::machine() {
        machine.note(what, value);
    }
}

/// Whether this thread simulates a machine.
pub fn simulated() -> bool {
    sim::on()
}

/// Runs a future for which threads of others work. In a simulation it is one step, so that their timing
/// changes nothing.
pub async fn in_one_step<T>(work: impl Future<Output = T>) -> T {
    if !sim::on() {
        return work.await;
    }
    sim::give_way().await;
    match sim::wait_for(work) {
        Some(value) => value,
        None => std::future::pending().await,
    }
}

/// In a simulation, the context in which threads of others are started.
pub fn side_context() -> Option<tokio::runtime::EnterGuard<'static>> {
    sim::on().then(sim::side_runtime).flatten().map(|side| side.enter())
}

/// A task that was started. Dropping it lets the task go on.
#[derive(Debug)]
pub struct Task<T>(Started<T>);

#[derive(Debug)]
enum Started<T> {
    Real(tokio::task::JoinHandle<T>),
    Simulated(u64, tokio::sync::oneshot::Receiver<T>),
}

impl<T> Task<T> {
    /// Ends it at its next await.
    pub fn abort(&self) {
        match &self.0 {
            Started::Real(task) => task.abort(),
            Started::Simulated(id, _) => {
                if let Some(machine) = sim::machine() {
                    machine.abort(*id);
                }
            }
        }
    }
}

impl<T> Future for Task<T> {
    /// An error when the task was ended or panicked.
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let early = |e: &dyn std::fmt::Display| Error::internal(format!("a task ended early: {e}"));
        match &mut self.0 {
            Started::Real(task) => Pin::new(task).poll(context).map_err(|e| early(&e)),
            Started::Simulated(_, done) => Pin::new(done).poll(context).map_err(|e| early(&e)),
        }
    }
}

/// Starts a task on the async runtime.
#[allow(clippy::disallowed_methods, reason = "this is the home of spawning")]
pub fn spawn<F>(task: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match sim::machine() {
        Some(machine) => {
            let (id, done) = machine.spawn(task);
            Task(Started::Simulated(id, done))
        }
        None => Task(Started::Real(tokio::spawn(task))),
    }
}

/// Runs a task to its end, even if the caller goes away meanwhile: for steps that must not be left half done.
pub async fn finish<T: Send + 'static>(
    task: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    spawn(task).await?
}

/// Waits for a task that gives a result.
pub async fn join<T>(task: Task<Result<T>>) -> Result<T> {
    task.await?
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
    if sim::on() {
        sim::give_way().await;
        return work();
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal(format!("a blocking task ended early: {e}")))?
}

/// Threads for CPU work, away from the async threads: one pool for searches, one for maintenance,
/// so that a search never waits behind a build.
#[derive(Debug, Clone)]
pub struct CpuPools {
    search: Pool,
    maintenance: Pool,
}

/// None: the thread that asks, which simulates.
type Pool = Option<Arc<rayon::ThreadPool>>;

impl CpuPools {
    /// Pools of that many threads.
    pub fn new(search_threads: usize, maintenance_threads: usize) -> Result<Self> {
        let pool = |name: &'static str, threads: usize| {
            if sim::on() {
                return Ok(None);
            }
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.max(1))
                .thread_name(move |i| format!("{name}-{i}"))
                .build()
                .map(|pool| Some(Arc::new(pool)))
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
    pool: &Pool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let Some(pool) = pool else {
        sim::give_way().await;
        return work();
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// On one thread: the first piece of work is under way and the second waits when their askers go.
    #[tokio::test]
    async fn work_that_nobody_waits_for_ends_or_is_never_begun() {
        let pools = CpuPools::new(1, 1).expect("threads");
        let (begun, first_begun) = mpsc::channel();
        let (go, asked_to_go) = mpsc::channel::<()>();
        let (told, outcome) = mpsc::channel();
        let first = pools.search(move || {
            begun.send(()).ok();
            asked_to_go.recv().ok();
            told.send(Wanted::current().check().is_err()).ok();
            Ok(())
        });
        let mut first = Box::pin(first);
        assert!(futures::poll!(&mut first).is_pending());
        first_begun.recv().expect("it begins");
        let (sign, second_ran) = mpsc::channel();
        let mut second = Box::pin(pools.search(move || {
            sign.send(()).ok();
            Ok(())
        }));
        assert!(futures::poll!(&mut second).is_pending());
        drop((first, second));
        go.send(()).expect("it waits");
        assert!(outcome.recv().expect("an outcome"), "it was told that nobody waits");
        pools.search(|| Ok(())).await.expect("a third is done");
        assert!(second_ran.recv().is_err(), "the second never ran");
        assert!(Wanted::current().still(), "what belongs to nobody is wanted");
    }
}
