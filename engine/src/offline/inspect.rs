//! What a store holds, read from its manifests.

use std::collections::HashSet;

use serde::Serialize;

use super::open_store;
use crate::core::error::Result;
use crate::lsm::commit;
use crate::lsm::manifest::{FORMAT_VERSION, Manifest};
use crate::storage::bucket::Bucket;

/// A store.
#[derive(Debug, Clone, Serialize)]
pub struct StoreReport {
    /// Folder or URL.
    pub location: String,
    /// Its id.
    pub store_id: String,
    /// Version of its bytes.
    pub format_version: u32,
    /// Its collections.
    pub collections: Vec<CollectionReport>,
    /// Files below `collections/` that no newest manifest names: old versions and garbage.
    pub orphan_files: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Bytes of all files below `collections/`.
    pub total_bytes: u64,
}

/// A collection.
#[derive(Debug, Clone, Serialize)]
pub struct CollectionReport {
    /// Number.
    pub id: u64,
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Version of the newest manifest.
    pub version: u64,
    /// Epoch of the writer.
    pub epoch: u64,
    /// Every write at or before it is in the segments.
    pub flushed_ts: u64,
    /// Rows in segments, deleted ones included.
    pub rows: u64,
    /// Deleted rows.
    pub deleted_rows: u64,
    /// Bytes of the segments.
    pub data_bytes: u64,
    /// Partitions.
    pub partitions: Vec<String>,
    /// Fields with their types.
    pub fields: Vec<(String, String)>,
    /// Indexes: name, field, parameters.
    pub indexes: Vec<(String, String, std::collections::BTreeMap<String, String>)>,
    /// Segments, oldest rows first.
    pub segments: Vec<SegmentReport>,
}

/// A segment.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentReport {
    /// Number.
    pub id: u64,
    /// Partition.
    pub partition: String,
    /// Level in the tree.
    pub level: u32,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Deleted rows.
    pub deleted_rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Smallest key.
    pub min_key: String,
    /// Largest key.
    pub max_key: String,
}

/// Reads what a store holds. Rows that are only in a server's log are not seen.
pub async fn inspect(location: &str) -> Result<StoreReport> {
    let (bucket, store_id) = open_store(location).await?;
    let mut report = StoreReport {
        location: location.into(),
        store_id,
        format_version: FORMAT_VERSION,
        collections: Vec::new(),
        orphan_files: 0,
        orphan_bytes: 0,
        total_bytes: 0,
    };
    let mut named = HashSet::new();
    for manifest in commit::heads(&bucket).await? {
        named.insert(Manifest::path(manifest.collection_id, manifest.version));
        for segment in &manifest.segments {
            let folder = Manifest::segment_folder(manifest.collection_id, segment.id);
            named.extend(segment.files().map(|f| format!("{folder}/{}", f.name)));
        }
        report.collections.push(describe(&manifest));
    }
    count_files(&bucket, &named, &mut report).await?;
    Ok(report)
}

async fn count_files(
    bucket: &Bucket,
    named: &HashSet<String>,
    report: &mut StoreReport,
) -> Result<()> {
    for file in bucket.list("collections").await? {
        report.total_bytes += file.size_bytes;
        if !named.contains(&file.path) {
            report.orphan_files += 1;
            report.orphan_bytes += file.size_bytes;
        }
    }
    Ok(())
}

fn describe(manifest: &Manifest) -> CollectionReport {
    let partition = |id: u64| {
        let known = manifest.partitions.iter().find(|p| p.id == id);
        known.map(|p| p.name.clone()).unwrap_or_default()
    };
    let segments: Vec<SegmentReport> = manifest
        .segments
        .iter()
        .map(|s| {
            let range = s.key_range.as_ref();
            SegmentReport {
                id: s.id,
                partition: partition(s.partition_id),
                level: s.level,
                rows: s.rows,
                deleted_rows: s.deleted_rows,
                bytes: s.size_bytes(),
                min_key: range.map(|(min, _)| min.to_string()).unwrap_or_default(),
                max_key: range.map(|(_, max)| max.to_string()).unwrap_or_default(),
            }
        })
        .collect();
    CollectionReport {
        id: manifest.collection_id,
        database: manifest.database.clone(),
        name: manifest.name.clone(),
        aliases: manifest.aliases.clone(),
        version: manifest.version,
        epoch: manifest.epoch,
        flushed_ts: manifest.flushed_ts,
        rows: segments.iter().map(|s| s.rows).sum(),
        deleted_rows: segments.iter().map(|s| s.deleted_rows).sum(),
        data_bytes: segments.iter().map(|s| s.bytes).sum(),
        partitions: manifest.partitions.iter().map(|p| p.name.clone()).collect(),
        fields: manifest
            .schema
            .fields
            .iter()
            .map(|f| (f.name.clone(), f.data_type.display_name()))
            .collect(),
        indexes: manifest
            .indexes
            .iter()
            .map(|i| (i.name.clone(), i.field.clone(), i.params.clone()))
            .collect(),
        segments,
    }
}
