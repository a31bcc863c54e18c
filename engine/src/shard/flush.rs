//! Flush: a frozen memtable becomes level-0 segments, one a partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute;

use super::memtable::{Memtable, MemtableUnit};
use super::open::{SegmentPlace, Shard, make_segment};
use super::publish::{Carry, Change, Source};
use crate::core::budget::Use;
use crate::core::error::Result;
use crate::core::rowset::DeleteSet;
use crate::core::runtime;
use crate::lsm::compact::DROPPED;
use crate::lsm::layout::{self, Laid, LayoutOrder, Rows};
use crate::lsm::manifest::{ColumnBounds, FileMeta, Manifest, SegmentEdit, SegmentMeta};
use crate::segment::{DATA_FILE, KEYS_FILE, SUMS_FILE, Segment};

impl Shard {
    /// Freezes the active memtable and flushes all frozen ones: every row acknowledged before the call is
    /// then in a published segment.
    pub async fn flush(self: &Arc<Self>) -> Result<Arc<Manifest>> {
        {
            let _writing = self.write_lock.lock();
            self.freeze_locked()?;
        }
        while self.flush_oldest().await? {}
        Ok(self.tree().manifest.clone())
    }

    /// Flushes the oldest frozen memtable; `false` if there is none.
    pub async fn flush_oldest(self: &Arc<Self>) -> Result<bool> {
        let _flushing = self.flush_lock.lock().await;
        let Some(memtable) = self.tree().frozen.first().cloned() else { return Ok(false) };
        // On the heap: this future is deep, and callers nest it further.
        let outcome = Box::pin(self.flush_one(&memtable)).await;
        self.set_trouble(outcome.as_ref().err().cloned());
        outcome.map(|()| true)
    }

    async fn flush_one(self: &Arc<Self>, memtable: &Memtable) -> Result<()> {
        let flushed_ts = memtable.max_ts();
        // A flush does not wait for memory: it is what gives memory back.
        let _memory = self.context.files.hold(Use::Builds, memtable.bytes() * 2);
        // A record that is not durable may not reach a segment before the log.
        self.log.progress().wait(flushed_ts).await?;
        runtime::gate("flush.begin").await;
        let manifest = self.tree().manifest.clone();
        let mut partitions: BTreeMap<u64, Vec<MemtableUnit>> = BTreeMap::new();
        let mut alive = 0;
        for unit in memtable.units_at(flushed_ts) {
            alive += unit.alive.count();
            if manifest.partitions.iter().any(|p| p.id == unit.chunk.partition_id) {
                partitions.entry(unit.chunk.partition_id).or_default().push(unit);
            }
        }
        let (change, metas) = self.write_partitions(memtable, &manifest, partitions).await?;
        runtime::gate("flush.data").await;
        let exact_from_ts = if alive < memtable.rows() { flushed_ts } else { 0 };
        let edit = SegmentEdit {
            add: metas,
            flushed_ts: Some(flushed_ts),
            exact_from_ts,
            ..Default::default()
        };
        self.publish_flush(change, edit).await?;
        self.build_scalar_indexes().await;
        Ok(())
    }

    async fn publish_flush(self: &Arc<Self>, change: Change, edit: SegmentEdit) -> Result<()> {
        let generation = change.flushed_generation;
        let segments = edit.add.len();
        let outcome = self
            .publish(change, move |manifest| {
                // A partition that was dropped meanwhile takes its new segment with it.
                let mut edit = edit;
                edit.add.retain(|s| manifest.partitions.iter().any(|p| p.id == s.partition_id));
                Ok(manifest.with_segments(&edit))
            })
            .await;
        if outcome.is_ok() {
            tracing::debug!(
                "collection {}: flushed generation {generation:?} into {} segments",
                self.collection_id,
                segments
            );
        }
        outcome.map(|_| ())
    }

    async fn write_partitions(
        self: &Arc<Self>,
        memtable: &Memtable,
        manifest: &Manifest,
        partitions: BTreeMap<u64, Vec<MemtableUnit>>,
    ) -> Result<(Change, Vec<Arc<SegmentMeta>>)> {
        let mut carry = Carry {
            from: Source::Memtable(memtable.generation),
            after: memtable.max_ts(),
            targets: vec![0; memtable.rows()],
            rows: vec![DROPPED; memtable.rows()],
        };
        let flushed_generation = Some(memtable.generation);
        let mut change = Change { flushed_generation, ..Default::default() };
        let mut metas = Vec::new();
        for (partition, units) in partitions {
            let begun = self.begin_segment();
            let id = begun.id;
            change.writing.push(begun);
            let target = change.add.len();
            let laid =
                self.write_units(manifest, id, &units, target, &mut carry, &mut change).await?;
            let Some(laid) = laid else { continue };
            let (meta, segment) = self.describe(manifest, id, partition, 0, &laid);
            change.add.push(Arc::new(segment));
            metas.push(Arc::new(meta));
        }
        change.carry.push(carry);
        Ok((change, metas))
    }

    /// Writes the visible rows of some chunks and notes where each went.
    async fn write_units(
        &self,
        manifest: &Manifest,
        id: u64,
        units: &[MemtableUnit],
        target: usize,
        carry: &mut Carry,
        change: &mut Change,
    ) -> Result<Option<Laid>> {
        let schema = manifest.schema.to_storage_arrow();
        let mut rows = Rows::default();
        for unit in units {
            let chunk = &unit.chunk;
            let mut columns: Vec<ArrayRef> = chunk.batch.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from(chunk.times.clone())));
            let batch = RecordBatch::try_new(schema.clone(), columns)?;
            rows.batches.push(if unit.alive.is_all() {
                batch
            } else {
                let mask = BooleanArray::new(unit.alive.bits().clone(), None);
                compute::filter_record_batch(&batch, &mask)?
            });
        }
        let fields = self.books_for(manifest, id, &rows, &[], change).await?;
        let order = LayoutOrder {
            files: &self.context.files,
            folder: Manifest::segment_folder(self.collection_id, id),
            storage_schema: &schema,
            key_column: &manifest.schema.primary()?.name,
            clustering_key: manifest.schema.clustering_key().map(|f| f.name.as_str()),
            fields,
            pools: &self.context.pools,
        };
        let laid = layout::write(order, rows).await?;
        if let Some(laid) = &laid {
            for (unit, new_rows) in units.iter().zip(&laid.rows) {
                for (row, new) in unit.alive.iter().zip(new_rows) {
                    let position = unit.chunk.start as usize + row;
                    carry.targets[position] = target as u32;
                    carry.rows[position] = *new;
                }
            }
        }
        Ok(laid)
    }

    /// What a manifest says of a written segment, and the segment in use.
    pub(super) fn describe(
        &self,
        manifest: &Manifest,
        id: u64,
        partition_id: u64,
        level: u32,
        laid: &Laid,
    ) -> (SegmentMeta, Segment) {
        let written = &laid.written;
        let file = |name: &str, (size_bytes, xxh3): (u64, u64)| FileMeta {
            name: name.into(),
            size_bytes,
            xxh3,
            owner: None,
        };
        let meta = SegmentMeta {
            id,
            partition_id,
            level,
            rows: written.rows as u64,
            min_ts: written.min_ts,
            max_ts: written.max_ts,
            data: file(DATA_FILE, written.data),
            sums: Some(file(SUMS_FILE, written.sums_file)),
            keys: file(KEYS_FILE, written.keys_file),
            deletes: None,
            deleted_rows: 0,
            columns: written
                .bounds
                .iter()
                .map(|b| ColumnBounds {
                    column: b.column.clone(),
                    range: b.range.clone(),
                    nulls: b.nulls,
                })
                .collect(),
            schema_ts: manifest.schema_ts,
            key_range: written.keys.range(),
            indexes: laid.indexes.clone(),
        };
        let keys = Some(written.keys.clone());
        let place = SegmentPlace::of(manifest);
        let segment = make_segment(&self.context, &place, &meta, DeleteSet::default(), keys);
        for (field, codes) in &laid.coded {
            segment.keep_codes(field, codes.clone());
        }
        (meta, segment)
    }

    /// Publishes a change of everything but rows.
    pub async fn alter(
        self: &Arc<Self>,
        edit: impl FnOnce(&Manifest) -> Result<Manifest>,
    ) -> Result<Arc<Manifest>> {
        self.publish(Change::default(), edit).await
    }

    /// Publishes a change that rows in the log must not see: writers wait, all rows are flushed, then it is
    /// published. So the log never holds rows of two schemas, or of a partition that is gone.
    pub async fn alter_flushed(
        self: &Arc<Self>,
        edit: impl FnOnce(&Manifest) -> Result<Manifest>,
    ) -> Result<Arc<Manifest>> {
        let no_writers = Some(self.write_gate.clone().write_owned().await);
        self.flush().await?;
        runtime::gate("alter.flushed").await;
        // All writes before it are in segments, and what the change takes away was there until then.
        let now = self.context.next_timestamp();
        let edit = |manifest: &Manifest| {
            let mut next = edit(manifest)?;
            (next.flushed_ts, next.exact_from_ts) = (now, now);
            Ok(next)
        };
        self.publish(Change { no_writers, ..Default::default() }, edit).await
    }
}
