//! The codebooks for a flush or compaction: the newest ones, or new ones trained on its rows.

use std::sync::Arc;

use super::open::Shard;
use super::publish::Change;
use crate::core::error::{ErrorKind, Result};
use crate::core::schema::FieldSchema;
use crate::index::cluster::{self, Codebook, Order, Space};
use crate::lsm::codebooks::{self, Situation};
use crate::lsm::layout::{FieldBook, Rows};
use crate::lsm::manifest::Manifest;
use crate::segment::Segment;

impl Shard {
    /// The fields to be coded with their codebooks, in the order of the schema. `id` is the number of the
    /// segment to be written, which a codebook trained for it takes as its version; `inputs` are the
    /// segments whose rows these are.
    pub(super) async fn books_for(
        &self,
        manifest: &Manifest,
        id: u64,
        rows: &Rows,
        inputs: &[Arc<Segment>],
        change: &mut Change,
    ) -> Result<Vec<FieldBook>> {
        let mut fields = Vec::new();
        for field in manifest.schema.vector_fields() {
            let Some(space) = codebooks::space_of(manifest, field) else { continue };
            let book = match self.current_book(manifest, field, change).await? {
                Some(book) if !self.due(manifest, field, &book, space, rows, inputs).await => {
                    Some(book)
                }
                current => match self.train(id, field, space, rows).await? {
                    Some(book) => {
                        let book = Arc::new(book);
                        change.codebooks.push(self.codebooks.put(&field.name, book.clone()).await?);
                        Some(book)
                    }
                    None => current,
                },
            };
            fields.extend(book.map(|book| FieldBook { field: field.clone(), book }));
        }
        Ok(fields)
    }

    /// The newest codebook of a field. One that cannot be read is as good as none: the next is trained.
    async fn current_book(
        &self,
        manifest: &Manifest,
        field: &FieldSchema,
        change: &Change,
    ) -> Result<Option<Arc<Codebook>>> {
        let coming = change.codebooks.iter().rfind(|c| c.field == field.name);
        let Some(meta) = coming.or_else(|| manifest.codebook(&field.name)) else { return Ok(None) };
        match self.codebooks.get(meta).await {
            Ok(book) => Ok(Some(book)),
            Err(e) if !matches!(e.kind, ErrorKind::Corrupted | ErrorKind::NotFound) => Err(e),
            Err(e) => {
                tracing::warn!("{e}; a new codebook is trained when there are rows enough");
                Ok(None)
            }
        }
    }

    async fn due(
        &self,
        manifest: &Manifest,
        field: &FieldSchema,
        book: &Codebook,
        space: Space,
        rows: &Rows,
        inputs: &[Arc<Segment>],
    ) -> bool {
        let rows_here: u64 = rows.batches.iter().map(|b| b.num_rows() as u64).sum();
        let in_segments: u64 = manifest.segments.iter().map(|s| s.rows).sum();
        let from_segments: u64 = inputs.iter().map(|s| s.identity.rows as u64).sum();
        codebooks::training_due(Situation {
            rows_here,
            rows_all: rows_here + in_segments.saturating_sub(from_segments),
            trained_rows: Some(book.trained_rows),
            drift: drift(field, book, inputs).await,
            other_space: book.space != space,
        })
    }

    async fn train(
        &self,
        version: u64,
        field: &FieldSchema,
        space: Space,
        rows: &Rows,
    ) -> Result<Option<Codebook>> {
        let count: usize = rows.batches.iter().map(|b| b.num_rows()).sum();
        let first = Situation {
            rows_here: count as u64,
            rows_all: count as u64,
            trained_rows: None,
            drift: None,
            other_space: false,
        };
        if !codebooks::training_due(first) {
            return Ok(None);
        }
        let dim = field.data_type.vector_dim().unwrap_or(0) as usize;
        let sample = codebooks::sample(&rows.batches, field)?;
        let order = Order { version, dim, space, rows: count };
        self.context.pools.maintenance(move || Ok(cluster::train(order, &sample))).await
    }
}

/// How far rows lie from their centroids, as a share of what it was at training.
async fn drift(field: &FieldSchema, book: &Codebook, inputs: &[Arc<Segment>]) -> Option<f32> {
    let (mut sum, mut rows) = (0.0f64, 0.0f64);
    for input in inputs {
        let file = input.codes_file(&field.name)?;
        if file.codebook_version != book.version {
            continue;
        }
        let codes = input.codes(file, book).await?;
        for (list, spread) in codes.spread.iter().enumerate() {
            let (from, to) = codes.list(list);
            sum += f64::from(*spread) * (to - from) as f64;
            rows += (to - from) as f64;
        }
    }
    (rows > 0.0 && book.mean_error > 0.0).then(|| (sum / rows) as f32 / book.mean_error)
}
