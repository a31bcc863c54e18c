//! What the server knows of named snapshots beyond the store: restores that were asked for, and pins that
//! keep a snapshot from being dropped. Kept over a restart.

use std::collections::BTreeMap;

use elanus_engine::api::Engine;
use elanus_engine::core::error::{Error, Result};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

const RESTORES: &str = "restore/";
const PINS: &str = "snapshot-pin/";
/// Restores that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 256;

/// A snapshot that became a collection.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Restore {
    /// Number; a timestamp of the store.
    pub id: u64,
    /// The snapshot.
    pub snapshot: String,
    /// Database of the new collection.
    pub database: String,
    /// The new collection.
    pub collection: String,
    /// Its number.
    pub collection_id: u64,
    /// When it began, in milliseconds.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Keeps a snapshot from being dropped.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    /// Number; a timestamp of the store.
    pub id: u64,
    /// The snapshot's collection.
    pub collection_id: u64,
    /// When the snapshot was made; names may be given again.
    pub snapshot_ts: u64,
    /// Until when it holds, in milliseconds; 0: until it is taken away.
    pub until_ms: u64,
}

/// All restores and pins.
pub struct Snapshots {
    engine: Engine,
    restores: Mutex<BTreeMap<u64, Restore>>,
    pins: Mutex<BTreeMap<u64, Pin>>,
    /// Held while a snapshot is dropped or pinned.
    pub turn: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Reads them from the store.
    ///
    /// # Errors
    /// If a record of them cannot be read.
    pub fn open(engine: &Engine) -> Result<Self> {
        Ok(Self {
            engine: engine.clone(),
            restores: Mutex::new(read(engine, RESTORES, |r: &Restore| r.id)?),
            pins: Mutex::new(read(engine, PINS, |p: &Pin| p.id)?),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Remembers a restore.
    pub async fn note(&self, restore: Restore) -> Result<()> {
        let mut changes = vec![(key(RESTORES, restore.id), Some(encode(&restore)?))];
        {
            let mut restores = self.restores.lock();
            restores.insert(restore.id, restore);
            while restores.len() > REMEMBERED {
                let oldest = restores.pop_first().map(|(id, _)| (key(RESTORES, id), None));
                changes.extend(oldest);
            }
        }
        self.engine.change_records(changes).await
    }

    /// A restore that is remembered.
    pub fn restore(&self, id: u64) -> Option<Restore> {
        self.restores.lock().get(&id).cloned()
    }

    /// All restores, the oldest first.
    pub fn restores(&self) -> Vec<Restore> {
        self.restores.lock().values().cloned().collect()
    }

    /// Adds a pin, and forgets those whose time is over.
    pub async fn pin(&self, pin: Pin) -> Result<()> {
        let now = self.engine.now_ms();
        let mut changes = vec![(key(PINS, pin.id), Some(encode(&pin)?))];
        let over: Vec<u64> =
            self.pins.lock().values().filter(|p| !p.holds(now)).map(|p| p.id).collect();
        changes.extend(over.iter().map(|id| (key(PINS, *id), None)));
        self.engine.change_records(changes).await?;
        let mut pins = self.pins.lock();
        pins.retain(|id, _| !over.contains(id));
        pins.insert(pin.id, pin);
        Ok(())
    }

    /// Takes a pin away; false: there is none.
    pub async fn unpin(&self, id: u64) -> Result<bool> {
        if !self.pins.lock().contains_key(&id) {
            return Ok(false);
        }
        self.engine.change_records(vec![(key(PINS, id), None)]).await?;
        Ok(self.pins.lock().remove(&id).is_some())
    }

    /// Whether a pin holds a collection's snapshot.
    pub fn is_pinned(&self, collection_id: u64, snapshot_ts: u64) -> bool {
        let now = self.engine.now_ms();
        let own = |pin: &Pin| (pin.collection_id, pin.snapshot_ts) == (collection_id, snapshot_ts);
        self.pins.lock().values().any(|pin| own(pin) && pin.holds(now))
    }
}

impl Pin {
    fn holds(&self, now_ms: u64) -> bool {
        self.until_ms == 0 || now_ms < self.until_ms
    }
}

fn read<T: DeserializeOwned>(
    engine: &Engine,
    prefix: &str,
    id: impl Fn(&T) -> u64,
) -> Result<BTreeMap<u64, T>> {
    let records = engine.records(prefix).into_iter();
    let all = records.map(|(key, value)| {
        let one: T = serde_json::from_slice(&value)
            .map_err(|e| Error::corrupted("the local catalog", format!("record {key}: {e}")))?;
        Ok((id(&one), one))
    });
    all.collect()
}

fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|e| Error::internal(format!("a record cannot be written down: {e}")))
}

fn key(prefix: &str, id: u64) -> String {
    format!("{prefix}{id:020}")
}
