//! Random programs against a plain map: whatever happens below, every read is exact.
//!
//! `ELANUS_TEST_SEED=n` replays one program of every test here.

mod check;
mod steps;
mod world;

use super::harness::{seeds, small_settings};
use elanus_engine::core::settings::{Durability, Settings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use world::World;

/// What kind of store a program works on.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub text_keys: bool,
    pub partition_key: bool,
    pub background: bool,
}

fn settings(rng: &mut StdRng, kind: Kind) -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = rng.random_range(5..80);
    settings.compaction.enabled = kind.background;
    settings.compaction.fan_in = rng.random_range(2..5);
    settings.compaction.min_tier_bytes = [1, 10 << 10, 100 << 10][rng.random_range(0..3)];
    settings.compaction.deleted_percent = [5, 20, 80][rng.random_range(0..3)];
    settings.compaction.interval_ms = rng.random_range(1..20);
    settings.gc.keep_manifests = rng.random_range(0..3);
    if rng.random_bool(0.5) {
        settings.log.durability = Durability::Os;
    }
    settings
}

fn run(seed: u64, steps: usize, kind: Kind) {
    println!("ELANUS_TEST_SEED={seed} {kind:?}");
    let mut rng = StdRng::seed_from_u64(seed);
    let settings = settings(&mut rng, kind);
    let mut world = World::new(rng, settings, kind);
    for step in 0..steps {
        let done = world.step();
        if std::env::var_os("ELANUS_TEST_TRACE").is_some() {
            println!("{step}: {done}");
        }
    }
    world.finish();
}

const STEPS: usize = 120;

fn run_kind(from: u64, kind: Kind) {
    for seed in seeds(from, 5) {
        run(seed, STEPS, kind);
    }
}

#[test]
fn integer_keys() {
    run_kind(1_000, Kind { text_keys: false, partition_key: false, background: false });
}

#[test]
fn text_keys() {
    run_kind(2_000, Kind { text_keys: true, partition_key: false, background: false });
}

#[test]
fn integer_keys_with_background_compaction() {
    run_kind(3_000, Kind { text_keys: false, partition_key: false, background: true });
}

#[test]
fn text_keys_with_background_compaction() {
    run_kind(4_000, Kind { text_keys: true, partition_key: false, background: true });
}

#[test]
fn a_partition_key() {
    run_kind(5_000, Kind { text_keys: false, partition_key: true, background: false });
    run_kind(6_000, Kind { text_keys: true, partition_key: true, background: true });
}
