//! A store's life in calls: each that changes something, with others whose answers must change by it.
#![allow(deprecated, reason = "older clients use these fields")]

use std::path::Path;

use elanus_proto::milvus::proto::rg::{ResourceGroupConfig, ResourceGroupLimit};
use elanus_proto::schema::{DataType, FieldSchema, StructArrayFieldSchema};
use elanus_proto::service::alter_collection_schema_request::{
    Action, AddRequest, DropRequest, FieldInfo, action::Op, drop_request::Identifier,
};
use elanus_proto::service::*;
use prost::Message;

use super::raw::{Answer, Raw};
use super::requests::{
    columns, delete, floats, insert, longs, plain_fields, query, search, upsert,
};
use crate::served::{creation, field, pairs};

/// A call, and questions whose answers it changes.
pub struct Step {
    pub method: &'static str,
    pub request: Vec<u8>,
    pub witnesses: Vec<(&'static str, Vec<u8>)>,
}

/// Makes a call between two rounds of its questions. Asked twice without a change, a question has one answer.
pub async fn play(raw: &Raw, step: Step) {
    let mut before = Vec::new();
    for (method, ask) in &step.witnesses {
        let first = told(raw, method, ask).await;
        assert_eq!(first, told(raw, method, ask).await, "{method} is of two minds");
        before.push(first);
    }
    let answer = told(raw, step.method, &step.request).await;
    assert_eq!(answer.status.code, 0, "{}: {:?}", step.method, answer.status);
    for ((method, ask), before) in step.witnesses.iter().zip(before) {
        let after = told(raw, method, ask).await;
        assert_ne!(before, after, "{} does not show in {method}: {:?}", step.method, after.status);
    }
}

pub(super) async fn told(raw: &Raw, method: &str, request: &[u8]) -> Answer {
    let answer = raw.call(method, request.to_vec()).await;
    let mut answer = answer.unwrap_or_else(|status| panic!("{method}: {status}"));
    // Only in these an answer says when it was given.
    let timeless = |mut a: DescribeCollectionResponse| {
        a.request_time = 0;
        a
    };
    if method == "DescribeCollection" {
        let told = DescribeCollectionResponse::decode(answer.bytes).expect("an answer");
        answer.bytes = timeless(told).encode_to_vec().into();
    } else if method == "BatchDescribeCollection" {
        let mut told = BatchDescribeCollectionResponse::decode(answer.bytes).expect("an answer");
        told.responses = told.responses.into_iter().map(timeless).collect();
        answer.bytes = told.encode_to_vec().into();
    }
    answer
}

/// `Request { field: value, … }` as bytes.
macro_rules! ask {
    ($request:ident { $($field:ident : $value:expr),* $(,)? }) => {
        $request { $($field: $value.into(),)* ..Default::default() }.encode_to_vec()
    };
}

/// `"Method" request => "Witness" request, …`
macro_rules! step {
    ($method:literal $request:expr => $($witness:literal $ask:expr),+ $(,)?) => {
        Step {
            method: $method,
            request: $request,
            witnesses: vec![$(($witness, $ask)),+],
        }
    };
}

/// All steps, in order.
pub fn steps() -> Vec<Step> {
    [databases(), collections(), reading(), writing(), places(), ends(), users(), groups()]
        .into_iter()
        .flatten()
        .collect()
}

const NAME: &str = "plain";

fn databases() -> Vec<Step> {
    let list = || ask!(ListDatabasesRequest {});
    let describe = || ask!(DescribeDatabaseRequest { db_name: "d" });
    let properties = pairs(&[("database.replica.number", "1")]);
    vec![
        step!("CreateDatabase" ask!(CreateDatabaseRequest { db_name: "d" })
            => "ListDatabases" list(), "DescribeDatabase" describe()),
        step!("AlterDatabase" ask!(AlterDatabaseRequest { db_name: "d", properties: properties })
            => "DescribeDatabase" describe()),
        step!("DropDatabase" ask!(DropDatabaseRequest { db_name: "d" }) => "ListDatabases" list()),
    ]
}

fn describe() -> Vec<u8> {
    ask!(DescribeCollectionRequest { collection_name: NAME })
}

fn schema_change(op: Op) -> Vec<u8> {
    let request = AlterCollectionSchemaRequest {
        collection_name: NAME.into(),
        action: Some(Action { op: Some(op) }),
        ..Default::default()
    };
    request.encode_to_vec()
}

fn collections() -> Vec<Step> {
    let added = FieldSchema { nullable: true, ..field("added", DataType::Int64, &[]) };
    let ttl = pairs(&[("collection.ttl.seconds", "86400")]);
    let longer = pairs(&[("max_length", "20")]);
    let later = FieldSchema { nullable: true, ..field("later", DataType::Int64, &[]) };
    vec![
        step!("CreateCollection" creation(NAME, plain_fields(), false).encode_to_vec()
            => "HasCollection" ask!(HasCollectionRequest { collection_name: NAME }),
            "GetMetrics" ask!(GetMetricsRequest { request: "{\"metric_type\": \"system_info\"}" }),
            "ShowCollections" ask!(ShowCollectionsRequest {}),
            "DescribeCollection" describe(),
            "BatchDescribeCollection"
                ask!(BatchDescribeCollectionRequest { collection_name: vec![NAME.to_string()] })),
        step!("AlterCollection"
            ask!(AlterCollectionRequest { collection_name: NAME, properties: ttl })
            => "DescribeCollection" describe()),
        step!("AlterCollectionField" ask!(AlterCollectionFieldRequest {
                collection_name: NAME, field_name: "name", properties: longer,
            }) => "DescribeCollection" describe()),
        step!("AlterCollectionSchema" schema_change(Op::AddRequest(AddRequest {
                field_infos: vec![FieldInfo { field_schema: Some(later), ..Default::default() }],
                ..Default::default()
            })) => "DescribeCollection" describe()),
        step!("AlterCollectionSchema" schema_change(Op::DropRequest(DropRequest {
                identifier: Some(Identifier::FieldName("later".into())),
                ..Default::default()
            })) => "DescribeCollection" describe()),
        step!("AddCollectionField" ask!(AddCollectionFieldRequest {
                collection_name: NAME, schema: added.encode_to_vec(),
            }) => "DescribeCollection" describe()),
        step!("AddCollectionStructField" ask!(AddCollectionStructFieldRequest {
                collection_name: NAME, struct_array_field_schema: Some(parts()),
            }) => "DescribeCollection" describe()),
    ]
}

fn parts() -> StructArrayFieldSchema {
    let size = FieldSchema {
        element_type: DataType::Int64.into(),
        nullable: true,
        ..field("size", DataType::Array, &[("max_capacity", "4")])
    };
    StructArrayFieldSchema {
        name: "parts".into(),
        fields: vec![size],
        nullable: true,
        ..Default::default()
    }
}

fn index(field: &str) -> Vec<u8> {
    ask!(CreateIndexRequest {
        collection_name: NAME,
        field_name: field,
        extra_params: pairs(&[("index_type", "HNSW"), ("metric_type", "L2")]),
    })
}

fn reading() -> Vec<Step> {
    let indexes = || ask!(DescribeIndexRequest { collection_name: NAME });
    let mmap = pairs(&[("mmap.enabled", "true")]);
    let default =
        || ask!(DescribeResourceGroupRequest { resource_group: "__default_resource_group" });
    vec![
        step!("CreateIndex" index("v")
            => "DescribeIndex" indexes(),
            "GetIndexState" ask!(GetIndexStateRequest { collection_name: NAME, field_name: "v" }),
            "GetIndexStatistics" ask!(GetIndexStatisticsRequest { collection_name: NAME }),
            "GetIndexBuildProgress"
                ask!(GetIndexBuildProgressRequest { collection_name: NAME, field_name: "v" })),
        step!("CreateIndex" index("w") => "DescribeIndex" indexes()),
        step!("AlterIndex" ask!(AlterIndexRequest {
                collection_name: NAME, index_name: "v", extra_params: mmap,
            }) => "DescribeIndex" indexes()),
        step!("LoadCollection" ask!(LoadCollectionRequest { collection_name: NAME })
            => "GetLoadState" ask!(GetLoadStateRequest { collection_name: NAME }),
            "GetLoadingProgress" ask!(GetLoadingProgressRequest { collection_name: NAME }),
            "GetReplicas" ask!(GetReplicasRequest { collection_name: NAME }),
            "DescribeResourceGroup" default()),
    ]
}

fn all_rows() -> Vec<u8> {
    query("id >= 0", &[]).encode_to_vec()
}

fn rows(from: i64) -> InsertRequest {
    let all = columns(2, [longs("id", &[from, from + 1]), floats("w", 2, &[1.0; 4], &[])]);
    insert(all, 2)
}

fn writing() -> Vec<Step> {
    let newest = u64::MAX;
    let flushed = || ask!(GetFlushStateRequest { collection_name: NAME, flush_ts: newest });
    let all_flushed = || ask!(GetFlushAllStateRequest { db_name: "default", flush_all_ts: newest });
    let segments = || ask!(GetPersistentSegmentInfoRequest { collection_name: NAME });
    let hybrid = HybridSearchRequest {
        collection_name: NAME.into(),
        requests: vec![search(&[])],
        rank_params: pairs(&[("strategy", "rrf"), ("limit", "3")]),
        ..Default::default()
    };
    let one = upsert(columns(1, [longs("n", &[7])]), 1);
    let sevens = query("n == 7", &[]).encode_to_vec();
    vec![
        step!("CreatePartition"
            ask!(CreatePartitionRequest { collection_name: NAME, partition_name: "p" })
            => "HasPartition"
                ask!(HasPartitionRequest { collection_name: NAME, partition_name: "p" }),
            "ShowPartitions" ask!(ShowPartitionsRequest { collection_name: NAME })),
        step!("Insert" rows(0).encode_to_vec()
            => "Query" all_rows(),
            "Search" search(&[]).encode_to_vec(),
            "HybridSearch" hybrid.encode_to_vec(),
            "GetCollectionStatistics"
                ask!(GetCollectionStatisticsRequest { collection_name: NAME }),
            "GetFlushState" flushed(),
            "GetFlushAllState" all_flushed()),
        step!("Insert" InsertRequest { partition_name: "p".into(), ..rows(10) }.encode_to_vec()
            => "GetPartitionStatistics"
                ask!(GetPartitionStatisticsRequest { collection_name: NAME, partition_name: "p" })),
        step!("Upsert" one.encode_to_vec() => "Query" sevens),
        step!("Delete" delete("id == 10").encode_to_vec() => "Query" all_rows()),
        step!("Flush" ask!(FlushRequest { collection_names: vec![NAME.to_string()] })
            => "GetPersistentSegmentInfo" segments(),
            "GetQuerySegmentInfo" ask!(GetQuerySegmentInfoRequest { collection_name: NAME }),
            "GetFlushState" flushed()),
        step!("Insert" rows(20).encode_to_vec() => "GetFlushAllState" all_flushed()),
        step!("FlushAll" ask!(FlushAllRequest {})
            => "GetPersistentSegmentInfo" segments(), "GetFlushAllState" all_flushed()),
    ]
}

fn places() -> Vec<Step> {
    let partitions = || vec!["p".to_string()];
    let state =
        || ask!(GetLoadStateRequest { collection_name: NAME, partition_names: partitions() });
    let key = FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) };
    let fields = vec![key, field("v", DataType::FloatVector, &[("dim", "4")])];
    let alias = || ask!(DescribeAliasRequest { alias: "a" });
    let aliases = || ask!(ListAliasesRequest { collection_name: NAME });
    vec![
        step!("ReleasePartitions" ask!(ReleasePartitionsRequest {
                collection_name: NAME, partition_names: partitions(),
            }) => "GetLoadState" state()),
        step!("LoadPartitions" ask!(LoadPartitionsRequest {
                collection_name: NAME, partition_names: partitions(),
            }) => "GetLoadState" state()),
        step!("CreateCollection" creation("other", fields, false).encode_to_vec()
            => "ShowCollections" ask!(ShowCollectionsRequest {})),
        step!("CreateAlias" ask!(CreateAliasRequest { collection_name: NAME, alias: "a" })
            => "DescribeAlias" alias(), "ListAliases" aliases()),
        step!("AlterAlias" ask!(AlterAliasRequest { collection_name: "other", alias: "a" })
            => "DescribeAlias" alias(), "ListAliases" aliases()),
        step!("DropAlias" ask!(DropAliasRequest { alias: "a" }) => "DescribeAlias" alias()),
    ]
}

fn ends() -> Vec<Step> {
    let count = QueryRequest { output_fields: vec!["count(*)".into()], ..query("", &[]) };
    let has = || ask!(HasPartitionRequest { collection_name: NAME, partition_name: "p" });
    let renamed = || ask!(HasCollectionRequest { collection_name: "renamed" });
    vec![
        step!("TruncateCollection" ask!(TruncateCollectionRequest { collection_name: NAME })
            => "Query" count.encode_to_vec()),
        step!("ReleaseCollection" ask!(ReleaseCollectionRequest { collection_name: NAME })
            => "GetLoadState" ask!(GetLoadStateRequest { collection_name: NAME })),
        step!("DropIndex" ask!(DropIndexRequest { collection_name: NAME, index_name: "v" })
            => "DescribeIndex" ask!(DescribeIndexRequest { collection_name: NAME })),
        step!("DropPartition"
            ask!(DropPartitionRequest { collection_name: NAME, partition_name: "p" })
            => "HasPartition" has()),
        step!("RenameCollection" ask!(RenameCollectionRequest { old_name: NAME, new_name: "renamed" })
            => "HasCollection" renamed()),
        step!("DropCollection" ask!(DropCollectionRequest { collection_name: "renamed" })
            => "HasCollection" renamed()),
    ]
}

/// Passwords travel in base64.
const PASSWORD: &str = "cGFzc3dvcmQ=";
const ANOTHER: &str = "YW5vdGhlci1vbmU=";

fn role(name: &str) -> Option<RoleEntity> {
    Some(RoleEntity { name: name.into(), ..Default::default() })
}

fn grantor() -> GrantorEntity {
    GrantorEntity {
        user: Some(UserEntity { name: "root".into() }),
        privilege: Some(PrivilegeEntity { name: "Insert".into() }),
    }
}

fn users() -> Vec<Step> {
    let list = || ask!(ListCredUsersRequest {});
    let select =
        || SelectUserRequest { include_role_info: true, ..Default::default() }.encode_to_vec();
    let roles =
        || SelectRoleRequest { include_user_info: true, ..Default::default() }.encode_to_vec();
    let grant = || GrantEntity { role: role("r"), db_name: "default".into(), ..Default::default() };
    let grants = || ask!(SelectGrantRequest { entity: grant() });
    let old = GrantEntity {
        object: Some(ObjectEntity { name: "Collection".into() }),
        object_name: "other".into(),
        grantor: Some(grantor()),
        ..grant()
    };
    let join = OperateUserRoleRequest {
        username: "u".into(),
        role_name: "r".into(),
        ..Default::default()
    };
    let newer = OperatePrivilegeV2Request {
        role: role("r"),
        grantor: Some(GrantorEntity {
            privilege: Some(PrivilegeEntity { name: "Search".into() }),
            ..grantor()
        }),
        db_name: "default".into(),
        collection_name: "other".into(),
        ..Default::default()
    };
    let revoke = |entity: GrantEntity| OperatePrivilegeRequest {
        entity: Some(entity),
        r#type: OperatePrivilegeType::Revoke.into(),
        ..Default::default()
    };
    let bundles = || ask!(ListPrivilegeGroupsRequest {});
    let member = vec![PrivilegeEntity { name: "Insert".into() }];
    let again = || {
        ask!(UpdateCredentialRequest {
            username: "u",
            old_password: ANOTHER,
            new_password: ANOTHER,
        })
    };
    vec![
        step!("CreateCredential" ask!(CreateCredentialRequest { username: "u", password: PASSWORD })
            => "ListCredUsers" list(), "SelectUser" select()),
        step!("UpdateCredential" ask!(UpdateCredentialRequest {
                username: "u", old_password: PASSWORD, new_password: ANOTHER,
            }) => "UpdateCredential" again()),
        step!("CreateRole" ask!(CreateRoleRequest { entity: role("r") }) => "SelectRole" roles()),
        step!("AlterRole" ask!(AlterRoleRequest { role_name: "r", description: "words" })
            => "SelectRole" roles()),
        step!("OperateUserRole" join.encode_to_vec()
            => "SelectRole" roles(), "SelectUser" select()),
        step!("OperatePrivilege" ask!(OperatePrivilegeRequest { entity: old.clone() })
            => "SelectGrant" grants()),
        step!("OperatePrivilegeV2" newer.encode_to_vec() => "SelectGrant" grants()),
        step!("OperatePrivilege" revoke(old).encode_to_vec() => "SelectGrant" grants()),
        step!("CreatePrivilegeGroup" ask!(CreatePrivilegeGroupRequest { group_name: "g" })
            => "ListPrivilegeGroups" bundles()),
        step!("OperatePrivilegeGroup"
            ask!(OperatePrivilegeGroupRequest { group_name: "g", privileges: member })
            => "ListPrivilegeGroups" bundles()),
        step!("DropPrivilegeGroup" ask!(DropPrivilegeGroupRequest { group_name: "g" })
            => "ListPrivilegeGroups" bundles()),
        step!("DropRole"
            DropRoleRequest { role_name: "r".into(), force_drop: true, ..Default::default() }
                .encode_to_vec()
            => "SelectRole" roles()),
        step!("DeleteCredential" ask!(DeleteCredentialRequest { username: "u" })
            => "ListCredUsers" list()),
    ]
}

fn groups() -> Vec<Step> {
    let name = || "rg".to_string();
    let limit = |node_num| Some(ResourceGroupLimit { node_num });
    let config = ResourceGroupConfig { requests: limit(0), limits: limit(3), ..Default::default() };
    let none = ResourceGroupConfig { limits: limit(0), ..config.clone() };
    let update = |config: ResourceGroupConfig| UpdateResourceGroupsRequest {
        resource_groups: [(name(), config)].into(),
        ..Default::default()
    };
    let describe = || ask!(DescribeResourceGroupRequest { resource_group: name() });
    let list = || ask!(ListResourceGroupsRequest {});
    vec![
        step!("CreateResourceGroup" ask!(CreateResourceGroupRequest { resource_group: name() })
            => "ListResourceGroups" list(), "DescribeResourceGroup" describe()),
        step!("UpdateResourceGroups" update(config).encode_to_vec()
            => "DescribeResourceGroup" describe()),
        step!("UpdateResourceGroups" update(none).encode_to_vec()
            => "DescribeResourceGroup" describe()),
        step!("DropResourceGroup" ask!(DropResourceGroupRequest { resource_group: name() })
            => "ListResourceGroups" list()),
    ]
}

/// Calls that begin something in the background, asked for until it is done. Gives their names.
pub async fn jobs(raw: &Raw, folder: &Path) -> [&'static str; 6] {
    let name = "other";
    let index = ask!(CreateIndexRequest { collection_name: name, field_name: "v" });
    told(raw, "CreateIndex", &index).await;
    let count = QueryRequest {
        collection_name: name.into(),
        output_fields: vec!["count(*)".into()],
        ..Default::default()
    };
    told(raw, "LoadCollection", &ask!(LoadCollectionRequest { collection_name: name })).await;
    let before = told(raw, "Query", &count.encode_to_vec()).await;
    std::fs::create_dir(folder.join("upload")).expect("a folder");
    let file = "[{\"id\": 1, \"v\": [0, 1, 2, 3]}, {\"id\": 2, \"v\": [1, 1, 1, 1]}]";
    std::fs::write(folder.join("upload/a.json"), file).expect("a file");
    let tasks = ask!(ListImportTasksRequest { collection_name: name });
    let none = told(raw, "ListImportTasks", &tasks).await;
    for _ in 0..2 {
        let import =
            ask!(ImportRequest { collection_name: name, files: vec!["upload/a.json".to_string()] });
        let started = told(raw, "Import", &import).await;
        let task = ImportResponse::decode(started.bytes).expect("an answer").tasks[0];
        let state = GetImportStateRequest { task }.encode_to_vec();
        until(raw, "GetImportState", state, |bytes| {
            let state = GetImportStateResponse::decode(bytes).expect("an answer");
            let failed = elanus_proto::common::ImportState::ImportFailed;
            assert_ne!(state.state(), failed, "{state:?}");
            state.row_count == 2 && state.infos.iter().any(|pair| pair.value == "100")
        })
        .await;
    }
    assert_ne!(none, told(raw, "ListImportTasks", &tasks).await);
    assert_ne!(before, told(raw, "Query", &count.encode_to_vec()).await);

    let plans = ask!(GetCompactionPlansRequest { collection_name: name });
    let nothing = told(raw, "GetCompactionStateWithPlans", &plans).await;
    let compact = ask!(ManualCompactionRequest { collection_name: name });
    let started = told(raw, "ManualCompaction", &compact).await;
    let started = ManualCompactionResponse::decode(started.bytes).expect("an answer");
    let state = GetCompactionStateRequest { compaction_id: started.compaction_id };
    until(raw, "GetCompactionState", state.encode_to_vec(), |bytes| {
        let state = GetCompactionStateResponse::decode(bytes).expect("an answer");
        state.completed_plan_no == 1
    })
    .await;
    assert_ne!(nothing, told(raw, "GetCompactionStateWithPlans", &plans).await);
    let segments = ask!(GetPersistentSegmentInfoRequest { collection_name: name });
    let segments = told(raw, "GetPersistentSegmentInfo", &segments).await.bytes;
    let segments = GetPersistentSegmentInfoResponse::decode(segments).expect("an answer").infos;
    assert_eq!(segments.iter().map(|s| s.num_rows).collect::<Vec<_>>(), [2]);
    [
        "Import",
        "GetImportState",
        "ListImportTasks",
        "ManualCompaction",
        "GetCompactionState",
        "GetCompactionStateWithPlans",
    ]
}

async fn until(raw: &Raw, method: &str, ask: Vec<u8>, done: impl Fn(bytes::Bytes) -> bool) {
    for _ in 0..2_000 {
        let answer = told(raw, method, &ask).await;
        assert_eq!(answer.status.code, 0, "{method}: {:?}", answer.status);
        if done(answer.bytes) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{method}: it is never done");
}
