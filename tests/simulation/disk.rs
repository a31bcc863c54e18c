//! A local disk in memory that knows what is synced: a crash keeps that, and a prefix of the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::runtime::sim;
use elanus_engine::storage::disk::{Disk, Entry, Persist};
use parking_lot::Mutex;

use crate::faults::{Fault, Faults};
use crate::hash;

type Tables = BTreeMap<String, BTreeMap<Vec<u8>, Bytes>>;

/// A change in the order of the journal.
#[derive(Debug, Clone)]
enum Change {
    Open(String),
    Drop(String),
    Write(Vec<Entry>),
}

/// What outlives a process.
#[derive(Debug, Default)]
pub struct Platter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Tables,
    synced: Tables,
    unsynced: Vec<Change>,
}

impl State {
    fn change(&mut self, change: Change) {
        apply(&mut self.live, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        changes.iter().for_each(|change| apply(&mut self.synced, change));
    }
}

fn apply(tables: &mut Tables, change: &Change) {
    match change {
        Change::Open(name) => {
            tables.entry(name.clone()).or_default();
        }
        Change::Drop(name) => {
            tables.remove(name);
        }
        Change::Write(entries) => {
            for entry in entries {
                let Some(table) = tables.get_mut(entry.table.as_ref()) else { continue };
                match &entry.value {
                    Some(value) => table.insert(entry.key.clone(), value.clone()),
                    None => table.remove(&entry.key),
                };
            }
        }
    }
}

impl Platter {
    /// The power failed: of what was not synced the oldest `keep` changes stay.
    pub fn power_failed(&self, keep: impl FnOnce(usize) -> usize) -> usize {
        let mut state = self.state.lock();
        let keep = keep(state.unsynced.len()).min(state.unsynced.len());
        let lost = state.unsynced.len() - keep;
        state.unsynced.truncate(keep);
        state.sync();
        state.live = state.synced.clone();
        lost
    }
}

/// A process's way to its disk.
pub struct SimDisk {
    platter: Arc<Platter>,
    faults: Arc<Faults>,
    alive: Arc<AtomicBool>,
}

impl SimDisk {
    pub fn new(platter: Arc<Platter>, faults: Arc<Faults>, alive: Arc<AtomicBool>) -> Self {
        Self { platter, faults, alive }
    }

    fn alive(&self) -> Result<()> {
        match self.alive.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(broken("the process has ended")),
        }
    }

    fn begin(&self) -> Result<Fault> {
        self.alive()?;
        if self.faults.is_disk_full() {
            self.faults.count("local disk full");
            return Err(broken("no space is left"));
        }
        match self.faults.of_disk() {
            Fault::Before => {
                self.faults.count("local disk error before effect");
                Err(broken("a write failed"))
            }
            fault => Ok(fault),
        }
    }

    fn end(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::After => {
                self.faults.count("local disk error after effect");
                Err(broken("a sync failed"))
            }
            _ => Ok(()),
        }
    }
}

fn broken(why: &str) -> Error {
    Error::storage("the simulated disk", std::io::Error::other(why.to_string()))
}

fn tell(what: &str, value: u64) {
    if let Some(machine) = sim::machine() {
        machine.tell(what, value);
    }
}

impl Disk for SimDisk {
    fn tables(&self) -> Vec<String> {
        self.platter.state.lock().live.keys().cloned().collect()
    }

    fn open_table(&self, name: &str) -> Result<()> {
        self.alive()?;
        let mut state = self.platter.state.lock();
        if !state.live.contains_key(name) {
            drop(state);
            let fault = self.begin()?;
            tell("open table", hash(&[], name.as_bytes()));
            self.platter.state.lock().change(Change::Open(name.into()));
            return self.end(fault);
        }
        state.live.entry(name.into()).or_default();
        Ok(())
    }

    fn drop_tables(&self, names: &[Arc<str>]) -> Result<()> {
        let fault = self.begin()?;
        let mut state = self.platter.state.lock();
        for name in names {
            tell("drop table", hash(&[], name.as_bytes()));
            state.change(Change::Drop(name.to_string()));
        }
        drop(state);
        self.end(fault)
    }

    fn write(&self, entries: Vec<Entry>, persist: Persist) -> Result<()> {
        let fault = self.begin()?;
        let sum = entries.iter().fold(0, |sum, e| hash(&[sum, e.value.is_some().into()], &e.key));
        tell("disk write", sum);
        let mut state = self.platter.state.lock();
        state.change(Change::Write(entries));
        if persist != Persist::Buffer && fault == Fault::None {
            state.sync();
        }
        drop(state);
        self.end(fault)
    }

    fn sync(&self, _: Persist) -> Result<()> {
        let fault = self.begin()?;
        tell("disk sync", 0);
        if fault == Fault::None {
            self.platter.state.lock().sync();
        }
        self.end(fault)
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.alive()?;
        Ok(self.platter.state.lock().live.get(table).and_then(|t| t.get(key)).map(|v| v.to_vec()))
    }

    fn first_key(&self, table: &str, from: &[u8]) -> Result<Option<Vec<u8>>> {
        self.alive()?;
        let state = self.platter.state.lock();
        let table = state.live.get(table);
        Ok(table.and_then(|t| t.range(from.to_vec()..).next()).map(|(key, _)| key.clone()))
    }

    fn scan(
        &self,
        table: &str,
        from: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.alive()?;
        let found: Vec<_> = {
            let state = self.platter.state.lock();
            let table = state.live.get(table).into_iter();
            table
                .flat_map(|t| t.range(from.to_vec()..))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        found.iter().try_for_each(|(key, value)| each(key, value))
    }
}
