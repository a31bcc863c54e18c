//! What the processes of a run do: writers, readers and maintenance at once, each on a task of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use elanus_engine::api::{Collection, CompactMode, Snapshot};
use elanus_engine::core::error::Error;
use elanus_engine::core::runtime::{self, sim};

use crate::check::{Expected, check};
use crate::life::Life;
use crate::world::{Running, pick};

/// Most collections at once.
pub const COLLECTIONS: usize = 2;

/// Opens the store, looks at everything, lets maintenance loose on it, then works.
pub async fn live(life: &Rc<Life>, lossless: bool) {
    life.world.count("open");
    if let Err(e) = life.open().await {
        return life.explain("open", &e);
    }
    if life.replaced.get() {
        return;
    }
    if let Err(e) = life.recovered(lossless).await {
        return life.explain("the first reads", &e);
    }
    life.recovered.set(true);
    life.disturbed.set(false);
    if pick(2) == 0 {
        let pair = (0..2).map(|_| task(life, 1, MAINTENANCE)).collect::<Vec<_>>();
        futures::future::join_all(pair).await;
    }
    let steps = 2 + pick(9);
    let mut tasks: Vec<_> = (0..1 + pick(3)).map(|_| task(life, steps, WRITER)).collect();
    tasks.push(task(life, steps, READER));
    tasks.push(task(life, 1 + pick(5), MAINTENANCE));
    if pick(3) == 0 {
        tasks.push(task(life, 1 + pick(4), CHAOS));
    }
    futures::future::join_all(tasks).await;
}

type Step = (u64, &'static str);

const WRITER: &[Step] = &[
    (40, "put"),
    (10, "delete keys"),
    (6, "delete where"),
    (4, "cancelled put"),
    (6, "partial upsert"),
    (4, "create collection"),
    (1, "drop collection"),
    (3, "create partition"),
    (2, "drop partition"),
    (2, "add field"),
];
const READER: &[Step] =
    &[(8, "look"), (5, "look back"), (4, "hold"), (5, "look at a held one"), (3, "wait")];
const MAINTENANCE: &[Step] = &[
    (6, "flush"),
    (4, "compact"),
    (4, "compact all"),
    (5, "collect garbage"),
    (1, "drop collection"),
    (2, "drop partition"),
    (3, "retrain"),
    (2, "name a version"),
    (1, "drop a name"),
    (1, "clone"),
    (3, "hold"),
    (2, "wait"),
];
const CHAOS: &[Step] =
    &[(2, "jump"), (2, "store full"), (1, "disk full"), (2, "pause"), (2, "wait")];

/// Starts a task of so many steps.
fn task(life: &Rc<Life>, steps: u64, kinds: &'static [Step]) -> tokio::sync::oneshot::Receiver<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let actor = Actor { life: life.clone(), held: RefCell::default() };
    let work = async move {
        for _ in 0..steps {
            actor.step(kinds).await;
        }
        sender.send(()).ok();
    };
    let machine = sim::machine().expect("within a run");
    machine.start(life.process, Box::pin(work));
    receiver
}

pub struct Actor {
    pub life: Rc<Life>,
    pub held: RefCell<Vec<(Snapshot, Expected, Option<Running>)>>,
}

impl Actor {
    async fn step(&self, kinds: &[Step]) {
        let mut dice = pick(kinds.iter().map(|(weight, _)| weight).sum());
        let mut what = "wait";
        for (weight, kind) in kinds {
            if dice < *weight {
                what = kind;
                break;
            }
            dice -= weight;
        }
        self.life.world.count(what);
        if let Some(machine) = sim::machine() {
            machine.tell(what, 0);
        }
        let done = match what {
            "wait" => {
                runtime::sleep(Duration::from_millis(pick(300))).await;
                Ok(())
            }
            "create collection" => self.create_collection().await,
            "drop collection" => match self.some_collection() {
                Some(collection) => {
                    let _running = self.life.world.running(collection.id(), what);
                    self.drop_collection(&collection).await
                }
                None => Ok(()),
            },
            "jump" | "store full" | "disk full" | "pause" => self.trouble(what).await,
            "look at a held one" => self.look_at_held().await,
            _ => match self.some_collection() {
                Some(collection) => self.work(what, &collection).await,
                None => self.create_collection().await,
            },
        };
        if let Err(e) = done {
            self.life.explain(what, &e);
            // Who is refused waits a little.
            runtime::sleep(Duration::from_millis(pick(100))).await;
        }
    }

    async fn work(&self, what: &str, collection: &Collection) -> Result<(), Error> {
        let _running =
            self.life.world.running(collection.id(), if what == "hold" { "" } else { what });
        match what {
            "partial upsert" => self.merge(collection).await,
            "look back" => self.look_back(collection).await,
            "name a version" => self.name_version(collection).await,
            "drop a name" => self.drop_name(collection).await,
            "clone" => self.clone_collection(collection).await,
            "put" => self.put(collection, false).await,
            "cancelled put" => self.put(collection, true).await,
            "delete keys" => self.delete_keys(collection).await,
            "delete where" => self.delete_where(collection).await,
            "look" => self.look(collection).await,
            "hold" => {
                self.hold(collection);
                runtime::gate("snapshot.held").await;
                Ok(())
            }
            "flush" => collection.flush().await.map(drop),
            "compact" => collection.compact(CompactMode::Planned).await.map(drop),
            "compact all" => collection.compact(CompactMode::All).await.map(drop),
            "collect garbage" => collection.collect_garbage().await.map(drop),
            "retrain" => self.retrain(collection).await,
            "create partition" => self.create_partition(collection).await,
            "drop partition" => self.drop_partition(collection).await,
            "add field" => self.add_field(collection).await,
            other => panic!("no step {other}"),
        }
    }

    pub fn some_collection(&self) -> Option<Collection> {
        let all = self.life.engine().all_collections();
        (!all.is_empty()).then(|| all[pick(all.len() as u64) as usize].clone())
    }

    /// Whether what this process does counts.
    pub fn counts(&self) -> bool {
        !self.life.replaced.get()
    }

    /// Changes the model of a collection, unless it is none of ours any more.
    pub fn model<T>(
        &self,
        collection: &Collection,
        change: impl FnOnce(&mut crate::model::Collection) -> T,
    ) -> Option<T> {
        // Others may find a new collection before the one who made it goes on.
        self.counts().then(|| self.maybe(collection, |model, _| change(model)))
    }

    // ---- reads

    pub fn snapshot(&self, collection: &Collection) -> Option<(Snapshot, Expected)> {
        let snapshot = collection.snapshot();
        let expected = self.model(collection, |model| model.expected(&snapshot))?;
        Some((snapshot, expected))
    }

    pub async fn look(&self, collection: &Collection) -> Result<(), Error> {
        match self.snapshot(collection) {
            Some((snapshot, expected)) => check(&self.life.world, &snapshot, &expected).await,
            None => Ok(()),
        }
    }

    pub fn hold(&self, collection: &Collection) {
        let Some((snapshot, expected)) = self.snapshot(collection) else { return };
        let running = self.life.world.running(collection.id(), "hold");
        self.held.borrow_mut().push((snapshot, expected, running));
    }

    pub async fn look_at_held(&self) -> Result<(), Error> {
        let held = {
            let mut held = self.held.borrow_mut();
            let at = pick(held.len() as u64) as usize;
            (at < held.len()).then(|| held.swap_remove(at))
        };
        let Some((snapshot, expected, running)) = held else { return Ok(()) };
        let outcome = check(&self.life.world, &snapshot, &expected).await;
        if pick(2) == 0 {
            self.held.borrow_mut().push((snapshot, expected, running));
        }
        outcome
    }
}
