//! Codes for chunks of a memtable, so that a search does not read all their vectors. They are made in the
//! background when a search first meets the chunk; until then, and for small chunks, its vectors are scanned.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;

use crate::core::error::Result;
use crate::core::runtime::{self, CpuPools};
use crate::core::schema::DataType;
use crate::core::vectors::VectorView;
use crate::index::cluster::{Codebook, CodedRows, RowCoder};

/// Chunks of fewer rows are scanned as quickly as they are looked up.
const MIN_ROWS: usize = 128;
/// Rows coded at once: a multiple of a code block.
const BATCH_ROWS: usize = 2_048;

/// The codes of one chunk, by field.
#[derive(Debug, Clone, Default)]
pub struct ChunkCodes(Arc<Mutex<HashMap<String, State>>>);

#[derive(Debug)]
enum State {
    /// Being made for a version of the codebook.
    Coming(u64),
    /// For a version of the codebook; none: the vectors cannot be coded.
    Made(u64, Option<Arc<CodedRows>>),
}

impl ChunkCodes {
    /// The codes of a field's column under a codebook; none while there are none, which this call then
    /// starts to make.
    pub fn get(
        &self,
        field: &str,
        column: &ArrayRef,
        data_type: &DataType,
        book: &Arc<Codebook>,
        pools: &CpuPools,
    ) -> Option<Arc<CodedRows>> {
        if column.len() < MIN_ROWS {
            return None;
        }
        let mut states = self.0.lock();
        match states.get(field) {
            Some(State::Made(version, codes)) if *version == book.version => return codes.clone(),
            Some(State::Coming(version)) if *version == book.version => return None,
            _ => {}
        }
        states.insert(field.to_string(), State::Coming(book.version));
        drop(states);
        self.make(
            field.to_string(),
            column.clone(),
            data_type.clone(),
            book.clone(),
            pools.clone(),
        );
        None
    }

    fn make(
        &self,
        field: String,
        column: ArrayRef,
        data_type: DataType,
        book: Arc<Codebook>,
        pools: CpuPools,
    ) {
        // A chunk that was joined to another meanwhile is gone, and nobody wants its codes.
        let states = Arc::downgrade(&self.0);
        runtime::spawn(async move {
            if states.strong_count() == 0 {
                return;
            }
            let version = book.version;
            let made = pools.maintenance(move || code(&column, &data_type, book)).await;
            if let (Some(states), Ok(codes)) = (states.upgrade(), made) {
                states.lock().insert(field, State::Made(version, codes.map(Arc::new)));
            }
        });
    }
}

/// Flat codes of a column; rows without a vector are left out.
fn code(column: &ArrayRef, data_type: &DataType, book: Arc<Codebook>) -> Result<Option<CodedRows>> {
    let view = VectorView::of(column.as_ref(), data_type)?;
    let dim = book.dim;
    let order: Option<Vec<u32>> = column
        .nulls()
        .filter(|n| n.null_count() > 0)
        .map(|nulls| (0..view.rows as u32).filter(|row| nulls.is_valid(*row as usize)).collect());
    let rows = order.as_ref().map_or(view.rows, Vec::len);
    let mut coder = RowCoder::new(book, true, rows);
    let mut values = vec![0.0; BATCH_ROWS * dim];
    for from in (0..rows).step_by(BATCH_ROWS) {
        let to = rows.min(from + BATCH_ROWS);
        for (place, out) in (from..to).zip(values.chunks_exact_mut(dim)) {
            view.row_f32(order.as_ref().map_or(place, |o| o[place] as usize), out);
        }
        coder.push(&values[..(to - from) * dim], &[]);
    }
    Ok(coder.finish(order).map(|(codes, _)| codes))
}
