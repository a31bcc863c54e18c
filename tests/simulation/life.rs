//! A process: it opens the store, and compares what it finds with the model.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use elanus_engine::api::{AsOf, Engine, OpenOptions};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::runtime::sim::{self, Process, SimClock};
use elanus_engine::storage::bucket::Bucket;
use elanus_engine::storage::local::LocalDb;

use crate::check;
use crate::disk::{Platter, SimDisk};
use crate::store::SimStore;
use crate::world::World;

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

impl Life {
    pub fn new(world: &Rc<World>, process: Process, platter: &Arc<Platter>) -> Rc<Self> {
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
                    self.world.new_model(name)
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
            self.still_ours()?;
            self.named(&collection).await?;
            self.still_ours()?;
        }
        let names: BTreeSet<String> = engine.all_collections().iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), there.len(), "two collections have one name");
        self.world.looked.set(self.process);
        let dropping = std::mem::take(&mut *self.world.dropping.borrow_mut());
        self.world.model.borrow_mut().retain(|id, collection| {
            let its = |((name, _), calls): (&(String, Process), &u64)| {
                *name == collection.name && *calls > 0
            };
            let dropping = dropping.iter().any(its);
            let explained =
                there.contains(id) || collection.drop_begun || collection.unsure || dropping;
            assert!(explained, "collection {} ({id}) is gone", collection.name);
            there.contains(id)
        });
        Ok(())
    }

    /// The model is of the store as the one sees it that has taken it last.
    fn still_ours(&self) -> Result<(), Error> {
        match self.replaced.get() {
            true => Err(Error::fenced("another process looks at it now")),
            false => Ok(()),
        }
    }

    /// Versions that are kept by name are there, and show what they showed.
    async fn named(&self, collection: &elanus_engine::api::Collection) -> Result<(), Error> {
        let there: BTreeMap<String, u64> =
            collection.snapshots().into_iter().map(|s| (s.name, s.version)).collect();
        {
            let mut model = self.world.model.borrow_mut();
            let Some(known) = model.get_mut(&collection.id()) else { return Ok(()) };
            for (name, version) in &known.named {
                let kept = there.get(name) == Some(version) || known.unnaming.contains(name);
                assert!(kept, "version {version} was kept as {name}, there are {there:?}");
            }
            let made = there.keys().all(|name| known.naming.contains(name));
            assert!(made, "{there:?}: not all were ever made");
            known.named = there.clone();
            known.unnaming.clear();
        }
        for name in there.into_keys() {
            let then = collection.as_of(&AsOf::Snapshot(name)).await?;
            self.still_ours()?;
            let expected = {
                let model = self.world.model.borrow();
                let Some(known) = model.get(&collection.id()) else { return Ok(()) };
                known.expected_then(&then)
            };
            check::check(&self.world, &then, &expected).await?;
        }
        Ok(())
    }
}
