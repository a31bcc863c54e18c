//! Writes of rows: checked, completed, routed to their partitions.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::{Collection, no_partition};
use crate::core::error::{Error, Result, Subject};
use crate::core::filter::RowFilter;
use crate::core::key::Keys;
use crate::core::schema::DataType;
use crate::core::text;
use crate::core::time::Timestamp;
use crate::core::validate;
use crate::lsm::manifest::Manifest;
use crate::shard::record;
use crate::shard::snapshot::{PartitionSet, RowOrder, Selection, Snapshot};

/// Name of the partition that always exists.
pub const DEFAULT_PARTITION: &str = "_default";

/// Rows to write: columns by name, in Arrow types as
/// [`FieldSchema::to_arrow`](crate::core::schema::FieldSchema::to_arrow) gives them.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns. Missing ones get their default, null, or a made key.
    pub columns: RecordBatch,
    /// Partition; none: the default one, or by the partition key.
    pub partition: Option<String>,
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct Written {
    /// Keys of the rows written, in their order; of a delete: the keys that were removed.
    pub keys: Keys,
    /// Number of them.
    pub count: u64,
    /// Commit timestamp.
    pub timestamp: Timestamp,
}

/// Rows ready for the shard.
struct Prepared {
    batch: RecordBatch,
    /// Partitions and their numbers of rows, in the order of the batch.
    groups: Vec<(u64, usize)>,
    /// In the order given.
    keys: Keys,
    schema_ts: Timestamp,
}

impl Collection {
    /// Writes rows; one with a key that exists replaces the older row. Durable and visible on return.
    pub async fn insert(&self, rows: Rows) -> Result<Written> {
        self.write(rows).await
    }

    /// The same as [`Self::insert`], but the key must be given even if the schema makes keys.
    pub async fn upsert(&self, rows: Rows) -> Result<Written> {
        let schema = self.schema();
        let key = &schema.primary()?.name;
        if rows.columns.column_by_name(key).is_none() {
            return Err(Error::invalid(
                Subject::Field,
                format!("upsert needs the primary key {key}: give it for every row"),
            ));
        }
        self.write(rows).await
    }

    /// Upserts rows that are made from what is there: `complete` is given a snapshot, and no other
    /// write comes between it and this one.
    pub async fn upsert_completed<F, E>(
        &self,
        complete: impl FnOnce(Snapshot) -> F,
    ) -> std::result::Result<Written, E>
    where
        F: Future<Output = std::result::Result<Rows, E>>,
        E: From<Error>,
    {
        let mut keys = None;
        let made = async |snapshot: Snapshot| {
            let prepared = self.prepare(complete(snapshot).await?)?;
            keys = Some(prepared.keys.clone());
            Ok::<_, E>((prepared.batch, prepared.groups, prepared.schema_ts))
        };
        let timestamp = self.shard.write_chosen(made).await?;
        let keys = keys.ok_or_else(|| Error::internal("rows were written without keys"))?;
        Ok(Written { count: keys.len() as u64, keys, timestamp })
    }

    async fn write(&self, rows: Rows) -> Result<Written> {
        let Prepared { batch, groups, keys, schema_ts } = self.prepare(rows)?;
        let timestamp = self.shard.write_rows(batch, groups, schema_ts).await?;
        Ok(Written { count: keys.len() as u64, keys, timestamp })
    }

    /// Checks and completes rows, and puts those of one partition together.
    fn prepare(&self, rows: Rows) -> Result<Prepared> {
        let manifest = self.shard.tree().manifest.clone();
        let context = &self.shard.context;
        let make = |count: usize| {
            // One timestamp is unique in the store; the counter bits below leave room for the rows.
            (0..count).map(|_| (context.next_timestamp() & (i64::MAX as u64)) as i64).collect()
        };
        let limits = &context.settings.limits;
        let batch = validate::complete_rows(&manifest.schema, &rows.columns, limits, make)?;
        let batch = text::fill_outputs(&manifest.schema, batch)?;
        let key_column = manifest.schema.fields.iter().position(|f| f.is_primary).unwrap_or(0);
        let keys = record::keys_of(&batch, key_column)?;
        let partitions = route(&manifest, &batch, rows.partition.as_deref())?;
        let (batch, groups) = record::group_by_partition(batch, &keys, &partitions)?;
        Ok(Prepared { batch, groups, keys, schema_ts: manifest.schema_ts })
    }

    /// Deletes rows by key; keys that are not there are no error. Durable and visible on return.
    pub async fn delete_keys(&self, keys: Keys, partitions: &PartitionSet) -> Result<Written> {
        let schema = self.schema();
        let key = schema.primary()?;
        if matches!(keys, Keys::Int(_)) != (key.data_type == DataType::Int64) {
            return Err(Error::invalid(
                Subject::Field,
                format!("the keys are not of field {}: {}", key.name, key.data_type.display_name()),
            ));
        }
        let ids = self.partition_ids(partitions)?;
        // To the log an empty list of partitions means all of them.
        let none = matches!(partitions, PartitionSet::Names(names) if names.is_empty());
        let wanted = if none { keys.pick(&[])? } else { keys.clone() };
        let (timestamp, removed) = self.shard.delete(wanted, ids).await?;
        Ok(Written { keys: keys.pick(&removed)?, count: removed.len() as u64, timestamp })
    }

    /// Deletes the rows of this moment for which a filter is true.
    pub async fn delete_where(
        &self,
        filter: Arc<dyn RowFilter>,
        partitions: &PartitionSet,
    ) -> Result<Written> {
        let ids = self.partition_ids(partitions)?;
        let select = Selection { filter: Some(filter), partitions: partitions.clone() };
        let choose = |snapshot: Snapshot| async move {
            let rows = snapshot.select(&select, RowOrder::Any, 0, None).await?;
            let key = snapshot.schema().primary()?.name.clone();
            let found = snapshot.fetch(&rows, &[key]).await?;
            Keys::from_array(found.column(0).as_ref())
        };
        let (timestamp, keys) = self.shard.delete_chosen(ids, choose).await?;
        Ok(Written { count: keys.len() as u64, keys, timestamp })
    }

    fn partition_ids(&self, partitions: &PartitionSet) -> Result<Vec<u64>> {
        let PartitionSet::Names(names) = partitions else { return Ok(Vec::new()) };
        let manifest = self.shard.tree().manifest.clone();
        let find = |n: &String| manifest.partition(n).map(|p| p.id).ok_or_else(|| no_partition(n));
        names.iter().map(find).collect()
    }
}

/// The partition of each row.
fn route(manifest: &Manifest, batch: &RecordBatch, named: Option<&str>) -> Result<Vec<u64>> {
    let rows = batch.num_rows();
    if let Some(field) = manifest.schema.partition_key() {
        if let Some(named) = named.filter(|n| !n.is_empty()) {
            return Err(Error::invalid(
                Subject::Partition,
                format!(
                    "not support manually specifying the partition names if partition key mode \
                     is used (asked: {named})"
                ),
            ));
        }
        let column = batch
            .column_by_name(&field.name)
            .ok_or_else(|| Error::internal("the partition key column is missing"))?;
        return Ok(spread(manifest, column));
    }
    let name = named.filter(|n| !n.is_empty()).unwrap_or(DEFAULT_PARTITION);
    let partition = manifest.partition(name).ok_or_else(|| no_partition(name))?;
    Ok(vec![partition.id; rows])
}

/// Spreads rows over all partitions by a hash of the partition key that never changes.
fn spread(manifest: &Manifest, column: &ArrayRef) -> Vec<u64> {
    let partitions = &manifest.partitions;
    let pick = |hash: u64| partitions[(hash % partitions.len().max(1) as u64) as usize].id;
    match column.as_primitive_opt::<Int64Type>() {
        Some(ints) => (0..ints.len()).map(|r| pick(stable_hash(&ints.value(r)))).collect(),
        None => match column.as_string_opt::<i32>() {
            Some(texts) => (0..texts.len()).map(|r| pick(stable_hash(texts.value(r)))).collect(),
            None => vec![partitions.first().map_or(0, |p| p.id); column.len()],
        },
    }
}

fn stable_hash<T: Hash + ?Sized>(value: &T) -> u64 {
    xxhash_rust::xxh3::Xxh3Builder::new().hash_one(value)
}
