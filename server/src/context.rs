//! What every call can reach.

use std::collections::BTreeMap;

use elanus_engine::api::{Collection, Engine};
use elanus_engine::core::error::{Error, ErrorKind, Subject};
use elanus_engine::core::runtime::Stopwatch;
use elanus_engine::core::time::Timestamp;
use elanus_proto::common::ClientInfo;
use parking_lot::Mutex;

use crate::access::permit::{self, Visible};
use crate::access::{Access, caller};
use crate::import::Jobs;
use crate::memory::pins::Pins;
use crate::memory::snapshots::Snapshots;
use crate::memory::{CompactionJobs, FlushMarks};
use crate::status::Failure;

/// Clients that are remembered; the oldest is forgotten first.
const REMEMBERED_CLIENTS: usize = 4_096;

/// The database that a client means when it names none.
pub use elanus_engine::api::DEFAULT_DATABASE;

/// The engine and what the server itself remembers.
pub struct Context {
    /// The store.
    pub engine: Engine,
    /// Users, roles and what they may do.
    pub access: Access,
    /// Imports of files.
    pub imports: Jobs,
    /// Restores and pins of named snapshots.
    pub(crate) snapshots: Snapshots,
    /// When the server started.
    pub started: Stopwatch,
    /// A timestamp from the start: everything older was settled by recovery.
    pub started_ts: Timestamp,
    /// How far each collection is flushed.
    pub(crate) flushes: FlushMarks,
    /// Compactions that clients asked for.
    pub(crate) compactions: CompactionJobs,
    /// Snapshots that iterators read from.
    pub(crate) pins: Pins,
    clients: Mutex<BTreeMap<i64, ClientInfo>>,
}

impl Context {
    /// A fresh context over an open engine.
    ///
    /// # Errors
    /// If the records of its users cannot be read.
    pub fn new(engine: Engine) -> elanus_engine::core::error::Result<Self> {
        let started_ts = engine.next_timestamp();
        let read = &engine.settings().read;
        let idle = std::time::Duration::from_millis(read.iterator_idle_ms);
        let pins = Pins::new(idle, read.max_iterators);
        Ok(Self {
            access: Access::open(&engine)?,
            imports: Jobs::open(&engine)?,
            snapshots: Snapshots::open(&engine)?,
            engine,
            started: Stopwatch::start(),
            started_ts,
            flushes: FlushMarks::default(),
            compactions: CompactionJobs::default(),
            pins,
            clients: Mutex::default(),
        })
    }

    /// Remembers a client and gives it its identifier, which is never zero.
    pub fn register_client(&self, client: ClientInfo) -> i64 {
        let identifier = signed(self.engine.next_timestamp());
        let mut clients = self.clients.lock();
        clients.insert(identifier, client);
        while clients.len() > REMEMBERED_CLIENTS {
            clients.pop_first();
        }
        identifier
    }

    /// The clients that connected, by identifier.
    pub fn clients(&self) -> Vec<(i64, ClientInfo)> {
        self.clients.lock().iter().map(|(id, info)| (*id, info.clone())).collect()
    }

    /// The databases that the caller may see.
    pub fn visible_databases(&self) -> Visible {
        match self.restricted_caller() {
            Some(user) => permit::visible_databases(&self.access.state(), &user),
            None => Visible::All,
        }
    }

    /// The collections of a database that the caller may see.
    pub fn visible_collections(&self, database: &str) -> Visible {
        match self.restricted_caller() {
            Some(user) => permit::visible_collections(&self.access.state(), &user, database),
            None => Visible::All,
        }
    }

    fn restricted_caller(&self) -> Option<String> {
        if self.access.settings().enabled { caller::current() } else { None }
    }

    /// The collection of that name or alias, or Milvus's words for its absence.
    pub fn collection(&self, database: &str, name: &str) -> Result<Collection, Failure> {
        self.engine.collection(database, name).map_err(|e| absent(e, database, name))
    }
}

/// Milvus's words for a database or collection that is not there; other errors as they are.
pub fn absent(error: Error, database: &str, collection: &str) -> Failure {
    match (error.kind, error.subject) {
        (ErrorKind::NotFound, Subject::Database) => Failure::database_not_found(database),
        (ErrorKind::NotFound, Subject::Collection) => {
            Failure::collection_not_found(database, collection)
        }
        _ => error.into(),
    }
}

/// An id or timestamp as the wire has it.
pub fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
