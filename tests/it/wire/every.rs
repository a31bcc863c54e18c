//! Every call of the protocol, by name: it is there, or says that it is not.

use std::collections::BTreeSet;

use elanus_proto::guards::METHODS;
use elanus_proto::schema::{CollectionSchema, DataType, FieldSchema, FunctionSchema, FunctionType};
use elanus_proto::service::*;
use prost::Message;
use tonic::Code;

use super::raw::Raw;
use super::requests::prepare;
use super::{kept, story};
use crate::harness;
use crate::served::{Served, creation, field};

/// Answered with code 10 and words of what is not supported.
pub const REFUSED: &[&str] = &[
    "Prewarm",
    "DescribePrewarmTask",
    "CreateNamespace",
    "DescribeNamespace",
    "ListNamespaces",
    "DropNamespace",
    "HasNamespace",
    "GetNamespaceStats",
    "CalcDistance",
    "RegisterLink",
    "ListIndexedSegment",
    "DescribeSegmentIndexData",
    "ReplicateMessage",
    "UpdateReplicateConfiguration",
    "GetReplicateConfiguration",
    "BackupRBAC",
    "RestoreRBAC",
    "ComputePhraseMatchSlop",
    "AddFileResource",
    "RemoveFileResource",
    "ListFileResources",
    "AddUserTags",
    "DeleteUserTags",
    "GetUserTags",
    "ListUsersWithTag",
    "CreateRowPolicy",
    "DropRowPolicy",
    "ListRowPolicies",
    "UpdateRowPolicy",
    "SetRLSPrincipalTags",
    "GetRLSPrincipalTags",
    "ListRLSPrincipals",
    "DeleteRLSPrincipalTags",
    "RestoreExternalSnapshot",
    "ExportSnapshot",
    "GetExportSnapshotState",
    "BatchUpdateManifest",
    "RefreshExternalCollection",
    "GetRefreshExternalCollectionProgress",
    "ListRefreshExternalCollectionJobs",
];

/// Answered with gRPC's own code: they have no place for a status, or clients fall back on another call
/// only then.
pub const ABSENT: &[&str] = &["Dummy", "GetReplicateInfo", "CreateReplicateStream", "DumpMessages"];

/// An empty request means something to these; a user who is not there may be deleted, and no text has no words.
const NO_QUESTION: &[&str] = &[
    "AllocTimestamp",
    "BatchDescribeCollection",
    "CheckHealth",
    "Connect",
    "DeleteCredential",
    "Flush",
    "FlushAll",
    "GetComponentStates",
    "GetFlushAllState",
    "GetFlushState",
    "GetVersion",
    "ListAliases",
    "ListCredUsers",
    "ListDatabases",
    "ListImportTasks",
    "ListPrivilegeGroups",
    "ListResourceGroups",
    "ListRestoreSnapshotJobs",
    "SelectRole",
    "SelectUser",
    "ShowCollections",
    "DescribeDatabase",
    "RunAnalyzer",
];

/// A collection with a function.
fn tongues() -> CreateCollectionRequest {
    let analyzed = [("max_length", "100"), ("enable_analyzer", "true")];
    let schema = CollectionSchema {
        name: "tongues".into(),
        fields: vec![
            FieldSchema { is_primary_key: true, ..field("id", DataType::Int64, &[]) },
            field("words", DataType::VarChar, &analyzed),
            FieldSchema {
                is_function_output: true,
                ..field("sparse", DataType::SparseFloatVector, &[])
            },
        ],
        functions: vec![FunctionSchema {
            name: "text".into(),
            r#type: FunctionType::Bm25.into(),
            input_field_names: vec!["words".into()],
            output_field_names: vec!["sparse".into()],
            ..Default::default()
        }],
        ..Default::default()
    };
    CreateCollectionRequest { schema: schema.encode_to_vec(), ..creation("tongues", vec![], false) }
}

/// What one node can never do, whatever is asked: requests that another server would follow.
fn never() -> Vec<(&'static str, Vec<u8>, i32)> {
    let default = "__default_resource_group".to_string();
    let balance = LoadBalanceRequest {
        collection_name: "plain".into(),
        src_node_id: 1,
        ..Default::default()
    };
    let node = TransferNodeRequest {
        source_resource_group: default.clone(),
        target_resource_group: "other".into(),
        num_node: 1,
        ..Default::default()
    };
    let replica = TransferReplicaRequest {
        source_resource_group: default,
        target_resource_group: "other".into(),
        collection_name: "plain".into(),
        num_replica: 1,
        ..Default::default()
    };
    let text = FunctionSchema {
        name: "text".into(),
        r#type: FunctionType::Bm25.into(),
        ..Default::default()
    };
    let add = AddCollectionFunctionRequest {
        collection_name: "tongues".into(),
        function_schema: Some(text.clone()),
        ..Default::default()
    };
    let alter = AlterCollectionFunctionRequest {
        collection_name: "tongues".into(),
        function_name: "text".into(),
        function_schema: Some(text),
        ..Default::default()
    };
    let drop = DropCollectionFunctionRequest {
        collection_name: "tongues".into(),
        function_name: "text".into(),
        ..Default::default()
    };
    vec![
        ("AddCollectionFunction", add.encode_to_vec(), 1100),
        ("AlterCollectionFunction", alter.encode_to_vec(), 1100),
        ("DropCollectionFunction", drop.encode_to_vec(), 1100),
        ("LoadBalance", balance.encode_to_vec(), 1100),
        ("TransferNode", node.encode_to_vec(), 10),
        ("TransferReplica", replica.encode_to_vec(), 304),
    ]
}

fn set<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_is_there_or_says_that_it_is_not() {
    let folder = harness::folder();
    let served = Served::start(folder.path(), &harness::small_settings()).await;
    let raw = Raw::new(served.channel.clone());
    let (mut refused, mut absent) = (BTreeSet::new(), BTreeSet::new());
    let mut succeeded = BTreeSet::new();
    for method in METHODS.iter().copied() {
        match raw.call(method, Vec::new()).await {
            Err(status) if status.code() == Code::Unimplemented => {
                absent.insert(method);
            }
            Err(status) => panic!("{method}: {status}"),
            Ok(answer) if answer.status.code == 10 => {
                let words = &answer.status.reason;
                assert!(words.contains("not supported by Elanus"), "{method}: {words}");
                refused.insert(method);
            }
            Ok(answer) if answer.status.code == 0 => {
                assert!(raw.has_status(method));
                succeeded.insert(method);
            }
            Ok(answer) => assert!(!answer.status.reason.is_empty(), "{method}"),
        }
    }
    assert_eq!(refused, set(REFUSED));
    assert_eq!(absent, set(ABSENT));
    assert_eq!(succeeded, set(NO_QUESTION));
    drop(raw);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_cannot_do_never_succeeds() {
    let folder = harness::folder();
    let served = Served::start(folder.path(), &harness::small_settings()).await;
    prepare(&mut served.client.clone()).await;
    let raw = Raw::new(served.channel.clone());
    let group = CreateResourceGroupRequest { resource_group: "other".into(), ..Default::default() };
    let made = raw.call("CreateResourceGroup", group.encode_to_vec()).await.expect("an answer");
    assert_eq!(made.status.code, 0, "{:?}", made.status);
    let made = raw.call("CreateCollection", tongues().encode_to_vec()).await.expect("an answer");
    assert_eq!(made.status.code, 0, "{:?}", made.status);
    for (method, request, code) in never() {
        let answer = raw.call(method, request).await.expect("an answer");
        assert_eq!(answer.status.code, code, "{method}: {:?}", answer.status);
    }
    drop(raw);
    served.stop().await;
}

/// Tells of the server, or of a text that the question brings, not of what lies in it.
const OF_THE_SERVER: &[&str] = &[
    "AllocTimestamp",
    "CheckHealth",
    "Connect",
    "GetComponentStates",
    "GetVersion",
    "RunAnalyzer",
];

/// Each call that changes something shows in another, and each that tells something has told a change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_succeeds_without_doing_it() {
    let folder = harness::folder();
    let served = Served::start(folder.path(), &harness::small_settings()).await;
    let raw = Raw::new(served.channel.clone());
    let mut seen = set(OF_THE_SERVER);
    for step in story::steps() {
        seen.insert(step.method);
        seen.extend(step.witnesses.iter().map(|(method, _)| *method));
        story::play(&raw, step).await;
    }
    seen.extend(story::jobs(&raw, folder.path()).await);
    seen.extend(kept::snapshots(&raw).await);
    seen.extend(never().iter().map(|(method, ..)| *method));
    seen.extend(REFUSED.iter().chain(ABSENT));
    assert_eq!(seen, set(METHODS), "each call of the protocol has to be in one of the tables");
    drop(raw);
    served.stop().await;
}
