//! Reads everything and tells what is wrong: checksums, invariants, rows against indexes.

mod codes;

use std::collections::HashSet;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use serde::Serialize;

use self::codes::{Codebooks, Vectors};
use super::{Progress, open_store, orphans};
use crate::core::error::{Error, Result};
use crate::core::key::{Key, Keys};
use crate::core::rowset::DeleteSet;
use crate::core::runtime::{Clock, SystemClock};
use crate::core::validate;
use crate::lsm::manifest::{FileMeta, Manifest, SegmentMeta};
use crate::lsm::{commit, invariants};
use crate::segment::bounds::{Bounds, BoundsBuilder};
use crate::segment::files::SegmentFiles;
use crate::segment::keys::SegmentKeys;
use crate::segment::reader::SegmentReader;
use crate::segment::{SegmentFile, as_timestamps};
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
    /// Files that nothing needs; garbage collection removes them after their grace time.
    pub orphan_files: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// What is wrong, each naming the file.
    pub problems: Vec<String>,
    /// Derived files among them, which can be made anew.
    #[serde(skip)]
    pub repairable: Vec<Derived>,
}

/// Whose derived file is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Derived {
    /// A key index, codes, sums or bounds of a segment.
    Segment {
        /// Collection.
        collection: u64,
        /// Segment.
        id: u64,
    },
    /// A codebook.
    Codebook {
        /// Collection.
        collection: u64,
        /// Vector field.
        field: String,
        /// Version.
        version: u64,
    },
}

impl VerifyReport {
    /// Notes what is wrong with a derived file.
    pub(super) fn derived(&mut self, e: Error, whose: Derived) {
        self.problems.push(e.to_string());
        if !self.repairable.contains(&whose) {
            self.repairable.push(whose);
        }
    }
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
    for orphan in orphans::find(bucket, SystemClock.now_ms()).await? {
        report.orphan_files += 1;
        report.orphan_bytes += orphan.size_bytes;
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

/// Checks one segment; returns the keys of its live rows. What is wrong with a derived file is noted, and the
/// rest is still checked.
async fn verify_segment(
    files: &SegmentFiles,
    manifest: &Manifest,
    meta: &SegmentMeta,
    books: &Codebooks,
    report: &mut VerifyReport,
) -> Result<Vec<Key>> {
    let (collection, id) = (manifest.collection_id, meta.id);
    let derived = Derived::Segment { collection, id };
    let indexes = codes::read_indexes(&files.bucket, manifest, meta, books, report).await;
    let deletes = read_deletes(files, manifest, meta, report).await?;
    let (column, vectors, bounds) = read_data(files, manifest, meta, report).await?;
    for (path, index, codes) in indexes {
        if !vectors.are_coded_by(&index.field, &codes) {
            let e = Error::corrupted(path, "its rows are not those that have a vector");
            report.derived(e, derived.clone());
        }
    }
    if let Err(e) = verify_keys(files, manifest, meta, &column, report).await {
        report.derived(e, derived.clone());
    }
    let known = meta.columns.iter().map(|c| (c.column.as_str(), &c.range, c.nulls));
    let found = bounds.iter().map(|b| (b.column.as_str(), &b.range, b.nulls));
    // A segment of an older version may have fewer columns than the schema now.
    if !known.clone().all(|known| found.clone().any(|found| known == found)) {
        let why = format!("the bounds of segment {id} are not those of its rows");
        let path = Manifest::path(collection, manifest.version);
        report.derived(Error::corrupted(path, why), derived);
    }
    let live = (0..column.len()).filter(|row| !deletes.contains(*row as u32));
    Ok(live.map(|row| column.get(row)).collect())
}

/// Compares the data file with its sums, and reads all rows.
async fn read_data(
    files: &SegmentFiles,
    manifest: &Manifest,
    meta: &SegmentMeta,
    report: &mut VerifyReport,
) -> Result<(Keys, Vectors, Vec<Bounds>)> {
    let (collection, id) = (manifest.collection_id, meta.id);
    let file = |file: &FileMeta| SegmentFile {
        path: file.in_segment(collection, id),
        size_bytes: file.size_bytes,
        xxh3: file.xxh3,
    };
    let (data, sums) = (file(&meta.data), meta.sums.as_ref().map(file));
    let (sum, blocks) = files.bucket.sums(&data.path).await?;
    report.files += 1;
    report.bytes += blocks.size_bytes();
    let whole = compare(&data.path, &meta.data, blocks.size_bytes(), sum);
    if let (Some(sums), Some(meta)) = (&sums, &meta.sums) {
        report.files += 1;
        report.bytes += meta.size_bytes;
        let right = sums.read(&files.bucket).await.map(|bytes| bytes[..] == blocks.encode());
        let wrong = || Error::corrupted(&sums.path, "its sums are not those of the data file");
        // If the data file is damaged, the sums tell where: they are right then.
        if let Err(e) =
            right.and_then(|same| (same || whole.is_err()).then_some(()).ok_or_else(wrong))
        {
            report.derived(e, Derived::Segment { collection, id });
        }
    }
    let read = async {
        let reader = SegmentReader::open(files, &data, sums.as_ref()).await?;
        read_rows(&reader, manifest, meta, &data.path, report).await
    };
    let read = read.await?;
    whole.map(|()| read)
}

async fn verify_keys(
    files: &SegmentFiles,
    manifest: &Manifest,
    meta: &SegmentMeta,
    column: &Keys,
    report: &mut VerifyReport,
) -> Result<()> {
    let path = meta.keys.in_segment(manifest.collection_id, meta.id);
    let bytes = files.bucket.get(&path).await?;
    report.files += 1;
    report.bytes += bytes.len() as u64;
    compare(&path, &meta.keys, bytes.len() as u64, frame::checksum(&bytes))?;
    check_key_index(&SegmentKeys::decode(&bytes, &path)?, column, meta, &path)
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

async fn read_deletes(
    files: &SegmentFiles,
    manifest: &Manifest,
    meta: &SegmentMeta,
    report: &mut VerifyReport,
) -> Result<DeleteSet> {
    let Some(file) = &meta.deletes else { return Ok(DeleteSet::default()) };
    let path = file.in_segment(manifest.collection_id, meta.id);
    let bytes = files.bucket.get(&path).await?;
    report.files += 1;
    report.bytes += bytes.len() as u64;
    compare(&path, file, bytes.len() as u64, frame::checksum(&bytes))?;
    let deletes = DeleteSet::decode(&frame::open(&bytes, &path)?, &path)?;
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
) -> Result<(Keys, Vectors, Vec<Bounds>)> {
    let schema: SchemaRef = manifest.schema.to_storage_arrow();
    let bad = |why: String| Error::corrupted(path, why);
    let key = &manifest.schema.primary()?.name;
    let (mut keys, mut vectors) = (Vec::new(), Vectors::default());
    let mut rows = 0u64;
    let mut bounds = BoundsBuilder::new(&schema);
    let mut stream = std::pin::pin!(reader.scan(&schema).await?);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows() as u64;
        bounds.add(&batch)?;
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
    let keys = Keys::from_array(arrow::compute::concat(&parts)?.as_ref())?;
    Ok((keys, vectors, bounds.finish()))
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
