//! Compactions that a client asked for: they run in the background, and their state can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use elanus_engine::api::{Collection, CompactMode};
use elanus_engine::core::runtime;
use elanus_proto::common::{CompactionState, CompactionTaskState, CompactionType};
use elanus_proto::service::{
    CompactionMergeInfo, GetCompactionPlansRequest, GetCompactionPlansResponse,
    GetCompactionStateRequest, GetCompactionStateResponse, ManualCompactionRequest,
    ManualCompactionResponse,
};
use parking_lot::Mutex;

use super::collection;
use crate::context::{Context, signed};
use crate::status::Failure;

/// Compactions that are remembered; the oldest is forgotten first.
const REMEMBERED_JOBS: usize = 1_024;

#[derive(Clone)]
enum State {
    Running,
    Done(Merged),
    Failed(String),
}

/// Segments that went away and segments that came.
#[derive(Clone, Default)]
struct Merged {
    sources: Vec<i64>,
    targets: Vec<i64>,
}

#[derive(Clone)]
struct Job {
    collection: i64,
    state: State,
}

/// The jobs by their id.
#[derive(Default)]
pub struct CompactionJobs(Arc<Mutex<BTreeMap<i64, Job>>>);

impl CompactionJobs {
    fn start(&self, id: i64, collection: Collection, mode: CompactMode) {
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

    fn job(&self, id: i64) -> Result<Job, Failure> {
        let job = self.0.lock().get(&id).cloned();
        job.ok_or_else(|| Failure::parameter(format!("compaction {id} not found")))
    }

    fn of_collection(&self, collection: i64) -> Vec<(i64, Job)> {
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

/// Starts a compaction. One for deletes alone runs what is due; any other rewrites all segments.
pub async fn start(
    ctx: &Context,
    database: &str,
    request: ManualCompactionRequest,
) -> Result<ManualCompactionResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, request.collection_id)?;
    if request.partition_id > 0 || !request.channel.is_empty() || !request.segment_ids.is_empty() {
        return Err(Failure::unsupported(
            "compacting a part of a collection is not supported, name the collection only",
        ));
    }
    let mode = if request.l0_compaction { CompactMode::Planned } else { CompactMode::All };
    let id = signed(ctx.engine.next_timestamp());
    ctx.compactions.start(id, found, mode);
    Ok(ManualCompactionResponse { status: None, compaction_id: id, compaction_plan_count: 1 })
}

/// How far a compaction is.
pub async fn state(
    ctx: &Context,
    _: &str,
    request: GetCompactionStateRequest,
) -> Result<GetCompactionStateResponse, Failure> {
    let mut answer = GetCompactionStateResponse::default();
    match ctx.compactions.job(request.compaction_id)?.state {
        State::Running => {
            answer.state = CompactionState::Executing.into();
            answer.executing_plan_no = 1;
        }
        State::Done(_) => {
            answer.state = CompactionState::Completed.into();
            answer.completed_plan_no = 1;
        }
        State::Failed(_) => {
            answer.state = CompactionState::Completed.into();
            answer.failed_plan_no = 1;
        }
    }
    Ok(answer)
}

/// What a compaction merged; for a collection's name, what all its compactions did.
pub async fn plans(
    ctx: &Context,
    database: &str,
    request: GetCompactionPlansRequest,
) -> Result<GetCompactionPlansResponse, Failure> {
    let jobs = if request.compaction_id != 0 {
        let id = request.compaction_id;
        vec![(id, ctx.compactions.job(id)?)]
    } else {
        let (name, id) = (&request.collection_name, request.collection_id);
        let found = collection::find(ctx, database, name, id)?;
        ctx.compactions.of_collection(signed(found.id()))
    };
    let running = jobs.iter().any(|(_, job)| matches!(job.state, State::Running));
    let state = if running { CompactionState::Executing } else { CompactionState::Completed };
    let merge_infos = jobs.into_iter().map(|(id, job)| merge_info(id, job)).collect();
    Ok(GetCompactionPlansResponse { status: None, state: state.into(), merge_infos })
}

fn merge_info(id: i64, job: Job) -> CompactionMergeInfo {
    let nothing = Merged::default;
    let (state, merged, failure_reason) = match job.state {
        State::Running => (CompactionTaskState::Executing, nothing(), String::new()),
        State::Done(merged) => (CompactionTaskState::Completed, merged, String::new()),
        State::Failed(why) => (CompactionTaskState::Failed, nothing(), why),
    };
    CompactionMergeInfo {
        target: merged.targets.first().copied().unwrap_or_default(),
        sources: merged.sources,
        targets: merged.targets,
        plan_id: id,
        trigger_id: id,
        collection_id: job.collection,
        r#type: CompactionType::Mix.into(),
        state: state.into(),
        failure_reason,
        ..Default::default()
    }
}
