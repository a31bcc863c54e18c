//! A snapshot: the rows of one moment, exact for as long as it lives.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

use super::joins::Joins;
use super::memtable::Chunk;
use super::open::Shard;
use super::tree::Tree;
use crate::core::error::{Error, Result, Subject};
use crate::core::filter::{RowFilter, UnitStats};
use crate::core::key::Keys;
use crate::core::rowset::RowSet;
use crate::core::runtime::CpuPools;
use crate::core::schema::{CollectionSchema, TIMESTAMP_FIELD};
use crate::core::time::{self, Timestamp};
use crate::lsm::codebooks::Codebooks;
use crate::lsm::compact::still_living;
use crate::lsm::info::CollectionInfo;
use crate::lsm::manifest::Manifest;
use crate::segment::cache::Column;
use crate::segment::files::SegmentFiles;
use crate::segment::{Segment, as_timestamps};

/// Which partitions an operation may touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PartitionSet {
    /// All.
    #[default]
    All,
    /// Those of these names.
    Names(Vec<String>),
}

/// Which rows an operation may touch.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rows for which it is true; none: all.
    pub filter: Option<Arc<dyn RowFilter>>,
    /// Rows of these partitions.
    pub partitions: PartitionSet,
}

/// Order of selected rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// By primary key, ascending.
    Key,
    /// As they lie.
    Any,
}

/// Place of a row in one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowAddress {
    /// Unit of the snapshot.
    pub unit: u32,
    /// Row of the unit.
    pub row: u32,
}

/// What an operation touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanCounts {
    /// Units of the snapshot.
    pub units: usize,
    /// Units that statistics or partitions ruled out.
    pub pruned_units: usize,
    /// Rows of the other units.
    pub rows_considered: u64,
    /// Rows that were compared or returned.
    pub rows_scanned: u64,
    /// Lists of a vector index that were scanned.
    pub lists_scanned: u64,
    /// Rows whose codes were scanned.
    pub codes_scanned: u64,
    /// Units that were searched by joined codes.
    pub joined_units: usize,
}

/// A unit as EXPLAIN and tools show it.
#[derive(Debug, Clone)]
pub struct UnitInfo {
    /// `segment 12` or `memtable`.
    pub label: String,
    /// Level in the tree; 0 for a memtable.
    pub level: u32,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Rows that the snapshot sees.
    pub live_rows: u64,
    /// Whether it is a part of a memtable.
    pub in_memory: bool,
}

/// A segment or a run of a memtable, with the rows that the snapshot sees.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub source: UnitSource,
    pub partition_id: u64,
    pub alive: RowSet,
}

#[derive(Debug, Clone)]
pub(super) enum UnitSource {
    Segment(Arc<Segment>),
    Chunk(Arc<Chunk>),
}

/// The rows of one moment. Cheap to copy; holds what it needs until it is dropped.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub at: Timestamp,
    pub info: CollectionInfo,
    pub units: Vec<Unit>,
    pub columns: SchemaRef,
    pub expire_before: Timestamp,
    /// The field of moments until which rows live, and the snapshot's present in microseconds.
    pub ends: Option<(String, i64)>,
    pub key_column: String,
    pub manifest: Arc<Manifest>,
    pub codebooks: Arc<Codebooks>,
    pub joins: Arc<Joins>,
    pub pools: CpuPools,
    pub files: Arc<SegmentFiles>,
}

impl Shard {
    /// A snapshot that sees every write acknowledged before this call.
    pub fn snapshot(&self) -> Snapshot {
        let (tree, at) = self.pin();
        let mut units = Vec::new();
        for segment in &tree.segments {
            let alive = segment.alive_at(at);
            let partition_id = segment.identity.partition_id;
            units.push(Unit { source: UnitSource::Segment(segment.clone()), partition_id, alive });
        }
        units.extend(memtable_units(&tree, at));
        self.snapshot_of(tree.manifest.clone(), at, units, self.context.clock.now_ms())
    }

    /// A snapshot of units; rows past their time to live at `now_ms` are left out.
    pub(super) fn snapshot_of(
        &self,
        manifest: Arc<Manifest>,
        at: Timestamp,
        mut units: Vec<Unit>,
        now_ms: u64,
    ) -> Snapshot {
        let exists = |p: u64| manifest.partitions.iter().any(|known| known.id == p);
        units.retain(|u| u.alive.count() > 0 && exists(u.partition_id));
        let expire = manifest.ttl_ms().map(|ttl| time::from_millis(now_ms.saturating_sub(ttl)));
        let schema = &manifest.schema;
        let key_column =
            schema.fields.get(self.key_column).map(|f| f.name.clone()).unwrap_or_default();
        Snapshot {
            inner: Arc::new(Inner {
                at,
                info: CollectionInfo::from(manifest.as_ref()),
                units,
                columns: schema.to_storage_arrow(),
                expire_before: expire.unwrap_or(0),
                ends: manifest.ttl_field().map(|f| (f.to_string(), time::micros(now_ms))),
                key_column,
                manifest: manifest.clone(),
                codebooks: self.codebooks.clone(),
                joins: self.joins.clone(),
                pools: self.context.pools.clone(),
                files: self.context.files.clone(),
            }),
        }
    }
}

/// The rows of a tree's memtables at a timestamp.
pub(super) fn memtable_units(tree: &Tree, at: Timestamp) -> Vec<Unit> {
    let memtables = tree.frozen.iter().chain([&tree.active]);
    let units = memtables.flat_map(|memtable| memtable.units_at(at));
    units
        .map(|unit| Unit {
            partition_id: unit.chunk.partition_id,
            source: UnitSource::Chunk(unit.chunk),
            alive: unit.alive,
        })
        .collect()
}

impl Unit {
    pub fn rows(&self) -> usize {
        self.alive.rows()
    }

    fn stats(&self) -> Option<&UnitStats> {
        match &self.source {
            UnitSource::Segment(segment) => Some(segment.stats()),
            UnitSource::Chunk(_) => None,
        }
    }

    /// Oldest commit timestamp of a row, or older.
    fn min_ts(&self) -> Timestamp {
        match &self.source {
            UnitSource::Segment(segment) => segment.identity.min_ts,
            UnitSource::Chunk(chunk) => chunk.times.first().copied().unwrap_or(0),
        }
    }
}

impl Snapshot {
    /// Every write at or before it is seen, none after it.
    pub fn timestamp(&self) -> Timestamp {
        self.inner.at
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<CollectionSchema> {
        &self.inner.info.schema
    }

    /// The collection as it was at the snapshot.
    pub fn info(&self) -> &CollectionInfo {
        &self.inner.info
    }

    /// Number of units.
    pub fn units(&self) -> usize {
        self.inner.units.len()
    }

    /// What the units are.
    pub fn describe_units(&self) -> Vec<UnitInfo> {
        let units = self.inner.units.iter();
        units
            .map(|unit| {
                let (label, level, in_memory) = match &unit.source {
                    UnitSource::Segment(s) => {
                        (format!("segment {}", s.identity.id), s.identity.level, false)
                    }
                    UnitSource::Chunk(_) => ("memtable".to_string(), 0, true),
                };
                let (rows, live_rows) = (unit.rows() as u64, unit.alive.count() as u64);
                UnitInfo { label, level, rows, live_rows, in_memory }
            })
            .collect()
    }

    fn partition_ids(&self, partitions: &PartitionSet) -> Result<Option<HashSet<u64>>> {
        let PartitionSet::Names(names) = partitions else { return Ok(None) };
        let find = |name: &String| {
            let known = self.inner.info.partitions.iter().find(|p| &p.name == name);
            known.map(|p| p.id).ok_or_else(|| {
                Error::not_found(
                    Subject::Partition,
                    format!("partition not found[partition={name}]"),
                )
            })
        };
        names.iter().map(find).collect::<Result<_>>().map(Some)
    }

    /// Units that may hold selected rows, by partition and statistics.
    pub fn try_prune(&self, select: &Selection) -> Result<Vec<usize>> {
        let partitions = self.partition_ids(&select.partitions)?;
        let units = &self.inner.units;
        let mut kept: Vec<usize> = (0..units.len())
            .filter(|u| partitions.as_ref().is_none_or(|p| p.contains(&units[*u].partition_id)))
            .collect();
        if let Some(filter) = &select.filter {
            let known: Vec<(usize, &UnitStats)> =
                kept.iter().filter_map(|u| units[*u].stats().map(|s| (*u, s))).collect();
            let stats: Vec<&UnitStats> = known.iter().map(|(_, s)| *s).collect();
            let verdicts = filter.may_match(&stats);
            let out: HashSet<usize> = known
                .iter()
                .zip(verdicts)
                .filter(|(_, may)| !may)
                .map(|((unit, _), _)| *unit)
                .collect();
            kept.retain(|u| !out.contains(u));
        }
        Ok(kept)
    }

    /// [`Self::try_prune`]; all units when the partitions are wrong, so that the scan tells.
    pub fn prune(&self, select: &Selection) -> Vec<usize> {
        self.try_prune(select).unwrap_or_else(|_| (0..self.units()).collect())
    }

    /// Whole columns of a unit; chunks give theirs without copying.
    pub(super) async fn unit_columns(
        &self,
        unit: &Unit,
        names: &[String],
    ) -> Result<Vec<ArrayRef>> {
        match &unit.source {
            UnitSource::Segment(segment) => segment.columns(&self.inner.columns, names).await,
            UnitSource::Chunk(chunk) => {
                names.iter().map(|name| chunk_column(chunk, name)).collect()
            }
        }
    }

    /// A whole column of a unit in parts of neighbouring rows; nothing is copied.
    pub(super) async fn unit_column_parts(&self, unit: &Unit, name: &str) -> Result<Column> {
        match &unit.source {
            UnitSource::Segment(segment) => segment.column_parts(&self.inner.columns, name).await,
            UnitSource::Chunk(chunk) => Ok([chunk_column(chunk, name)?].into()),
        }
    }

    /// The keys of all rows of a unit.
    pub(super) async fn unit_keys(&self, unit: &Unit) -> Result<Keys> {
        if let UnitSource::Chunk(chunk) = &unit.source {
            return Ok(chunk.keys.clone());
        }
        let names = [self.inner.key_column.clone()];
        let columns = self.unit_columns(unit, &names).await?;
        let column = columns.first().ok_or_else(|| Error::internal("a key column is missing"))?;
        Keys::from_array(column.as_ref())
    }

    /// The selected rows of a unit: alive, not expired, of the filter.
    pub(super) async fn unit_rows(
        &self,
        unit: &Unit,
        filter: Option<&Arc<dyn RowFilter>>,
    ) -> Result<RowSet> {
        let mut rows = unit.alive.clone();
        if self.inner.expire_before > unit.min_ts() {
            rows = rows.and(&self.unexpired(unit).await?);
        }
        if let Some((field, now_us)) = &self.inner.ends {
            let names = std::slice::from_ref(field);
            let column = self.unit_columns(unit, names).await?;
            let column = column.first().ok_or_else(|| Error::internal("a column is missing"))?;
            rows = rows.and(&still_living(column, *now_us)?);
        }
        match filter {
            Some(filter) => self.filter_rows(unit, filter, rows).await,
            None => Ok(rows),
        }
    }

    async fn unexpired(&self, unit: &Unit) -> Result<RowSet> {
        let before = self.inner.expire_before;
        let fresh = |times: &[Timestamp]| {
            RowSet::from_bits(BooleanBuffer::collect_bool(times.len(), |i| times[i] >= before))
        };
        match &unit.source {
            UnitSource::Chunk(chunk) => Ok(fresh(&chunk.times)),
            UnitSource::Segment(segment) => {
                let column = segment.timestamps(&self.inner.columns).await?;
                Ok(fresh(as_timestamps(&column)?.values()))
            }
        }
    }

    pub(super) fn batch(
        &self,
        names: &[String],
        columns: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<RecordBatch> {
        let fields = names
            .iter()
            .map(|name| self.inner.columns.field_with_name(name).cloned())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| self.unknown_column(names))?;
        let schema = Arc::new(ArrowSchema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    fn unknown_column(&self, names: &[String]) -> Error {
        let unknown =
            names.iter().find(|n| self.inner.columns.field_with_name(n).is_err()).cloned();
        let unknown = unknown.unwrap_or_default();
        Error::not_found(Subject::Field, format!("field {unknown} not exist"))
    }

    /// Number of selected rows.
    pub async fn count(&self, select: &Selection) -> Result<u64> {
        let mut count = 0;
        for unit in self.try_prune(select)? {
            let unit = &self.inner.units[unit];
            count += self.unit_rows(unit, select.filter.as_ref()).await?.count() as u64;
        }
        Ok(count)
    }

    /// Places of selected rows, after `offset` of them and at most `limit`.
    pub async fn select(
        &self,
        select: &Selection,
        order: RowOrder,
        offset: usize,
        limit: Option<usize>,
    ) -> Result<Vec<RowAddress>> {
        let wanted = limit.map(|l| l.saturating_add(offset));
        let mut found: Vec<(RowAddress, usize)> = Vec::new();
        let mut keys = Vec::new();
        for at in self.try_prune(select)? {
            let unit = &self.inner.units[at];
            let rows = self.unit_rows(unit, select.filter.as_ref()).await?;
            if rows.count() == 0 {
                continue;
            }
            found.extend(
                rows.iter()
                    .map(|row| (RowAddress { unit: at as u32, row: row as u32 }, keys.len())),
            );
            match order {
                RowOrder::Any if wanted.is_some_and(|w| found.len() >= w) => break,
                RowOrder::Any => {}
                RowOrder::Key => keys.push(self.unit_keys(unit).await?),
            }
        }
        if order == RowOrder::Key {
            let by_key = |a: &(RowAddress, usize), b: &(RowAddress, usize)| {
                let (left, right): (&Keys, &Keys) = (&keys[a.1], &keys[b.1]);
                left.compare_with(a.0.row as usize, right, b.0.row as usize)
            };
            if let Some(wanted) = wanted
                && wanted < found.len()
            {
                if wanted > 0 {
                    found.select_nth_unstable_by(wanted - 1, by_key);
                }
                found.truncate(wanted);
            }
            found.sort_unstable_by(by_key);
        }
        let rows = found.into_iter().map(|(address, _)| address).skip(offset);
        Ok(rows.take(limit.unwrap_or(usize::MAX)).collect())
    }

    /// Columns of rows, in the order asked; a row may be asked for twice.
    pub async fn fetch(&self, rows: &[RowAddress], columns: &[String]) -> Result<RecordBatch> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_unstable_by_key(|at| rows[*at]);
        let mut place = vec![0u32; rows.len()];
        let mut parts: Vec<Vec<ArrayRef>> = Vec::new();
        let mut fetched = 0u32;
        let mut at = 0;
        while at < order.len() {
            let unit = rows[order[at]].unit;
            let mut wanted: Vec<u32> = Vec::new();
            while at < order.len() && rows[order[at]].unit == unit {
                let row = rows[order[at]].row;
                if wanted.last() != Some(&row) {
                    wanted.push(row);
                }
                place[order[at]] = fetched + wanted.len() as u32 - 1;
                at += 1;
            }
            fetched += wanted.len() as u32;
            let unit = self
                .inner
                .units
                .get(unit as usize)
                .ok_or_else(|| Error::internal("a row of another snapshot"))?;
            parts.push(self.take(unit, columns, &wanted).await?);
        }
        let place = UInt32Array::from(place);
        let mut gathered = Vec::with_capacity(columns.len());
        for (at, name) in columns.iter().enumerate() {
            let pieces: Vec<&dyn Array> = parts.iter().map(|p| p[at].as_ref()).collect();
            gathered.push(if pieces.is_empty() {
                let field = self.inner.columns.field_with_name(name);
                let field = field.map_err(|_| self.unknown_column(columns))?;
                arrow::array::new_empty_array(field.data_type())
            } else {
                compute::take(&compute::concat(&pieces)?, &place, None)?
            });
        }
        self.batch(columns, gathered, rows.len())
    }

    pub(super) async fn take(
        &self,
        unit: &Unit,
        names: &[String],
        rows: &[u32],
    ) -> Result<Vec<ArrayRef>> {
        match &unit.source {
            UnitSource::Segment(segment) => segment.take(&self.inner.columns, names, rows).await,
            UnitSource::Chunk(chunk) => {
                let indices = UInt32Array::from(rows.to_vec());
                names
                    .iter()
                    .map(|n| Ok(compute::take(&chunk_column(chunk, n)?, &indices, None)?))
                    .collect()
            }
        }
    }

    /// Selected rows of one unit as batches, at most `limit`.
    pub async fn scan_unit(
        &self,
        unit: usize,
        select: &Selection,
        columns: &[String],
        limit: Option<usize>,
    ) -> Result<(Vec<RecordBatch>, ScanCounts)> {
        const BATCH_ROWS: usize = 8192;
        let mut counts = ScanCounts { units: 1, ..Default::default() };
        if !self.try_prune(select)?.contains(&unit) {
            counts.pruned_units = 1;
            return Ok((Vec::new(), counts));
        }
        let unit = self
            .inner
            .units
            .get(unit)
            .ok_or_else(|| Error::internal("a unit of another snapshot"))?;
        let rows = self.unit_rows(unit, select.filter.as_ref()).await?;
        counts.rows_considered = unit.alive.count() as u64;
        let limit = limit.unwrap_or(usize::MAX);
        let mut batches = Vec::new();
        if columns.is_empty() {
            let count = rows.count().min(limit);
            counts.rows_scanned = count as u64;
            batches.push(self.batch(&[], Vec::new(), count)?);
            return Ok((batches, counts));
        }
        let picked: Vec<u32> = rows.iter().take(limit).map(|r| r as u32).collect();
        counts.rows_scanned = picked.len() as u64;
        // Many rows: whole columns pay. Few: only they are read.
        let whole = picked.len() * 4 > unit.rows();
        let sources = if whole { Some(self.unit_columns(unit, columns).await?) } else { None };
        for part in picked.chunks(BATCH_ROWS) {
            let taken = match &sources {
                Some(sources) => {
                    let indices = UInt32Array::from(part.to_vec());
                    let take = |c: &ArrayRef| compute::take(c, &indices, None);
                    sources.iter().map(take).collect::<Result<Vec<_>, _>>()?
                }
                None => self.take(unit, columns, part).await?,
            };
            batches.push(self.batch(columns, taken, part.len())?);
        }
        Ok((batches, counts))
    }
}

fn chunk_column(chunk: &Chunk, name: &str) -> Result<ArrayRef> {
    if name == TIMESTAMP_FIELD {
        return Ok(Arc::new(arrow::array::UInt64Array::from(chunk.times.clone())));
    }
    chunk
        .batch
        .column_by_name(name)
        .cloned()
        .ok_or_else(|| Error::not_found(Subject::Field, format!("field {name} not exist")))
}
