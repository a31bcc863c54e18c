//! The imports: run in turn in the background, and remembered over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use elanus_engine::api::{Collection, Engine};
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::runtime;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::job::{Checked, Job, Request, Stage};
use super::{failed, run};
use crate::status::Failure;

const RECORD: &str = "import/";
/// Imports that are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 256;
/// Imports that run at once; others wait.
const AT_ONCE: usize = 1;
/// So often an import is begun: one that ends the server each time must not go on for ever.
const MOST_BEGUN: u32 = 3;

/// All imports that are remembered.
#[derive(Clone)]
pub struct Jobs {
    engine: Engine,
    jobs: Arc<Mutex<BTreeMap<u64, Job>>>,
    turns: Arc<Semaphore>,
}

impl Jobs {
    /// Reads them from the store. What was under way when the server stopped is begun again.
    pub fn open(engine: &Engine) -> Result<Self> {
        let mut jobs = BTreeMap::new();
        for (key, value) in engine.records(RECORD) {
            let mut job: Job = serde_json::from_slice(&value)
                .map_err(|e| Error::corrupted("the local catalog", format!("record {key}: {e}")))?;
            if job.is_open() && job.begun >= MOST_BEGUN {
                job.stage = Stage::Failed(format!(
                    "the server stopped {MOST_BEGUN} times during the import: some of its rows \
                     may be written"
                ));
            }
            jobs.insert(job.id, job);
        }
        let (jobs, turns) = (Arc::new(Mutex::new(jobs)), Arc::new(Semaphore::new(AT_ONCE)));
        let all = Self { engine: engine.clone(), jobs, turns };
        all.go_on();
        Ok(all)
    }

    /// Begins again what is open. Rows that are written already are replaced by themselves.
    fn go_on(&self) {
        let mut open = self.all();
        open.retain(Job::is_open);
        for job in open {
            let (database, name) = (&job.request.database, &job.request.collection);
            let found = self.engine.collections(database).unwrap_or_default();
            let Some(own) = found.into_iter().find(|c| c.id() == job.collection_id) else {
                let why = format!("the collection {name} was dropped during the import");
                self.change(job.id, |job| job.stage = Stage::Failed(why));
                continue;
            };
            let jobs = self.clone();
            runtime::spawn(async move { jobs.run(own, job).await });
        }
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
            checked: None,
            begun: 0,
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
        let imported = self.import(&collection, job).await;
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

    /// Checks the files from end to end, then writes their rows.
    async fn import(
        &self,
        collection: &Collection,
        mut job: Job,
    ) -> std::result::Result<u64, Failure> {
        let id = job.id;
        (job.stage, job.begun) = (Stage::Running, job.begun + 1);
        self.change(id, |known| *known = job.clone());
        self.save(&job).await?;
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
        let files = run::find(&self.engine, &job.request).await?;
        let source = (&files, &job.request);
        let rows = run::check(&self.engine, collection, source, &progress).await?;
        let checked = match job.checked {
            Some(before) if before.rows == rows => before,
            Some(before) => {
                return Err(failed(format!(
                    "the files have changed since the import was begun: {rows} rows for {}",
                    before.rows
                )));
            }
            None => Checked { rows, first_key: self.engine.reserve_timestamps(rows.max(1)) },
        };
        self.change(id, |job| job.checked = Some(checked));
        if let Some(job) = self.job(id) {
            self.save(&job).await?;
        }
        run::write(&self.engine, collection, source, checked.first_key, &progress).await
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
