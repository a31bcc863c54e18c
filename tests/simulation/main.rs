//! The engine on a simulated machine: scheduler, clock, chance, object store, log disk and faults of a run all
//! follow from one seed.
//!
//! `cargo xtask sim --seeds N` runs many; `ELANUS_SIM_SEED=n` replays one, with its events where
//! `ELANUS_SIM_EVENTS` names a file.

// Only what is simulated has to replay.
#![allow(clippy::disallowed_methods)]

mod actors;
mod changes;
mod check;
mod course;
mod disk;
mod faults;
mod last;
mod life;
mod long;
mod model;
mod past;
mod rows;
mod scenes;
mod store;
mod tests;
mod world;
mod writes;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A hash of numbers and bytes.
pub fn hash(numbers: &[u64], bytes: &[u8]) -> u64 {
    numbers.iter().fold(xxh3_64_with_seed(bytes, 0), |h, n| xxh3_64_with_seed(&n.to_le_bytes(), h))
}

/// What a panic said.
pub fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|t| t.to_string())).unwrap_or_default()
}
