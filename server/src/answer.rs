//! How an outcome becomes an answer: every answer of the protocol carries a status.

use elanus_proto::common::Status;
use elanus_proto::milvus::proto::feder;
use elanus_proto::service::*;

use crate::status::{Failure, ok_status};

/// An answer that carries a status.
pub(crate) trait Answer: Default {
    fn status_mut(&mut self) -> &mut Option<Status>;
}

/// What a handler gives: an answer, or nothing where the answer is a status alone.
pub(crate) trait Outcome<A> {
    fn answer(self) -> A;
}

impl Outcome<Status> for Result<(), Failure> {
    fn answer(self) -> Status {
        self.map_or_else(|failure| failure.status(), |()| ok_status())
    }
}

impl<A: Answer> Outcome<A> for Result<A, Failure> {
    fn answer(self) -> A {
        let (mut answer, status) = match self {
            Ok(answer) => (answer, ok_status()),
            Err(failure) => (A::default(), failure.status()),
        };
        answer.status_mut().get_or_insert(status);
        answer
    }
}

/// An answer that says that the call is not supported.
pub(crate) trait Refusal {
    fn refusal(failure: Failure) -> Self;
}

impl Refusal for Status {
    fn refusal(failure: Failure) -> Self {
        failure.status()
    }
}

impl<A: Answer> Refusal for A {
    fn refusal(failure: Failure) -> Self {
        Outcome::<A>::answer(Err(failure))
    }
}

impl Answer for AlterCollectionSchemaResponse {
    fn status_mut(&mut self) -> &mut Option<Status> {
        &mut self.alter_status
    }
}

macro_rules! answers {
    ($($answer:ty),* $(,)?) => {
        $(impl Answer for $answer {
            fn status_mut(&mut self) -> &mut Option<Status> {
                &mut self.status
            }
        })*
    };
}

answers! {
    AllocTimestampResponse, BackupRbacMetaResponse, BatchDescribeCollectionResponse,
    BoolResponse, CalcDistanceResults, CheckHealthResponse, ComponentStates,
    ComputePhraseMatchSlopResponse, ConnectResponse, CreateNamespaceResponse,
    DescribeAliasResponse, DescribeCollectionResponse, DescribeDatabaseResponse,
    DescribeIndexResponse, DescribeNamespaceResponse, DescribePrewarmTaskResponse,
    DescribeResourceGroupResponse, DescribeSnapshotResponse, DropNamespaceResponse,
    ExportSnapshotResponse, FlushAllResponse, FlushResponse, GetCollectionStatisticsResponse,
    GetCompactionPlansResponse, GetCompactionStateResponse, GetExportSnapshotStateResponse,
    GetFlushAllStateResponse, GetFlushStateResponse, GetImportStateResponse,
    GetIndexBuildProgressResponse, GetIndexStateResponse, GetIndexStatisticsResponse,
    GetLoadStateResponse, GetLoadingProgressResponse, GetMetricsResponse,
    GetNamespaceStatsResponse, GetPartitionStatisticsResponse, GetPersistentSegmentInfoResponse,
    GetQuerySegmentInfoResponse, GetRefreshExternalCollectionProgressResponse,
    GetReplicasResponse, GetReplicateConfigurationResponse, GetRestoreSnapshotStateResponse,
    GetRlsPrincipalTagsResponse, GetUserTagsResponse, GetVersionResponse, HasNamespaceResponse,
    ImportResponse, ListAliasesResponse, ListCredUsersResponse, ListDatabasesResponse,
    ListFileResourcesResponse, ListImportTasksResponse, ListNamespacesResponse,
    ListPrivilegeGroupsResponse, ListRefreshExternalCollectionJobsResponse,
    ListResourceGroupsResponse, ListRestoreSnapshotJobsResponse, ListRlsPrincipalsResponse,
    ListRowPoliciesResponse, ListSnapshotsResponse, ListUsersWithTagResponse,
    ManualCompactionResponse, MutationResult, PinSnapshotDataResponse, PrewarmResponse,
    QueryResults, RefreshExternalCollectionResponse, RegisterLinkResponse,
    ReplicateMessageResponse, RestoreExternalSnapshotResponse, RestoreSnapshotResponse,
    RunAnalyzerResponse, SearchResults, SelectGrantResponse, SelectRoleResponse,
    SelectUserResponse, ShowCollectionsResponse, ShowPartitionsResponse,
    TruncateCollectionResponse, feder::DescribeSegmentIndexDataResponse,
    feder::ListIndexedSegmentResponse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_travel_inside_the_answer() {
        let failed: Result<BoolResponse, _> = Err(Failure::not_loaded("c"));
        let status = failed.answer().status.unwrap_or_default();
        assert_eq!(status.code, 101);
        let status: Status = Ok::<(), Failure>(()).answer();
        assert_eq!(status.code, 0);
    }
}
