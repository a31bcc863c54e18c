//! The codebooks for a flush or compaction: the newest ones, or new ones trained on its rows.

use std::sync::Arc;

use super::open::Shard;
use super::publish::Change;
use crate::core::budget::Use;
use crate::core::error::{ErrorKind, Result};
use crate::core::runtime;
use crate::core::schema::FieldSchema;
use crate::index::cluster::{self, Codebook, Order};
use crate::lsm::codebooks::{self, Situation};
use crate::lsm::coding::FieldBook;
use crate::lsm::layout::Rows;
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
        let here: usize = rows.batches.iter().map(|b| b.num_rows()).sum();
        let others: Vec<Arc<Segment>> = self
            .tree()
            .segments
            .iter()
            .filter(|s| !inputs.iter().any(|i| i.identity.id == s.identity.id))
            .cloned()
            .collect();
        let elsewhere: usize = others.iter().map(|s| s.identity.rows).sum();
        for field in manifest.schema.vector_fields() {
            let Some(space) = codebooks::space_of(manifest, field) else { continue };
            let current = self.current_book(manifest, field, change).await?;
            let situation = Situation {
                min_rows: self.context.settings.compaction.codes_min_rows as u64,
                rows_here: here as u64,
                rows_all: (here + elsewhere) as u64,
                trained_rows: current.as_ref().map(|b| b.trained_rows),
                drift: self.drift(field, current.as_ref(), rows, inputs).await?,
                other_space: current.as_ref().is_some_and(|b| b.space != space),
            };
            let mut trained = None;
            if codebooks::training_due(situation) {
                let sample = self.sample(field, rows, here, &others).await?;
                let dim = field.data_type.vector_dim().unwrap_or(0) as usize;
                let order = Order { version: id, dim, space, rows: here + elsewhere };
                let train = move || Ok(cluster::train(order, sample));
                trained = self.context.pools.maintenance(train).await?.map(Arc::new);
            }
            if let Some(book) = &trained {
                change.codebooks.push(self.codebooks.put(field, book.clone()).await?);
                runtime::gate("retrain.codebook").await;
            }
            let fresh = trained.is_some() && elsewhere == 0;
            let book = trained.or(current);
            fields.extend(book.map(|book| FieldBook { field: field.clone(), book, fresh }));
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

    /// A sample of a field's vectors over the rows at hand and those of other segments.
    async fn sample(
        &self,
        field: &FieldSchema,
        rows: &Rows,
        here: usize,
        others: &[Arc<Segment>],
    ) -> Result<Vec<f32>> {
        let elsewhere: usize = others.iter().map(|s| s.identity.rows).sum();
        // A sample, its codes and what is computed of them stay within the memory for builds.
        let row_bytes = 4 * field.data_type.vector_dim().unwrap_or(1) as usize;
        let affordable = self.context.files.budget.share_bytes(Use::Builds) / (3 * row_bytes);
        let wanted = cluster::sample_rows(here + elsewhere).min(affordable);
        let _memory = self.context.files.hold(Use::Builds, wanted * row_bytes);
        let share = |rows: usize| (wanted * rows).div_ceil((here + elsewhere).max(1));
        let columns: Vec<_> =
            rows.batches.iter().filter_map(|b| b.column_by_name(&field.name).cloned()).collect();
        let mut sample = codebooks::sample(&columns, field, share(here))?;
        let schema = self.tree().manifest.schema.to_storage_arrow();
        for other in others {
            let column = other.column_parts(&schema, &field.name).await?;
            sample.extend(codebooks::sample(&column, field, share(other.identity.rows))?);
        }
        Ok(sample)
    }

    /// How far rows lie from their centroids, as a share of what it was at training: of a compaction by what
    /// its inputs say, of a flush by a sample.
    async fn drift(
        &self,
        field: &FieldSchema,
        book: Option<&Arc<Codebook>>,
        rows: &Rows,
        inputs: &[Arc<Segment>],
    ) -> Result<Option<f32>> {
        let Some(book) = book.filter(|b| b.mean_error > 0.0).cloned() else { return Ok(None) };
        if !inputs.is_empty() {
            return Ok(drift_of(field, &book, inputs).await);
        }
        let columns: Vec<_> =
            rows.batches.iter().filter_map(|b| b.column_by_name(&field.name).cloned()).collect();
        let sample = codebooks::sample(&columns, field, DRIFT_ROWS)?;
        let measure = move || Ok(cluster::train::mean_error(&book, &sample) / book.mean_error);
        self.context.pools.maintenance(measure).await.map(Some)
    }
}

/// Rows by which a flush tells whether its rows have drifted.
const DRIFT_ROWS: usize = 1_024;

/// How far rows lie from their centroids, as a share of what it was at training.
async fn drift_of(field: &FieldSchema, book: &Codebook, inputs: &[Arc<Segment>]) -> Option<f32> {
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
