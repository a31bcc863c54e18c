//! Codebooks of a collection: which fields have one, when a new one is due, reading and writing them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;

use super::manifest::{CodebookMeta, FileMeta, Manifest};
use crate::core::error::{Error, Result};
use crate::core::schema::FieldSchema;
use crate::core::vectors::VectorView;
use crate::index::Metric;
use crate::index::cluster::{Codebook, Space};
use crate::storage::bucket::Bucket;
use crate::storage::frame;

/// A collection that has grown by this factor since training has outgrown its lists.
const GROWTH: u64 = 2;
/// Rows that lie this much farther from their centroids than at training have drifted.
const DRIFT: f32 = 1.15;

/// What a decision about a field's codebook rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// Rows below which a collection has none.
    pub min_rows: u64,
    /// Rows of the flush or compaction.
    pub rows_here: u64,
    /// Rows of the collection's segments, those included.
    pub rows_all: u64,
    /// Rows at the training of the newest codebook; none: there is no codebook.
    pub trained_rows: Option<u64>,
    /// Mean squared distance to the centroid now, as a share of that at training, where it is known.
    pub drift: Option<f32>,
    /// Whether it was trained for another space than the field's metric asks for.
    pub other_space: bool,
}

/// Whether to train a new codebook, on a sample of all rows. Each factor of growth costs one training, so that
/// a row takes part in a bounded number of them however the collection grew.
pub fn training_due(s: Situation) -> bool {
    if s.rows_all < s.min_rows {
        return false;
    }
    let Some(trained) = s.trained_rows else { return true };
    let worn = s.rows_all >= GROWTH * trained || s.drift.is_some_and(|d| d > DRIFT);
    // A few rows from elsewhere are no reason to train for all.
    worn && 8 * s.rows_here >= s.rows_all || s.other_space && 2 * s.rows_here >= s.rows_all
}

/// Whether a unit of so many rows is too small for lists: most blocks of codes would then hold rows of
/// many lists, and a scan of them all is quicker.
pub fn is_flat(rows: usize, lists: usize) -> bool {
    rows < 4 * lists
}

/// The space in which a field's vectors are to be coded; none: they are only scanned, because they are
/// binary or sparse or because exact search was asked for.
pub fn space_of(manifest: &Manifest, field: &FieldSchema) -> Option<Space> {
    if !field.data_type.is_dense_vector() {
        return None;
    }
    let index = manifest.indexes.iter().find(|i| i.field == field.name);
    let param = |name: &str| index.and_then(|i| i.params.get(name)).map(String::as_str);
    match (param("index_type"), param("metric_type").and_then(Metric::from_name)) {
        (Some("FLAT" | "BRUTE_FORCE"), _) => None,
        (_, Some(Metric::Cosine)) => Some(Space::Unit),
        _ => Some(Space::Raw),
    }
}

/// Reads and keeps the codebooks of one collection.
#[derive(Debug)]
pub struct Codebooks {
    bucket: Bucket,
    collection_id: u64,
    known: Mutex<HashMap<(String, u64), Arc<Codebook>>>,
}

impl Codebooks {
    /// Those of a collection.
    pub fn new(bucket: Bucket, collection_id: u64) -> Self {
        Self { bucket, collection_id, known: Mutex::default() }
    }

    /// The codebook that a manifest names, read on first use.
    pub async fn get(&self, meta: &CodebookMeta) -> Result<Arc<Codebook>> {
        let key = (meta.field.clone(), meta.version);
        if let Some(book) = self.known.lock().get(&key) {
            return Ok(book.clone());
        }
        let path = meta.file.in_collection(self.collection_id);
        let bytes = self.bucket.get(&path).await?;
        if frame::checksum(&bytes) != meta.file.xxh3 {
            return Err(Error::corrupted(path, "its checksum is not the manifest's"));
        }
        let book = Codebook::decode(&frame::open(&bytes, &path)?, &path)?;
        if book.version != meta.version {
            return Err(Error::corrupted(path, "it is another codebook"));
        }
        let book = Arc::new(book);
        self.known.lock().insert(key, book.clone());
        Ok(book)
    }

    /// Makes a new codebook durable; a manifest has yet to name it.
    pub async fn put(&self, field: &FieldSchema, book: Arc<Codebook>) -> Result<CodebookMeta> {
        let name = file_name(field.id, book.version);
        let bytes = frame::seal(&book.encode());
        let file = FileMeta::of(name, &bytes);
        let path = file.in_collection(self.collection_id);
        self.bucket.put_fresh(&path, bytes).await?;
        let meta = CodebookMeta {
            field: field.name.clone(),
            version: book.version,
            file,
            rows: book.trained_rows,
            mean_error: book.mean_error,
        };
        self.known.lock().insert((meta.field.clone(), meta.version), book);
        Ok(meta)
    }

    /// Forgets codebooks that a manifest does not name.
    pub fn retain(&self, manifest: &Manifest) {
        let named = |field: &str, version: u64| {
            manifest.codebooks.iter().any(|c| c.field == field && c.version == version)
        };
        self.known.lock().retain(|(field, version), _| named(field, *version));
    }
}

fn file_name(field_id: i64, version: u64) -> String {
    format!("codebooks/{field_id}.{version:020}")
}

/// The version in a codebook's path; none if it is another file.
pub fn version_in_path(path: &str) -> Option<u64> {
    let (folder, name) = path.rsplit_once('/')?;
    folder.ends_with("/codebooks").then(|| name.rsplit_once('.')?.1.parse().ok())?
}

/// A sample of about `wanted` vectors `[n, dim]`, spread evenly over the rows of a column in parts.
pub fn sample(parts: &[ArrayRef], field: &FieldSchema, wanted: usize) -> Result<Vec<f32>> {
    let dim = field.data_type.vector_dim().unwrap_or(0) as usize;
    let rows: usize = parts.iter().map(|p| p.len()).sum();
    let wanted = wanted.min(rows);
    let mut out = Vec::with_capacity(wanted * dim);
    elanus_kernels::expect_huge_pages(&mut out);
    let mut row = vec![0.0; dim];
    let (mut start, mut next) = (0, 0);
    for part in parts {
        let view = VectorView::of(part.as_ref(), &field.data_type)?;
        while next < wanted && next * rows / wanted < start + part.len() {
            let at = next * rows / wanted - start;
            if part.is_valid(at) {
                view.row_f32(at, &mut row);
                out.extend_from_slice(&row);
            }
            next += 1;
        }
        start += part.len();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_follows_growth_and_drift() {
        let none = Situation {
            min_rows: 2_048,
            rows_here: 100_000,
            rows_all: 100_000,
            trained_rows: None,
            drift: None,
            other_space: false,
        };
        assert!(training_due(none));
        assert!(!training_due(Situation { rows_here: 100, rows_all: 100, ..none }));
        let fresh = Situation { trained_rows: Some(60_000), ..none };
        assert!(!training_due(fresh));
        assert!(training_due(Situation { trained_rows: Some(50_000), ..none }));
        assert!(training_due(Situation { drift: Some(1.4), ..fresh }));
        assert!(!training_due(Situation { drift: Some(1.4), rows_here: 10_000, ..fresh }));
        assert!(training_due(Situation { other_space: true, ..fresh }));
    }

    #[test]
    fn paths_tell_versions() {
        let name = format!("collections/7/{}", file_name(101, 12));
        assert_eq!(version_in_path(&name), Some(12));
        assert_eq!(version_in_path("collections/7/segments/0.12"), None);
    }
}
