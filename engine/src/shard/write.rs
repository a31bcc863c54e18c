//! Writes: log, memtable, older versions deleted, acknowledged when durable.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};

use super::memtable::{Lookup, Memtable};
use super::open::Shard;
use super::publish::dropped;
use super::record::{self, Change};
use super::snapshot::Snapshot;
use super::tree::Tree;
use crate::core::error::{Error, Result, Subject};
use crate::core::key::Keys;
use crate::core::runtime::{self, Stopwatch};
use crate::core::time::Timestamp;

impl Shard {
    /// Writes complete rows that replace older ones of the same keys; returns when they are durable and
    /// visible. `schema_ts` is the schema's under which they were completed.
    pub async fn write_rows(
        &self,
        batch: RecordBatch,
        groups: Vec<(u64, usize)>,
        schema_ts: Timestamp,
    ) -> Result<Timestamp> {
        if batch.num_rows() == 0 {
            return Ok(self.visible_ts());
        }
        let keys = record::keys_of(&batch, self.key_column)?;
        let change = Change::Rows { batch, groups };
        self.write(change, &keys, Some(schema_ts)).await.map(|(ts, _)| ts)
    }

    /// Deletes keys, from some partitions or (none named) from all; returns the keys that were there.
    pub async fn delete(
        &self,
        keys: Keys,
        partitions: Vec<u64>,
    ) -> Result<(Timestamp, Vec<usize>)> {
        if keys.is_empty() {
            return Ok((self.visible_ts(), Vec::new()));
        }
        let change = Change::Delete { keys: keys.clone(), partitions };
        self.write(change, &keys, None).await
    }

    /// Deletes the keys that `choose` finds; other writers wait meanwhile, so that no row is deleted that
    /// came after the choice and was never seen by it.
    pub async fn delete_chosen<F>(
        self: &Arc<Self>,
        partitions: Vec<u64>,
        choose: impl FnOnce(Snapshot) -> F,
    ) -> Result<(Timestamp, Keys)>
    where
        F: Future<Output = Result<Keys>>,
    {
        self.context.check_lease()?;
        self.admit().await?;
        let _no_writers = self.write_gate.write().await;
        self.settle_writes().await?;
        let keys = choose(self.snapshot()).await?;
        if keys.is_empty() {
            return Ok((self.visible_ts(), keys));
        }
        let change = Change::Delete { keys: keys.clone(), partitions };
        let (ts, _) = self.write_behind_gate(change, &keys, None).await?;
        Ok((ts, keys))
    }

    /// Waits until writes whose callers went away before they were durable are visible; the write gate must be
    /// closed.
    async fn settle_writes(&self) -> Result<()> {
        let progress = self.log.progress();
        progress.wait(progress.applied_ts()).await
    }

    /// Writes the complete rows that `choose` makes of a snapshot: rows, partitions with their numbers of
    /// rows, and the schema's timestamp. Other writers wait meanwhile, so that none comes in between.
    pub async fn write_chosen<E>(
        self: &Arc<Self>,
        choose: impl AsyncFnOnce(
            Snapshot,
        )
            -> std::result::Result<(RecordBatch, Vec<(u64, usize)>, Timestamp), E>,
    ) -> std::result::Result<Timestamp, E>
    where
        E: From<Error>,
    {
        self.context.check_lease()?;
        self.admit().await?;
        let _no_writers = self.write_gate.write().await;
        self.settle_writes().await?;
        let (batch, groups, schema_ts) = choose(self.snapshot()).await?;
        if batch.num_rows() == 0 {
            return Ok(self.visible_ts());
        }
        let keys = record::keys_of(&batch, self.key_column)?;
        let change = Change::Rows { batch, groups };
        let (ts, _) = self.write_behind_gate(change, &keys, Some(schema_ts)).await?;
        Ok(ts)
    }

    async fn write(
        &self,
        change: Change,
        keys: &Keys,
        completed_under: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<usize>)> {
        self.context.check_lease()?;
        self.admit().await?;
        let _gate = self.write_gate.read().await;
        self.write_behind_gate(change, keys, completed_under).await
    }

    async fn write_behind_gate(
        &self,
        change: Change,
        keys: &Keys,
        completed_under: Option<Timestamp>,
    ) -> Result<(Timestamp, Vec<usize>)> {
        let manifest = self.tree().manifest.clone();
        let schema_ts = manifest.schema_ts;
        if completed_under.is_some_and(|ts| ts != schema_ts) {
            return Err(Error::busy("the schema has just changed: send the rows again"));
        }
        if let Change::Rows { groups, .. } = &change {
            let there = |id: &u64| manifest.partitions.iter().any(|p| p.id == *id);
            if !groups.iter().all(|(id, _)| there(id)) {
                return Err(Error::not_found(Subject::Partition, "the partition was just dropped"));
            }
        }
        let record = record::encode(&change, schema_ts)?;
        let change = record::share_vectors(change, &record)?;
        let mut record = Some(record);
        let (ts, removed) = loop {
            self.load_keys(keys).await?;
            let _writing = self.write_lock.lock();
            let tree = self.tree();
            if tree.manifest.dropped {
                return Err(dropped(&tree.manifest));
            }
            if !keys_loaded(&tree, keys) {
                continue;
            }
            let Some(record) = record.take() else {
                return Err(Error::internal("a record was logged twice"));
            };
            let ts = self.context.next_timestamp();
            self.log.append(tree.active.generation, ts, record)?;
            runtime::note("write", ts);
            let before = tree.active.bytes();
            let removed = apply(&tree, &change, ts)?;
            self.log.progress().applied(ts);
            let grown = tree.active.bytes() - before;
            self.context.memtable_bytes.fetch_add(grown, Ordering::Relaxed);
            self.freeze_if_full(&tree)?;
            break (ts, removed);
        };
        self.log.progress().wait(ts).await?;
        // Who has lost the store meanwhile may not say that the write is there.
        self.context.check_lease()?;
        Ok((ts, removed))
    }

    /// Reads the key indexes that a write of these keys needs.
    async fn load_keys(&self, keys: &Keys) -> Result<()> {
        for segment in &self.tree().segments {
            let needed = segment.keys_if_loaded().is_none()
                && (0..keys.len()).any(|at| segment.may_hold(keys, at));
            if needed {
                segment.keys().await?;
            }
        }
        Ok(())
    }

    /// Slows writers down, then lets them wait, while flushes are behind.
    async fn admit(&self) -> Result<()> {
        self.context.space.check()?;
        let settings = &self.context.settings.memtable;
        let clock = Stopwatch::start();
        loop {
            let frozen = self.tree().frozen.len();
            if frozen < settings.stop_frozen && !self.context.memtables_full() {
                if frozen >= settings.slowdown_frozen {
                    runtime::sleep(Duration::from_millis(5)).await;
                }
                return Ok(());
            }
            self.context.work.notify_one();
            if let Some(problem) = self.trouble() {
                return Err(problem.context("writes wait for a flush, which fails"));
            }
            if clock.elapsed() > Duration::from_millis(settings.stop_timeout_ms) {
                return Err(Error::busy(
                    "writes come faster than they can be flushed: try again later, or slow down",
                ));
            }
            runtime::sleep(Duration::from_millis(10)).await;
        }
    }

    fn freeze_if_full(&self, tree: &Tree) -> Result<()> {
        let settings = &self.context.settings.memtable;
        let active = &tree.active;
        if active.bytes() >= self.context.memtable_max_bytes() || active.rows() >= settings.max_rows
        {
            self.freeze_locked()?;
            self.context.work.notify_one();
        }
        Ok(())
    }

    /// Freezes the active memtable; the write lock must be held.
    pub(super) fn freeze_locked(&self) -> Result<()> {
        let tree = self.tree();
        if tree.active.max_ts() == 0 {
            return Ok(());
        }
        let generation = self.log.begin_generation()?;
        let now = self.context.clock.now_ms();
        let active = Arc::new(Memtable::new(generation, now, self.key_column));
        let mut next = (*tree).clone();
        next.frozen.push(std::mem::replace(&mut next.active, active));
        self.set_tree(next);
        Ok(())
    }
}

fn keys_loaded(tree: &Tree, keys: &Keys) -> bool {
    tree.segments.iter().all(|segment| {
        segment.keys_if_loaded().is_some() || !(0..keys.len()).any(|at| segment.may_hold(keys, at))
    })
}

/// Applies a change to the memtable and to older versions; returns the positions of deleted keys.
/// The key indexes of segments that may hold the keys must be loaded.
pub(super) fn apply(tree: &Tree, change: &Change, ts: Timestamp) -> Result<Vec<usize>> {
    match change {
        Change::Rows { batch, groups } => {
            let mut start = 0;
            for (partition, rows) in groups {
                let part = batch.slice(start, *rows);
                start += rows;
                if tree.manifest.partitions.iter().any(|p| p.id == *partition) {
                    apply_rows(tree, part, *partition, ts)?;
                }
            }
            Ok(Vec::new())
        }
        Change::Delete { keys, partitions } => {
            tree.active.note(ts, keys.to_array().get_array_memory_size());
            let allowed: HashSet<u64> = partitions.iter().copied().collect();
            let may = |p: u64| allowed.is_empty() || allowed.contains(&p);
            let gone = (0..keys.len()).filter(|at| match tree.active.delete(keys, *at, ts, may) {
                Lookup::Alive => true,
                Lookup::Deleted => false,
                Lookup::Unknown => delete_older(tree, keys, *at, ts, may),
            });
            Ok(gone.collect())
        }
    }
}

fn apply_rows(tree: &Tree, part: RecordBatch, partition: u64, ts: Timestamp) -> Result<()> {
    let nothing_older = tree.frozen.is_empty() && tree.segments.is_empty();
    let keys = if nothing_older {
        None
    } else {
        let schema = &tree.manifest.schema;
        let at = schema.fields.iter().position(|f| f.is_primary).unwrap_or(0);
        Some(record::keys_of(&part, at)?)
    };
    let unknown = tree.active.append(part, partition, ts)?;
    if let Some(keys) = keys {
        for at in unknown {
            delete_older(tree, &keys, at as usize, ts, |_| true);
        }
    }
    Ok(())
}

/// Deletes a key from frozen memtables and segments; `true` if it was there, alive.
fn delete_older(
    tree: &Tree,
    keys: &Keys,
    at: usize,
    ts: Timestamp,
    allowed: impl Fn(u64) -> bool + Copy,
) -> bool {
    for memtable in tree.frozen.iter().rev() {
        match memtable.delete_frozen(keys, at, ts, allowed) {
            Lookup::Alive => return true,
            Lookup::Deleted => return false,
            Lookup::Unknown => {}
        }
    }
    for segment in tree.segments.iter().rev() {
        if !segment.may_hold(keys, at) {
            continue;
        }
        let found = segment.keys_if_loaded().and_then(|index| index.find(keys, at));
        // A key may stand, deleted, in several segments; at most one of them is alive.
        if let Some(row) = found
            && !segment.is_deleted(row)
        {
            return allowed(segment.identity.partition_id) && segment.delete(row, ts);
        }
    }
    false
}
