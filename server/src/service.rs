//! Milvus's gRPC service: reads the database and the request id, calls the handler, and puts its
//! failure into the answer.

use std::sync::Arc;
use std::time::Duration;

use elanus_engine::core::runtime::{self, Stopwatch};
use elanus_proto::common::Status;
use elanus_proto::milvus::proto::feder;
use elanus_proto::service::milvus_service_server::MilvusService;
use elanus_proto::service::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response};
use tracing::Instrument;

use crate::access::caller;
use crate::admission::admit;
use crate::answer::{Outcome, Refusal};
use crate::context::{Context, DEFAULT_DATABASE};
use crate::proxy::{
    alias, analyze, collection, compaction, connect, database, describe, dml, evolve, field, flush,
    grants, import, index, load, metrics, partition, query, resource_group, roles, search,
    snapshot, statistics, struct_field, users,
};
use crate::status::{Failure, code};
use crate::{deadline, quota, slow};

/// More calls at once than any machine runs; taking all of them means that none runs.
const MAX_CALLS: u32 = 1 << 20;

/// The service over one engine.
#[derive(Clone)]
pub struct Milvus {
    context: Arc<Context>,
    calls: Arc<Semaphore>,
}

impl Milvus {
    /// The service over a context.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, calls: Arc::new(Semaphore::new(MAX_CALLS as usize)) }
    }

    /// Waits until no call runs, and lets none begin.
    pub async fn drain(&self) {
        if let Ok(all) = self.calls.acquire_many(MAX_CALLS).await {
            all.forget();
        }
        self.calls.close();
    }

    async fn begin(&self) -> Result<OwnedSemaphorePermit, tonic::Status> {
        let stopping = |_| tonic::Status::unavailable("the server is stopping");
        self.calls.clone().acquire_owned().await.map_err(stopping)
    }
}

/// Whether a call goes on when its caller goes away.
#[derive(Clone, Copy)]
enum Way {
    /// Changes something: once begun it is brought to its end.
    Write,
    /// Changes nothing: it stops.
    Read,
}

/// A task that stops when nobody waits for it any more.
struct Abandonable<T>(runtime::Task<T>);

impl<T> Drop for Abandonable<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is told of a call in the log.
struct Call {
    method: &'static str,
    database: String,
    collection: String,
    request_id: String,
    user: String,
    /// From this many milliseconds on it is told of; 0: never.
    slow_ms: u64,
}

impl Call {
    fn new(
        method: &'static str,
        metadata: &MetadataMap,
        (database, collection): (&str, &str),
    ) -> Self {
        Self {
            method,
            database: database_of(metadata, database),
            collection: collection.to_string(),
            request_id: text(metadata, "client-request-id").unwrap_or_default().to_string(),
            user: String::new(),
            slow_ms: 0,
        }
    }

    fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "call",
            method = self.method,
            database = self.database,
            collection = self.collection,
            request_id = self.request_id,
            user = self.user,
        )
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key)?.to_str().ok().filter(|value| !value.is_empty())
}

/// The database that the request names, else that of the connection, else the default.
fn database_of(metadata: &MetadataMap, named: &str) -> String {
    match named {
        "" => text(metadata, "dbname").unwrap_or(DEFAULT_DATABASE).to_string(),
        named => named.to_string(),
    }
}

/// Runs a handler on a task of its own, so that neither a caller's going away nor a slip of ours
/// leaves half a change or a broken connection behind.
async fn run<T: Send + 'static>(
    way: Way,
    call: &Call,
    handler: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let watch = Stopwatch::start();
    let span = call.span();
    let task = runtime::spawn(handler.instrument(span.clone()));
    let joined = match way {
        Way::Write => task.await,
        Way::Read => (&mut Abandonable(task).0).await,
    };
    let result = joined.unwrap_or_else(|e| {
        Err(Failure::new(code::UNEXPECTED, format!("{} ended early: {e}", call.method)))
    });
    span.in_scope(|| {
        report(call, &result, watch);
        tell_if_slow(call, &result, watch);
    });
    result
}

/// Ends a call whose caller waits no longer. A write goes on to its end.
async fn in_time<T>(
    deadline: Option<Duration>,
    call: &Call,
    running: impl Future<Output = T>,
) -> Result<T, tonic::Status> {
    let Some(deadline) = deadline else { return Ok(running.await) };
    let ended = tokio::time::timeout(deadline, running).await;
    ended.map_err(|_| {
        let Call { method, database, collection, .. } = call;
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(method, database, collection, deadline_ms, "deadline exceeded");
        tonic::Status::deadline_exceeded("the call's deadline has passed")
    })
}

fn report<T>(call: &Call, result: &Result<T, Failure>, watch: Stopwatch) {
    let elapsed_us = u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX);
    match result {
        Ok(_) => tracing::debug!(elapsed_us, "done"),
        // Clients ask in this way whether something exists.
        Err(Failure { code: code::COLLECTION_NOT_FOUND | code::INDEX_NOT_FOUND, reason }) => {
            tracing::debug!(elapsed_us, reason, "not there");
        }
        Err(Failure { code, reason }) => {
            tracing::warn!(method = call.method, code, reason, elapsed_us, "call failed");
        }
    }
}

fn tell_if_slow<T: 'static>(call: &Call, result: &Result<T, Failure>, watch: Stopwatch) {
    let elapsed_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    if call.slow_ms == 0 || elapsed_ms < call.slow_ms {
        return;
    }
    let (queries, rows) = result.as_ref().map_or((0, 0), |answer| slow::counts(answer));
    let Call { method, database, collection, request_id, user, .. } = call;
    tracing::warn!(
        method,
        database,
        collection,
        user,
        request_id,
        elapsed_ms,
        queries,
        rows,
        failed = result.is_err(),
        "slow call"
    );
}

/// Where a request names its database and collection.
macro_rules! scope {
    (collection, $request:ident) => {
        ($request.db_name.as_str(), $request.collection_name.as_str())
    };
    (renamed, $request:ident) => {
        ($request.db_name.as_str(), $request.old_name.as_str())
    };
    (database, $request:ident) => {
        ($request.db_name.as_str(), "")
    };
    (server, $request:ident) => {
        ("", "")
    };
}

/// Each line: way, method, request, answer, scope, handler; then calls that are refused: arrow,
/// method, request, answer, what is not supported.
macro_rules! calls {
    ($($way:ident $method:ident($request:ty) -> $answer:ty, $scope:ident, $handler:path;)*
     $(=> $refused:ident($asked:ty) -> $told:ty, $what:literal;)*) => {
        #[tonic::async_trait]
        impl MilvusService for Milvus {
            $(async fn $method(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$answer>, tonic::Status> {
                let (metadata, _, request) = request.into_parts();
                let mut call = Call::new(stringify!($method), &metadata, scope!($scope, request));
                let permit = self.begin().await?;
                let context = self.context.clone();
                let database = call.database.clone();
                let user = admit(&context, &metadata, &database, &request).await?;
                call.user = user.clone().unwrap_or_default();
                call.slow_ms = context.engine.settings().server.slow_call_ms;
                let handler = async move {
                    let _permit = permit;
                    quota::check(&context, &database, stringify!($method))?;
                    let answer = $handler(&context, &database, request).await?;
                    quota::check_size(&context, &answer)?;
                    Ok(answer)
                };
                let handler = caller::scope(user, handler);
                let running = run(Way::$way, &call, handler);
                let result = in_time(deadline::of(&metadata), &call, running).await?;
                Ok(Response::new(Outcome::<$answer>::answer(result)))
            })*

            $(async fn $refused(
                &self,
                request: Request<$asked>,
            ) -> Result<Response<$told>, tonic::Status> {
                let (metadata, _, request) = request.into_parts();
                let database = database_of(&metadata, "");
                admit(&self.context, &metadata, &database, &request).await?;
                let failure = Failure::unsupported(concat!($what, " not supported by Elanus"));
                tracing::warn!(method = stringify!($refused), reason = failure.reason, "refused");
                Ok(Response::new(Refusal::refusal(failure)))
            })*
        }
    };
}

calls! {
    Read connect(ConnectRequest) -> ConnectResponse, server, connect::connect;
    Read get_version(GetVersionRequest) -> GetVersionResponse, server, connect::version;
    Read check_health(CheckHealthRequest) -> CheckHealthResponse, server, connect::health;
    Read alloc_timestamp(AllocTimestampRequest) -> AllocTimestampResponse, server,
        connect::timestamp;
    Read get_component_states(GetComponentStatesRequest) -> ComponentStates, server,
        connect::components;

    Write create_collection(CreateCollectionRequest) -> Status, collection, collection::create;
    Write drop_collection(DropCollectionRequest) -> Status, collection, collection::drop;
    Write rename_collection(RenameCollectionRequest) -> Status, renamed, collection::rename;
    Write alter_collection(AlterCollectionRequest) -> Status, collection, collection::alter;
    Write alter_collection_field(AlterCollectionFieldRequest) -> Status, collection,
        field::alter;
    Write add_collection_struct_field(AddCollectionStructFieldRequest) -> Status, collection,
        struct_field::add;
    Write add_collection_field(AddCollectionFieldRequest) -> Status, collection,
        collection::add_field;
    Write alter_collection_schema(AlterCollectionSchemaRequest) -> AlterCollectionSchemaResponse,
        collection, evolve::alter_schema;
    Write add_collection_function(AddCollectionFunctionRequest) -> Status, collection,
        evolve::add_function;
    Write alter_collection_function(AlterCollectionFunctionRequest) -> Status, collection,
        evolve::alter_function;
    Write drop_collection_function(DropCollectionFunctionRequest) -> Status, collection,
        evolve::drop_only_function;
    Write truncate_collection(TruncateCollectionRequest) -> TruncateCollectionResponse, collection,
        collection::truncate;
    Read has_collection(HasCollectionRequest) -> BoolResponse, collection, describe::has;
    Read describe_collection(DescribeCollectionRequest) -> DescribeCollectionResponse, collection,
        describe::describe;
    Read batch_describe_collection(BatchDescribeCollectionRequest)
        -> BatchDescribeCollectionResponse, database, describe::describe_batch;
    Read show_collections(ShowCollectionsRequest) -> ShowCollectionsResponse, database,
        describe::show;

    Write create_partition(CreatePartitionRequest) -> Status, collection, partition::create;
    Write drop_partition(DropPartitionRequest) -> Status, collection, partition::drop;
    Read has_partition(HasPartitionRequest) -> BoolResponse, collection, partition::has;
    Read show_partitions(ShowPartitionsRequest) -> ShowPartitionsResponse, collection,
        partition::show;

    Write create_alias(CreateAliasRequest) -> Status, collection, alias::create;
    Write alter_alias(AlterAliasRequest) -> Status, collection, alias::alter;
    Write drop_alias(DropAliasRequest) -> Status, database, alias::drop;
    Read describe_alias(DescribeAliasRequest) -> DescribeAliasResponse, database, alias::describe;
    Read list_aliases(ListAliasesRequest) -> ListAliasesResponse, collection, alias::list;

    Write create_database(CreateDatabaseRequest) -> Status, server, database::create;
    Write drop_database(DropDatabaseRequest) -> Status, server, database::drop;
    Write alter_database(AlterDatabaseRequest) -> Status, database, database::alter;
    Read list_databases(ListDatabasesRequest) -> ListDatabasesResponse, server, database::list;
    Read describe_database(DescribeDatabaseRequest) -> DescribeDatabaseResponse, database,
        database::describe;

    Write create_index(CreateIndexRequest) -> Status, collection, index::create;
    Write drop_index(DropIndexRequest) -> Status, collection, index::drop;
    Write alter_index(AlterIndexRequest) -> Status, collection, index::alter;
    Read describe_index(DescribeIndexRequest) -> DescribeIndexResponse, collection,
        index::describe;
    Read get_index_statistics(GetIndexStatisticsRequest) -> GetIndexStatisticsResponse, collection,
        index::statistics;
    Read get_index_state(GetIndexStateRequest) -> GetIndexStateResponse, collection, index::state;
    Read get_index_build_progress(GetIndexBuildProgressRequest) -> GetIndexBuildProgressResponse,
        collection, index::build_progress;

    Write load_collection(LoadCollectionRequest) -> Status, collection, load::load;
    Write release_collection(ReleaseCollectionRequest) -> Status, collection, load::release;
    Write load_partitions(LoadPartitionsRequest) -> Status, collection, load::load_partitions;
    Write release_partitions(ReleasePartitionsRequest) -> Status, collection,
        load::release_partitions;
    Read get_loading_progress(GetLoadingProgressRequest) -> GetLoadingProgressResponse, collection,
        load::progress;
    Read get_load_state(GetLoadStateRequest) -> GetLoadStateResponse, collection, load::state;
    Read get_replicas(GetReplicasRequest) -> GetReplicasResponse, collection, load::replicas;

    Write insert(InsertRequest) -> MutationResult, collection, dml::insert;
    Write upsert(UpsertRequest) -> MutationResult, collection, dml::upsert;
    Write delete(DeleteRequest) -> MutationResult, collection, dml::delete;
    Read search(SearchRequest) -> SearchResults, collection, search::search;
    Read hybrid_search(HybridSearchRequest) -> SearchResults, collection, search::hybrid_search;
    Read query(QueryRequest) -> QueryResults, collection, query::query;

    Read get_collection_statistics(GetCollectionStatisticsRequest)
        -> GetCollectionStatisticsResponse, collection, statistics::of_collection;
    Read get_partition_statistics(GetPartitionStatisticsRequest) -> GetPartitionStatisticsResponse,
        collection, statistics::of_partition;
    Read get_persistent_segment_info(GetPersistentSegmentInfoRequest)
        -> GetPersistentSegmentInfoResponse, collection, statistics::segments;
    Read get_query_segment_info(GetQuerySegmentInfoRequest) -> GetQuerySegmentInfoResponse,
        collection, statistics::query_segments;

    Write flush(FlushRequest) -> FlushResponse, database, flush::flush;
    Read get_flush_state(GetFlushStateRequest) -> GetFlushStateResponse, collection, flush::state;
    Write flush_all(FlushAllRequest) -> FlushAllResponse, server, flush::flush_all;
    Read get_flush_all_state(GetFlushAllStateRequest) -> GetFlushAllStateResponse, server,
        flush::all_state;

    Write manual_compaction(ManualCompactionRequest) -> ManualCompactionResponse, collection,
        compaction::start;
    Read get_compaction_state(GetCompactionStateRequest) -> GetCompactionStateResponse, server,
        compaction::state;
    Read get_compaction_state_with_plans(GetCompactionPlansRequest) -> GetCompactionPlansResponse,
        collection, compaction::plans;

    Read run_analyzer(RunAnalyzerRequest) -> RunAnalyzerResponse, server, analyze::run;

    Write import(ImportRequest) -> ImportResponse, collection, import::start;
    Read get_import_state(GetImportStateRequest) -> GetImportStateResponse, server, import::state;
    Read list_import_tasks(ListImportTasksRequest) -> ListImportTasksResponse, collection,
        import::list;

    Write create_credential(CreateCredentialRequest) -> Status, server, users::create;
    Write update_credential(UpdateCredentialRequest) -> Status, server, users::update;
    Write delete_credential(DeleteCredentialRequest) -> Status, server, users::delete;
    Read list_cred_users(ListCredUsersRequest) -> ListCredUsersResponse, server, users::list;
    Read select_user(SelectUserRequest) -> SelectUserResponse, server, users::select;
    Write create_role(CreateRoleRequest) -> Status, server, roles::create;
    Write alter_role(AlterRoleRequest) -> Status, server, roles::alter;
    Write drop_role(DropRoleRequest) -> Status, server, roles::drop;
    Write operate_user_role(OperateUserRoleRequest) -> Status, server, roles::operate;
    Read select_role(SelectRoleRequest) -> SelectRoleResponse, server, roles::select;
    Write operate_privilege(OperatePrivilegeRequest) -> Status, server, grants::operate_old;
    Write operate_privilege_v2(OperatePrivilegeV2Request) -> Status, server, grants::operate_new;
    Read select_grant(SelectGrantRequest) -> SelectGrantResponse, server, grants::select;
    Write create_privilege_group(CreatePrivilegeGroupRequest) -> Status, server,
        grants::create_group;
    Write drop_privilege_group(DropPrivilegeGroupRequest) -> Status, server, grants::drop_group;
    Write operate_privilege_group(OperatePrivilegeGroupRequest) -> Status, server,
        grants::alter_group;
    Read list_privilege_groups(ListPrivilegeGroupsRequest) -> ListPrivilegeGroupsResponse, server,
        grants::list_groups;

    Read get_metrics(GetMetricsRequest) -> GetMetricsResponse, server, metrics::metrics;
    Write load_balance(LoadBalanceRequest) -> Status, collection, metrics::balance;
    Write create_resource_group(CreateResourceGroupRequest) -> Status, server,
        resource_group::create;
    Write update_resource_groups(UpdateResourceGroupsRequest) -> Status, server,
        resource_group::update;
    Write drop_resource_group(DropResourceGroupRequest) -> Status, server, resource_group::drop;
    Read list_resource_groups(ListResourceGroupsRequest) -> ListResourceGroupsResponse, server,
        resource_group::list;
    Read describe_resource_group(DescribeResourceGroupRequest) -> DescribeResourceGroupResponse,
        server, resource_group::describe;
    Write transfer_node(TransferNodeRequest) -> Status, server, resource_group::transfer_node;
    Write transfer_replica(TransferReplicaRequest) -> Status, collection,
        resource_group::transfer_replica;

    Write create_snapshot(CreateSnapshotRequest) -> Status, collection, snapshot::create;
    Write drop_snapshot(DropSnapshotRequest) -> Status, collection, snapshot::drop;
    Read list_snapshots(ListSnapshotsRequest) -> ListSnapshotsResponse, collection, snapshot::list;
    Read describe_snapshot(DescribeSnapshotRequest) -> DescribeSnapshotResponse, collection,
        snapshot::describe;
    Write restore_snapshot(RestoreSnapshotRequest) -> RestoreSnapshotResponse, collection,
        snapshot::restore;
    Read get_restore_snapshot_state(GetRestoreSnapshotStateRequest)
        -> GetRestoreSnapshotStateResponse, server, snapshot::restore_state;
    Read list_restore_snapshot_jobs(ListRestoreSnapshotJobsRequest)
        -> ListRestoreSnapshotJobsResponse, collection, snapshot::restores;
    Write pin_snapshot_data(PinSnapshotDataRequest) -> PinSnapshotDataResponse, collection,
        snapshot::pin;
    Write unpin_snapshot_data(UnpinSnapshotDataRequest) -> Status, server, snapshot::unpin;

    => prewarm(PrewarmRequest) -> PrewarmResponse, "prewarming is";
    => describe_prewarm_task(DescribePrewarmTaskRequest) -> DescribePrewarmTaskResponse,
        "prewarming is";
    => create_namespace(CreateNamespaceRequest) -> CreateNamespaceResponse, "namespaces are";
    => describe_namespace(DescribeNamespaceRequest) -> DescribeNamespaceResponse, "namespaces are";
    => list_namespaces(ListNamespacesRequest) -> ListNamespacesResponse, "namespaces are";
    => drop_namespace(DropNamespaceRequest) -> DropNamespaceResponse, "namespaces are";
    => has_namespace(HasNamespaceRequest) -> HasNamespaceResponse, "namespaces are";
    => get_namespace_stats(GetNamespaceStatsRequest) -> GetNamespaceStatsResponse, "namespaces are";
    => calc_distance(CalcDistanceRequest) -> CalcDistanceResults, "interface obsolete: CalcDistance is";
    => register_link(RegisterLinkRequest) -> RegisterLinkResponse, "RegisterLink is";
    => list_indexed_segment(feder::ListIndexedSegmentRequest) -> feder::ListIndexedSegmentResponse,
        "telling of the inside of indexes is";
    => describe_segment_index_data(feder::DescribeSegmentIndexDataRequest)
        -> feder::DescribeSegmentIndexDataResponse, "telling of the inside of indexes is";
    => replicate_message(ReplicateMessageRequest) -> ReplicateMessageResponse, "replication is";
    => update_replicate_configuration(UpdateReplicateConfigurationRequest) -> Status,
        "replication is";
    => get_replicate_configuration(GetReplicateConfigurationRequest)
        -> GetReplicateConfigurationResponse, "replication is";
    => backup_rbac(BackupRbacMetaRequest) -> BackupRbacMetaResponse, "copying users and roles is";
    => restore_rbac(RestoreRbacMetaRequest) -> Status, "restoring users and roles is";
    => compute_phrase_match_slop(ComputePhraseMatchSlopRequest) -> ComputePhraseMatchSlopResponse,
        "text analysis is";
    => add_file_resource(AddFileResourceRequest) -> Status, "file resources are";
    => remove_file_resource(RemoveFileResourceRequest) -> Status, "file resources are";
    => list_file_resources(ListFileResourcesRequest) -> ListFileResourcesResponse,
        "file resources are";
    => add_user_tags(AddUserTagsRequest) -> Status, "row-level security is";
    => delete_user_tags(DeleteUserTagsRequest) -> Status, "row-level security is";
    => get_user_tags(GetUserTagsRequest) -> GetUserTagsResponse, "row-level security is";
    => list_users_with_tag(ListUsersWithTagRequest) -> ListUsersWithTagResponse,
        "row-level security is";
    => create_row_policy(CreateRowPolicyRequest) -> Status, "row-level security is";
    => drop_row_policy(DropRowPolicyRequest) -> Status, "row-level security is";
    => list_row_policies(ListRowPoliciesRequest) -> ListRowPoliciesResponse, "row-level security is";
    => update_row_policy(UpdateRowPolicyRequest) -> Status, "row-level security is";
    => set_rls_principal_tags(SetRlsPrincipalTagsRequest) -> Status, "row-level security is";
    => get_rls_principal_tags(GetRlsPrincipalTagsRequest) -> GetRlsPrincipalTagsResponse,
        "row-level security is";
    => list_rls_principals(ListRlsPrincipalsRequest) -> ListRlsPrincipalsResponse,
        "row-level security is";
    => delete_rls_principal_tags(DeleteRlsPrincipalTagsRequest) -> Status, "row-level security is";
    => restore_external_snapshot(RestoreExternalSnapshotRequest) -> RestoreExternalSnapshotResponse,
        "snapshots of other stores are";
    => export_snapshot(ExportSnapshotRequest) -> ExportSnapshotResponse, "exporting snapshots is";
    => get_export_snapshot_state(GetExportSnapshotStateRequest) -> GetExportSnapshotStateResponse,
        "exporting snapshots is";
    => batch_update_manifest(BatchUpdateManifestRequest) -> Status, "BatchUpdateManifest is";
    => refresh_external_collection(RefreshExternalCollectionRequest)
        -> RefreshExternalCollectionResponse, "external collections are";
    => get_refresh_external_collection_progress(GetRefreshExternalCollectionProgressRequest)
        -> GetRefreshExternalCollectionProgressResponse, "external collections are";
    => list_refresh_external_collection_jobs(ListRefreshExternalCollectionJobsRequest)
        -> ListRefreshExternalCollectionJobsResponse, "external collections are";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_database_before_the_connection() {
        let mut metadata = MetadataMap::new();
        assert_eq!(database_of(&metadata, ""), "default");
        metadata.insert("dbname", tonic::metadata::MetadataValue::from_static("b"));
        assert_eq!(database_of(&metadata, ""), "b");
        assert_eq!(database_of(&metadata, "a"), "a");
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline_and_a_write_goes_on() {
        let call = Call::new("insert", &MetadataMap::new(), ("", "c"));
        let (sender, written) = tokio::sync::oneshot::channel();
        let (go, waits) = tokio::sync::oneshot::channel::<()>();
        let write = async move {
            waits.await.ok();
            sender.send(()).ok();
            Ok(())
        };
        let running = run(Way::Write, &call, write);
        let ended = in_time(Some(Duration::ZERO), &call, running).await;
        assert_eq!(ended.map_err(|e| e.code()).err(), Some(tonic::Code::DeadlineExceeded));
        go.send(()).expect("the write waits");
        written.await.expect("the write has come to its end");
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_stops() {
        let call = Call::new("search", &MetadataMap::new(), ("", "c"));
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        let read = async move {
            let _held = sender;
            std::future::pending::<()>().await;
            Ok(())
        };
        let running = run(Way::Read, &call, read);
        let ended = in_time(Some(Duration::ZERO), &call, running).await;
        assert!(ended.is_err());
        assert!(dropped.await.is_err(), "the read is gone, and its channel with it");
    }
}
