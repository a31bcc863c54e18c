//! A query made ready for the codes of one codebook.

use elanus_kernels::{AlignedBytes, Kernels};

use super::bytes8;
use super::codebook::{Codebook, Codes, Space, into_space};
use super::coder::POINTS;
use super::view;
use crate::index::Metric;

/// Squared distances to the mean, as multiples of the mean squared residual, that can be told apart in single
/// precision.
const FARTHEST: f32 = 1e7;
/// Up to this multiple, one byte a dimension is fine enough for the query.
const ONE_BYTE: f32 = 16.0;

/// Nibble tables of a query for one set of codes.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub entries: AlignedBytes,
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
    /// Length after it was scaled.
    pub length: f32,
    /// See [`view::shift`].
    pub shift: f32,
    /// The vector in bytes, for the byte codes.
    pub bytes: Vec<i8>,
    pub bytes_scale: f32,
    /// What the bytes leave of the vector, in bytes of their own; empty where that does not matter.
    pub rest: Vec<i8>,
    pub rest_scale: f32,
    pub fine: Tables,
    pub flat: Tables,
    floats: Vec<f32>,
    plain: Vec<u8>,
}

impl Ready {
    /// Makes a query ready; `false` if its distances cannot be told in single precision.
    ///
    /// `typical` is the mean length of the rows. A query for IP or COSINE is brought to the length of what is
    /// coded: that changes no order, and a much shorter or longer one would drown the others in rounding.
    pub fn prepare(
        &mut self,
        book: &Codebook,
        metric: Metric,
        typical: f32,
        query: &[f32],
    ) -> bool {
        let kernels = Kernels::best();
        self.bytes.resize(book.width, 0);
        let length = kernels.norm_squared(query).sqrt();
        if !(1e-15..1e15).contains(&length) {
            return false;
        }
        let scale = match (metric, book.space) {
            (Metric::L2, _) => 1.0,
            (_, Space::Unit) => 1.0 / length,
            (_, Space::Raw) => typical / length,
        };
        self.vector.resize(book.width, 0.0);
        into_space(kernels, query, scale, &book.mean, book.rotation(), &mut self.vector);
        self.squared = kernels.norm_squared(&self.vector);
        self.length = scale * length;
        self.shift = view::shift(book.space, metric, self.length * self.length);
        self.bytes_scale = bytes8::quantize_signed(&self.vector, &mut self.bytes);
        self.rest.clear();
        if self.squared > ONE_BYTE * book.mean_error {
            let whole = self.vector.iter().zip(&self.bytes);
            let rest: Vec<f32> = whole.map(|(v, b)| v - self.bytes_scale * f32::from(*b)).collect();
            self.rest.resize(book.width, 0);
            self.rest_scale = bytes8::quantize_signed(&rest, &mut self.rest);
        }
        // A query so far off that rounding hides the differences between rows has to be compared exactly.
        self.squared < FARTHEST * book.mean_error.max(f32::MIN_POSITIVE)
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

    /// Adds the codes by which the centroids are scored, and their scale.
    pub fn push_codes(&self, codes: &mut Vec<u8>, scales: &mut Vec<f32>) {
        codes.extend(self.bytes.iter().map(|b| (i16::from(*b) + 128) as u8));
        scales.push(self.bytes_scale);
    }
}

impl Tables {
    /// What a sum must be raised by so that the estimate becomes a bound that `sigmas` standard deviations
    /// of the code's error lie above; `squared` is the squared distance of query and centre.
    pub fn slack(&self, sigmas: f32, squared: f32) -> f32 {
        sigmas * (self.error * self.error * squared + self.rounding * self.rounding).sqrt()
    }
}
