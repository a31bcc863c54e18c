//! Snapshots of the past, and versions that are kept by name.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use super::open::{PARALLEL_READS, SegmentPlace, Shard, open_segment};
use super::publish::dropped;
use super::snapshot::{Snapshot, Unit, UnitSource, memtable_units};
use super::tree::Tree;
use crate::core::error::{Error, Result, Subject};
use crate::core::rowset::RowSet;
use crate::core::time::{self, Timestamp};
use crate::lsm::history::{self, AsOf, History};
use crate::lsm::manifest::{Manifest, NamedSnapshot};
use crate::segment::{Segment, as_timestamps};

impl Shard {
    /// The rows of a moment of the past, exactly as a snapshot taken then has them.
    ///
    /// # Errors
    /// [`NotFound`](crate::core::error::ErrorKind::NotFound) if the moment is before the collection or its
    /// version is not kept any more.
    pub async fn as_of(self: &Arc<Self>, when: &AsOf) -> Result<Snapshot> {
        // What is kept now stays until its segments are held: no garbage is collected meanwhile.
        let _publishing = self.publish_lock.lock().await;
        let (tree, visible) = self.pin();
        if tree.manifest.dropped {
            return Err(dropped(&tree.manifest));
        }
        let (manifest, at) = match when {
            AsOf::Timestamp(ts) => self.at(&tree, visible, *ts).await?,
            AsOf::Version(_) | AsOf::Snapshot(_) => {
                let manifest = self.version(&tree, when).await?;
                let at = history::version_ts(&manifest)?;
                (manifest, at)
            }
        };
        let mut units = self.segments_at(&tree, &manifest, at).await?;
        if manifest.version == tree.manifest.version {
            units.extend(memtable_units(&tree, at));
        }
        Ok(self.snapshot_of(manifest, at, units, time::to_millis(at)))
    }

    fn history<'a>(&'a self, newest: &'a Manifest) -> History<'a> {
        History {
            bucket: &self.context.files.bucket,
            newest,
            settings: &self.context.settings.gc,
            now_ms: self.context.clock.now_ms(),
            known: &self.moments,
        }
    }

    async fn at(
        &self,
        tree: &Tree,
        visible: Timestamp,
        ts: Timestamp,
    ) -> Result<(Arc<Manifest>, Timestamp)> {
        let now = self.context.clock.now_ms();
        if time::to_millis(ts) > now.max(time::to_millis(visible)) {
            return Err(Error::invalid(
                Subject::Snapshot,
                format!("{} ms lies in the future: it is {now} ms", time::to_millis(ts)),
            ));
        }
        let at = ts.min(visible);
        let newest = &tree.manifest;
        if newest.exact_from_ts != 0 && newest.exact_from_ts <= at {
            return Ok((newest.clone(), at));
        }
        let found = self.history(newest).at(ts).await?;
        Ok((Arc::new(found), at))
    }

    /// The version that is meant, while `publish_lock` is held.
    async fn version(&self, tree: &Tree, when: &AsOf) -> Result<Arc<Manifest>> {
        let newest = &tree.manifest;
        let version = match when {
            AsOf::Version(version) => *version,
            AsOf::Snapshot(name) => history::named(newest, name)?.version,
            AsOf::Timestamp(_) => return Err(Error::internal("a time is no version")),
        };
        self.history(newest).version(version).await.map(Arc::new)
    }

    /// The segments of a version with the rows that were alive. Those that are still in the tree have all
    /// their deletes with the times of these; others are opened.
    async fn segments_at(
        &self,
        tree: &Tree,
        manifest: &Manifest,
        at: Timestamp,
    ) -> Result<Vec<Unit>> {
        let place = SegmentPlace::of(manifest);
        let schema = manifest.schema.to_storage_arrow();
        let known: std::collections::HashMap<u64, &Arc<Segment>> =
            tree.segments.iter().map(|s| (s.identity.id, s)).collect();
        let wanted = manifest.segments.iter().filter(|meta| meta.min_ts <= at);
        let open = wanted.map(|meta| {
            let (place, schema) = (&place, &schema);
            let known = known.get(&meta.id).copied().cloned();
            async move {
                let segment = match known {
                    Some(segment) => segment,
                    None => {
                        let segment = Arc::new(open_segment(&self.context, place, meta).await?);
                        self.context.in_use.hold(&segment);
                        segment
                    }
                };
                let mut alive = segment.alive_at(at);
                if meta.max_ts > at {
                    let times = segment.timestamps(schema).await?;
                    let times = as_timestamps(&times)?;
                    let then = arrow::buffer::BooleanBuffer::collect_bool(times.len(), |row| {
                        times.value(row) <= at
                    });
                    alive = alive.and(&RowSet::from_bits(then));
                }
                let partition_id = segment.identity.partition_id;
                Ok(Unit { source: UnitSource::Segment(segment), partition_id, alive })
            }
        });
        // Collected first: a stream over borrows of this kind is not one that may move between threads.
        let open: Vec<_> = open.collect();
        futures::stream::iter(open).buffered(PARALLEL_READS).try_collect().await
    }

    /// Keeps the state of now under a name: every write acknowledged before the call is in it.
    pub async fn create_snapshot(
        self: &Arc<Self>,
        name: &str,
        description: &str,
    ) -> Result<NamedSnapshot> {
        self.flush().await?;
        let created_ts = self.context.next_timestamp();
        let edit = |manifest: &Manifest| {
            if manifest.snapshots.iter().any(|s| s.name == name) {
                return Err(Error::exists(
                    Subject::Snapshot,
                    format!(
                        "snapshot already exists[collection={}][snapshot={name}]",
                        manifest.name
                    ),
                ));
            }
            let mut next = manifest.clone();
            next.snapshots.push(NamedSnapshot {
                name: name.into(),
                description: description.into(),
                version: manifest.version + 1,
                created_ts,
            });
            Ok(next)
        };
        let manifest = self.alter(edit).await?;
        history::named(&manifest, name).cloned()
    }

    /// Lets a snapshot go; its files follow when nothing else keeps them.
    pub async fn drop_snapshot(self: &Arc<Self>, name: &str) -> Result<()> {
        let edit = |manifest: &Manifest| {
            history::named(manifest, name)?;
            let mut next = manifest.clone();
            next.snapshots.retain(|s| s.name != name);
            Ok(next)
        };
        self.alter(edit).await.map(|_| ())
    }

    /// Publishes the first version of another collection with this one's files: those of a version, or of
    /// now. `make` gets that version and gives the new one.
    pub async fn clone_to(
        self: &Arc<Self>,
        when: Option<&AsOf>,
        make: impl FnOnce(&Manifest) -> Result<Manifest>,
    ) -> Result<Self> {
        if when.is_none() {
            self.flush().await?;
        }
        // Until the clone is noted, its files must not become garbage.
        let _publishing = self.publish_lock.lock().await;
        let tree = self.tree();
        if tree.manifest.dropped {
            return Err(dropped(&tree.manifest));
        }
        let from = match when {
            None => tree.manifest.clone(),
            Some(when) => self.version(&tree, when).await?,
        };
        history::version_ts(&from)?;
        let manifest = make(&from)?;
        self.context.in_use.note_clone(manifest.collection_id, &manifest.sources);
        Self::create(self.context.clone(), manifest).await
    }
}
