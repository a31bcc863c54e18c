//! A query made ready for the codes of one codebook.

use elanus_kernels::Kernels;

use super::bytes8;
use super::codebook::{Codebook, Codes, into_space};
use super::coder::POINTS;
use super::view;
use crate::index::Metric;

/// Nibble tables of a query for one set of codes.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub entries: Vec<u8>,
    pub unit: f32,
    pub offset: f32,
    /// Standard deviation of a sum for the rounding of its entries.
    pub rounding: f32,
    /// [`Codes::error`].
    error: f32,
}

/// A query in a codebook's space.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// `[width]`
    pub vector: Vec<f32>,
    /// Squared length in the space, that is: squared distance to the mean.
    pub squared: f32,
    /// Length as given, or 1 for COSINE.
    pub length: f32,
    /// See [`view::shift`].
    pub shift: f32,
    /// The vector in bytes, for the byte codes.
    pub bytes: Vec<i8>,
    pub bytes_scale: f32,
    pub fine: Tables,
    pub flat: Tables,
    floats: Vec<f32>,
    plain: Vec<u8>,
}

impl Ready {
    /// Makes a query ready; `false` if its distances cannot be told in single precision.
    pub fn prepare(&mut self, book: &Codebook, metric: Metric, query: &[f32]) -> bool {
        let kernels = Kernels::best();
        let length = kernels.norm_squared(query).sqrt();
        let unit = metric == Metric::Cosine;
        if !(1e-15..1e15).contains(&length) {
            return false;
        }
        let scale = if unit { 1.0 / length } else { 1.0 };
        self.vector.resize(book.width, 0.0);
        into_space(kernels, query, scale, &book.mean, book.rotation(), &mut self.vector);
        self.squared = kernels.norm_squared(&self.vector);
        self.length = if unit { 1.0 } else { length };
        self.shift = view::shift(book.space, metric, self.length * self.length);
        self.bytes.resize(book.width, 0);
        self.bytes_scale = bytes8::quantize_signed(&self.vector, &mut self.bytes);
        self.squared < 1e30
    }

    /// Builds the tables for the codes of units in lists, or of flat ones.
    pub fn build_tables(&mut self, codes: &Codes, flat: bool) {
        let kernels = Kernels::best();
        let tables = if flat { &mut self.flat } else { &mut self.fine };
        let nibbles = codes.coder.nibbles();
        self.floats.resize(nibbles * POINTS, 0.0);
        tables.entries.resize(nibbles * POINTS, 0);
        codes.coder.tables(kernels, &self.vector, &mut self.floats);
        (tables.unit, tables.offset) = kernels.quantize_tables(&self.floats, &mut tables.entries);
        tables.rounding = tables.unit * (nibbles as f32 / 12.0).sqrt();
        tables.error = codes.error;
    }

    /// Scores of all centroids: squared distance less the query's own squared length.
    pub fn centroid_scores(&mut self, book: &Codebook, out: &mut Vec<f32>) {
        self.plain.clear();
        self.plain.extend(self.bytes.iter().map(|b| (i16::from(*b) + 128) as u8));
        out.resize(book.lists(), 0.0);
        Kernels::best().centroid_scores(book.packed(), &self.plain, &[self.bytes_scale], out);
    }
}

impl Tables {
    /// What a sum must be raised by so that the estimate becomes a bound that `sigmas` standard deviations
    /// of the code's error lie above; `squared` is the squared distance of query and centre.
    pub fn slack(&self, sigmas: f32, squared: f32) -> f32 {
        sigmas * (self.error * self.error * squared + self.rounding * self.rounding).sqrt()
    }
}
