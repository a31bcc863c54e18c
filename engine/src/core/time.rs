//! Hybrid timestamps: 46 bits of milliseconds since 1970, 18 bits of counter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A commit timestamp: `milliseconds << 18 | counter`.
pub type Timestamp = u64;

/// Bits of the counter in a [`Timestamp`].
pub const LOGICAL_BITS: u32 = 18;

/// The timestamp of the first moment of a millisecond.
pub const fn from_millis(ms: u64) -> Timestamp {
    ms << LOGICAL_BITS
}

/// The milliseconds in a timestamp.
pub const fn to_millis(ts: Timestamp) -> u64 {
    ts >> LOGICAL_BITS
}

/// Gives out timestamps that only grow, near the wall clock but never behind what it gave before.
#[derive(Debug, Default)]
pub struct TimestampOracle {
    last: AtomicU64,
}

impl TimestampOracle {
    /// Never gives `seen` or anything older again; called with what recovery found.
    pub fn observe(&self, seen: Timestamp) {
        self.last.fetch_max(seen, Ordering::SeqCst);
    }

    /// The next timestamp at a wall clock of `now_ms`.
    pub fn next(&self, now_ms: u64) -> Timestamp {
        self.next_many(now_ms, 1)
    }

    /// The first of the next `count` timestamps, of which none is given to anybody else.
    pub fn next_many(&self, now_ms: u64, count: u64) -> Timestamp {
        let wall = from_millis(now_ms);
        let more = count.saturating_sub(1);
        let before = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| {
                Some(wall.max(last + 1) + more)
            })
            .unwrap_or_else(|last| last);
        wall.max(before + 1)
    }

    /// The newest timestamp given.
    pub fn last(&self) -> Timestamp {
        self.last.load(Ordering::SeqCst)
    }
}

/// Microseconds since 1970, as moments are kept, of milliseconds.
pub fn micros(ms: u64) -> i64 {
    i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_only_grow_even_when_the_clock_steps_back() {
        let oracle = TimestampOracle::default();
        let a = oracle.next(1_000);
        let b = oracle.next(1_000);
        let c = oracle.next(5);
        assert!(a < b && b < c);
        assert_eq!(to_millis(a), 1_000);
        oracle.observe(from_millis(9_000));
        assert!(oracle.next(5) > from_millis(9_000));
        let first = oracle.next_many(5, 10);
        assert_eq!(oracle.next(5), first + 10);
    }
}
