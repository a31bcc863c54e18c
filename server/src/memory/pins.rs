//! Snapshots that iterators read from, so that all their pages are of one moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use elanus_engine::api::Snapshot;
use elanus_engine::core::runtime::{self, Stopwatch};
use elanus_engine::core::time::Timestamp;
use parking_lot::Mutex;

/// A collection's number and the snapshot's timestamp.
type Moment = (u64, Timestamp);

struct Pin {
    snapshot: Snapshot,
    /// On the pins' clock.
    used: Duration,
}

#[derive(Default)]
struct State {
    pins: BTreeMap<Moment, Pin>,
    /// Whether a task looks after them.
    swept: bool,
}

impl State {
    fn drop_idle(&mut self, now: Duration, idle: Duration) {
        self.pins.retain(|_, pin| now.saturating_sub(pin.used) < idle);
    }

    /// Makes room for one more: what was not used for longest goes.
    fn make_room(&mut self, most: usize) {
        while self.pins.len() >= most {
            let oldest = self.pins.iter().min_by_key(|(_, pin)| pin.used).map(|(at, _)| *at);
            let Some(oldest) = oldest else { return };
            self.pins.remove(&oldest);
        }
    }
}

/// Held snapshots, by collection and timestamp. One that is not used for a while is let go, and with
/// too many the one that was not used for longest.
pub struct Pins {
    state: Arc<Mutex<State>>,
    clock: Stopwatch,
    idle: Duration,
    most: usize,
}

impl Pins {
    /// Nothing held yet; `idle` and `most` are the bounds.
    pub fn new(idle: Duration, most: usize) -> Self {
        Self { state: Arc::default(), clock: Stopwatch::start(), idle, most: most.max(1) }
    }

    /// Holds a snapshot from now on.
    pub fn hold(&self, collection: u64, snapshot: &Snapshot) {
        let moment = (collection, snapshot.timestamp());
        let used = self.clock.elapsed();
        let mut state = self.state.lock();
        if !state.pins.contains_key(&moment) {
            state.make_room(self.most);
        }
        state.pins.insert(moment, Pin { snapshot: snapshot.clone(), used });
        if !std::mem::replace(&mut state.swept, true) {
            let work = sweep(Arc::downgrade(&self.state), self.clock, self.idle);
            drop(runtime::spawn(work));
        }
    }

    /// The snapshot of that moment, if it is still held; it counts as used.
    pub fn find(&self, collection: u64, at: Timestamp) -> Option<Snapshot> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        state.drop_idle(now, self.idle);
        let pin = state.pins.get_mut(&(collection, at))?;
        pin.used = now;
        Some(pin.snapshot.clone())
    }

    /// How long a snapshot is held that nobody uses.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Snapshots that are held.
    pub fn count(&self) -> usize {
        self.state.lock().pins.len()
    }
}

/// Lets idle snapshots go until none is left.
async fn sweep(state: Weak<Mutex<State>>, clock: Stopwatch, idle: Duration) {
    loop {
        tokio::time::sleep((idle / 4).max(Duration::from_millis(10))).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock();
        state.drop_idle(clock.elapsed(), idle);
        if state.pins.is_empty() {
            state.swept = false;
            return;
        }
    }
}
