//! Publishing a new version: delete files first, then the manifest, then the tree in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::maintain::Claim;
use super::memtable::Memtable;
use super::open::{NewSegment, Shard};
use super::tree::Tree;
use crate::core::error::{Error, ErrorKind, Result, Subject};
use crate::core::runtime;
use crate::core::time::Timestamp;
use crate::lsm::commit;
use crate::lsm::compact::DROPPED;
use crate::lsm::manifest::{CodebookMeta, FileMeta, Manifest, SegmentMeta};
use crate::segment::Segment;
use crate::storage::frame;

/// Where the rows of a replaced unit went, so that deletes that came meanwhile follow them.
#[derive(Debug)]
pub(super) struct Carry {
    /// Whose deletes to carry.
    pub from: Source,
    /// Only deletes after this timestamp: earlier ones were obeyed when the rows were copied.
    pub after: Timestamp,
    /// New segment of each old row, by place in `Change::add`; with `rows`.
    pub targets: Vec<u32>,
    /// New row of each old row, or [`DROPPED`].
    pub rows: Vec<u32>,
}

/// A unit whose rows have moved.
#[derive(Debug)]
pub(super) enum Source {
    /// A frozen memtable, by generation.
    Memtable(u64),
    /// A segment.
    Segment(Arc<Segment>),
}

/// What changes in the tree, besides the manifest.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Segments that come, with their key indexes loaded.
    pub add: Vec<Arc<Segment>>,
    /// Deletes that follow moved rows.
    pub carry: Vec<Carry>,
    /// Codebooks that come, durable already.
    pub codebooks: Vec<CodebookMeta>,
    /// A frozen memtable that is now in segments.
    pub flushed_generation: Option<u64>,
    /// Kept until the change is published: the numbers of the new segments and the claim on the old ones.
    pub writing: Vec<NewSegment>,
    /// Kept until the change is installed: no writer meets it half done.
    #[allow(dead_code, reason = "dropping it lets the writers in")]
    pub no_writers: Option<tokio::sync::OwnedRwLockWriteGuard<()>>,
    /// See `writing`.
    #[allow(dead_code, reason = "dropping it frees the old segments")]
    pub compacting: Option<Claim>,
}

impl Shard {
    /// Makes the next version with `edit` and publishes it. Nothing changes if any step fails. Once begun
    /// it goes on to its end even if the caller goes away: a manifest that is published but not installed
    /// would make every later one fail.
    pub(super) async fn publish(
        self: &Arc<Self>,
        change: Change,
        edit: impl FnOnce(&Manifest) -> Result<Manifest>,
    ) -> Result<Arc<Manifest>> {
        self.context.check_lease()?;
        let publishing = self.publish_lock.clone().lock_owned().await;
        let tree = self.tree();
        if tree.manifest.dropped {
            return Err(dropped(&tree.manifest));
        }
        // The flush of a caller who went away may have been before us with the same memtable.
        let done = |g: u64| !tree.frozen.iter().any(|m| m.generation == g);
        if change.flushed_generation.is_some_and(done) {
            return Ok(tree.manifest.clone());
        }
        // The gap is of one version only.
        let old = Manifest { gap_from_ts: None, ..Manifest::clone(&tree.manifest) };
        let mut next = edit(&old)?.with_codebooks(&change.codebooks);
        next.version = tree.manifest.version + 1;
        next.epoch = self.epoch;
        next.next_segment_id = self.next_segment_id().max(tree.manifest.next_segment_id);
        let shard = self.clone();
        runtime::finish(async move {
            let _publishing = publishing;
            Box::pin(shard.publish_next(tree, change, next)).await
        })
        .await
    }

    async fn publish_next(
        &self,
        tree: Arc<Tree>,
        change: Change,
        mut next: Manifest,
    ) -> Result<Arc<Manifest>> {
        {
            let _writing = self.write_lock.lock();
            carry_deletes(&tree, &change);
        }
        self.write_delete_files(&tree, &change, &mut next).await?;
        runtime::gate("publish.deletes").await;
        if runtime::planted("the log is cut before the manifest")
            && let Some(generation) = change.flushed_generation
        {
            self.log.drop_generations(generation)?;
        }
        let published = commit::publish(&self.context.files.bucket, &tree.manifest, &next).await;
        if published.as_ref().is_err_and(|e| e.kind == ErrorKind::Fenced) {
            self.context.lease.lose();
        }
        published?;
        runtime::gate("publish.manifest").await;
        // A dropped collection is about to leave the catalog.
        if !next.dropped
            && let Err(e) = self.log.note_version(next.version)
        {
            tracing::warn!("collection {}: its version was not noted: {e}", self.collection_id);
        }
        let next = Arc::new(next);
        self.moments.note(&next);
        let retired = {
            let _writing = self.write_lock.lock();
            // Readers and writers went on meanwhile: the tree has changed, the manifest has not.
            let tree = self.tree();
            carry_deletes(&tree, &change);
            self.install(&tree, &change, next.clone())
        };
        retired.iter().for_each(|segment| self.retire(segment));
        self.codebooks.retain(&next);
        runtime::gate("publish.installed").await;
        self.joins.retain(&next);
        if let Some(generation) = change.flushed_generation
            && let Err(e) = self.log.drop_generations(generation)
        {
            // The rows are safe; the log is only longer than it need be.
            tracing::warn!("collection {}: the log was not cut: {e}", self.collection_id);
        }
        runtime::gate("publish.log_cut").await;
        Ok(next)
    }

    fn install(&self, tree: &Tree, change: &Change, next: Arc<Manifest>) -> Vec<Arc<Segment>> {
        let find = |id: u64| {
            change.add.iter().chain(&tree.segments).find(|s| s.identity.id == id).cloned()
        };
        let segments: Vec<_> = match next.dropped {
            // The last version names none, but readers may still have the collection in hand.
            true => tree.segments.clone(),
            false => next.segments.iter().filter_map(|meta| find(meta.id)).collect(),
        };
        let retired = tree
            .segments
            .iter()
            .filter(|old| !segments.iter().any(|s| Arc::ptr_eq(s, old)))
            .cloned()
            .collect();
        let mut frozen = tree.frozen.clone();
        let flushed = |m: &Arc<Memtable>| Some(m.generation) == change.flushed_generation;
        let bytes: usize = frozen.iter().filter(|m| flushed(m)).map(|m| m.bytes()).sum();
        self.context.memtable_bytes.fetch_sub(bytes, Ordering::Relaxed);
        frozen.retain(|m| !flushed(m));
        self.set_tree(Tree { active: tree.active.clone(), frozen, segments, manifest: next });
        retired
    }

    /// Writes the delete sets that have grown, as of the new manifest's flushed timestamp: what a crash
    /// leaves is then the state at exactly that timestamp, and the log has the rest.
    async fn write_delete_files(
        &self,
        tree: &Tree,
        change: &Change,
        next: &mut Manifest,
    ) -> Result<()> {
        let (at, version) = (next.flushed_ts, next.version);
        for slot in &mut next.segments {
            let segment = change.add.iter().chain(&tree.segments);
            let segment = segment
                .into_iter()
                .find(|s| s.identity.id == slot.id)
                .ok_or_else(|| Error::internal("a manifest names a segment that is not open"))?;
            let count = segment.with_deletes(|d| d.len_at(at)) as u64;
            if count <= slot.deleted_rows {
                continue;
            }
            let bytes = frame::seal(&segment.with_deletes(|d| d.encode(at)));
            let name = format!("deletes.{version}.{:016x}", runtime::random_id());
            let file = FileMeta::of(name, &bytes);
            let path = file.in_segment(self.collection_id, slot.id);
            self.context.files.bucket.put_fresh(&path, bytes).await?;
            let meta = SegmentMeta {
                deletes: Some(file),
                deleted_rows: count,
                ..SegmentMeta::clone(slot)
            };
            *slot = Arc::new(meta);
        }
        Ok(())
    }
}

/// What a handle of a dropped collection is told.
pub(super) fn dropped(manifest: &Manifest) -> Error {
    Error::not_found(
        Subject::Collection,
        format!(
            "collection not found[database={}][collection={}]: it was dropped",
            manifest.database, manifest.name
        ),
    )
}

/// Carries deletes to the rows' new places; doing it again adds only what is new.
fn carry_deletes(tree: &Tree, change: &Change) {
    if runtime::planted("deletes are not carried") {
        return;
    }
    let mut moved: Vec<(Timestamp, u32, u32)> = Vec::new();
    for carry in &change.carry {
        let entries = match &carry.from {
            Source::Segment(segment) => segment.with_deletes(|d| d.after(carry.after).to_vec()),
            Source::Memtable(generation) => tree
                .frozen
                .iter()
                .find(|m| m.generation == *generation)
                .map(|m| m.deletes_after(carry.after))
                .unwrap_or_default(),
        };
        for (ts, row) in entries {
            let to = carry.rows.get(row as usize).copied().unwrap_or(DROPPED);
            let target = carry.targets.get(row as usize).copied().unwrap_or(0);
            if to != DROPPED {
                moved.push((ts, target, to));
            }
        }
    }
    moved.sort_unstable();
    for (ts, target, row) in moved {
        if let Some(segment) = change.add.get(target as usize) {
            segment.delete(row, ts);
        }
    }
}
