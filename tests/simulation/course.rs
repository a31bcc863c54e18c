//! One run: the lives of the processes that open the store, one after the other and across each other.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use elanus_engine::core::runtime;
use elanus_engine::core::runtime::sim::{self, Machine, Process};
use elanus_engine::core::settings::Durability;

use crate::disk::Platter;
use crate::hash;
use crate::life::Life;
use crate::world::{Doom, GATES, Tally, World, pick};

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
