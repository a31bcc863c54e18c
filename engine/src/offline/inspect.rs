//! What a store holds, read from its manifests and codebooks.

use std::collections::HashSet;

use serde::Serialize;

use super::open_store;
use crate::core::error::{ErrorKind, Result};
use crate::lsm::codebooks::{self, Codebooks};
use crate::lsm::commit;
use crate::lsm::manifest::{FORMAT_VERSION, Manifest, SegmentMeta};
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
    /// Codebooks of its vector fields.
    pub codebooks: Vec<CodebookReport>,
    /// Segments, oldest rows first.
    pub segments: Vec<SegmentReport>,
}

/// A codebook.
#[derive(Debug, Clone, Serialize)]
pub struct CodebookReport {
    /// Vector field.
    pub field: String,
    /// Number within the field.
    pub version: u64,
    /// Its lists; none if it cannot be read.
    pub lists: Option<u64>,
    /// Rows that the collection had when it was trained.
    pub trained_rows: u64,
    /// Bytes of its file.
    pub bytes: u64,
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
    /// Its vector indexes; a vector field without one is scanned.
    pub vector_indexes: Vec<VectorIndexReport>,
}

/// A vector index of a segment.
#[derive(Debug, Clone, Serialize)]
pub struct VectorIndexReport {
    /// Vector field.
    pub field: String,
    /// Codebook that it belongs to.
    pub codebook_version: u64,
    /// How its rows lie.
    pub form: IndexForm,
    /// Bytes of its file.
    pub bytes: u64,
}

/// How the rows of a vector index lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexForm {
    /// In no order, scanned whole: too few for lists.
    Flat,
    /// In the lists of the codebook.
    Lists,
    /// Its codebook cannot be read.
    Unknown,
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
        named.extend(manifest.files());
        let codebooks = describe_codebooks(&bucket, &manifest).await?;
        report.collections.push(describe(&manifest, codebooks));
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

async fn describe_codebooks(bucket: &Bucket, manifest: &Manifest) -> Result<Vec<CodebookReport>> {
    let known = Codebooks::new(bucket.clone(), manifest.collection_id);
    let mut codebooks = Vec::with_capacity(manifest.codebooks.len());
    for meta in &manifest.codebooks {
        let lists = match known.get(meta).await {
            Ok(book) => Some(book.lists() as u64),
            // What is wrong with it is for `verify` to tell.
            Err(e) if matches!(e.kind, ErrorKind::Corrupted | ErrorKind::NotFound) => None,
            Err(e) => return Err(e),
        };
        codebooks.push(CodebookReport {
            field: meta.field.clone(),
            version: meta.version,
            lists,
            trained_rows: meta.rows,
            bytes: meta.file.size_bytes,
        });
    }
    Ok(codebooks)
}

fn describe_indexes(segment: &SegmentMeta, books: &[CodebookReport]) -> Vec<VectorIndexReport> {
    let lists = |field: &str, version: u64| {
        books.iter().find(|b| b.field == field && b.version == version).and_then(|b| b.lists)
    };
    segment
        .indexes
        .iter()
        .map(|i| VectorIndexReport {
            field: i.field.clone(),
            codebook_version: i.codebook_version,
            form: match lists(&i.field, i.codebook_version) {
                None => IndexForm::Unknown,
                Some(n) if codebooks::is_flat(segment.rows as usize, n as usize) => IndexForm::Flat,
                Some(_) => IndexForm::Lists,
            },
            bytes: i.file.size_bytes,
        })
        .collect()
}

fn describe(manifest: &Manifest, codebooks: Vec<CodebookReport>) -> CollectionReport {
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
                vector_indexes: describe_indexes(s, &codebooks),
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
        codebooks,
        segments,
    }
}
