//! Codebooks and vector indexes: that they can be read, and that they code the rows that they should.
//! They are derived, so what is wrong with one is told and the rest is still checked.

use std::collections::HashMap;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::{BooleanBuffer, NullBuffer};
use bytes::Bytes;

use super::{Derived, VerifyReport, compare};
use crate::core::error::{Error, Result};
use crate::index::cluster::{Codebook, CodedRows};
use crate::lsm::manifest::{CodebookMeta, FileMeta, Manifest, SegmentMeta, VectorIndexMeta};
use crate::storage::bucket::Bucket;
use crate::storage::frame;

/// The codebooks of a manifest that can be read, by field and version.
pub(super) type Codebooks = HashMap<(String, u64), Codebook>;

/// Reads the codebooks that a manifest names.
pub(super) async fn read_codebooks(
    bucket: &Bucket,
    manifest: &Manifest,
    report: &mut VerifyReport,
) -> Codebooks {
    let mut books = Codebooks::new();
    for meta in &manifest.codebooks {
        report.codebooks += 1;
        match read_codebook(bucket, manifest, meta, report).await {
            Ok(book) => drop(books.insert((meta.field.clone(), meta.version), book)),
            Err(e) => report.derived(
                e,
                Derived::Codebook {
                    collection: manifest.collection_id,
                    field: meta.field.clone(),
                    version: meta.version,
                },
            ),
        }
    }
    books
}

async fn read_codebook(
    bucket: &Bucket,
    manifest: &Manifest,
    meta: &CodebookMeta,
    report: &mut VerifyReport,
) -> Result<Codebook> {
    let path = meta.file.in_collection(manifest.collection_id);
    let bytes = read(bucket, &path, &meta.file, report).await?;
    let book = Codebook::decode(&frame::open(&bytes, &path)?, &path)?;
    let field = manifest.schema.fields.iter().find(|f| f.name == meta.field);
    let dim = field.and_then(|f| f.data_type.vector_dim());
    let same = book.version == meta.version
        && book.trained_rows == meta.rows
        && book.mean_error.to_bits() == meta.mean_error.to_bits()
        && dim.is_some_and(|dim| dim as usize == book.dim);
    if same { Ok(book) } else { Err(Error::corrupted(path, "it is not the manifest's codebook")) }
}

/// Reads a segment's vector indexes; returns those that can be read, with their paths. One whose codebook
/// cannot be read is compared with its checksum only: of the codebook it is told already.
pub(super) async fn read_indexes(
    bucket: &Bucket,
    manifest: &Manifest,
    segment: &SegmentMeta,
    books: &Codebooks,
    report: &mut VerifyReport,
) -> Vec<(String, VectorIndexMeta, CodedRows)> {
    let mut found = Vec::new();
    let rows = usize::try_from(segment.rows).unwrap_or(usize::MAX);
    for index in &segment.indexes {
        let path = index.file.in_segment(manifest.collection_id, segment.id);
        let book = books.get(&(index.field.clone(), index.codebook_version));
        let codes = match (read(bucket, &path, &index.file, report).await, book) {
            (Ok(bytes), Some(book)) => CodedRows::decode(&bytes, book, rows, &path),
            (Ok(_), None) => continue,
            (Err(e), _) => Err(e),
        };
        match codes {
            Ok(codes) => found.push((path, index.clone(), codes)),
            Err(e) => {
                let (collection, id) = (manifest.collection_id, segment.id);
                report.derived(e, Derived::Segment { collection, id });
            }
        }
    }
    found
}

async fn read(
    bucket: &Bucket,
    path: &str,
    file: &FileMeta,
    report: &mut VerifyReport,
) -> Result<Bytes> {
    let bytes = bucket.get(path).await?;
    report.files += 1;
    report.bytes += bytes.len() as u64;
    compare(path, file, bytes.len() as u64, frame::checksum(&bytes))?;
    Ok(bytes)
}

/// Which rows of a segment have a vector, by indexed field; grows with the batches that are read.
#[derive(Default)]
pub(super) struct Vectors(HashMap<String, BooleanBufferBuilder>);

impl Vectors {
    /// Adds the rows of the next batch.
    pub(super) fn add(&mut self, field: &str, rows: usize, nulls: Option<&NullBuffer>) {
        if !self.0.contains_key(field) {
            self.0.insert(field.to_string(), BooleanBufferBuilder::new(rows));
        }
        let Some(known) = self.0.get_mut(field) else { return };
        match nulls {
            Some(nulls) => known.append_buffer(nulls.inner()),
            None => known.append_n(rows, true),
        }
    }

    /// Whether an index codes exactly the rows that have a vector, each once.
    pub(super) fn are_coded_by(&self, field: &str, codes: &CodedRows) -> bool {
        let vectors = self.0.get(field).map(BooleanBufferBuilder::finish_cloned);
        each_once(&vectors.unwrap_or_else(|| BooleanBuffer::new_unset(0)), codes)
    }
}

fn each_once(vectors: &BooleanBuffer, codes: &CodedRows) -> bool {
    let mut left: Vec<bool> = vectors.iter().collect();
    let take = |place: usize| {
        let row = codes.order.as_ref().map_or(place, |order| order[place] as usize);
        left.get_mut(row).is_some_and(std::mem::take)
    };
    (0..codes.rows).all(take) && codes.rows == vectors.count_set_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_the_rows_with_a_vector_each_once() {
        let check = |vectors: &[bool], rows: usize, order: Option<Vec<u32>>| {
            let codes = CodedRows { rows, order, ..Default::default() };
            each_once(&BooleanBuffer::from(vectors), &codes)
        };
        assert!(check(&[true, true, true], 3, None));
        assert!(check(&[true, true, false], 2, None), "rows without a vector come last");
        assert!(!check(&[true, false, true], 2, None));
        assert!(!check(&[true, true, true], 2, None));
        assert!(!check(&[true], 2, None));
        assert!(check(&[true, false, true], 2, Some(vec![2, 0])));
        assert!(!check(&[true, false, true], 2, Some(vec![2, 1])));
        assert!(!check(&[true, false, true], 2, Some(vec![2, 2])), "a row twice");
        assert!(check(&[false, false], 0, Some(Vec::new())));
    }
}
