//! Background work of a shard: what is due, and doing it.

use std::sync::Arc;
use std::time::Duration;

use super::context::MERGE_WEIGHT;
use super::open::Shard;
use super::publish::{Carry, Change, Source};
use crate::core::budget::{Reservation, Use};
use crate::core::error::{Error, Result};
use crate::core::runtime;
use crate::core::settings::Settings;
use crate::core::time;
use crate::lsm::compact::{Gathered, MergeOrder, gather};
use crate::lsm::layout::{self, LayoutOrder};
use crate::lsm::manifest::{IndexInfo, Manifest, SegmentEdit};
use crate::lsm::plan::{self, Job, Reason, SegmentView};
use crate::segment::Segment;

/// How much a compaction is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompactMode {
    /// What the planner finds due.
    Planned,
    /// Everything, memtables included: as few segments as possible, no deleted row left.
    All,
}

/// What compactions did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CompactReport {
    /// Merges done.
    pub jobs: u64,
    /// Segments at the start.
    pub segments_before: u64,
    /// Segments at the end.
    pub segments_after: u64,
    /// Rows written.
    pub rows_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// How long a merge waits for the memory of others before it gives up, to be tried again.
const BUILD_PATIENCE: Duration = Duration::from_secs(30);

/// Whether the active memtable is due for a flush by its age: a pure decision.
pub fn flush_due(records: bool, created_ms: u64, now_ms: u64, settings: &Settings) -> bool {
    let age = settings.memtable.max_age_ms;
    records && age > 0 && now_ms.saturating_sub(created_ms) >= age
}

impl Shard {
    /// Does the flushes that are due.
    pub async fn flush_due(self: &Arc<Self>) -> Result<()> {
        let active = self.tree().active.clone();
        let now = self.context.clock.now_ms();
        let records = active.max_ts() > 0;
        let due = flush_due(records, active.created_ms, now, &self.context.settings);
        if due || (self.context.memtables_full() && records) {
            let _writing = self.write_lock.lock();
            self.freeze_locked()?;
        }
        while self.flush_oldest().await? {}
        Ok(())
    }

    /// Makes the scalar indexes that the collection has for the segments that lack them. What fails is only
    /// slower: a filter then reads the column.
    pub async fn build_scalar_indexes(&self) {
        let tree = self.tree();
        let manifest = &tree.manifest;
        let columns = manifest.schema.to_storage_arrow();
        let wanted = |index: &&IndexInfo| {
            let field = manifest.schema.fields.iter().find(|f| f.name == index.field);
            let plain = field.is_some_and(|f| {
                let vectors = f.data_type.is_vector() || f.data_type.vector_element().is_some();
                !vectors && !f.is_primary
            });
            // One on a JSON path is made when a filter first asks for the path.
            plain && !index.params.contains_key("json_path")
        };
        for index in manifest.indexes.iter().filter(wanted) {
            for segment in &tree.segments {
                let pools = &self.context.pools;
                if let Err(e) = segment.build_scalar_index(&columns, &index.field, pools).await {
                    tracing::warn!("index {} of segment {}: {e}", index.name, segment.identity.id);
                }
            }
        }
    }

    fn has_unflushed_deletes(&self) -> bool {
        let tree = self.tree();
        let flushed = tree.manifest.flushed_ts;
        tree.segments.iter().any(|s| s.with_deletes(|d| !d.after(flushed).is_empty()))
    }

    fn views(&self) -> Vec<SegmentView> {
        let tree = self.tree();
        let compacting = self.compacting.lock();
        let at = tree.manifest.flushed_ts;
        let deleted =
            |id: u64| tree.segment(id).map_or(0, |s| s.with_deletes(|d| d.len_at(at))) as u64;
        let mut views = plan::views(&tree.manifest, deleted);
        views.retain(|v| !compacting.contains(&v.id));
        views
    }

    /// The most urgent compaction that is due.
    pub fn next_job(&self) -> Option<Job> {
        let settings = &self.context.compaction();
        let ttl = self.tree().manifest.ttl_ms();
        let jobs = plan::plan(&self.views(), settings, ttl, self.context.clock.now_ms());
        jobs.into_iter().next()
    }

    /// Compacts now, and returns when it is done.
    pub async fn compact(
        self: &Arc<Self>,
        mode: CompactMode,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<CompactReport> {
        if self.has_unflushed_deletes() {
            // What was deleted before the call is to be gone after it.
            self.flush().await?;
        }
        let mut report = CompactReport {
            segments_before: self.tree().segments.len() as u64,
            ..Default::default()
        };
        if mode == CompactMode::All {
            // Deletes that are only in the log are not obeyed.
            self.flush().await?;
            let now = self.context.clock.now_ms();
            for job in plan::plan_all(&self.views(), &self.context.compaction(), now) {
                self.run_job(&job, &mut report, progress).await?;
            }
        }
        // Rows past their time come last in `All`, and a merge may fill the next tier.
        let mut rounds = 0;
        while let Some(job) = self.next_job() {
            self.run_job(&job, &mut report, progress).await?;
            rounds += 1;
            if rounds > 10_000 {
                return Err(Error::internal("compaction does not come to an end"));
            }
        }
        report.segments_after = self.tree().segments.len() as u64;
        Ok(report)
    }

    /// Memory for a merge of so many bytes; one that is larger than the share has all of it.
    async fn reserve_build(&self, bytes: u64) -> Result<Reservation> {
        let files = &self.context.files;
        let share = files.budget.share_bytes(Use::Builds);
        let wanted = usize::try_from(bytes.saturating_mul(MERGE_WEIGHT)).unwrap_or(usize::MAX);
        files.reserve(Use::Builds, wanted.min(share), BUILD_PATIENCE).await
    }

    /// Does one merge. A lost race (an input is gone) publishes nothing.
    pub async fn run_job(
        self: &Arc<Self>,
        job: &Job,
        report: &mut CompactReport,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let Some(claim) = self.claim(&job.inputs) else { return Ok(()) };
        Box::pin(self.merge_and_publish(job, claim, report, progress)).await
    }

    /// Merges one segment alone: its derived files are made anew.
    pub async fn rewrite(self: &Arc<Self>, id: u64) -> Result<()> {
        let partition_id = match self.tree().segment(id) {
            Some(segment) => segment.identity.partition_id,
            None => return Ok(()),
        };
        let job = Job { inputs: vec![id], partition_id, reason: Reason::Asked };
        self.run_job(&job, &mut CompactReport::default(), &|_| {}).await
    }

    /// Takes codebooks out of the manifest, by field and version, unless a segment names them; tells how
    /// many went. No flush or compaction may be under way with them.
    pub async fn forget_codebooks(self: &Arc<Self>, books: &[(String, u64)]) -> Result<u64> {
        let before = self.tree().manifest.codebooks.len();
        let edit = |manifest: &Manifest| {
            let named = |field: &str, version: u64| {
                let mut indexes = manifest.segments.iter().flat_map(|s| &s.indexes);
                indexes.any(|i| i.field == field && i.codebook_version == version)
            };
            let goes = |field: &str, version: u64| {
                books.iter().any(|b| (b.0.as_str(), b.1) == (field, version))
                    && !named(field, version)
            };
            let mut next = manifest.clone();
            next.codebooks.retain(|c| !goes(&c.field, c.version));
            Ok(next)
        };
        let after = self.alter(edit).await?.codebooks.len();
        Ok((before - after) as u64)
    }

    /// Claims segments for a compaction; none if another one has one of them.
    fn claim(self: &Arc<Self>, inputs: &[u64]) -> Option<Claim> {
        let mut compacting = self.compacting.lock();
        if inputs.iter().any(|id| compacting.contains(id)) {
            return None;
        }
        compacting.extend(inputs);
        Some(Claim { shard: self.clone(), inputs: inputs.to_vec() })
    }

    async fn merge_and_publish(
        self: &Arc<Self>,
        job: &Job,
        claim: Claim,
        report: &mut CompactReport,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let tree = self.tree();
        let inputs: Vec<Arc<Segment>> =
            job.inputs.iter().filter_map(|id| tree.segment(*id).cloned()).collect();
        if inputs.len() != job.inputs.len() {
            return Ok(());
        }
        let bytes: u64 = inputs.iter().map(|s| s.identity.data.size_bytes).sum();
        let _memory = self.reserve_build(bytes).await?;
        let begun = self.begin_segment();
        let id = begun.id;
        // A later delete may be of a write that only the log holds: without that log the old row would be gone
        // and the new one not there. It is carried over.
        let at = tree.manifest.flushed_ts;
        let now = self.context.clock.now_ms();
        let ttl = tree.manifest.ttl_ms();
        let expire_before = ttl.map_or(0, |ttl| time::from_millis(now.saturating_sub(ttl)));
        let storage_schema = &tree.manifest.schema.to_storage_arrow();
        let ends = tree.manifest.ttl_field().map(|field| (field, time::micros(now)));
        let order = MergeOrder { storage_schema, at, expire_before, ends };
        let mut gathered = gather(&order, &inputs, progress).await?;
        runtime::gate("compact.gathered").await;
        let mut change = Change::default();
        let fields =
            self.books_for(&tree.manifest, id, &gathered.rows, &inputs, &mut change).await?;
        if let Some(first) = fields.first() {
            gathered.find_codes(&inputs, &first.field.name, &first.book).await;
        }
        let order = LayoutOrder {
            files: &self.context.files,
            folder: Manifest::segment_folder(self.collection_id, id),
            storage_schema,
            key_column: &tree.manifest.schema.primary()?.name,
            clustering_key: tree.manifest.schema.clustering_key().map(|f| f.name.as_str()),
            fields,
            pools: &self.context.pools,
        };
        let laid = layout::write(order, gathered.rows).await?;
        runtime::gate("compact.data").await;
        let new_rows = laid.as_ref().map_or(&[][..], |laid| &laid.rows);
        let row_maps = Gathered::row_maps(&gathered.origins, new_rows, &inputs);
        let level = inputs.iter().map(|s| s.identity.level).max().unwrap_or(0) + 1;
        let mut edit =
            SegmentEdit { remove: job.inputs.clone(), exact_from_ts: at, ..Default::default() };
        change.writing.push(begun);
        change.compacting = Some(claim);
        if let Some(laid) = &laid {
            let (meta, segment) = self.describe(&tree.manifest, id, job.partition_id, level, laid);
            report.rows_written += laid.written.rows as u64;
            report.bytes_written += meta.size_bytes();
            edit.add.push(Arc::new(meta));
            change.add.push(Arc::new(segment));
        }
        change.carry = inputs
            .iter()
            .zip(row_maps)
            .map(|(input, rows)| Carry {
                from: Source::Segment(input.clone()),
                after: at,
                targets: Vec::new(),
                rows,
            })
            .collect();
        report.jobs += 1;
        let lost = || Error::busy("an input of the compaction is gone");
        let schema_ts = tree.manifest.schema_ts;
        let ttl_field = tree.manifest.ttl_field().map(str::to_string);
        let outcome = self
            .publish(change, |manifest| {
                let there = |id: &u64| manifest.segments.iter().any(|s| s.id == *id);
                if !edit.remove.iter().all(there)
                    || manifest.schema_ts != schema_ts
                    || manifest.ttl_ms() != ttl
                    || manifest.ttl_field() != ttl_field.as_deref()
                {
                    return Err(lost());
                }
                Ok(manifest.with_segments(&edit))
            })
            .await;
        match outcome {
            Ok(_) => {
                self.build_scalar_indexes().await;
                Ok(())
            }
            Err(e) if e.kind == crate::core::error::ErrorKind::Busy => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Segments that a compaction has claimed, until it is published or has given up.
#[derive(Debug)]
pub(super) struct Claim {
    shard: Arc<Shard>,
    inputs: Vec<u64>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut compacting = self.shard.compacting.lock();
        self.inputs.iter().for_each(|id| {
            compacting.remove(id);
        });
    }
}
