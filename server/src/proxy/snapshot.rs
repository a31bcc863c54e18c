//! Named snapshots of collections, and new collections made of them.

use elanus_engine::api::{AsOf, CloneOrder, Collection, NamedSnapshot};
use elanus_engine::core::error::{ErrorKind, Subject};
use elanus_proto::service::{
    CreateSnapshotRequest, DescribeSnapshotRequest, DescribeSnapshotResponse, DropSnapshotRequest,
    GetRestoreSnapshotStateRequest, GetRestoreSnapshotStateResponse,
    ListRestoreSnapshotJobsRequest, ListRestoreSnapshotJobsResponse, ListSnapshotsRequest,
    ListSnapshotsResponse, PinSnapshotDataRequest, PinSnapshotDataResponse, RestoreSnapshotInfo,
    RestoreSnapshotRequest, RestoreSnapshotResponse, RestoreSnapshotState,
    UnpinSnapshotDataRequest,
};

use super::{alias, collection, names};
use crate::access::names::plain;
use crate::context::{Context, absent, signed};
use crate::import::failed;
use crate::memory::snapshots::{Pin, Restore};
use crate::status::{Failure, code};

/// Longest that a client may ask to be spared compaction: seven days.
const MAX_PROTECTION_SECONDS: i64 = 7 * 24 * 3600;
/// Longest that a pin may hold by itself: thirty days.
const MAX_PIN_SECONDS: i64 = 30 * 24 * 3600;

fn check_name(ctx: &Context, name: &str) -> Result<(), Failure> {
    plain("snapshot name", name, ctx.engine.settings().limits.max_name_bytes)
}

fn find(
    ctx: &Context,
    database: &str,
    collection: &str,
    call: &str,
) -> Result<Collection, Failure> {
    if collection.is_empty() {
        return Err(Failure::missing(format!("collection_name is required for {call}")));
    }
    collection::find(ctx, database, collection, 0)
}

fn snapshot(found: &Collection, name: &str) -> Result<NamedSnapshot, Failure> {
    let own = found.snapshots().into_iter().find(|s| s.name == name);
    own.ok_or_else(|| {
        Failure::new(
            code::SNAPSHOT_NOT_FOUND,
            format!("snapshot not found[snapshot={name}][collection={}]", found.name()),
        )
    })
}

/// Keeps the rows of now under a name. What it keeps stays readable whatever compaction does, so the time
/// for which a client asks to be spared compaction is checked, and nothing has to be done for it.
pub async fn create(
    ctx: &Context,
    database: &str,
    request: CreateSnapshotRequest,
) -> Result<(), Failure> {
    check_name(ctx, &request.name)?;
    if request.compaction_protection_seconds < 0 {
        return Err(Failure::parameter("compaction_protection_seconds must be non-negative"));
    }
    if request.compaction_protection_seconds > MAX_PROTECTION_SECONDS {
        return Err(Failure::parameter(format!(
            "compaction_protection_seconds must not exceed {MAX_PROTECTION_SECONDS}"
        )));
    }
    if request.skip_index {
        return Err(without_indexes());
    }
    let found = find(ctx, database, &request.collection_name, "create snapshot")?;
    let made = found.create_snapshot(&request.name, &request.description).await;
    made.map(|_| ()).map_err(|e| match (e.kind, e.subject) {
        (ErrorKind::AlreadyExists, Subject::Snapshot) => Failure::parameter(format!(
            "snapshot name {} already exists in collection {}",
            request.name,
            found.id()
        )),
        _ => e.into(),
    })
}

fn without_indexes() -> Failure {
    Failure::unsupported(
        "skip_index is not supported by Elanus: a snapshot holds the definitions of its indexes",
    )
}

/// Lets a snapshot go; one that is not there counts as dropped.
pub async fn drop(
    ctx: &Context,
    database: &str,
    request: DropSnapshotRequest,
) -> Result<(), Failure> {
    check_name(ctx, &request.name)?;
    let found = find(ctx, database, &request.collection_name, "drop snapshot")?;
    let _turn = ctx.snapshots.turn.lock().await;
    let Ok(snapshot) = snapshot(&found, &request.name) else { return Ok(()) };
    if ctx.snapshots.is_pinned(found.id(), snapshot.created_ts) {
        return Err(Failure::new(
            code::SNAPSHOT_PINNED,
            format!(
                "active pins exist, unpin before dropping: snapshot is pinned[snapshot={}]",
                request.name
            ),
        ));
    }
    Ok(found.drop_snapshot(&request.name).await?)
}

/// The names of a collection's snapshots, the oldest first.
pub async fn list(
    ctx: &Context,
    database: &str,
    request: ListSnapshotsRequest,
) -> Result<ListSnapshotsResponse, Failure> {
    let found = find(ctx, database, &request.collection_name, "ListSnapshots")?;
    let snapshots = found.snapshots().into_iter().map(|s| s.name).collect();
    Ok(ListSnapshotsResponse { status: None, snapshots })
}

/// What a snapshot is of.
pub async fn describe(
    ctx: &Context,
    database: &str,
    request: DescribeSnapshotRequest,
) -> Result<DescribeSnapshotResponse, Failure> {
    check_name(ctx, &request.name)?;
    let found = find(ctx, database, &request.collection_name, "describe snapshot")?;
    let snapshot = snapshot(&found, &request.name)?;
    let then = found.as_of(&AsOf::Snapshot(request.name)).await?;
    let partitions = then.info().partitions.iter().map(|p| p.name.clone());
    Ok(DescribeSnapshotResponse {
        status: None,
        name: snapshot.name,
        description: snapshot.description,
        collection_name: found.name(),
        partition_names: partitions.collect(),
        create_ts: signed(snapshot.created_ts),
        s3_location: String::new(),
        skip_index: false,
    })
}

/// Makes a collection of a snapshot. No row is copied, so it is there when the call returns; the job only
/// says so.
pub async fn restore(
    ctx: &Context,
    database: &str,
    request: RestoreSnapshotRequest,
) -> Result<RestoreSnapshotResponse, Failure> {
    check_name(ctx, &request.name)?;
    let found = find(ctx, database, &request.collection_name, "restore snapshot")?;
    let target = request.target_collection_name;
    if target.is_empty() {
        return Err(Failure::missing("target_collection_name is required for restore snapshot"));
    }
    names::collection(&target, ctx.engine.settings().limits.max_name_bytes)?;
    if request.skip_index {
        return Err(without_indexes());
    }
    snapshot(&found, &request.name)?;
    let to = match request.target_db_name.as_str() {
        "" => database.to_string(),
        named => named.to_string(),
    };
    ctx.engine.database(&to).map_err(|e| absent(e, &to, &target))?;
    if alias::target(ctx, &to, &target)?.is_some() {
        return Err(Failure::alias_conflict(&to, &target));
    }
    let taken = || Failure::new(code::UNEXPECTED, format!("duplicate collection: {target}"));
    if ctx.engine.collection(&to, &target).is_ok() {
        return Err(taken());
    }
    let id = ctx.engine.next_timestamp();
    let started_ms = ctx.engine.now_ms();
    let order = CloneOrder {
        database: database.to_string(),
        collection: found.name(),
        when: Some(AsOf::Snapshot(request.name.clone())),
        to_database: to.clone(),
        to_name: target.clone(),
    };
    let made = ctx.engine.clone_collection(order).await;
    let made = made.map_err(|e| match (e.kind, e.subject) {
        (ErrorKind::AlreadyExists, Subject::Collection) => taken(),
        _ => e.into(),
    })?;
    let restore = Restore {
        id,
        snapshot: request.name,
        database: to,
        collection: target.clone(),
        collection_id: made.id(),
        started_ms,
        took_ms: ctx.engine.now_ms().saturating_sub(started_ms),
    };
    ctx.snapshots.note(restore).await?;
    Ok(RestoreSnapshotResponse { status: None, job_id: signed(id) })
}

fn told(ctx: &Context, restore: Restore) -> RestoreSnapshotInfo {
    // It may have been renamed since.
    let now = collection::by_id(ctx, signed(restore.collection_id)).map(|c| c.info());
    let (db_name, collection_name) = match now {
        Some(info) => (info.database, info.name),
        None => (restore.database, restore.collection),
    };
    RestoreSnapshotInfo {
        job_id: signed(restore.id),
        snapshot_name: restore.snapshot,
        db_name,
        collection_name,
        state: RestoreSnapshotState::RestoreSnapshotCompleted.into(),
        progress: 100,
        reason: String::new(),
        start_time: restore.started_ms,
        time_cost: restore.took_ms,
    }
}

/// How far a restore is.
pub async fn restore_state(
    ctx: &Context,
    database: &str,
    request: GetRestoreSnapshotStateRequest,
) -> Result<GetRestoreSnapshotStateResponse, Failure> {
    let restore = u64::try_from(request.job_id).ok().and_then(|id| ctx.snapshots.restore(id));
    let visible = |restore: &Restore| {
        let collections = ctx.visible_collections(&restore.database);
        ctx.visible_databases().shows(database) && collections.shows(&restore.collection)
    };
    let Some(restore) = restore.filter(visible) else {
        return Err(failed(format!("restore job not found: jobID={}", request.job_id)));
    };
    Ok(GetRestoreSnapshotStateResponse { status: None, info: Some(told(ctx, restore)) })
}

/// The restores into a collection, or into a database.
pub async fn restores(
    ctx: &Context,
    database: &str,
    request: ListRestoreSnapshotJobsRequest,
) -> Result<ListRestoreSnapshotJobsResponse, Failure> {
    let wanted = collection::id_if_named(ctx, database, &request.collection_name)?;
    let visible = ctx.visible_collections(database);
    let mut all = ctx.snapshots.restores();
    all.retain(|restore| {
        restore.database == database
            && visible.shows(&restore.collection)
            && wanted.is_none_or(|id| restore.collection_id == id)
    });
    let jobs = all.into_iter().map(|restore| told(ctx, restore)).collect();
    Ok(ListRestoreSnapshotJobsResponse { status: None, jobs })
}

/// Keeps a snapshot from being dropped.
pub async fn pin(
    ctx: &Context,
    database: &str,
    request: PinSnapshotDataRequest,
) -> Result<PinSnapshotDataResponse, Failure> {
    check_name(ctx, &request.name)?;
    if request.ttl_seconds < 0 {
        return Err(Failure::parameter("ttl_seconds must be non-negative"));
    }
    if request.ttl_seconds > MAX_PIN_SECONDS {
        return Err(Failure::parameter(format!(
            "ttl_seconds exceeds maximum of {MAX_PIN_SECONDS} (30 days)"
        )));
    }
    let found = find(ctx, database, &request.collection_name, "pin snapshot data")?;
    let _turn = ctx.snapshots.turn.lock().await;
    let snapshot = snapshot(&found, &request.name)?;
    let until_ms = match request.ttl_seconds.unsigned_abs() {
        0 => 0,
        seconds => ctx.engine.now_ms() + seconds * 1_000,
    };
    let id = ctx.engine.next_timestamp();
    let pin = Pin { id, collection_id: found.id(), snapshot_ts: snapshot.created_ts, until_ms };
    ctx.snapshots.pin(pin).await?;
    Ok(PinSnapshotDataResponse { status: None, pin_id: signed(id) })
}

/// Takes a pin away.
pub async fn unpin(
    ctx: &Context,
    _: &str,
    request: UnpinSnapshotDataRequest,
) -> Result<(), Failure> {
    if request.pin_id == 0 {
        return Err(Failure::missing("pin_id is required for unpin snapshot data"));
    }
    let id = u64::try_from(request.pin_id).unwrap_or_default();
    match ctx.snapshots.unpin(id).await? {
        true => Ok(()),
        false => Err(Failure::parameter(format!("pin {} not found", request.pin_id))),
    }
}
