//! Scores of vectors of every type, as users see them.

use elanus_kernels::{Kernels, exact_score};

use super::metric::{BitCounts, Metric};
use super::queries::Query;

pub use crate::core::vectors::{VectorValues, VectorView};

impl VectorView<'_> {
    /// The score of a row, the same bits on every machine: dense values are widened and summed in
    /// order in double precision, bits are counted. NaN if query, vectors and metric do not go
    /// together; infinite for a row that a matching metric does not answer.
    pub fn exact_score(&self, metric: Metric, query: Query<'_>, row: usize) -> f64 {
        self.exact_score_with(metric, query, row, &mut Vec::new())
    }

    /// Asks for a row's vector before it is needed.
    pub fn prefetch(&self, row: usize) {
        match self.slice(row..row + 1).values {
            VectorValues::F32(v) => elanus_kernels::prefetch(v),
            VectorValues::F16(v) => elanus_kernels::prefetch(v),
            VectorValues::Int8(v) => elanus_kernels::prefetch(v),
            VectorValues::Bf16(v) | VectorValues::Bits(v) => elanus_kernels::prefetch(v),
            VectorValues::Sparse(v) => elanus_kernels::prefetch(v.bytes(0)),
        }
    }

    /// [`Self::exact_score`] with a buffer that is kept from row to row.
    pub fn exact_score_with(
        &self,
        metric: Metric,
        query: Query<'_>,
        row: usize,
        buffer: &mut Vec<f32>,
    ) -> f64 {
        match (query, self.values, metric.dense()) {
            (Query::Binary(query), VectorValues::Bits(_), None) => {
                bit_score(metric, query, self.bits(row))
            }
            (Query::Sparse(query), VectorValues::Sparse(rows), _) if metric == Metric::Ip => {
                query.dot(rows.bytes(row)).unwrap_or(f64::NEG_INFINITY)
            }
            (Query::Text(query), VectorValues::Sparse(rows), _) if metric == Metric::Bm25 => {
                query.score(rows.bytes(row)).unwrap_or(f64::NEG_INFINITY)
            }
            (Query::Dense(query), _, Some(metric)) if self.is_dense() => {
                exact_score(metric, query, self.block(row..row + 1, buffer))
            }
            _ => f64::NAN,
        }
    }
}

/// Score of two vectors of bits of one length; NaN if the metric is for dense vectors.
pub fn bit_score(metric: Metric, query: &[u8], row: &[u8]) -> f64 {
    let kernels = Kernels::best();
    metric.of_bits(BitCounts {
        query: kernels.count_ones(query),
        both: kernels.and_count(query, row),
        differing: kernels.hamming(query, row),
    })
}
