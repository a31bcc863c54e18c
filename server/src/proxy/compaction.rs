//! Compactions that a client asked for: they run in the background, and their state can be asked.

use elanus_engine::api::CompactMode;
use elanus_proto::common::{CompactionState, CompactionTaskState, CompactionType};
use elanus_proto::service::{
    CompactionMergeInfo, GetCompactionPlansRequest, GetCompactionPlansResponse,
    GetCompactionStateRequest, GetCompactionStateResponse, ManualCompactionRequest,
    ManualCompactionResponse,
};

use super::collection;
use crate::context::{Context, signed};
use crate::memory::{Job, Merged, State};
use crate::status::Failure;

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
