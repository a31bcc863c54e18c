//! One run: a store, its model, and the lives of the processes that open it, all from one seed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use elanus_engine::api::{Engine, OpenOptions};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::runtime;
use elanus_engine::core::runtime::sim::{self, Director, Machine, Process, SimClock};
use elanus_engine::core::settings::{Durability, Settings};
use elanus_engine::storage::bucket::Bucket;
use elanus_engine::storage::local::LocalDb;

use crate::disk::{Platter, SimDisk};
use crate::faults::{Faults, Rates};
use crate::model::Collection;
use crate::store::{Objects, SimStore};
use crate::{check, hash};

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
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        for (name, n) in &other.operations {
            *self.operations.entry(name).or_default() += n;
        }
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_default() += n;
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
    /// Numbers for rows.
    pub stamps: Cell<u64>,
    tally: RefCell<Tally>,
    /// Where and when the process is to end.
    doom: RefCell<Doom>,
    /// The lease of another log's owner may still run.
    contested: Cell<bool>,
    /// More than one log was used.
    other_log: Cell<bool>,
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

/// A process that has the store open, or tries to.
pub struct Life {
    pub world: Rc<World>,
    pub process: Process,
    pub clock: Arc<SimClock>,
    pub alive: Arc<AtomicBool>,
    pub platter: RefCell<Arc<Platter>>,
    pub engine: RefCell<Option<Engine>>,
    /// Something was done to it after which it may rightly think that it has lost the store.
    pub disturbed: Cell<bool>,
    /// Another process has taken the store: what this one does counts no longer.
    pub replaced: Cell<bool>,
    /// What it found was looked at, and was right.
    pub recovered: Cell<bool>,
    pub done: Cell<bool>,
}

impl World {
    fn new(
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
        settings.read.cache_bytes = 1 << 20;
        settings.log.group_max_bytes = [1 << 10, 16 << 20][pick(2) as usize];
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
            stamps: Cell::new(1),
            tally: RefCell::default(),
            doom: RefCell::default(),
            contested: Cell::new(false),
            stale_log: Cell::new(false),
            other_log: Cell::new(false),
        }
    }

    pub fn count(&self, what: &'static str) {
        *self.tally.borrow_mut().operations.entry(what).or_default() += 1;
    }

    fn count_fault(&self, what: &'static str) {
        *self.tally.borrow_mut().faults.entry(what).or_default() += 1;
    }

    pub fn tally(&self) -> Tally {
        let mut tally = self.tally.borrow().clone();
        for (name, n) in self.faults.counts() {
            *tally.faults.entry(name).or_default() += n;
        }
        tally
    }
}

impl Life {
    fn new(world: &Rc<World>, process: Process, platter: &Arc<Platter>) -> Rc<Self> {
        let machine = sim::machine().expect("within a run");
        Rc::new(Self {
            world: world.clone(),
            process,
            clock: machine.clock(),
            alive: Arc::new(AtomicBool::new(true)),
            platter: RefCell::new(platter.clone()),
            engine: RefCell::new(None),
            disturbed: Cell::new(false),
            replaced: Cell::new(false),
            recovered: Cell::new(false),
            done: Cell::new(false),
        })
    }

    pub fn bucket(&self) -> Bucket {
        let machine = sim::machine().expect("within a run");
        let world = &self.world;
        let (objects, faults) = (world.objects.clone(), world.faults.clone());
        let store = SimStore::new(objects, faults, &machine, self.alive.clone());
        Bucket::over(Arc::new(store), "sim://store")
    }

    /// Opens the store.
    pub async fn open(&self) -> Result<Engine, Error> {
        let faults = self.world.faults.clone();
        let disk = SimDisk::new(self.platter.borrow().clone(), faults, self.alive.clone());
        let options = OpenOptions {
            location: "sim://store".into(),
            settings: self.world.settings.clone(),
            create: true,
        };
        let local = LocalDb::over(Arc::new(disk))?;
        let opened = Engine::open_over(options, self.bucket(), local, self.clock.clone()).await;
        let stale = |e: &Error| match e.kind {
            ErrorKind::FailedPrecondition => true,
            // By another writer, which has removed the files since.
            ErrorKind::Corrupted => {
                self.world.other_log.get() && e.to_string().contains("if it was dropped")
            }
            _ => false,
        };
        if opened.as_ref().is_err_and(stale) {
            self.world.stale_log.set(true);
        }
        let engine = opened?;
        *self.engine.borrow_mut() = Some(engine.clone());
        self.world.contested.set(false);
        Ok(engine)
    }

    pub fn engine(&self) -> Engine {
        self.engine.borrow().clone().expect("an open store")
    }

    /// Judges an error that a call gave: a violation unless something explains it.
    pub fn explain(&self, what: &str, error: &Error) {
        self.world.count("refused");
        if self.replaced.get() {
            return;
        }
        let explained = match error.kind {
            ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::AlreadyExists => true,
            ErrorKind::Storage => self.world.faults.errors() > 0,
            ErrorKind::Fenced => {
                self.disturbed.get() || self.world.contested.get() || self.world.faults.errors() > 0
            }
            ErrorKind::FailedPrecondition | ErrorKind::Corrupted => self.world.stale_log.get(),
            _ => false,
        };
        assert!(explained, "{what} failed: {error}");
    }

    /// Compares everything that was recovered with the model, and decides what was unknown. `lossless`:
    /// nothing that was acknowledged may be gone.
    pub async fn recovered(&self, lossless: bool) -> Result<(), Error> {
        let engine = self.engine();
        let mut there = BTreeSet::new();
        for collection in engine.all_collections() {
            let id = collection.id();
            there.insert(id);
            let snapshot = collection.snapshot();
            let expected = {
                let mut model = self.world.model.borrow_mut();
                let known = model.entry(id).or_insert_with(|| {
                    let name = collection.name();
                    assert!(
                        self.world.making.borrow().contains(&name),
                        "collection {name} ({id}) was never made"
                    );
                    Collection { name, ..Default::default() }
                });
                if !lossless {
                    known.acked = known.acked.min(snapshot.timestamp());
                }
                let expected = known.expected(&snapshot);
                known.dropping.clear();
                known.drop_begun = false;
                known.unsure = false;
                known.decide(snapshot.timestamp());
                let info = snapshot.info();
                let now: BTreeMap<u64, String> =
                    info.partitions.iter().map(|p| (p.id, p.name.clone())).collect();
                let gone: Vec<u64> = known.partitions.keys().copied().collect();
                known.gone.extend(gone.into_iter().filter(|id| !now.contains_key(id)));
                known.partitions = now;
                known.fields = info.schema.fields.iter().skip(4).map(|f| f.name.clone()).collect();
                expected
            };
            check::check(&self.world, &snapshot, &expected).await?;
            if self.replaced.get() {
                return Err(Error::fenced("another process looks at it now"));
            }
        }
        let names: BTreeSet<String> = engine.all_collections().iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), there.len(), "two collections have one name");
        self.world.model.borrow_mut().retain(|id, collection| {
            let explained = there.contains(id) || collection.drop_begun || collection.unsure;
            assert!(explained, "collection {} ({id}) is gone", collection.name);
            there.contains(id)
        });
        Ok(())
    }
}

/// How a run ended.
pub struct Outcome {
    pub tally: Tally,
    pub trace: u64,
    pub polls: u64,
    /// What was wrong.
    pub violation: Option<String>,
    pub events: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, plant: Option<&'static str>, keep_events: bool) -> Outcome {
    let mut state = seed;
    let mut dice = |n: u64| {
        state = hash(&[state], b"settings");
        state % n
    };
    let world = Rc::new(World::new(seed, plant, &mut dice));
    let machine = Machine::new(seed, 1_700_000_000_000, world.clone());
    if keep_events {
        machine.keep_events();
    }
    let main = supervise(world.clone());
    let running = machine.clone();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || running.run(main)));
    let violation = match ended {
        Ok(Ok(())) => None,
        Ok(Err(stuck)) => Some(stuck),
        Err(panic) => Some(crate::message(panic)),
    };
    machine.tell("objects", world.objects.fingerprint());
    Outcome {
        tally: world.tally(),
        trace: machine.trace(),
        polls: machine.polls(),
        violation,
        events: machine.events(),
    }
}

/// How a life is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    PowerFailure,
    Takeover,
}

async fn supervise(world: Rc<World>) {
    let mut platter = Arc::new(Platter::default());
    let lives = 2 + pick(3);
    let mut lossless = true;
    let mut process = 0;
    for at in 0..lives {
        let end = match pick(20) {
            0..4 => End::Close,
            4..11 => End::Kill,
            11..18 => End::PowerFailure,
            _ => End::Takeover,
        };
        process += 1;
        let life = Life::new(&world, process, &platter);
        if end != End::Close && end != End::Takeover {
            world.doom.replace(doom(process, at == 0));
        }
        world.faults.set_on(true);
        begin(&life, lossless);
        let mut successor = None;
        if end == End::Takeover {
            runtime::sleep(Duration::from_millis(20 + pick(600))).await;
            successor = Some(take_over(&world, &life, &mut process).await);
        }
        wait(&life).await;
        world.doom.replace(Doom::Never);
        if end == End::Close && life.engine.borrow().is_some() && !life.died() {
            close(&life).await;
        }
        end_life(&life, end).await;
        lossless |= life.recovered.get();
        if end == End::PowerFailure {
            let lost = platter.power_failed(|n| pick(n as u64 + 1) as usize);
            world.count_fault("power failure");
            if lost > 0 {
                world.count_fault("unsynced changes lost");
            }
            lossless &= world.settings.log.durability == Durability::Sync;
        }
        if let Some((next, its)) = successor {
            wait(&next).await;
            end_life(&next, End::Kill).await;
            // What the first one had only in its log is left out, and stays out once the next has looked.
            lossless = next.recovered.get();
            world.contested.set(true);
            if pick(3) > 0 {
                platter = its;
            } else {
                // The first one comes back with its old log.
                lossless = false;
            }
        }
        if world.stale_log.take() {
            // As the error says: its rows are left out.
            platter = Arc::default();
            lossless = false;
            world.contested.set(true);
            world.count_fault("log left out");
        }
    }
    world.faults.set_on(false);
    process += 1;
    crate::last::last_life(&world, Life::new(&world, process, &platter), lossless).await;
}

impl Life {
    pub fn died(&self) -> bool {
        sim::machine().is_some_and(|machine| machine.has_ended(self.process))
    }
}

fn doom(process: Process, first: bool) -> Doom {
    match pick(10) {
        0 => Doom::Never,
        1..5 => Doom::Polls(process, 1 + pick([200, 2_000, 12_000][pick(3) as usize])),
        _ => {
            let gate = GATES[pick(GATES.len() as u64) as usize];
            // Another life has to have left something behind; drops are rare.
            let once = first && gate.starts_with("open") || gate.starts_with("drop");
            let again = if once { 1 } else { 1 + pick(4) };
            Doom::Gate(process, gate, again)
        }
    }
}

/// Starts a process: it opens the store, looks at everything, and works.
fn begin(life: &Rc<Life>, lossless: bool) {
    let machine = sim::machine().expect("within a run");
    let its = life.clone();
    let work = async move {
        crate::actors::live(&its, lossless).await;
        its.done.set(true);
    };
    machine.start(life.process, Box::pin(work));
}

/// Waits until a process has done its work or has ended.
async fn wait(life: &Rc<Life>) {
    let mut rounds = 0;
    while !life.done.get() && !life.died() {
        runtime::sleep(Duration::from_millis(25)).await;
        rounds += 1;
        assert!(rounds < 40_000, "a process does not come to an end in 1,000 s");
    }
}

async fn close(life: &Rc<Life>) {
    life.world.count("close");
    let engine = life.engine();
    if let Err(e) = engine.close().await {
        life.explain("close", &e);
    }
}

/// Ends a process; what it had under way is unknown from here on.
async fn end_life(life: &Rc<Life>, end: End) {
    if end != End::Close {
        life.world.count_fault("process ended");
    }
    let machine = sim::machine().expect("within a run");
    machine.end(life.process);
    life.alive.store(false, Ordering::SeqCst);
    life.engine.take();
    sim::give_way().await;
    for collection in life.world.model.borrow_mut().values_mut() {
        collection.crash(life.process);
        if !life.replaced.get() {
            collection.seen = 0;
        }
    }
    // A process that goes on elsewhere holds the store until its lease runs out.
    runtime::sleep(Duration::from_millis(pick(50))).await;
}

/// Pauses a process until its lease has run out, and lets another one with a log of its own take the store.
async fn take_over(
    world: &Rc<World>,
    life: &Rc<Life>,
    process: &mut Process,
) -> (Rc<Life>, Arc<Platter>) {
    let machine = sim::machine().expect("within a run");
    life.disturbed.set(true);
    life.replaced.set(true);
    world.count_fault("second writer");
    world.other_log.set(true);
    machine.pause(life.process, Duration::from_millis(15_200 + pick(3_000)));
    for collection in world.model.borrow_mut().values_mut() {
        collection.seen = 0;
    }
    runtime::sleep(Duration::from_millis(15_100)).await;
    *process += 1;
    let platter = Arc::new(Platter::default());
    let next = Life::new(world, *process, &platter);
    next.disturbed.set(true);
    begin(&next, false);
    (next, platter)
}
