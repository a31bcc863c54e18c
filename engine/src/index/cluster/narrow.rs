//! The allowed rows alone. A scan works on blocks of rows: under a filter that lets every tenth row through it
//! does ten times the work. For many queries under the same filter it pays to copy the codes of the allowed rows
//! first.

use std::sync::Arc;

use super::codebook::Codebook;
use super::rows::{CodedRows, RowCoder};
use super::target::Target;
use super::view::Lens;
use crate::index::Metric;

/// At most every so-many-th row is allowed, or the blocks are full enough.
const SHARE: usize = 3;
/// Rows that are copied in the time that one query is quicker for it, about.
const ROWS_PER_QUERY: usize = 100;
/// Bytes of copied codes of one search.
const MOST_BYTES: usize = 64 << 20;
/// Below so many rows all are compared by their bytes, and nothing is scanned.
const LEAST_ROWS: usize = 1_024;

impl<'a> Target<'a> {
    /// The codes of the allowed rows alone; none if so many queries are no slower without.
    pub fn narrowed(&self, book: &Arc<Codebook>, queries: usize) -> Option<CodedRows> {
        let pays = self.count >= LEAST_ROWS.max(self.rows.rows / 100)
            && self.count * SHARE <= self.rows.rows
            && self.count <= queries.saturating_mul(ROWS_PER_QUERY)
            && self.count * book.width <= MOST_BYTES;
        if self.rows.is_flat() || !pays {
            return None;
        }
        let mut coder = RowCoder::new(book.clone(), false, self.count);
        let (mut order, mut places) = (Vec::with_capacity(self.count), Vec::new());
        for list in 0..book.lists() {
            let (from, to) = self.rows.list(list);
            places.clear();
            self.places(from, to, &mut places);
            for place in &places {
                order.push(self.row(*place));
                coder.copy(self.rows, *place as usize, list as u32);
            }
        }
        let (mut rows, _) = coder.finish(Some(order))?;
        rows.coverage.clone_from(&self.rows.coverage);
        Some(rows)
    }

    /// The same unit by the codes of its allowed rows alone.
    #[must_use]
    pub fn over(self, rows: &'a CodedRows, book: &Codebook, metric: Metric) -> Self {
        Self {
            rows,
            lens: Lens::of(rows, book.space, metric),
            allowed: None,
            count: rows.rows,
            ..self
        }
    }
}
