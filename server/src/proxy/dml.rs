//! Insert, upsert and delete.

mod array_ops;
mod keys_only;
mod partial;

use std::sync::Arc;

use arrow::array::RecordBatch;
use elanus_engine::api::{CollectionInfo, PartitionSet, Rows, Snapshot, Written};
use elanus_engine::core::schema::DataType;
use elanus_proto::schema::FieldData;
use elanus_proto::service::{DeleteRequest, InsertRequest, MutationResult, UpsertRequest};
use elanus_sql::lang::Filter;
use prost::Message;

use super::collection;
use crate::context::{Context, signed};
use crate::convert::{columns, ids, invalid, mismatch, template, timezone};
use crate::status::{Failure, ok_status};

/// Milvus's code for a request made with an outdated schema.
const SCHEMA_MISMATCH: i32 = 109;

/// Copies of a row on its way in: the message, columns, the log's record.
const ROW_COPIES: usize = 3;

/// Adds rows.
pub async fn insert(
    ctx: &Context,
    database: &str,
    request: InsertRequest,
) -> Result<MutationResult, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let _memory = ctx.engine.reserve(request.encoded_len() * ROW_COPIES).await?;
    let collection = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = collection.info();
    check_schema(&info, request.schema_timestamp)?;
    let partition = partition(&info, request.partition_name)?;
    let rows = row_count(request.num_rows, request.fields_data.is_empty())?;
    let columns = read_columns(&info, request.fields_data, rows)?;
    refuse_own_keys(&info, &columns)?;
    columns::check_complete(&info.schema, &columns)?;
    let written = collection.insert(Rows { columns, partition }).await?;
    Ok(MutationResult { insert_cnt: signed(written.count), ..rows_written(&written) })
}

/// Replaces rows by key, or parts of them, and adds those that are not there.
pub async fn upsert(
    ctx: &Context,
    database: &str,
    request: UpsertRequest,
) -> Result<MutationResult, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let _memory = ctx.engine.reserve(request.encoded_len() * ROW_COPIES).await?;
    let collection = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = collection.info();
    check_schema(&info, request.schema_timestamp)?;
    let partition = partition(&info, request.partition_name)?;
    let rows = row_count(request.num_rows, request.fields_data.is_empty())?;
    let given = request.fields_data.iter().map(|f| f.field_name.clone()).collect();
    let ops = array_ops::read(&info.schema, &request.field_ops, &given)?;
    let columns = read_columns(&info, request.fields_data, rows)?;
    let primary = info.schema.primary()?;
    if columns.column_by_name(&primary.name).is_none() {
        let name = &primary.name;
        return Err(invalid(format!("must assign pk when upsert, primary field: {name}")));
    }
    let written = if request.partial_update || !ops.is_empty() {
        let complete = |snapshot: Snapshot| async move {
            let columns = partial::complete(&snapshot, columns, &ops).await?;
            columns::check_complete(snapshot.schema(), &columns)?;
            Ok::<_, Failure>(Rows { columns, partition })
        };
        collection.upsert_completed(complete).await?
    } else {
        columns::check_complete(&info.schema, &columns)?;
        collection.upsert(Rows { columns, partition }).await?
    };
    Ok(MutationResult { upsert_cnt: signed(written.count), ..rows_written(&written) })
}

/// Removes the rows that an expression matches.
pub async fn delete(
    ctx: &Context,
    database: &str,
    request: DeleteRequest,
) -> Result<MutationResult, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let collection = collection::find(ctx, database, &request.collection_name, 0)?;
    let info = collection.info();
    let partitions = match partition(&info, request.partition_name)? {
        Some(name) => PartitionSet::Names(vec![name]),
        None => PartitionSet::All,
    };
    let templates = template::templates(request.expr_template_values)?;
    let plan = |e: Failure| e_with(e, "failed to create delete plan");
    let written = match keys_only::keys(&request.expr, &info.schema, &templates) {
        Some(keys) => collection.delete_keys(keys, &partitions).await?,
        None => {
            let zone = timezone::of_properties(&info.properties);
            let filter = Filter::parse_in(zone, &request.expr, &info.schema, &templates)
                .map_err(|e| plan(e.into()))?
                .ok_or_else(|| {
                    invalid(format!("delete plan can't be empty or always true : {}", request.expr))
                })?;
            collection.delete_where(Arc::new(filter), &partitions).await?
        }
    };
    // No ids: with them, clients would give a list in place of the count.
    Ok(MutationResult {
        status: Some(ok_status()),
        delete_cnt: signed(written.count),
        timestamp: written.timestamp,
        acknowledged: true,
        ..Default::default()
    })
}

/// Puts what was being done before the words.
pub(crate) fn e_with(failure: Failure, doing: &str) -> Failure {
    if failure.reason.starts_with(doing) {
        return failure;
    }
    Failure { reason: format!("{doing}: {}", failure.reason), ..failure }
}

fn read_columns(
    info: &CollectionInfo,
    mut columns: Vec<FieldData>,
    rows: usize,
) -> Result<RecordBatch, Failure> {
    let is_moment =
        |name: &str| info.schema.field(name).is_ok_and(|f| f.data_type == DataType::Timestamptz);
    timezone::read(&mut columns, is_moment, timezone::of_properties(&info.properties))?;
    columns::to_batch(&info.schema, columns, rows)
}

fn rows_written(written: &Written) -> MutationResult {
    let count = u32::try_from(written.count).unwrap_or(u32::MAX);
    MutationResult {
        status: Some(ok_status()),
        i_ds: Some(ids::to_wire(&written.keys)),
        succ_index: (0..count).collect(),
        acknowledged: true,
        timestamp: written.timestamp,
        ..Default::default()
    }
}

/// Refuses the request that asks for a namespace.
pub(crate) fn refuse_namespace(namespace: Option<&str>) -> Result<(), Failure> {
    match namespace {
        Some(name) if !name.is_empty() => {
            Err(Failure::unsupported(format!("namespaces are not supported, but got {name}")))
        }
        _ => Ok(()),
    }
}

/// Tells a client that describes with an old schema to describe again; it then sends once more.
fn check_schema(info: &CollectionInfo, seen: u64) -> Result<(), Failure> {
    if seen == 0 || seen >= info.schema_ts {
        return Ok(());
    }
    let reason = format!("collection schema mismatch[collection={}]", info.name);
    Err(Failure::new(SCHEMA_MISMATCH, reason))
}

fn partition(info: &CollectionInfo, name: String) -> Result<Option<String>, Failure> {
    if name.is_empty() {
        return Ok(None);
    }
    if info.schema.partition_key().is_some() {
        return Err(named_partitions_with_key());
    }
    if info.partitions.iter().all(|p| p.name != name) {
        return Err(Failure::partition_not_found(&name));
    }
    Ok(Some(name))
}

/// The failure of naming partitions where a partition key chooses them.
pub(crate) fn named_partitions_with_key() -> Failure {
    invalid("not support manually specifying the partition names if partition key mode is used")
}

fn row_count(given: u32, no_columns: bool) -> Result<usize, Failure> {
    if given == 0 {
        return Err(mismatch("num_rows should be greater than 0", "invalid num_rows", given));
    }
    if no_columns {
        return Err(invalid("the request has no columns"));
    }
    usize::try_from(given).map_err(|_| invalid(format!("num_rows {given} is too large")))
}

/// Keys that the engine makes are not given, unless the collection allows it.
fn refuse_own_keys(info: &CollectionInfo, columns: &RecordBatch) -> Result<(), Failure> {
    let primary = info.schema.primary()?;
    let allowed = info.properties.get("allow_insert_auto_id").is_some_and(|v| v == "true");
    if !primary.auto_id || allowed || columns.column_by_name(&primary.name).is_none() {
        return Ok(());
    }
    let expected = info.schema.fields.len();
    Err(mismatch("more fieldData has pass in", expected, expected + 1))
}
