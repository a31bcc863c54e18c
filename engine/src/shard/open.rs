//! A shard: opening it, replaying its log, and the state that its parts share.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, RwLock};

use super::context::StoreContext;
use super::joins::Joins;
use super::memtable::Memtable;
use super::record;
use super::tree::Tree;
use super::write;
use crate::core::error::{Error, Result, Subject};
use crate::core::rowset::DeleteSet;
use crate::core::runtime;
use crate::core::time::Timestamp;
use crate::lsm::codebooks::{self, Codebooks};
use crate::lsm::manifest::{FileMeta, Manifest, SegmentMeta};
use crate::lsm::moments::KnownMoments;
use crate::lsm::{commit, gc};
use crate::segment::bounds::{self, Bounds};
use crate::segment::keys::SegmentKeys;
use crate::segment::{CodesFile, Segment, SegmentFile, SegmentIdentity};
use crate::storage::frame;
use crate::storage::generations::CollectionLog;

/// Segments that are opened at once.
pub(super) const PARALLEL_READS: usize = 16;

/// One shard of a collection, open for writing.
#[derive(Debug)]
pub struct Shard {
    /// What the store shares.
    pub context: Arc<StoreContext>,
    /// Number of the collection.
    pub collection_id: u64,
    /// Its codebooks.
    pub(super) codebooks: Arc<Codebooks>,
    pub(super) joins: Arc<Joins>,
    pub(super) moments: KnownMoments,
    pub(super) key_column: usize,
    pub(super) epoch: u64,
    pub(super) log: CollectionLog,
    tree: RwLock<Arc<Tree>>,
    /// Held while a write takes its timestamp and is applied, and while the tree is replaced.
    pub(super) write_lock: Mutex<()>,
    /// Read by writers, written by changes that must not meet any.
    pub(super) write_gate: Arc<tokio::sync::RwLock<()>>,
    /// Held while a manifest is made and published.
    pub(super) publish_lock: Arc<tokio::sync::Mutex<()>>,
    /// Held while a memtable is flushed.
    pub(super) flush_lock: tokio::sync::Mutex<()>,
    /// Segments that a compaction is reading.
    pub(super) compacting: Mutex<HashSet<u64>>,
    next_segment_id: AtomicU64,
    /// Numbers of segments that a job is writing.
    writing: Mutex<HashSet<u64>>,
    trouble: Mutex<Option<Error>>,
}

impl Shard {
    /// Makes the first manifest of a collection and opens it.
    pub async fn create(context: Arc<StoreContext>, manifest: Manifest) -> Result<Self> {
        commit::create(&context.files.bucket, &manifest).await?;
        Self::open_at(context, manifest).await
    }

    /// Opens a collection: claims it with a new epoch, then replays its log.
    pub async fn open(context: Arc<StoreContext>, head: Arc<Manifest>) -> Result<Self> {
        // On the heap: this future is deep, and callers nest it further.
        Box::pin(Self::open_now(context, head)).await
    }

    async fn open_now(context: Arc<StoreContext>, head: Arc<Manifest>) -> Result<Self> {
        let mut claimed = (*head).clone();
        if let Some(writer) = &context.writer_id {
            let log =
                CollectionLog::open(context.log.clone(), head.collection_id, head.flushed_ts)?;
            if !head.writer.is_empty() && head.writer != *writer && log.has_records()? {
                return Err(Error::precondition(
                    Subject::Store,
                    format!(
                        "collection {}: the local log holds rows, but the collection has since been \
                         written through another local log ({}): open it with that one, or set \
                         log.dir to an empty folder and leave those rows out",
                        head.name, head.writer
                    ),
                ));
            }
            claimed.writer.clone_from(writer);
        }
        claimed.version += 1;
        claimed.gap_from_ts = None;
        claimed.epoch = (claimed.epoch + 1).max(context.lease.number());
        if context.files.bucket.folder().is_none() {
            // A paused writer of an older epoch may still complete uploads: they must not meet ours.
            claimed.next_segment_id = claimed.next_segment_id.max(claimed.epoch << 32);
        }
        if runtime::planted("an epoch is reused") {
            (claimed.epoch, claimed.next_segment_id) = (head.epoch, head.next_segment_id);
        }
        context.check_lease()?;
        commit::publish(&context.files.bucket, &head, &claimed).await?;
        runtime::gate("open.claimed").await;
        Self::open_at(context, claimed).await
    }

    async fn open_at(context: Arc<StoreContext>, manifest: Manifest) -> Result<Self> {
        let collection_id = manifest.collection_id;
        let place = SegmentPlace::of(&manifest);
        let segments = open_segments(&context, &place, &manifest.segments).await?;
        let log = CollectionLog::open(context.log.clone(), collection_id, manifest.flushed_ts)?;
        let key_column = manifest.schema.fields.iter().position(|f| f.is_primary).unwrap_or(0);
        let next = next_segment_id(&context, &manifest).await?;
        let generation = log.begin_generation()?;
        let now = context.clock.now_ms();
        context.oracle.observe(manifest.flushed_ts.max(manifest.schema_ts));
        let bucket = context.files.bucket.clone();
        let shard = Self {
            collection_id,
            codebooks: Arc::new(Codebooks::new(bucket, collection_id)),
            joins: Arc::new(Joins::new(context.files.clone(), collection_id)),
            moments: KnownMoments::default(),
            key_column,
            epoch: manifest.epoch,
            log,
            tree: RwLock::new(Arc::new(Tree {
                active: Arc::new(Memtable::new(generation, now, key_column)),
                frozen: Vec::new(),
                segments,
                manifest: Arc::new(manifest),
            })),
            write_lock: Mutex::new(()),
            write_gate: Arc::default(),
            publish_lock: Arc::default(),
            flush_lock: tokio::sync::Mutex::new(()),
            compacting: Mutex::default(),
            next_segment_id: AtomicU64::new(next),
            writing: Mutex::default(),
            trouble: Mutex::default(),
            context,
        };
        shard.replay().await?;
        runtime::gate("open.replayed").await;
        Ok(shard)
    }

    /// Brings the records after the manifest's flushed timestamp into the memtable. The new memtable's
    /// generation is the newest, so that flushing it drops the replayed generations too.
    async fn replay(&self) -> Result<()> {
        let tree = self.tree();
        let columns = tree.manifest.schema.to_arrow();
        let current = tree.manifest.schema_ts;
        let schema_at = |ts: Timestamp| {
            // Changes of the schema flush first, so every record in the log has the current one.
            if ts == current {
                return Ok(columns.clone());
            }
            Err(Error::corrupted("the log", "it has rows of another schema"))
        };
        let mut records = Vec::new();
        self.log.replay(tree.manifest.flushed_ts, |ts, bytes| {
            records.push((ts, record::decode(bytes, schema_at)?.0));
            Ok(())
        })?;
        if records.is_empty() {
            return Ok(());
        }
        for segment in &tree.segments {
            segment.keys().await?;
        }
        let count = records.len();
        for (ts, change) in records {
            write::apply(&tree, &change, ts)?;
            self.log.progress().applied(ts);
            self.context.oracle.observe(ts);
        }
        self.context.memtable_bytes.fetch_add(tree.active.bytes(), Ordering::Relaxed);
        tracing::info!(
            "collection {}: replayed {count} records, {} rows",
            self.collection_id,
            tree.active.rows()
        );
        Ok(())
    }

    /// What a reader sees now.
    pub fn tree(&self) -> Arc<Tree> {
        self.tree.read().clone()
    }

    /// Replaces the tree; the write lock must be held.
    pub(super) fn set_tree(&self, tree: Tree) {
        *self.tree.write() = Arc::new(tree);
    }

    /// Every write at or before this timestamp is durable and visible.
    pub fn visible_ts(&self) -> Timestamp {
        self.log.progress().visible_ts()
    }

    /// A tree, and the newest timestamp of which it holds everything: no version came between the two.
    pub(super) fn pin(&self) -> (Arc<Tree>, Timestamp) {
        loop {
            let tree = self.tree();
            // A change that let no writer in may be newer than the newest write.
            let at = self.visible_ts().max(tree.manifest.flushed_ts);
            if Arc::ptr_eq(&tree, &self.tree()) {
                return (tree, at);
            }
        }
    }

    /// A fresh number for a segment that a job is about to write.
    pub(super) fn begin_segment(self: &Arc<Self>) -> NewSegment {
        let mut writing = self.writing.lock();
        let id = self.next_segment_id.fetch_add(1, Ordering::SeqCst);
        writing.insert(id);
        NewSegment { shard: self.clone(), id }
    }

    pub(super) fn next_segment_id(&self) -> u64 {
        self.next_segment_id.load(Ordering::SeqCst)
    }

    pub(super) fn retire(&self, segment: &Arc<Segment>) {
        segment.evict();
        self.context.in_use.hold(segment);
    }

    /// Keeps the newest failure of background work, for those who wait for it.
    pub(super) fn set_trouble(&self, trouble: Option<Error>) {
        *self.trouble.lock() = trouble;
    }

    /// The newest failure of background work, if it has not succeeded since.
    pub fn trouble(&self) -> Option<Error> {
        self.trouble.lock().clone()
    }

    /// Waits until no version is being published: a publish goes on when its caller has gone away.
    pub async fn settle(&self) {
        drop(self.publish_lock.lock().await);
    }

    /// Removes files that nothing names and nobody reads.
    pub async fn collect_garbage(&self) -> Result<gc::GcReport> {
        self.context.check_lease()?;
        if self.tree().manifest.dropped {
            // What the catalog no longer names is the store's to remove.
            return Ok(gc::GcReport::default());
        }
        let bucket = &self.context.files.bucket;
        let settings = &self.context.settings.gc;
        let now = self.context.clock.now_ms();
        let (remove, kept_young) = {
            // While a version is being published, its files are not named yet.
            let _publishing = self.publish_lock.lock().await;
            if self.tree().manifest.dropped {
                return Ok(gc::GcReport::default());
            }
            let mut findings = gc::find(bucket, self.collection_id, settings, now).await?;
            let in_use = &self.context.in_use;
            let clones = in_use.named_by_clones(bucket, self.collection_id, settings, now).await?;
            findings.named.extend(clones);
            // After the listing: what a job has begun since is not in it.
            let folders = self.folders_in_use();
            let in_use = |path: &str| match codebooks::version_in_path(path) {
                // A codebook has the number of the segment that it was trained with.
                Some(version) => {
                    folders.contains(&Manifest::segment_folder(self.collection_id, version))
                }
                None => path.rsplit_once('/').is_some_and(|(folder, _)| folders.contains(folder)),
            };
            gc::garbage(&findings, settings, now, in_use)
        };
        runtime::gate("gc.found").await;
        self.context.check_lease()?;
        gc::remove(bucket, remove, kept_young).await
    }

    /// Folders of segments that have readers, or that a job is writing.
    fn folders_in_use(&self) -> HashSet<String> {
        let mut folders = self.context.in_use.folders();
        let writing = self.writing.lock();
        folders.extend(writing.iter().map(|id| Manifest::segment_folder(self.collection_id, *id)));
        folders
    }

    /// Removes the log of a dropped collection and gives its memory back. Who still holds the collection reads on.
    pub async fn discard(&self) -> Result<()> {
        // A flush that is under way must not count its memtable's bytes off a second time.
        let _flushing = self.flush_lock.lock().await;
        let _publishing = self.publish_lock.lock().await;
        let _writing = self.write_lock.lock();
        let tree = self.tree();
        let bytes: usize = tree.memtables().map(|m| m.bytes()).sum();
        self.context.memtable_bytes.fetch_sub(bytes, Ordering::Relaxed);
        tree.segments.iter().for_each(|s| s.evict());
        self.log.drop_all()
    }
}

/// The number of a segment that a job is writing: garbage collection leaves its folder alone.
#[derive(Debug)]
pub(super) struct NewSegment {
    shard: Arc<Shard>,
    pub id: u64,
}

impl Drop for NewSegment {
    fn drop(&mut self) {
        self.shard.writing.lock().remove(&self.id);
    }
}

/// Files may lie about from a crash before their publish: their numbers are not used again.
async fn next_segment_id(context: &StoreContext, manifest: &Manifest) -> Result<u64> {
    let folder = format!("{}/segments", Manifest::folder(manifest.collection_id));
    let seen = context.files.bucket.list(&folder).await?;
    let newest = seen
        .iter()
        .filter_map(|f| f.path.strip_prefix(&folder)?.split('/').nth(1)?.parse::<u64>().ok())
        .max();
    Ok(manifest.next_segment_id.max(newest.map_or(0, |id| id + 1)))
}

/// What the segments of a collection are opened with.
pub(super) struct SegmentPlace {
    collection_id: u64,
    storage_schema: SchemaRef,
    key_column: String,
}

impl SegmentPlace {
    /// Of a version of a collection.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            collection_id: manifest.collection_id,
            storage_schema: manifest.schema.to_storage_arrow(),
            key_column: manifest.schema.primary().map(|f| f.name.clone()).unwrap_or_default(),
        }
    }
}

/// Opens segments, several at once: there may be thousands, in a bucket that answers slowly.
async fn open_segments(
    context: &StoreContext,
    place: &SegmentPlace,
    metas: &[Arc<SegmentMeta>],
) -> Result<Vec<Arc<Segment>>> {
    let open: Vec<_> = metas.iter().map(|meta| open_segment(context, place, meta)).collect();
    futures::stream::iter(open).buffered(PARALLEL_READS).map_ok(Arc::new).try_collect().await
}

/// Opens a segment that a manifest names, with its published delete set.
pub(super) async fn open_segment(
    context: &StoreContext,
    place: &SegmentPlace,
    meta: &SegmentMeta,
) -> Result<Segment> {
    let deletes = match &meta.deletes {
        None => DeleteSet::default(),
        Some(file) => {
            let path = file.in_segment(place.collection_id, meta.id);
            let bytes = context.files.bucket.get(&path).await?;
            if frame::checksum(&bytes) != file.xxh3 {
                return Err(Error::corrupted(path, "its checksum is not the manifest's"));
            }
            DeleteSet::decode(&frame::open(&bytes, &path)?, &path)?
        }
    };
    Ok(make_segment(context, place, meta, deletes, None))
}

/// A segment in use from what a manifest says of it.
pub(super) fn make_segment(
    context: &StoreContext,
    place: &SegmentPlace,
    meta: &SegmentMeta,
    deletes: DeleteSet,
    keys: Option<Arc<SegmentKeys>>,
) -> Segment {
    let bounds: Vec<Bounds> = meta
        .columns
        .iter()
        .map(|c| Bounds { column: c.column.clone(), range: c.range.clone(), nulls: c.nulls })
        .collect();
    let file = |f: &FileMeta| SegmentFile {
        path: f.in_segment(place.collection_id, meta.id),
        size_bytes: f.size_bytes,
        xxh3: f.xxh3,
    };
    let identity = SegmentIdentity {
        id: meta.id,
        folder: Manifest::segment_folder(place.collection_id, meta.id),
        partition_id: meta.partition_id,
        level: meta.level,
        rows: usize::try_from(meta.rows).unwrap_or(usize::MAX),
        min_ts: meta.min_ts,
        max_ts: meta.max_ts,
        key_range: meta.key_range.clone(),
        key_column: place.key_column.clone(),
        data: file(&meta.data),
        sums: meta.sums.as_ref().map(file),
        keys: file(&meta.keys),
        codes: meta
            .indexes
            .iter()
            .map(|i| CodesFile {
                field: i.field.clone(),
                codebook_version: i.codebook_version,
                file: file(&i.file),
            })
            .collect(),
    };
    let (schema, rows) = (place.storage_schema.clone(), meta.rows);
    let stats = move || bounds::to_unit_stats(&schema, rows, &bounds);
    Segment::new(context.files.clone(), identity, stats, deletes, keys)
}
