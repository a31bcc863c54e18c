//! Search inside one unit of rows: vectors by scan ([`flat`]) or by clusters ([`cluster`]), other columns by
//! their values ([`scalar`]).

pub mod cluster;
pub mod flat;
mod flat_bits;
mod flat_sparse;
mod metric;
mod queries;
pub mod scalar;
pub mod topk;
mod vectors;

use crate::core::error::Result;
use crate::core::key::Keys;
use crate::core::rowset::RowSet;

pub use metric::{BitCounts, Metric};
pub use queries::{Queries, Query};
pub use vectors::{VectorValues, VectorView, bit_score};

/// What one unit of rows offers to a search.
#[derive(Debug, Clone, Copy)]
pub struct SearchUnit<'a> {
    /// Vectors of its rows.
    pub vectors: VectorView<'a>,
    /// Rows that may be answered: filter, deletes and null vectors are taken off.
    pub allowed: &'a RowSet,
    /// Primary keys; equal scores are ordered by them.
    pub keys: &'a Keys,
}

/// What a search asks of a unit.
#[derive(Debug, Clone)]
pub struct UnitQuery<'a> {
    /// Of the kind and dimension of the unit's vectors.
    pub queries: &'a Queries,
    /// Metric.
    pub metric: Metric,
    /// Results of each query.
    pub top_k: usize,
    /// Only scores in this range.
    pub range: Option<ScoreRange>,
}

/// Bounds on scores, in Milvus's sense: for L2, HAMMING and JACCARD `range_filter <= score < radius`,
/// for IP and COSINE `radius < score <= range_filter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreRange {
    /// The far bound, outside.
    pub radius: f64,
    /// The near bound, inside; none: no bound.
    pub range_filter: Option<f64>,
}

impl ScoreRange {
    /// Whether a score is in the range. Bounds and score are compared as users see them, in 32 bits.
    pub fn holds(&self, metric: Metric, score: f64) -> bool {
        let (score, radius) = (score as f32, self.radius as f32);
        let near = self.range_filter.map(|n| n as f32);
        if metric.higher_is_nearer() {
            score > radius && near.is_none_or(|n| score <= n)
        } else {
            score < radius && near.is_none_or(|n| score >= n)
        }
    }
}

/// One result in a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitHit {
    /// Score in the user's sense.
    pub score: f32,
    /// Row of the unit.
    pub row: u32,
}

/// Finds the nearest rows of a unit. An implementation may skip rows only if they cannot be answers.
pub trait VectorIndex: Send + Sync {
    /// The best rows of each query, best first, at most `top_k`; and how many rows were compared.
    fn search(
        &self,
        unit: &SearchUnit<'_>,
        query: &UnitQuery<'_>,
    ) -> Result<(Vec<Vec<UnitHit>>, u64)>;
}
