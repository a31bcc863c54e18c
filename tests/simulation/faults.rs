//! What goes wrong, how often, and the count of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use elanus_engine::core::runtime::sim;
use parking_lot::Mutex;

use crate::hash;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It fails and has no effect.
    Before,
    /// It has its effect, and the answer is lost.
    After,
}

/// How often things go wrong in a run, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub store: u64,
    pub slow: u64,
    pub disorder: u64,
    pub disk: u64,
}

/// The faults of a run.
#[derive(Debug, Default)]
pub struct Faults {
    seed: u64,
    rates: Rates,
    on: AtomicBool,
    full: AtomicBool,
    disk_full: AtomicBool,
    errors: AtomicU64,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Faults {
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self { seed, rates, ..Default::default() }
    }

    /// From here on things go wrong, or not.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
        if !on {
            self.full.store(false, Ordering::SeqCst);
            self.disk_full.store(false, Ordering::SeqCst);
        }
    }

    pub fn set_full(&self, full: bool) {
        self.full.store(full && self.is_on(), Ordering::SeqCst);
    }

    pub fn set_disk_full(&self, full: bool) {
        self.disk_full.store(full && self.is_on(), Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    pub fn is_disk_full(&self) -> bool {
        self.disk_full.load(Ordering::SeqCst)
    }

    pub fn count(&self, what: &'static str) {
        *self.counts.lock().entry(what).or_default() += 1;
        if !what.starts_with("slow") && !what.starts_with("listing") {
            self.errors.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Errors that were made so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::SeqCst)
    }

    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    fn fault(&self, dice: u64, rate: u64) -> Fault {
        match dice % 2_000 {
            n if n < rate => Fault::Before,
            n if n < 2 * rate => Fault::After,
            _ => Fault::None,
        }
    }

    /// Of a request from the run's own thread.
    pub fn of_request(&self) -> Fault {
        if !self.is_on() {
            return Fault::None;
        }
        self.fault(dice(), self.rates.store)
    }

    /// Of a request from within a step.
    pub fn of_step(&self, step: u64, path: &str) -> Fault {
        if !self.is_on() {
            return Fault::None;
        }
        self.fault(hash(&[self.seed, step], path.as_bytes()), self.rates.store)
    }

    /// Of a write to the local disk.
    pub fn of_disk(&self) -> Fault {
        if !self.is_on() {
            return Fault::None;
        }
        self.fault(dice(), self.rates.disk)
    }

    /// Milliseconds that a request takes, if it takes long.
    pub fn slowness(&self) -> Option<u64> {
        if !self.is_on() || dice() % 1_000 >= self.rates.slow {
            return None;
        }
        self.count("slow request");
        Some(dice() % 400)
    }

    /// Brings a listing into disorder, and names some files twice.
    pub fn disorder<T: Clone>(&self, list: &mut Vec<T>) {
        if !self.is_on() || list.len() < 2 || dice() % 1_000 >= self.rates.disorder {
            return;
        }
        self.count("listing in disorder");
        for at in (1..list.len()).rev() {
            list.swap(at, (dice() % (at as u64 + 1)) as usize);
        }
        let twice = list[(dice() % list.len() as u64) as usize].clone();
        list.push(twice);
    }
}

/// A random number of the run; 0 outside.
fn dice() -> u64 {
    sim::machine().map_or(0, |machine| machine.random() >> 8)
}
