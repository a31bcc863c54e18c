//! Reads everything and tells what is wrong: checksums, invariants, rows against indexes.

mod codes;

use std::collections::HashSet;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use serde::Serialize;

use self::codes::{Codebooks, Vectors};
use super::{Progress, open_store};
use crate::core::error::{Error, Result};
use crate::core::key::{Key, Keys};
use crate::core::rowset::DeleteSet;
use crate::core::validate;
use crate::lsm::manifest::{FileMeta, Manifest, SegmentMeta};
use crate::lsm::{commit, invariants};
use crate::segment::files::SegmentFiles;
use crate::segment::keys::SegmentKeys;
use crate::segment::reader::SegmentReader;
use crate::segment::{DATA_FILE, KEYS_FILE, as_timestamps};
use crate::storage::bucket::Bucket;
use crate::storage::frame;

/// What was read and what is wrong.
#[derive(Debug, Default, Clone, Serialize)]
pub struct VerifyReport {
    /// Collections.
    pub collections: u64,
    /// Segments.
    pub segments: u64,
    /// Codebooks of their vectors.
    pub codebooks: u64,
    /// Rows read.
    pub rows: u64,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong, each naming the file.
    pub problems: Vec<String>,
}

/// Reads every file that a newest manifest names, every row, and every manifest.
///
/// # Errors
/// Only if the store itself cannot be read; what is wrong in it is in the report.
pub async fn verify(location: &str, progress: Progress<'_>) -> Result<VerifyReport> {
    let (bucket, _) = open_store(location).await?;
    verify_bucket(&bucket, progress).await
}

/// [`verify`] of an open bucket.
pub async fn verify_bucket(bucket: &Bucket, progress: Progress<'_>) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let files = SegmentFiles::new(bucket.clone(), 1 << 20)?;
    for id in commit::collections(bucket).await? {
        let Some(manifest) = verify_manifests(bucket, id, &mut report).await? else { continue };
        if manifest.dropped {
            continue;
        }
        report.collections += 1;
        progress(&format!("{}.{}", manifest.database, manifest.name));
        let books = codes::read_codebooks(bucket, &manifest, &mut report).await;
        let mut live_keys = HashSet::new();
        for segment in &manifest.segments {
            report.segments += 1;
            let checked = verify_segment(&files, &manifest, segment, &books, &mut report).await;
            match checked {
                Ok(keys) => check_unique(&manifest, segment, keys, &mut live_keys, &mut report),
                Err(e) => report.problems.push(e.to_string()),
            }
        }
    }
    Ok(report)
}

/// Reads all versions; returns the newest if it can be read.
async fn verify_manifests(
    bucket: &Bucket,
    id: u64,
    report: &mut VerifyReport,
) -> Result<Option<Manifest>> {
    let mut newest: Option<Manifest> = None;
    for (version, _) in commit::versions(bucket, id).await? {
        report.files += 1;
        match commit::read(bucket, id, version).await {
            Ok(manifest) => {
                let checked = match &newest {
                    Some(old) if old.version + 1 == version => {
                        invariants::check_successor(old, &manifest)
                    }
                    _ => invariants::check(&manifest),
                };
                if let Err(e) = checked {
                    report.problems.push(e.to_string());
                }
                newest = Some(manifest);
            }
            Err(e) => {
                report.problems.push(e.to_string());
                newest = None;
            }
        }
    }
    Ok(newest)
}

/// Checks one segment; returns the keys of its live rows.
async fn verify_segment(
    files: &SegmentFiles,
    manifest: &Manifest,
    meta: &SegmentMeta,
    books: &Codebooks,
    report: &mut VerifyReport,
) -> Result<Vec<Key>> {
    let folder = Manifest::segment_folder(manifest.collection_id, meta.id);
    let indexes = codes::read_indexes(&files.bucket, manifest, meta, books, report).await;
    for file in [&meta.data, &meta.keys].into_iter().chain(&meta.deletes) {
        let path = format!("{folder}/{}", file.name);
        let (size, sum) = files.bucket.fingerprint(&path).await?;
        report.files += 1;
        report.bytes += size;
        compare(&path, file, size, sum)?;
    }
    let path = format!("{folder}/{KEYS_FILE}");
    let keys = SegmentKeys::decode(&files.bucket.get(&path).await?, &path)?;
    let deletes = read_deletes(files, &folder, meta).await?;
    let data = format!("{folder}/{DATA_FILE}");
    let reader = SegmentReader::open(files, data.clone(), meta.data.size_bytes).await?;
    let (column, vectors) = read_rows(&reader, manifest, meta, &data, report).await?;
    for (path, index, codes) in indexes {
        if !vectors.are_coded_by(&index.field, &codes) {
            let e = Error::corrupted(path, "its rows are not those that have a vector");
            report.problems.push(e.to_string());
        }
    }
    check_key_index(&keys, &column, meta, &path)?;
    let live = (0..column.len()).filter(|row| !deletes.contains(*row as u32));
    Ok(live.map(|row| column.get(row)).collect())
}

/// Refuses a file of another size or checksum than the manifest's.
fn compare(path: &str, file: &FileMeta, size: u64, sum: u64) -> Result<()> {
    if size != file.size_bytes {
        let why = format!("it has {size} bytes, the manifest says {}", file.size_bytes);
        return Err(Error::corrupted(path, why));
    }
    if sum != file.xxh3 {
        return Err(Error::corrupted(path, "its checksum is not the manifest's"));
    }
    Ok(())
}

async fn read_deletes(files: &SegmentFiles, folder: &str, meta: &SegmentMeta) -> Result<DeleteSet> {
    let Some(file) = &meta.deletes else { return Ok(DeleteSet::default()) };
    let path = format!("{folder}/{}", file.name);
    let payload = frame::open(&files.bucket.get(&path).await?, &path)?;
    let deletes = DeleteSet::decode(&payload, &path)?;
    let beyond = deletes.until(u64::MAX).iter().any(|(_, row)| u64::from(*row) >= meta.rows);
    if deletes.len() as u64 != meta.deleted_rows || beyond {
        return Err(Error::corrupted(path, "its rows are not those of the manifest"));
    }
    Ok(deletes)
}

/// Reads every row; returns the key column and which rows have vectors.
async fn read_rows(
    reader: &SegmentReader,
    manifest: &Manifest,
    meta: &SegmentMeta,
    path: &str,
    report: &mut VerifyReport,
) -> Result<(Keys, Vectors)> {
    let schema: SchemaRef = manifest.schema.to_storage_arrow();
    let bad = |why: String| Error::corrupted(path, why);
    let key = &manifest.schema.primary()?.name;
    let (mut keys, mut vectors) = (Vec::new(), Vectors::default());
    let mut rows = 0u64;
    let mut stream = std::pin::pin!(reader.scan(&schema).await?);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows() as u64;
        let times = as_timestamps(batch.column(batch.num_columns() - 1))?;
        let outside = times.values().iter().any(|ts| !(meta.min_ts..=meta.max_ts).contains(ts));
        if outside || times.null_count() > 0 {
            return Err(bad("a timestamp is out of the manifest's range".into()));
        }
        for field in &manifest.schema.fields {
            let column = batch.column_by_name(&field.name);
            let column = column.ok_or_else(|| bad(format!("column {} is missing", field.name)))?;
            if !field.nullable && field.default_value.is_none() && column.null_count() > 0 {
                return Err(bad(format!("column {} has nulls", field.name)));
            }
            if field.data_type.is_vector() {
                validate::check_vector(field, column).map_err(|e| bad(e.to_string()))?;
                vectors.add(&field.name, column.len(), column.nulls());
            }
        }
        keys.extend(batch.column_by_name(key).cloned());
    }
    report.rows += rows;
    if rows != meta.rows {
        return Err(bad(format!("it has {rows} rows, the manifest says {}", meta.rows)));
    }
    let parts: Vec<&dyn Array> = keys.iter().map(AsRef::as_ref).collect();
    Ok((Keys::from_array(arrow::compute::concat(&parts)?.as_ref())?, vectors))
}

fn check_key_index(
    index: &SegmentKeys,
    column: &Keys,
    meta: &SegmentMeta,
    path: &str,
) -> Result<()> {
    if index.rows().len() != column.len() || index.range() != meta.key_range {
        return Err(Error::corrupted(path, "its keys are not those of the manifest"));
    }
    for row in 0..column.len() {
        if index.find(column, row) != Some(row as u32) {
            let key = column.get(row);
            return Err(Error::corrupted(path, format!("key {key} does not lead to row {row}")));
        }
    }
    Ok(())
}

fn check_unique(
    manifest: &Manifest,
    meta: &SegmentMeta,
    keys: Vec<Key>,
    seen: &mut HashSet<Key>,
    report: &mut VerifyReport,
) {
    for key in keys {
        if seen.contains(&key) {
            report.problems.push(format!(
                "collection {}: key {key} is alive twice, once in segment {}",
                manifest.name, meta.id
            ));
        }
        seen.insert(key);
    }
}
