//! One run: a store, its model, and the lives of the processes that open it, all from one seed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use elanus_engine::core::runtime::sim::{self, Director, Process};
use elanus_engine::core::settings::{Durability, Settings};

use crate::faults::{Faults, Rates};
use crate::model::Collection;
use crate::store::Objects;

/// A random number below `n`, of the run.
pub fn pick(n: u64) -> u64 {
    sim::machine().expect("within a run").chance(n)
}

/// What a run did and met.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// By kind.
    pub operations: BTreeMap<&'static str, u64>,
    /// By kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// By gate: passed, ended there.
    pub gates: BTreeMap<&'static str, (u64, u64)>,
    /// Of two kinds of maintenance: one began on a collection while the other was under way.
    pub pairs: BTreeMap<(&'static str, &'static str), u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        for (name, n) in &other.operations {
            *self.operations.entry(name).or_default() += n;
        }
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_default() += n;
        }
        for (pair, n) in &other.pairs {
            *self.pairs.entry(*pair).or_default() += n;
        }
        for (name, (passed, ended)) in &other.gates {
            let gate = self.gates.entry(name).or_default();
            *gate = (gate.0 + passed, gate.1 + ended);
        }
    }
}

/// What a run is made of.
pub struct World {
    pub settings: Settings,
    pub faults: Arc<Faults>,
    pub objects: Arc<Objects>,
    pub plant: Option<&'static str>,
    /// Collections by number.
    pub model: RefCell<BTreeMap<u64, Collection>>,
    /// Names whose making was ever begun.
    pub making: RefCell<BTreeSet<String>>,
    /// Clones that are being made, by name.
    pub cloning: RefCell<BTreeMap<String, Collection>>,
    /// Names whose collections are being dropped, by process, with the calls under way or unanswered.
    pub dropping: RefCell<BTreeMap<(String, Process), u64>>,
    /// What is under way, by collection.
    pub running: RefCell<Vec<(u64, &'static str)>>,
    /// Numbers for rows.
    pub stamps: Cell<u64>,
    tally: RefCell<Tally>,
    /// Where and when the process is to end.
    pub doom: RefCell<Doom>,
    /// The lease of another log's owner may still run.
    pub contested: Cell<bool>,
    /// More than one log was used.
    pub other_log: Cell<bool>,
    /// The newest process that has looked at everything.
    pub looked: Cell<u64>,
    /// A log was refused because the store was written through another one since.
    pub stale_log: Cell<bool>,
}

/// Where a process ends.
#[derive(Debug, Clone, Default)]
pub enum Doom {
    /// Nowhere.
    #[default]
    Never,
    /// At the n-th passing of a gate by a process.
    Gate(Process, &'static str, u64),
    /// After so many polls of a process's tasks.
    Polls(Process, u64),
}

/// The gates of the engine; a long run has to end processes at each.
pub const GATES: [&str; 25] = [
    "alter.flushed",
    "compact.data",
    "compact.gathered",
    "create.manifest",
    "drop.catalog",
    "drop.manifest",
    "flush.begin",
    "flush.data",
    "gc.found",
    "gc.remove",
    "lease.written",
    "log.committed",
    "log.group",
    "open.bound",
    "open.claimed",
    "open.lease",
    "open.replayed",
    "publish.deletes",
    "publish.installed",
    "publish.log_cut",
    "publish.manifest",
    "retrain.codebook",
    "snapshot.held",
    "write.acked",
    "write.begin",
];

/// Kinds of maintenance of which each pair has to meet.
pub const PAIRED: [&str; 7] =
    ["collect garbage", "compact", "drop collection", "drop partition", "flush", "hold", "retrain"];

/// See [`World::running`].
pub struct Running {
    world: Rc<World>,
    collection: u64,
    what: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.world.running.borrow_mut();
        let at = running.iter().position(|r| *r == (self.collection, self.what));
        running.swap_remove(at.expect("it is under way"));
    }
}

impl Director for World {
    fn at_gate(&self, process: Process, gate: &'static str) -> bool {
        let mut tally = self.tally.borrow_mut();
        let counts = tally.gates.entry(gate).or_default();
        counts.0 += 1;
        let mut doom = self.doom.borrow_mut();
        match &mut *doom {
            Doom::Gate(whose, at, left) if *whose == process && *at == gate => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    counts.1 += 1;
                    *doom = Doom::Never;
                    return true;
                }
                false
            }
            _ => false,
        }
    }

    fn polled(&self, process: Process) -> bool {
        let mut doom = self.doom.borrow_mut();
        match &mut *doom {
            Doom::Polls(whose, left) if *whose == process => {
                *left = left.saturating_sub(1);
                let over = *left == 0;
                if over {
                    *doom = Doom::Never;
                }
                over
            }
            _ => false,
        }
    }

    fn planted(&self, mistake: &'static str) -> bool {
        self.plant == Some(mistake)
    }

    fn noted(&self, task: u64, what: &'static str, value: u64) {
        if what == "write" {
            for collection in self.model.borrow_mut().values_mut() {
                if collection.stamp(task, value) {
                    return;
                }
            }
        }
    }
}

impl World {
    pub fn new(
        seed: u64,
        plant: Option<&'static str>,
        machine_seed: &mut impl FnMut(u64) -> u64,
    ) -> Self {
        let pick = machine_seed;
        let mut settings = Settings::default();
        settings.memtable.max_rows = [6, 12, 30, 80][pick(4) as usize];
        settings.memtable.max_age_ms = [0, 0, 800][pick(3) as usize];
        settings.memtable.slowdown_frozen = 2;
        settings.memtable.stop_frozen = 3;
        settings.memtable.stop_timeout_ms = 2_000;
        settings.compaction.enabled = pick(2) == 0;
        settings.compaction.fan_in = 2 + pick(3) as usize;
        settings.compaction.min_tier_bytes = [1, 6 << 10, 100 << 10][pick(3) as usize];
        settings.compaction.deleted_percent = [5, 20, 80][pick(3) as usize];
        settings.compaction.interval_ms = [20, 300][pick(2) as usize];
        settings.compaction.codes_min_rows = [32, 48, 2_048][pick(3) as usize];
        settings.compaction.max_jobs = 1 + pick(2) as usize;
        settings.gc.interval_ms = [0, 0, 1_000][pick(3) as usize];
        settings.gc.grace_ms = [0, 1, 400][pick(3) as usize];
        settings.gc.keep_manifests = pick(3) as usize;
        settings.gc.retention_ms = [0, 0, 1_000, 3_600_000][pick(4) as usize];
        settings.read.cache_bytes = 1 << 20;
        settings.log.group_max_bytes = [1 << 10, 16 << 20][pick(2) as usize];
        settings.log.reuse_max_bytes = [0, 2 << 10, 8 << 20][pick(3) as usize];
        if pick(4) == 0 {
            settings.log.durability = Durability::Os;
            settings.log.os_sync_interval_ms = 50;
        }
        let quiet = pick(4) == 0;
        let rates = match quiet {
            true => Rates::default(),
            false => Rates {
                store: [0, 4, 15][pick(3) as usize],
                slow: [0, 30][pick(2) as usize],
                disorder: [0, 300][pick(2) as usize],
                disk: [0, 0, 8][pick(3) as usize],
            },
        };
        Self {
            settings,
            faults: Arc::new(Faults::new(seed, rates)),
            objects: Arc::default(),
            plant,
            model: RefCell::default(),
            making: RefCell::default(),
            cloning: RefCell::default(),
            dropping: RefCell::default(),
            running: RefCell::default(),
            stamps: Cell::new(1),
            tally: RefCell::default(),
            doom: RefCell::default(),
            contested: Cell::new(false),
            stale_log: Cell::new(false),
            looked: Cell::new(0),
            other_log: Cell::new(false),
        }
    }

    /// A fresh number.
    pub fn stamp(&self) -> u64 {
        self.stamps.set(self.stamps.get() + 1);
        self.stamps.get()
    }

    /// The model of a collection that is met for the first time.
    pub fn new_model(&self, name: String) -> Collection {
        let clone = self.cloning.borrow().get(&name).cloned();
        clone.unwrap_or_else(|| Collection { name, ..Default::default() })
    }

    pub fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().operations.entry(what).or_default() += 1;
    }

    pub fn count_fault(&self, what: &'static str) {
        *self.tally.borrow_mut().faults.entry(what).or_default() += 1;
    }

    /// Notes that a kind of maintenance is under way on a collection, for as long as the answer is held.
    pub fn running(self: &Rc<Self>, collection: u64, what: &str) -> Option<Running> {
        let what = *PAIRED.iter().find(|kind| what.starts_with(**kind))?;
        let mut running = self.running.borrow_mut();
        for (_, other) in running.iter().filter(|(id, _)| *id == collection) {
            let pair = (what.min(*other), what.max(*other));
            *self.tally.borrow_mut().pairs.entry(pair).or_default() += 1;
        }
        running.push((collection, what));
        Some(Running { world: self.clone(), collection, what })
    }

    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.borrow().clone();
        for (name, n) in self.faults.counts() {
            *tally.faults.entry(name).or_default() += n;
        }
        tally
    }
}
