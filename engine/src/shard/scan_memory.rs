//! How much a search may hold at once: everything where it all fits, else one wave after the other.

use std::time::Duration;

use super::search::SearchRequest;
use super::snapshot::{Snapshot, UnitSource};
use crate::core::budget::{Reservation, Use};
use crate::core::error::Result;
use crate::core::schema::{DataType, FieldSchema};

/// Bytes of vectors that one search compares at once, however much memory there is.
const WAVE_BYTES: usize = 512 << 20;
/// Bytes of a key or a number.
const KEY_BYTES: usize = 8;
/// Bytes of a text, about.
const TEXT_BYTES: usize = 128;
/// Vectors that an array of vectors is taken to hold.
const LIST_VECTORS: usize = 8;
/// Copies of a row on its way out: as taken, in order, as a message, as its bytes.
const ANSWER_COPIES: usize = 4;
/// How long a search waits for others.
const PATIENCE: Duration = Duration::from_secs(20);

/// The memory of one search.
pub(super) struct ScanMemory {
    /// Whether the cache can hold all that the search looks at.
    pub all_fits: bool,
    /// What it may hold at once beside the cache.
    pub wave_bytes: usize,
    _reserved: Option<Reservation>,
}

impl Snapshot {
    /// Memory for a search of some units; waits for other searches if not all that they look at is in memory.
    pub(super) async fn memory_for(
        &self,
        units: &[usize],
        request: &SearchRequest,
        field: &FieldSchema,
    ) -> Result<ScanMemory> {
        let files = &self.inner.files;
        let vector = match field.data_type.vector_element() {
            Some(_) => value_bytes(&field.data_type),
            None => field.data_type.vector_bytes().unwrap_or(0) as usize,
        };
        let dim = field.data_type.vector_dim().unwrap_or(0) as usize;
        let mut total = 0usize;
        for unit in units.iter().map(|at| &self.inner.units[*at]) {
            let UnitSource::Segment(segment) = &unit.source else { continue };
            let coded = segment.codes_file(&request.field).is_some();
            // A code is a byte and some bits a dimension, and some numbers.
            let code = if coded { dim + dim / 4 + 40 } else { 0 };
            total += unit.rows() * (vector + code + KEY_BYTES);
        }
        if total <= files.cache.room_bytes() / 4 * 3 {
            return Ok(ScanMemory { all_fits: true, wave_bytes: WAVE_BYTES, _reserved: None });
        }
        let wave_bytes = WAVE_BYTES.min(files.budget.share_bytes(Use::Scans) / 3);
        let reserved = files.reserve(Use::Scans, wave_bytes.min(total), PATIENCE).await?;
        Ok(ScanMemory { all_fits: false, wave_bytes, _reserved: Some(reserved) })
    }

    /// Memory for an answer of so many rows; to be held until it is on its way.
    ///
    /// # Errors
    /// `LimitExceeded` if it could never fit, `Busy` if it did not become free in time.
    pub async fn answer_memory(&self, rows: usize, columns: &[String]) -> Result<Reservation> {
        let fields = columns.iter().filter_map(|name| self.schema().field(name).ok());
        let row: usize = fields.map(|f| value_bytes(&f.data_type)).sum();
        let bytes = rows.saturating_mul(row + KEY_BYTES).saturating_mul(ANSWER_COPIES);
        self.inner.files.reserve(Use::Requests, bytes, PATIENCE).await
    }
}

/// Bytes of a value in an answer, about.
fn value_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::VarChar { max_length } => usize::min(*max_length as usize, TEXT_BYTES),
        DataType::Array { element, .. } if element.is_vector() => {
            LIST_VECTORS * element.vector_bytes().unwrap_or(0) as usize
        }
        DataType::Json | DataType::Array { .. } => TEXT_BYTES,
        other => other.vector_bytes().map_or(KEY_BYTES, |bytes| bytes as usize),
    }
}
