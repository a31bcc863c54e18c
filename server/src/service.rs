//! Milvus's gRPC service: reads the database and the request id, calls the handler, and puts its
//! failure into the answer.

use std::sync::Arc;

use elanus_engine::core::runtime::{self, Stopwatch};
use elanus_proto::common::Status;
use elanus_proto::service::milvus_service_server::MilvusService;
use elanus_proto::service::*;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response};
use tracing::Instrument;

use crate::context::{Context, DEFAULT_DATABASE};
use crate::proxy::{
    alias, collection, compaction, connect, database, describe, dml, evolve, flush, index, load,
    partition, query, search, statistics,
};
use crate::status::{Failure, code, ok_status};

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

/// An answer that carries a status.
trait Answer: Default {
    fn status_mut(&mut self) -> &mut Option<Status>;
}

/// What a handler gives: an answer, or nothing where the answer is a status alone.
trait Outcome<A> {
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

/// Whether a call goes on when its caller goes away.
#[derive(Clone, Copy)]
enum Way {
    /// Changes something: once begun it is brought to its end.
    Write,
    /// Changes nothing: it stops.
    Read,
}

/// A task that stops when nobody waits for it any more.
struct Abandonable<T>(tokio::task::JoinHandle<T>);

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
        }
    }

    fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "call",
            method = self.method,
            database = self.database,
            collection = self.collection,
            request_id = self.request_id,
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
    span.in_scope(|| report(call, &result, watch));
    result
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

/// Each line: way, method, request, answer, scope, handler.
macro_rules! calls {
    ($($way:ident $method:ident($request:ty) -> $answer:ty, $scope:ident, $handler:path;)*) => {
        #[tonic::async_trait]
        impl MilvusService for Milvus {
            $(async fn $method(
                &self,
                request: Request<$request>,
            ) -> Result<Response<$answer>, tonic::Status> {
                let (metadata, _, request) = request.into_parts();
                let call = Call::new(stringify!($method), &metadata, scope!($scope, request));
                let permit = self.begin().await?;
                let context = self.context.clone();
                let database = call.database.clone();
                let handler = async move {
                    let _permit = permit;
                    $handler(&context, &database, request).await
                };
                let result = run(Way::$way, &call, handler).await;
                Ok(Response::new(Outcome::<$answer>::answer(result)))
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
        collection::alter_field;
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
    Write alter_database(AlterDatabaseRequest) -> Status, server, database::alter;
    Read list_databases(ListDatabasesRequest) -> ListDatabasesResponse, server, database::list;
    Read describe_database(DescribeDatabaseRequest) -> DescribeDatabaseResponse, server,
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
    AllocTimestampResponse, BatchDescribeCollectionResponse, BoolResponse, CheckHealthResponse,
    ComponentStates, ConnectResponse, DescribeAliasResponse, DescribeCollectionResponse,
    DescribeDatabaseResponse, DescribeIndexResponse, FlushAllResponse, FlushResponse,
    GetCollectionStatisticsResponse, GetCompactionPlansResponse, GetCompactionStateResponse,
    GetFlushAllStateResponse, GetFlushStateResponse, GetIndexBuildProgressResponse,
    GetIndexStateResponse, GetIndexStatisticsResponse, GetLoadStateResponse,
    GetLoadingProgressResponse, GetPartitionStatisticsResponse, GetPersistentSegmentInfoResponse,
    GetQuerySegmentInfoResponse, GetReplicasResponse, GetVersionResponse, ListAliasesResponse,
    ListDatabasesResponse, ManualCompactionResponse, MutationResult, QueryResults, SearchResults,
    ShowCollectionsResponse, ShowPartitionsResponse, TruncateCollectionResponse,
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

    #[test]
    fn failures_travel_inside_the_answer() {
        let failed: Result<BoolResponse, _> = Err(Failure::not_loaded("c"));
        let status = failed.answer().status.unwrap_or_default();
        assert_eq!(status.code, 101);
        let status: Status = Ok::<(), Failure>(()).answer();
        assert_eq!(status.code, 0);
    }
}
