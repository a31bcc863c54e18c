//! Named snapshots in calls: what they keep, what comes of them, and what keeps them.

use elanus_proto::service::*;
use prost::Message;

use super::raw::Raw;
use super::requests::{floats, longs};
use super::story::told;

const NAME: &str = "other";
const SNAPSHOT: &str = "then";

async fn ask<Q: Message, A: Message + Default>(
    raw: &Raw,
    method: &str,
    request: Q,
    code: i32,
) -> A {
    let answer = told(raw, method, &request.encode_to_vec()).await;
    assert_eq!(answer.status.code, code, "{method}: {:?}", answer.status);
    A::decode(answer.bytes).expect("an answer")
}

async fn rows(raw: &Raw, collection: &str) -> String {
    let request =
        GetCollectionStatisticsRequest { collection_name: collection.into(), ..Default::default() };
    let told: GetCollectionStatisticsResponse =
        ask(raw, "GetCollectionStatistics", request, 0).await;
    told.stats[0].value.clone()
}

/// Plays them over a collection with two rows; gives the names of the calls.
pub async fn snapshots(raw: &Raw) -> [&'static str; 9] {
    let create = CreateSnapshotRequest {
        name: SNAPSHOT.into(),
        description: "before".into(),
        collection_name: NAME.into(),
        ..Default::default()
    };
    let list = || ListSnapshotsRequest { collection_name: NAME.into(), ..Default::default() };
    let none: ListSnapshotsResponse = ask(raw, "ListSnapshots", list(), 0).await;
    assert!(none.snapshots.is_empty());
    ask::<_, ()>(raw, "CreateSnapshot", create.clone(), 0).await;
    ask::<_, ()>(raw, "CreateSnapshot", create, 1100).await;
    let one: ListSnapshotsResponse = ask(raw, "ListSnapshots", list(), 0).await;
    assert_eq!(one.snapshots, [SNAPSHOT]);
    let describe = DescribeSnapshotRequest {
        name: SNAPSHOT.into(),
        collection_name: NAME.into(),
        ..Default::default()
    };
    let told: DescribeSnapshotResponse = ask(raw, "DescribeSnapshot", describe, 0).await;
    assert_eq!((told.description.as_str(), told.create_ts > 0), ("before", true));
    assert_eq!(told.partition_names, ["_default"]);

    let more = InsertRequest {
        collection_name: NAME.into(),
        fields_data: vec![longs("id", &[7, 8]), floats("v", 4, &[0.5; 8], &[])],
        num_rows: 2,
        ..Default::default()
    };
    ask::<_, ()>(raw, "Insert", more, 0).await;
    let jobs = ListRestoreSnapshotJobsRequest::default;
    let before: ListRestoreSnapshotJobsResponse =
        ask(raw, "ListRestoreSnapshotJobs", jobs(), 0).await;
    assert!(before.jobs.is_empty());
    let restore = RestoreSnapshotRequest {
        name: SNAPSHOT.into(),
        collection_name: NAME.into(),
        target_collection_name: "restored".into(),
        ..Default::default()
    };
    let job: RestoreSnapshotResponse = ask(raw, "RestoreSnapshot", restore.clone(), 0).await;
    ask::<_, ()>(raw, "RestoreSnapshot", restore, 65535).await;
    let state = GetRestoreSnapshotStateRequest { job_id: job.job_id, ..Default::default() };
    let state: GetRestoreSnapshotStateResponse =
        ask(raw, "GetRestoreSnapshotState", state, 0).await;
    let info = state.info.expect("a job");
    assert_eq!(
        (info.state(), info.progress),
        (RestoreSnapshotState::RestoreSnapshotCompleted, 100)
    );
    let after: ListRestoreSnapshotJobsResponse =
        ask(raw, "ListRestoreSnapshotJobs", jobs(), 0).await;
    assert_eq!(after.jobs, [info]);
    assert_eq!((rows(raw, "restored").await.as_str(), rows(raw, NAME).await.as_str()), ("2", "4"));

    let pin = PinSnapshotDataRequest {
        name: SNAPSHOT.into(),
        collection_name: NAME.into(),
        ..Default::default()
    };
    let pin: PinSnapshotDataResponse = ask(raw, "PinSnapshotData", pin, 0).await;
    let drop = DropSnapshotRequest {
        name: SNAPSHOT.into(),
        collection_name: NAME.into(),
        ..Default::default()
    };
    ask::<_, ()>(raw, "DropSnapshot", drop.clone(), 2601).await;
    let unpin = UnpinSnapshotDataRequest { pin_id: pin.pin_id, ..Default::default() };
    ask::<_, ()>(raw, "UnpinSnapshotData", unpin.clone(), 0).await;
    ask::<_, ()>(raw, "UnpinSnapshotData", unpin, 1100).await;
    ask::<_, ()>(raw, "DropSnapshot", drop, 0).await;
    let none: ListSnapshotsResponse = ask(raw, "ListSnapshots", list(), 0).await;
    assert!(none.snapshots.is_empty());
    [
        "CreateSnapshot",
        "DropSnapshot",
        "ListSnapshots",
        "DescribeSnapshot",
        "RestoreSnapshot",
        "GetRestoreSnapshotState",
        "ListRestoreSnapshotJobs",
        "PinSnapshotData",
        "UnpinSnapshotData",
    ]
}
