//! One budget of memory for all that grows with the data or with the load.
//!
//! What is large is counted here under its [`Use`]. Caches take what nobody else needs and give it back at once; each
//! other use has a share, so that queries cannot starve flushes. Above its share, work waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::error::{Error, Result, Subject};
use super::runtime::{self, Stopwatch};

/// What memory is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Rows in memtables, and their copies in the log's tables.
    Memtables,
    /// Key indexes of segments.
    Keys,
    /// Flushes and compactions, with training.
    Builds,
    /// Requests and their answers.
    Requests,
    /// What a search looks at while it runs. A request waits for this, never the other way round.
    Scans,
    /// Columns and codes that are kept because they may be wanted again.
    Cache,
}

const USES: [Use; 6] =
    [Use::Memtables, Use::Keys, Use::Builds, Use::Requests, Use::Scans, Use::Cache];
/// What a process takes before it has any data.
const PROCESS_BYTES: usize = 64 << 20;
/// The smallest part of the limit that can be used for data.
const LEAST_PART: usize = 4;
/// The cache leaves this part of the limit free, for what comes between two looks at the process.
const MARGIN: usize = 16;
/// Memory above this share of the limit, in percent, makes new work wait.
const TIGHT_PERCENT: usize = 97;
/// How often one that waits looks again even if nothing was given back.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Use {
    /// Its share of what the process has for data, in percent. Key indexes and the cache have none: the first must
    /// be there, the second takes the rest.
    fn percent(self) -> usize {
        match self {
            Self::Memtables => 30,
            Self::Builds => 30,
            Self::Requests => 12,
            Self::Scans => 18,
            Self::Keys | Self::Cache => 100,
        }
    }
}

/// The memory that a store may use, and what of it is in use.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// What is left of the limit for data.
    for_data: usize,
    /// Memory of the process that is not counted here, as last measured; never below what is set aside for it.
    uncounted: AtomicUsize,
    used: [AtomicUsize; USES.len()],
    tight: AtomicBool,
    freed: Notify,
}

/// Memory that is in use until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    what: Use,
    bytes: usize,
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for what in USES {
            write!(f, "{what:?} {}, ", self.used_bytes(what) >> 20)?;
        }
        write!(f, "uncounted {}", self.uncounted.load(Ordering::Relaxed) >> 20)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used[self.what as usize].fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.freed.notify_waiters();
    }
}

impl Budget {
    /// For a process that may use so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        let for_data = (limit - limit / 6).saturating_sub(PROCESS_BYTES).max(limit / LEAST_PART);
        Arc::new(Self {
            limit,
            for_data,
            uncounted: AtomicUsize::new(limit - for_data),
            used: Default::default(),
            tight: AtomicBool::new(false),
            freed: Notify::new(),
        })
    }

    /// Counts, but never makes anything wait.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX / 256)
    }

    /// The limit of the process.
    pub fn limit_bytes(&self) -> usize {
        self.limit
    }

    /// The most that a use may take now: less where the process itself has more than was set aside for it.
    pub fn share_bytes(&self, what: Use) -> usize {
        let aside = self.limit - self.for_data;
        let more = self.uncounted.load(Ordering::Relaxed).saturating_sub(aside);
        let left = self.for_data.saturating_sub(more).max(self.for_data / 2);
        left / 100 * what.percent()
    }

    /// What a use takes now.
    pub fn used_bytes(&self, what: Use) -> usize {
        self.used[what as usize].load(Ordering::Relaxed)
    }

    /// What the cache may hold beside everything else; never less than a twentieth, or nothing could be read.
    pub fn cache_room_bytes(&self) -> usize {
        let others = USES.iter().filter(|u| **u != Use::Cache);
        let others: usize = others.map(|u| self.used_bytes(*u)).sum();
        let uncounted = self.uncounted.load(Ordering::Relaxed);
        let aim = self.limit - self.limit / MARGIN;
        aim.saturating_sub(others.saturating_add(uncounted)).max(self.for_data / 20)
    }

    /// Says what a use takes, where its owner counts by itself.
    pub fn set(&self, what: Use, bytes: usize) {
        self.used[what as usize].store(bytes, Ordering::Relaxed);
    }

    /// Counts memory that is taken in any case.
    pub fn hold(self: &Arc<Self>, what: Use, bytes: usize) -> Reservation {
        self.used[what as usize].fetch_add(bytes, Ordering::Relaxed);
        Reservation { budget: self.clone(), what, bytes }
    }

    /// Takes memory, and waits for it as long as `patience`. What is more than the share is counted as the share:
    /// it has it alone.
    ///
    /// # Errors
    /// `LimitExceeded` for what could never fit; `Busy` when it did not become free in time.
    pub async fn reserve(
        self: &Arc<Self>,
        what: Use,
        bytes: usize,
        patience: Duration,
    ) -> Result<Reservation> {
        if bytes > self.for_data {
            return Err(Error::limit(
                Subject::Memory,
                format!(
                    "memory limit exceeded: this needs some {} MiB, memory.limit_bytes leaves {} MiB for data: \
                     ask for less at once, or raise it",
                    bytes >> 20,
                    self.for_data >> 20
                ),
            ));
        }
        let bytes = bytes.min(self.share_bytes(what));
        let clock = Stopwatch::start();
        loop {
            let freed = self.freed.notified();
            if let Some(taken) = self.try_reserve(what, bytes) {
                return Ok(taken);
            }
            if clock.elapsed() >= patience {
                return Err(Error::busy(
                    "memory quota exceeded: what is under way takes all of it; try again later",
                ));
            }
            runtime::within(LOOK_AGAIN, freed).await;
        }
    }

    fn try_reserve(self: &Arc<Self>, what: Use, bytes: usize) -> Option<Reservation> {
        let share = self.share_bytes(what);
        let tight = self.tight.load(Ordering::Relaxed);
        let fits = |used: usize| {
            let sum = used.checked_add(bytes)?;
            // One at a time goes on in any case, or nothing would ever be given back.
            (used == 0 || sum <= share && !tight).then_some(sum)
        };
        let used = &self.used[what as usize];
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Reservation { budget: self.clone(), what, bytes })
    }

    /// Notes how much memory the process has now, so that the cache gives way to what is not counted: the
    /// allocator's own, copies on their way to clients.
    pub fn observe(&self, process_bytes: usize) {
        let counted: usize = self.used.iter().map(|u| u.load(Ordering::Relaxed)).sum();
        let least = self.limit - self.for_data;
        let now = process_bytes.saturating_sub(counted).max(least);
        let before = self.uncounted.load(Ordering::Relaxed);
        // Up at once, down slowly: what was taken once is soon taken again.
        let next = if now > before { now } else { before - (before - now) / 16 };
        self.uncounted.store(next, Ordering::Relaxed);
        self.tight.store(process_bytes > self.limit / 100 * TIGHT_PERCENT, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorKind;

    const MB: usize = 1 << 20;

    #[tokio::test]
    async fn queries_wait_for_each_other_and_not_for_builds() {
        let budget = Budget::new(800 * MB);
        let share = budget.share_bytes(Use::Scans);
        let none = Duration::ZERO;
        let first = budget.reserve(Use::Scans, share, none).await.unwrap();
        let refused = budget.reserve(Use::Scans, MB, none).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Busy);
        let _build = budget.reserve(Use::Builds, share, none).await.unwrap();
        let waiting = {
            let budget = budget.clone();
            async move { budget.reserve(Use::Scans, MB, Duration::from_secs(60)).await }
        };
        let free = async move { drop(first) };
        assert!(futures::join!(waiting, free).0.is_ok());
    }

    #[tokio::test]
    async fn what_could_never_fit_is_refused_at_once() {
        let budget = Budget::new(400 * MB);
        let error = budget.reserve(Use::Scans, 500 * MB, Duration::from_secs(60)).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::LimitExceeded);
        // More than the share, less than all: it has the share alone.
        let alone = budget.reserve(Use::Scans, 200 * MB, Duration::ZERO).await.unwrap();
        assert!(budget.reserve(Use::Scans, MB, Duration::ZERO).await.is_err());
        drop(alone);
        assert_eq!(budget.used_bytes(Use::Scans), 0);
    }

    #[test]
    fn shares_shrink_when_the_process_itself_has_more() {
        let budget = Budget::new(800 * MB);
        let share = budget.share_bytes(Use::Scans);
        budget.observe(budget.limit - budget.for_data + 100 * MB);
        assert!(budget.share_bytes(Use::Scans) < share - 15 * MB);
        // Half of it stays in any case, or nothing would ever be given back.
        budget.observe(budget.limit * 2);
        assert!(budget.share_bytes(Use::Scans) >= share / 2 - MB);
    }

    #[test]
    fn the_cache_gives_way_to_everything_else() {
        let budget = Budget::new(800 * MB);
        let room = budget.cache_room_bytes();
        budget.set(Use::Memtables, 100 * MB);
        assert_eq!(budget.cache_room_bytes(), room - 100 * MB);
        // The process has 300 MB more than was counted and set aside.
        budget.observe(budget.limit - budget.for_data + 400 * MB);
        assert_eq!(budget.cache_room_bytes(), room - 400 * MB);
        budget.observe(100 * MB);
        assert!(budget.cache_room_bytes() > room - 400 * MB, "it comes back slowly");
        budget.set(Use::Memtables, 800 * MB);
        assert!(budget.cache_room_bytes() > 0);
    }
}
