//! Publishing a new version: delete files first, then the manifest, then the tree in memory.

use std::sync::Arc;

use super::open::Shard;
use super::tree::Tree;
use crate::core::error::{Error, Result};
use crate::core::time::Timestamp;
use crate::lsm::commit;
use crate::lsm::compact::DROPPED;
use crate::lsm::manifest::{FileMeta, Manifest, SegmentMeta};
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
    /// A frozen memtable that is now in segments.
    pub flushed_generation: Option<u64>,
}

impl Shard {
    /// Makes the next version with `edit` and publishes it. Nothing changes if any step fails.
    pub(super) async fn publish(
        &self,
        change: Change,
        edit: impl FnOnce(&Manifest) -> Result<Manifest>,
    ) -> Result<Arc<Manifest>> {
        self.context.check_lease()?;
        let _publishing = self.publish_lock.lock().await;
        let tree = self.tree();
        let mut next = edit(&tree.manifest)?;
        next.version = tree.manifest.version + 1;
        next.epoch = self.epoch;
        next.next_segment_id = self.next_segment_id().max(tree.manifest.next_segment_id);
        {
            let _writing = self.write_lock.lock();
            carry_deletes(&tree, &change);
        }
        self.write_delete_files(&tree, &change, &mut next).await?;
        commit::publish(&self.context.files.bucket, &tree.manifest, &next).await?;
        let next = Arc::new(next);
        let retired = {
            let _writing = self.write_lock.lock();
            // Readers and writers went on meanwhile: the tree has changed, the manifest has not.
            let tree = self.tree();
            carry_deletes(&tree, &change);
            self.install(&tree, &change, next.clone())
        };
        retired.iter().for_each(|segment| self.retire(segment));
        Ok(next)
    }

    fn install(&self, tree: &Tree, change: &Change, next: Arc<Manifest>) -> Vec<Arc<Segment>> {
        let find = |id: u64| {
            change.add.iter().chain(&tree.segments).find(|s| s.identity.id == id).cloned()
        };
        let segments: Vec<_> = next.segments.iter().filter_map(|meta| find(meta.id)).collect();
        let retired = tree
            .segments
            .iter()
            .filter(|old| !segments.iter().any(|s| Arc::ptr_eq(s, old)))
            .cloned()
            .collect();
        let mut frozen = tree.frozen.clone();
        frozen.retain(|m| Some(m.generation) != change.flushed_generation);
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
            let file = FileMeta {
                name: format!("deletes.{version}"),
                size_bytes: bytes.len() as u64,
                xxh3: frame::checksum(&bytes),
            };
            let path = format!("{}/{}", segment.identity.folder, file.name);
            self.context.files.bucket.put_fresh(&path, bytes.into()).await?;
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

/// Carries deletes to the rows' new places; doing it again adds only what is new.
fn carry_deletes(tree: &Tree, change: &Change) {
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
