//! The imports: run in turn in the background, and remembered over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use elanus_engine::api::{Collection, Engine};
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::runtime;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::job::{Job, Request, Stage};
use super::run;
use crate::status::Failure;

const RECORD: &str = "import/";
/// Imports that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 256;
/// Imports that run at once; others wait.
const AT_ONCE: usize = 1;

/// All imports that are remembered.
#[derive(Clone)]
pub struct Jobs {
    engine: Engine,
    jobs: Arc<Mutex<BTreeMap<u64, Job>>>,
    turns: Arc<Semaphore>,
}

impl Jobs {
    /// Reads them from the store. What was under way when the server stopped has failed.
    pub fn open(engine: &Engine) -> Result<Self> {
        let mut jobs = BTreeMap::new();
        for (key, value) in engine.records(RECORD) {
            let mut job: Job = serde_json::from_slice(&value)
                .map_err(|e| Error::corrupted("the local catalog", format!("record {key}: {e}")))?;
            if job.is_open() {
                job.stage = Stage::Failed(
                    "the server stopped during the import: some of its rows may be written".into(),
                );
            }
            jobs.insert(job.id, job);
        }
        let (jobs, turns) = (Arc::new(Mutex::new(jobs)), Arc::new(Semaphore::new(AT_ONCE)));
        Ok(Self { engine: engine.clone(), jobs, turns })
    }

    /// Begins an import into a collection; gives its number.
    ///
    /// # Errors
    /// If the request cannot be meant, whatever the files hold.
    pub async fn start(
        &self,
        collection: Collection,
        request: Request,
    ) -> std::result::Result<u64, Failure> {
        request.check(self.engine.settings().server.max_import_files)?;
        let id = self.engine.next_timestamp();
        let job = Job {
            id,
            collection_id: collection.id(),
            request,
            stage: Stage::Pending,
            progress: 0,
            rows: 0,
        };
        self.jobs.lock().insert(id, job.clone());
        self.save(&job).await?;
        let jobs = self.clone();
        runtime::spawn(async move { jobs.run(collection, job).await });
        Ok(id)
    }

    async fn run(self, collection: Collection, job: Job) {
        let Ok(_turn) = self.turns.acquire().await else { return };
        let id = job.id;
        self.change(id, |job| job.stage = Stage::Running);
        let progress = |rows: u64, written: bool| {
            self.change(id, |job| match written {
                // Half of the work is checking; how much is left is known once all rows are checked.
                true => job.progress = (50 + 45 * rows / job.rows.max(1)).min(95) as u8,
                false => {
                    job.rows = rows;
                    job.progress = (job.progress + 1).min(50);
                }
            });
        };
        let imported = run::import(&self.engine, &collection, &job.request, &progress).await;
        let ended = match imported {
            Ok(rows) => {
                self.change(id, |job| (job.stage, job.rows) = (Stage::Persisted, rows));
                collection.flush().await.map(|_| ()).map_err(Failure::from)
            }
            Err(failure) => Err(failure),
        };
        let Some(mut job) = self.job(id) else { return };
        match ended {
            Ok(()) => (job.stage, job.progress) = (Stage::Done, 100),
            Err(failure) => job.stage = Stage::Failed(failure.reason),
        }
        tracing::info!(id, collection = collection.name(), rows = job.rows, stage = ?job.stage, "import ended");
        // Who is told of the end may rely on hearing it again after a restart.
        if let Err(error) = self.save(&job).await {
            tracing::error!(%error, id, "the end of an import cannot be written down");
        }
        self.change(id, |known| *known = job);
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.lock().get_mut(&id) {
            change(job);
        }
    }

    async fn save(&self, job: &Job) -> Result<()> {
        let value = serde_json::to_vec(job)
            .map_err(|e| Error::internal(format!("an import cannot be written down: {e}")))?;
        let mut changes = vec![(key(job.id), Some(value))];
        {
            let mut jobs = self.jobs.lock();
            let ended = jobs.values().filter(|job| !job.is_open()).map(|job| job.id);
            let many = jobs.len().saturating_sub(REMEMBERED);
            for id in ended.take(many).collect::<Vec<_>>() {
                jobs.remove(&id);
                changes.push((key(id), None));
            }
        }
        self.engine.change_records(changes).await
    }

    /// An import that is remembered.
    pub fn job(&self, id: u64) -> Option<Job> {
        self.jobs.lock().get(&id).cloned()
    }

    /// All imports, the oldest first.
    pub fn all(&self) -> Vec<Job> {
        self.jobs.lock().values().cloned().collect()
    }
}

fn key(id: u64) -> String {
    format!("{RECORD}{id:020}")
}
