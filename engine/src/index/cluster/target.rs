//! One unit's codes with the rows that may be answered.

use elanus_kernels::BLOCK_ROWS;

use super::codebook::Codebook;
use super::joined::Joined;
use super::rows::CodedRows;
use super::view::Lens;
use crate::core::rowset::RowSet;
use crate::index::Metric;

/// A unit to search.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The caller's number of the unit.
    pub unit: u32,
    pub(super) rows: &'a CodedRows,
    pub(super) lens: Lens<'a>,
    /// One bit a place, in words from place 0 on; none: all places are allowed.
    pub(super) allowed: Option<Vec<u64>>,
    /// Number of allowed places.
    pub(super) count: usize,
    /// The codes of all rows: `rows` may be those of the allowed ones alone.
    pub(super) whole: &'a CodedRows,
}

impl<'a> Target<'a> {
    /// `allowed` is over the unit's rows, as they lie.
    pub fn new(
        unit: u32,
        book: &Codebook,
        rows: &'a CodedRows,
        allowed: &RowSet,
        metric: Metric,
    ) -> Self {
        let words = match &rows.order {
            _ if allowed.is_all() => None,
            None => Some(allowed.bits().bit_chunks().iter_padded().collect()),
            Some(order) => {
                let mut words = vec![0u64; rows.rows.div_ceil(64)];
                for (place, row) in order.iter().enumerate() {
                    words[place / 64] |= u64::from(allowed.contains(*row as usize)) << (place % 64);
                }
                Some(words)
            }
        };
        Self::with_words(unit, book, rows, words, metric)
    }

    /// All units of a join that may answer: their places in the join, with their allowed rows. Candidates have
    /// the numbers of the join in place of rows.
    pub fn joined(
        unit: u32,
        joined: &'a Joined,
        units: &[(usize, &RowSet)],
        metric: Metric,
    ) -> Self {
        Self::with_words(unit, &joined.book, &joined.rows, joined.allowed(units), metric)
    }

    fn with_words(
        unit: u32,
        book: &Codebook,
        rows: &'a CodedRows,
        allowed: Option<Vec<u64>>,
        metric: Metric,
    ) -> Self {
        let mut target = Self {
            unit,
            rows,
            lens: Lens::of(rows, book.space, metric),
            allowed,
            count: 0,
            whole: rows,
        };
        target.count = target.count_in(0, rows.rows);
        target
    }

    /// Whether no row is left out.
    pub(super) fn allows_all(&self) -> bool {
        self.allowed.is_none()
    }

    /// Asks for the codes of neighbouring lists before they are needed.
    pub(super) fn prefetch(&self, first: usize, last: usize) {
        let block_bytes = self.rows.nibbles.len() / self.rows.rows.div_ceil(BLOCK_ROWS).max(1);
        let from = self.rows.list(first).0 / BLOCK_ROWS;
        let to = self.rows.list(last).1.div_ceil(BLOCK_ROWS);
        let bytes = from * block_bytes..to * block_bytes;
        self.rows.nibbles.get(bytes).into_iter().for_each(elanus_kernels::prefetch);
        let factors = from * BLOCK_ROWS..to * BLOCK_ROWS;
        let coarse = self.lens.coarse();
        coarse.add.get(factors.clone()).into_iter().for_each(elanus_kernels::prefetch);
        coarse.mul.get(factors).into_iter().for_each(elanus_kernels::prefetch);
    }

    /// Row of the unit at a place.
    pub(super) fn row(&self, place: u32) -> u32 {
        self.rows.row(place)
    }

    /// Allowed places in `[from, to)`.
    pub(super) fn count_in(&self, from: usize, to: usize) -> usize {
        let Some(words) = &self.allowed else { return to - from };
        let mut count = 0;
        for word in from / 64..to.div_ceil(64) {
            let bits = words.get(word).copied().unwrap_or(0) & window64(word * 64, from, to);
            count += bits.count_ones() as usize;
        }
        count
    }

    /// The allowed places of the blocks that hold `[from, to)`, one mask a block.
    pub(super) fn masks(&self, from: usize, to: usize, out: &mut Vec<u32>) {
        let blocks = from / BLOCK_ROWS..to.div_ceil(BLOCK_ROWS);
        out.clear();
        match &self.allowed {
            None => out.resize(blocks.len(), u32::MAX),
            Some(words) => out.extend(blocks.clone().map(|block| {
                let word = words.get(block / 2).copied().unwrap_or(0);
                (word >> (block % 2 * 32)) as u32
            })),
        }
        // Only the outer blocks hold places of others.
        if let Some(first) = out.first_mut() {
            *first &= window32(blocks.start * BLOCK_ROWS, from, to);
        }
        if let Some(last) = out.last_mut() {
            *last &= window32((blocks.end - 1) * BLOCK_ROWS, from, to);
        }
    }

    /// Adds the allowed places of `[from, to)` to a list.
    pub(super) fn places(&self, from: usize, to: usize, out: &mut Vec<u32>) {
        let Some(words) = &self.allowed else {
            out.extend(from as u32..to as u32);
            return;
        };
        for word in from / 64..to.div_ceil(64) {
            let mut bits = words.get(word).copied().unwrap_or(0) & window64(word * 64, from, to);
            while bits != 0 {
                out.push(word as u32 * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }
}

/// Bits of the word that starts at `start` which lie in `[from, to)`.
fn window64(start: usize, from: usize, to: usize) -> u64 {
    let low = from.saturating_sub(start).min(64);
    let high = to.saturating_sub(start).min(64);
    ones(high) & !ones(low)
}

fn window32(start: usize, from: usize, to: usize) -> u32 {
    let low = from.saturating_sub(start).min(32);
    let high = to.saturating_sub(start).min(32);
    (ones(high) & !ones(low)) as u32
}

/// The lowest `n` bits.
fn ones(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::buffer::BooleanBuffer;

    #[test]
    fn masks_counts_and_places_agree() {
        let book = super::super::tests::book(32);
        let rows = CodedRows { rows: 300, ..Default::default() };
        for step in [1, 2, 3, 50] {
            // A set that does not start at a byte, as a slice of another.
            let bits = BooleanBuffer::collect_bool(305, |i| i % step == 0).slice(5, 300);
            let allowed = RowSet::from_bits(bits);
            let target = Target::new(0, &book, &rows, &allowed, Metric::L2);
            for (from, to) in
                [(0, 300), (0, 0), (31, 33), (64, 128), (63, 65), (299, 300), (7, 250)]
            {
                let mut places = Vec::new();
                target.places(from, to, &mut places);
                let truth: Vec<u32> =
                    (from as u32..to as u32).filter(|p| allowed.contains(*p as usize)).collect();
                assert_eq!(places, truth, "{step} {from} {to}");
                assert_eq!(target.count_in(from, to), truth.len());
                let mut masks = Vec::new();
                target.masks(from, to, &mut masks);
                let set: u32 = masks.iter().map(|m| m.count_ones()).sum();
                assert_eq!(set as usize, truth.len());
            }
        }
    }
}
