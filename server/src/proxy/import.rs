//! The older calls of bulk import, over the [jobs](crate::import).

use elanus_engine::core::time::to_millis;
use elanus_proto::common::{ImportState, KeyValuePair};
use elanus_proto::service::{
    GetImportStateRequest, GetImportStateResponse, ImportRequest, ImportResponse,
    ListImportTasksRequest, ListImportTasksResponse,
};

use super::{collection, partition};
use crate::context::{Context, signed};
use crate::convert::params;
use crate::import::{Job, Request, Stage, failed};
use crate::status::Failure;

/// Begins an import of all files as one task.
pub async fn start(
    ctx: &Context,
    database: &str,
    request: ImportRequest,
) -> Result<ImportResponse, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = found.info();
    if !request.partition_name.is_empty() {
        if info.schema.partition_key().is_some() {
            return Err(failed(
                "not allow to set partition name for collection with partition key",
            ));
        }
        partition::require(&info, &request.partition_name)?;
    }
    let mut options = params::to_map(&request.options);
    if options.get("backup").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Err(Failure::unsupported("import of a backup's binlogs is not supported"));
    }
    let import = Request {
        database: database.to_string(),
        collection: info.name,
        partition: request.partition_name,
        files: request.files,
        separator: options.remove("sep").unwrap_or_default(),
        null_text: options.remove("nullkey").unwrap_or_default(),
    };
    let id = ctx.imports.start(found, import).await?;
    Ok(ImportResponse { status: None, tasks: vec![signed(id)] })
}

/// How far an import is.
pub async fn state(
    ctx: &Context,
    database: &str,
    request: GetImportStateRequest,
) -> Result<GetImportStateResponse, Failure> {
    let job = u64::try_from(request.task).ok().and_then(|id| ctx.imports.job(id));
    let visible = |job: &Job| {
        let collections = ctx.visible_collections(&job.request.database);
        ctx.visible_databases().shows(database) && collections.shows(&job.request.collection)
    };
    match job.filter(visible) {
        Some(job) => Ok(to_wire(&job)),
        None => Err(failed(format!("import job does not exist, jobID={}", request.task))),
    }
}

/// The imports of a collection, or of a database.
pub async fn list(
    ctx: &Context,
    database: &str,
    request: ListImportTasksRequest,
) -> Result<ListImportTasksResponse, Failure> {
    let wanted = collection::id_if_named(ctx, database, &request.collection_name)?;
    let visible = ctx.visible_collections(database);
    let mut jobs = ctx.imports.all();
    jobs.retain(|job| {
        job.request.database == database
            && visible.shows(&job.request.collection)
            && wanted.is_none_or(|id| job.collection_id == id)
    });
    let most = usize::try_from(request.limit).unwrap_or(0);
    let skip = if most == 0 { 0 } else { jobs.len().saturating_sub(most) };
    let tasks = jobs.iter().skip(skip).map(to_wire).collect();
    Ok(ListImportTasksResponse { status: None, tasks })
}

fn to_wire(job: &Job) -> GetImportStateResponse {
    let (state, why) = match &job.stage {
        Stage::Pending => (ImportState::ImportPending, ""),
        Stage::Running => (ImportState::ImportStarted, ""),
        Stage::Persisted => (ImportState::ImportPersisted, ""),
        Stage::Done => (ImportState::ImportCompleted, ""),
        Stage::Failed(why) => (ImportState::ImportFailed, why.as_str()),
    };
    let info = |key: &str, value: String| KeyValuePair { key: key.into(), value };
    GetImportStateResponse {
        status: None,
        state: state.into(),
        row_count: if why.is_empty() { signed(job.rows) } else { 0 },
        infos: vec![
            info("files", job.request.files.join(",")),
            info("collection", job.request.collection.clone()),
            info("partition", job.request.partition.clone()),
            info("failed_reason", why.to_string()),
            info("progress_percent", job.progress.to_string()),
        ],
        id: signed(job.id),
        collection_id: signed(job.collection_id),
        create_ts: signed(to_millis(job.id) / 1_000),
        ..Default::default()
    }
}
