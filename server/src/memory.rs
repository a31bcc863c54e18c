//! What the server remembers of its own: marks of flushes, jobs that clients asked for. Lost at a restart,
//! but for [`snapshots`].

pub mod pins;
pub mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use elanus_engine::api::{Collection, CompactMode};
use elanus_engine::core::runtime;
use elanus_engine::core::time::Timestamp;
use parking_lot::Mutex;

use crate::status::Failure;

/// An id as the wire has it.
pub fn signed(id: u64) -> i64 {
    id.cast_signed()
}

/// Up to which timestamp each collection is known to be on the store.
#[derive(Default)]
pub struct FlushMarks(Mutex<BTreeMap<u64, Timestamp>>);

impl FlushMarks {
    /// Notes that a collection is flushed up to a timestamp.
    pub fn raise(&self, collection: u64, to: Timestamp) {
        let mut marks = self.0.lock();
        let mark = marks.entry(collection).or_default();
        *mark = to.max(*mark);
    }

    /// The newest mark of any collection.
    pub fn newest(&self) -> Timestamp {
        self.0.lock().values().copied().max().unwrap_or_default()
    }

    /// The mark of a collection; 0: none.
    pub fn of(&self, collection: u64) -> Timestamp {
        self.0.lock().get(&collection).copied().unwrap_or_default()
    }
}

/// Compactions that are remembered; the oldest is forgotten first.
const REMEMBERED_JOBS: usize = 1_024;

/// How far a compaction is.
#[derive(Clone)]
pub enum State {
    /// At work.
    Running,
    /// Ended well.
    Done(Merged),
    /// Ended badly, and why.
    Failed(String),
}

/// Segments that went away and segments that came.
#[derive(Clone, Default)]
pub struct Merged {
    /// Segments that went.
    pub sources: Vec<i64>,
    /// Segments that came.
    pub targets: Vec<i64>,
}

/// A compaction that a client asked for.
#[derive(Clone)]
pub struct Job {
    /// Collection.
    pub collection: i64,
    /// How far it is.
    pub state: State,
}

/// The jobs by their id.
#[derive(Default)]
pub struct CompactionJobs(Arc<Mutex<BTreeMap<i64, Job>>>);

impl CompactionJobs {
    /// Starts one in the background.
    pub fn start(&self, id: i64, collection: Collection, mode: CompactMode) {
        let job = Job { collection: signed(collection.id()), state: State::Running };
        let jobs = self.0.clone();
        {
            let mut jobs = jobs.lock();
            jobs.insert(id, job);
            while jobs.len() > REMEMBERED_JOBS {
                jobs.pop_first();
            }
        }
        runtime::spawn(async move {
            let state = run(&collection, mode).await;
            if let State::Failed(why) = &state {
                tracing::warn!(collection = collection.name(), why, "compaction failed");
            }
            if let Some(job) = jobs.lock().get_mut(&id) {
                job.state = state;
            }
        });
    }

    /// A job that is remembered.
    pub fn job(&self, id: i64) -> Result<Job, Failure> {
        let job = self.0.lock().get(&id).cloned();
        job.ok_or_else(|| Failure::parameter(format!("compaction {id} not found")))
    }

    /// The jobs of a collection.
    pub fn of_collection(&self, collection: i64) -> Vec<(i64, Job)> {
        let jobs = self.0.lock();
        jobs.iter()
            .filter(|(_, j)| j.collection == collection)
            .map(|(i, j)| (*i, j.clone()))
            .collect()
    }
}

async fn run(collection: &Collection, mode: CompactMode) -> State {
    let segments =
        || -> BTreeSet<i64> { collection.stats().segments.iter().map(|s| signed(s.id)).collect() };
    let before = segments();
    match collection.compact(mode).await {
        Ok(_) => {
            let after = segments();
            State::Done(Merged {
                sources: before.difference(&after).copied().collect(),
                targets: after.difference(&before).copied().collect(),
            })
        }
        Err(e) => State::Failed(e.to_string()),
    }
}
