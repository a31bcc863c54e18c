//! The codes of one unit's rows, in the order of its lists.

use std::sync::{Arc, OnceLock};

use elanus_kernels::{AlignedBytes, BLOCK_ROWS, Kernels};
use rayon::prelude::*;

use super::bytes8;
use super::codebook::{Codebook, Codes, Space};
use super::coverage::Coverage;
use super::overview::Overview;
use super::view::{Factors, View};
use crate::index::Metric;

/// The codes of a segment or of a part of a memtable. Place `p` of each array belongs to row `p` of the
/// unit, or to row `order[p]` where an order is given.
#[derive(Debug, Default)]
pub struct CodedRows {
    /// Coded rows.
    pub rows: usize,
    /// Places `[starts[l], starts[l+1])` are list `l`; empty in a flat unit, whose rows are all coded
    /// relative to the mean. Rows after the last list have no vector.
    pub starts: Vec<u32>,
    /// Mean squared length of the residuals of each list.
    pub spread: Vec<f32>,
    /// Nibbles in blocks of 32 rows: see [`elanus_kernels::NibbleRows`].
    pub nibbles: AlignedBytes,
    /// Factors of the nibble codes.
    pub coarse: Factors,
    /// `[rows, width]`
    pub bytes: AlignedBytes,
    /// Factors of the byte codes.
    pub fine: Factors,
    /// Length of each vector as it was given.
    pub lengths: Vec<f32>,
    /// Row of each place; none: the rows lie in order.
    pub order: Option<Vec<u32>>,
    /// Lists to look at, measured on these rows; none: the codebook's own measure holds.
    pub coverage: Option<Coverage>,
    pub(crate) views: [OnceLock<Arc<View>>; 3],
    pub(crate) seen: OnceLock<Lengths>,
    pub(crate) overview: OnceLock<Arc<Overview>>,
}

/// Lengths of some vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lengths {
    /// The shortest.
    pub least: f32,
    /// The mean.
    pub mean: f32,
    /// The longest.
    pub most: f32,
}

impl Lengths {
    /// Whether they are so alike that codes made for one metric serve another: errors of the codes grow with
    /// the length, and where lengths differ much they would decide the order.
    pub fn are_alike(&self) -> bool {
        self.least > 0.0 && self.most <= 2.0 * self.least
    }
}

impl CodedRows {
    /// Lengths of the vectors.
    pub fn lengths_seen(&self) -> Lengths {
        *self.seen.get_or_init(|| {
            let sum: f64 = self.lengths.iter().map(|l| f64::from(*l)).sum();
            Lengths {
                least: self.lengths.iter().copied().fold(f32::INFINITY, f32::min),
                mean: (sum / self.lengths.len().max(1) as f64) as f32,
                most: self.lengths.iter().copied().fold(0.0, f32::max),
            }
        })
    }

    /// Whether the codes, made in that space, can answer a metric.
    pub fn can_answer(&self, space: Space, metric: Metric) -> bool {
        match (space, metric) {
            (Space::Raw, Metric::L2) | (Space::Unit, Metric::Cosine) => true,
            // Its distance depends on the query's own length too.
            (Space::Unit, Metric::L2) => false,
            _ => self.lengths_seen().are_alike(),
        }
    }

    /// Whether the unit has no lists.
    pub fn is_flat(&self) -> bool {
        self.starts.is_empty()
    }

    /// Places of a list.
    pub fn list(&self, list: usize) -> (usize, usize) {
        match (self.starts.get(list), self.starts.get(list + 1)) {
            (Some(from), Some(to)) => (*from as usize, *to as usize),
            _ => (0, self.rows),
        }
    }

    /// Row of the unit at a place.
    pub fn row(&self, place: u32) -> u32 {
        self.order.as_ref().map_or(place, |order| order[place as usize])
    }

    /// The list of each place.
    pub fn lists_of_places(&self) -> Vec<u32> {
        let mut lists = vec![0; self.rows];
        for list in 0..self.starts.len().saturating_sub(1) {
            let (from, to) = self.list(list);
            lists[from..to].fill(list as u32);
        }
        lists
    }

    /// Puts the codes into large pages, for searches read them at random.
    pub fn use_huge_pages(&self) {
        elanus_kernels::use_huge_pages(&self.nibbles);
        elanus_kernels::use_huge_pages(&self.bytes);
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        let floats = 2 * (self.coarse.add.len() + self.fine.add.len()) + self.lengths.len();
        let order = self.order.as_ref().map_or(0, Vec::len);
        let views = self.views.iter().filter_map(OnceLock::get).map(|v| v.bytes()).sum::<usize>();
        let words = floats + order + self.starts.len() + self.spread.len();
        let overview = self.overview.get().map_or(0, |o| o.bytes());
        self.nibbles.len() + self.bytes.len() + 4 * words + views + overview
    }
}

/// Codes rows that come in batches, in their final order.
#[derive(Debug)]
pub struct RowCoder {
    book: Arc<Codebook>,
    flat: bool,
    out: CodedRows,
    list_of: Vec<u32>,
    residuals: Vec<f32>,
    sound: bool,
}

impl RowCoder {
    /// For a unit in lists, or a flat one, of about so many rows.
    pub fn new(book: Arc<Codebook>, flat: bool, rows: usize) -> Self {
        let nibbles = if flat { &book.flat } else { &book.fine }.coder.nibbles();
        let out = CodedRows {
            nibbles: AlignedBytes::with_capacity(rows.div_ceil(BLOCK_ROWS) * nibbles * 16),
            bytes: AlignedBytes::with_capacity(rows * book.width),
            ..Default::default()
        };
        let (list_of, residuals) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { book, flat, out, list_of, residuals, sound: true }
    }

    fn codes(&self) -> &Codes {
        if self.flat { &self.book.flat } else { &self.book.fine }
    }

    /// Makes room for `n` more rows; returns the place of the first.
    fn grow(&mut self, n: usize) -> usize {
        let from = self.out.rows;
        self.out.rows += n;
        let rows = self.out.rows;
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let block_bytes = self.codes().coder.nibbles() * 16;
        self.out.nibbles.resize(blocks * block_bytes, 0);
        self.out.coarse.resize(blocks * BLOCK_ROWS);
        self.out.fine.resize(rows);
        self.out.bytes.resize(rows * self.book.width, bytes8::ZERO);
        self.out.lengths.resize(rows, 0.0);
        self.residuals.resize(rows, 0.0);
        from
    }

    /// Codes vectors `[n, dim]` of these lists (empty: flat). Every batch but the last must have a
    /// multiple of 32 rows.
    pub fn push(&mut self, vectors: &[f32], lists: &[u32]) {
        let (dim, width) = (self.book.dim, self.book.width);
        let n = vectors.len() / dim;
        debug_assert_eq!(
            self.out.rows % BLOCK_ROWS,
            0,
            "a batch before was no multiple of a block"
        );
        let from = self.grow(n);
        self.list_of.extend_from_slice(lists);
        let (book, flat) = (self.book.as_ref(), self.flat);
        let codes = if flat { &book.flat } else { &book.fine };
        let block_bytes = codes.coder.nibbles() * 16;
        let coarse_from = from;
        let sound = vectors
            .par_chunks(BLOCK_ROWS * dim)
            .zip(self.out.nibbles[from / BLOCK_ROWS * block_bytes..].par_chunks_mut(block_bytes))
            .zip(self.out.coarse.add[coarse_from..].par_chunks_mut(BLOCK_ROWS))
            .zip(self.out.coarse.mul[coarse_from..].par_chunks_mut(BLOCK_ROWS))
            .zip(self.out.bytes[from * width..].par_chunks_mut(BLOCK_ROWS * width))
            .zip(self.out.fine.add[from..].par_chunks_mut(BLOCK_ROWS))
            .zip(self.out.fine.mul[from..].par_chunks_mut(BLOCK_ROWS))
            .zip(self.out.lengths[from..].par_chunks_mut(BLOCK_ROWS))
            .zip(self.residuals[from..].par_chunks_mut(BLOCK_ROWS))
            .enumerate()
            .map(
                |(
                    at,
                    ((((((((vectors, nibbles), cadd), cmul), bytes), fadd), fmul), len), res),
                )| {
                    let lists = if flat { &[][..] } else { &lists[at * BLOCK_ROWS..] };
                    let mut block = Block { book, codes, nibbles, bytes };
                    let mut worker = Worker::new(book, codes);
                    let mut sound = true;
                    for (row, vector) in vectors.chunks_exact(dim).enumerate() {
                        let list = lists.get(row).map(|l| *l as usize);
                        let made = worker.code(&mut block, row, vector, list);
                        (cadd[row], cmul[row]) = made.coarse;
                        (fadd[row], fmul[row]) = made.fine;
                        (len[row], res[row]) = (made.length, made.residual);
                        sound &= made.is_sound();
                    }
                    sound
                },
            )
            .reduce(|| true, |a, b| a && b);
        self.sound &= sound;
    }

    /// Takes over the codes of a place of a unit with the same codebook.
    pub fn copy(&mut self, from: &CodedRows, place: usize, list: u32) {
        let width = self.book.width;
        let nibbles = self.codes().coder.nibbles();
        let to = self.grow(1);
        let out = &mut self.out;
        let block = |place: usize| (place / BLOCK_ROWS * nibbles * 16, place % BLOCK_ROWS);
        let ((source, source_row), (target, target_row)) = (block(place), block(to));
        for m in 0..nibbles {
            let nibble = from.nibbles[source + m * 16 + source_row % 16] >> (source_row / 16 * 4);
            out.nibbles[target + m * 16 + target_row % 16] |=
                (nibble & 15) << (target_row / 16 * 4);
        }
        out.bytes[to * width..(to + 1) * width]
            .copy_from_slice(&from.bytes[place * width..(place + 1) * width]);
        (out.coarse.add[to], out.coarse.mul[to]) = (from.coarse.add[place], from.coarse.mul[place]);
        (out.fine.add[to], out.fine.mul[to]) = (from.fine.add[place], from.fine.mul[place]);
        out.lengths[to] = from.lengths[place];
        self.residuals[to] = from.spread[list as usize];
        self.list_of.push(list);
    }

    /// The codes, and the mean squared residual. None if a value was so large that its square overflowed.
    pub fn finish(mut self, order: Option<Vec<u32>>) -> Option<(CodedRows, f32)> {
        if !self.sound {
            return None;
        }
        let mean =
            self.residuals.iter().map(|r| f64::from(*r)).sum::<f64>() / self.out.rows.max(1) as f64;
        if !self.flat {
            let lists = self.book.lists();
            let mut starts = vec![0u32; lists + 1];
            let mut spread = vec![0.0f64; lists];
            for (list, residual) in self.list_of.iter().zip(&self.residuals) {
                starts[*list as usize + 1] += 1;
                spread[*list as usize] += f64::from(*residual);
            }
            for list in 0..lists {
                spread[list] /= f64::from(starts[list + 1].max(1));
                starts[list + 1] += starts[list];
            }
            self.out.starts = starts;
            self.out.spread = spread.into_iter().map(|s| s as f32).collect();
        }
        self.out.order = order;
        Some((self.out, mean as f32))
    }
}

struct Block<'a> {
    book: &'a Codebook,
    codes: &'a Codes,
    nibbles: &'a mut [u8],
    bytes: &'a mut [u8],
}

struct Made {
    coarse: (f32, f32),
    fine: (f32, f32),
    length: f32,
    residual: f32,
}

impl Made {
    fn is_sound(&self) -> bool {
        let all = [self.coarse.0, self.coarse.1, self.fine.0, self.fine.1, self.length];
        all.iter().all(|v| v.abs() < 1e30)
    }
}

/// Buffers for coding one row after another.
struct Worker {
    kernels: Kernels,
    vector: Vec<f32>,
    code: Vec<f32>,
    nibbles: Vec<u8>,
}

impl Worker {
    fn new(book: &Codebook, codes: &Codes) -> Self {
        let zeros = vec![0.0; book.width];
        let nibbles = vec![0; codes.coder.nibbles()];
        Self { kernels: Kernels::best(), vector: zeros.clone(), code: zeros, nibbles }
    }

    fn code(
        &mut self,
        block: &mut Block<'_>,
        row: usize,
        given: &[f32],
        list: Option<usize>,
    ) -> Made {
        let (book, kernels) = (block.book, self.kernels);
        let length = book.transform(kernels, given, &mut self.vector);
        let center = list.map(|l| book.centroid(l));
        if let Some(center) = center {
            self.vector.iter_mut().zip(center).for_each(|(v, c)| *v -= c);
        }
        let squared = kernels.norm_squared(&self.vector);
        block.codes.coder.encode(&self.vector, &mut self.nibbles, &mut self.code);
        let mut coarse = factors(kernels, squared, &self.vector, &self.code, center);
        for (m, nibble) in self.nibbles.iter().enumerate() {
            block.nibbles[m * 16 + row % 16] |= nibble << (row / 16 * 4);
        }
        let bytes = &mut block.bytes[row * book.width..(row + 1) * book.width];
        bytes8::quantize(&self.vector, bytes);
        self.code.iter_mut().zip(bytes).for_each(|(c, b)| *c = f32::from(*b) - 128.0);
        let mut fine = factors(kernels, squared, &self.vector, &self.code, center);
        if book.space == Space::Unit && length == 0.0 {
            // The cosine with a vector of no length is 0: it lies at squared distance 2, not 1.
            coarse.0 += 1.0;
            fine.0 += 1.0;
        }
        Made { coarse, fine, length, residual: squared }
    }
}

/// `(add, mul)` with `|q - (c+r)|² ≈ |q-c|² + add + mul <q, code>`.
fn factors(
    kernels: Kernels,
    squared: f32,
    residual: &[f32],
    code: &[f32],
    center: Option<&[f32]>,
) -> (f32, f32) {
    let along = kernels.dot(residual, code);
    // A code that hardly points along its residual says little: no estimate may exceed four times the
    // residual's length.
    let most = 4.0 * (squared / kernels.norm_squared(code).max(f32::MIN_POSITIVE)).sqrt();
    let factor = if along > 0.0 { (squared / along).min(most) } else { 0.0 };
    let center = center.map_or(0.0, |c| kernels.dot(c, code));
    (squared + 2.0 * factor * center, -2.0 * factor)
}
