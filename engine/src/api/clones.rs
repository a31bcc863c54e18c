//! Clones: another collection over the same files.

use std::sync::Arc;

use super::engine::{Engine, check_free, no_collection};
use crate::collection::Collection;
use crate::core::error::{Error, Result, Subject};
use crate::core::runtime;
use crate::core::time::Timestamp;
use crate::lsm::history::AsOf;
use crate::lsm::manifest::{FileMeta, Manifest, SegmentMeta};

/// What to clone, and as what.
#[derive(Debug, Clone)]
pub struct CloneOrder {
    /// Database of the original.
    pub database: String,
    /// The original, or an alias of it.
    pub collection: String,
    /// A version or snapshot of it; none: the rows of now.
    pub when: Option<AsOf>,
    /// Database of the clone.
    pub to_database: String,
    /// Name of the clone.
    pub to_name: String,
}

impl Engine {
    /// Makes a collection with the rows, schema, partitions and indexes of another one, or of a version of it.
    /// No row is copied: the clone names the other's files, which stay for as long as it does. From then on
    /// each changes by itself. A clone is not loaded, and has no aliases and no snapshots.
    ///
    /// # Errors
    /// A name that is taken; a version that is not kept; [`AsOf::Timestamp`], since a moment between two
    /// versions has no files of its own.
    pub async fn clone_collection(&self, order: CloneOrder) -> Result<Collection> {
        let engine = self.clone();
        runtime::finish(async move { engine.clone_now(order).await }).await
    }

    async fn clone_now(&self, order: CloneOrder) -> Result<Collection> {
        if let Some(AsOf::Timestamp(_)) = order.when {
            return Err(Error::unsupported(
                Subject::Snapshot,
                "a clone is of a version, a snapshot or of now: a time between versions has no \
                 files of its own",
            ));
        }
        let _ddl = self.inner.ddl.lock().await;
        self.database(&order.to_database)?;
        let source = self.collection(&order.database, &order.collection)?;
        {
            let names = self.inner.names.read();
            check_free(&names, &order.to_database, &order.to_name)?;
            let most = self.settings().limits.max_collections;
            if names.collections.len() >= most {
                return Err(Error::limit(
                    Subject::Collection,
                    format!("exceeded the limit number of collections[limit={most}]"),
                ));
            }
            if !names.collections.contains_key(&source.id()) {
                return Err(no_collection(&order.database, &order.collection));
            }
        }
        self.settle_doubtful().await?;
        let created_ts = self.next_timestamp();
        let writer = self.inner.context.writer_id.clone().unwrap_or_default();
        let mut first = None;
        let make = |from: &Manifest| {
            let mut manifest = first_version(from, &order, created_ts, writer);
            manifest.epoch = manifest.epoch.max(self.inner.context.lease.number());
            Ok(first.insert(manifest).clone())
        };
        let made = source.shard.clone_to(order.when.as_ref(), make).await;
        match first {
            Some(first) => self.finish_making(first, made).await,
            None => Err(made.err().unwrap_or_else(|| Error::internal("a clone of nothing"))),
        }
    }
}

/// The first version of a clone: everything of `from`, with files that lie where they lay.
fn first_version(
    from: &Manifest,
    order: &CloneOrder,
    created_ts: Timestamp,
    writer: String,
) -> Manifest {
    let owner = Some(from.collection_id);
    let owned = |file: &FileMeta| FileMeta { owner: file.owner.or(owner), ..file.clone() };
    let segment = |s: &Arc<SegmentMeta>| {
        let mut segment = SegmentMeta::clone(s);
        segment.data = owned(&s.data);
        segment.keys = owned(&s.keys);
        segment.sums = s.sums.as_ref().map(owned);
        segment.deletes = s.deletes.as_ref().map(owned);
        segment.indexes.iter_mut().for_each(|index| index.file = owned(&index.file));
        Arc::new(segment)
    };
    let mut sources = from.sources.clone();
    sources.push(from.collection_id);
    let mut codebooks = from.codebooks.clone();
    codebooks.iter_mut().for_each(|book| book.file = owned(&book.file));
    Manifest {
        version: 1,
        epoch: 1,
        writer,
        collection_id: created_ts,
        database: order.to_database.clone(),
        name: order.to_name.clone(),
        aliases: Vec::new(),
        segments: from.segments.iter().map(segment).collect(),
        codebooks,
        flushed_ts: created_ts,
        exact_from_ts: created_ts,
        gap_from_ts: None,
        created_ts,
        loaded: false,
        loaded_partitions: Vec::new(),
        released: false,
        dropped: false,
        snapshots: Vec::new(),
        sources,
        ..from.clone()
    }
}
