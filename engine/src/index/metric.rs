//! How two vectors are compared, and what their score is.

use elanus_kernels::Metric as DenseMetric;

use crate::core::schema::DataType;

/// How two vectors are compared. Scores are those that Milvus reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Dense: squared Euclidean distance; lower is nearer.
    L2,
    /// Dense and sparse: inner product, any sign; higher is nearer. Sparse vectors without a common
    /// position are no answers.
    Ip,
    /// Dense: cosine of the angle, -1 to 1; higher is nearer. A zero vector scores 0.
    Cosine,
    /// Bits: number of bits that differ; lower is nearer.
    Hamming,
    /// Bits: share of the bits set in either vector that are not set in both, 0 to 1; lower is
    /// nearer. Two vectors without a bit score 1, as in Milvus.
    Jaccard,
    /// Bits: 0 for a row that has every bit of the query. Other rows are no answers.
    Substructure,
    /// Bits: 0 for a row whose bits are all in the query. Other rows are no answers.
    Superstructure,
    /// Text: how well the words of a row fit those asked for; higher is nearer. Rows without one of
    /// the words are no answers.
    Bm25,
}

/// Counts of bits from which every score of two vectors of bits follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitCounts {
    /// Bits set in the query.
    pub query: u32,
    /// Bits set in both.
    pub both: u32,
    /// Bits set in one of them only.
    pub differing: u32,
}

impl Metric {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::L2,
        Self::Ip,
        Self::Cosine,
        Self::Hamming,
        Self::Jaccard,
        Self::Substructure,
        Self::Superstructure,
        Self::Bm25,
    ];

    /// The metric of that name, as [`Self::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.name() == name)
    }

    /// Whether a higher score is nearer (`Ip`, `Cosine`, `Bm25`) or a lower one (all others).
    pub fn higher_is_nearer(self) -> bool {
        matches!(self, Self::Ip | Self::Cosine | Self::Bm25)
    }

    /// Whether it compares vectors of bits.
    pub fn is_binary(self) -> bool {
        self.dense().is_none() && self != Self::Bm25
    }

    /// Whether it compares vectors of a type.
    pub fn compares(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::SparseFloatVector => matches!(self, Self::Ip | Self::Bm25),
            DataType::BinaryVector { .. } => self.is_binary(),
            other => other.is_vector() && self.dense().is_some(),
        }
    }

    /// The metric of the kernels for dense vectors.
    pub fn dense(self) -> Option<DenseMetric> {
        match self {
            Self::L2 => Some(DenseMetric::L2),
            Self::Ip => Some(DenseMetric::Ip),
            Self::Cosine => Some(DenseMetric::Cosine),
            Self::Hamming | Self::Jaccard | Self::Substructure | Self::Superstructure => None,
            Self::Bm25 => None,
        }
    }

    /// Milvus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "L2",
            Self::Ip => "IP",
            Self::Cosine => "COSINE",
            Self::Hamming => "HAMMING",
            Self::Jaccard => "JACCARD",
            Self::Substructure => "SUBSTRUCTURE",
            Self::Superstructure => "SUPERSTRUCTURE",
            Self::Bm25 => "BM25",
        }
    }

    /// Whether only rows that match are answers, all of them with score 0.
    pub fn matches_only(self) -> bool {
        matches!(self, Self::Substructure | Self::Superstructure)
    }

    /// The score of two vectors of bits; infinite for a row that is no answer, NaN if the metric is
    /// for other vectors.
    pub fn of_bits(self, bits: BitCounts) -> f64 {
        let matching = |all: bool| if all { 0.0 } else { f64::INFINITY };
        let BitCounts { query, both, differing } = bits;
        let either = both + differing;
        match self {
            Self::Hamming => f64::from(differing),
            // One division: in 64 bits, then rounded to 32, it is the division in 32 bits.
            Self::Jaccard if either == 0 => 1.0,
            Self::Jaccard => f64::from(differing) / f64::from(either),
            Self::Substructure => matching(both == query),
            // All that differ are set in the query.
            Self::Superstructure => matching(both + differing == query),
            Self::L2 | Self::Ip | Self::Cosine | Self::Bm25 => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_bits() {
        let score = |metric: Metric, query: u32, row: u32, both: u32| {
            metric.of_bits(BitCounts { query, both, differing: query + row - 2 * both })
        };
        assert_eq!(score(Metric::Hamming, 5, 4, 3), 3.0);
        assert_eq!(score(Metric::Jaccard, 5, 4, 3), 0.5);
        assert_eq!(score(Metric::Jaccard, 0, 0, 0), 1.0);
        assert_eq!(score(Metric::Jaccard, 3, 3, 3), 0.0);
        assert_eq!(score(Metric::Substructure, 3, 4, 3), 0.0);
        assert_eq!(score(Metric::Superstructure, 3, 4, 3), f64::INFINITY);
        assert_eq!(score(Metric::Superstructure, 4, 3, 3), 0.0);
        assert!(score(Metric::L2, 1, 1, 1).is_nan());
    }
}
