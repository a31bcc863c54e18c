//! The vectors that a search is asked to find neighbours of.

use super::metric::Metric;
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{DataType, FieldSchema};
use crate::core::sparse::SparseVector;
use crate::core::text::bm25::TextQuery;

/// Query vectors of one search, all of one kind and length.
#[derive(Debug, Clone, PartialEq)]
pub enum Queries {
    /// For the dense types; values of narrower types are widened exactly.
    Dense(Vec<Vec<f32>>),
    /// For BinaryVector: `dim / 8` bytes each, the lowest bit of a byte first.
    Binary(Vec<Vec<u8>>),
    /// For SparseFloatVector.
    Sparse(Vec<SparseVector>),
    /// For SparseFloatVector that a BM25 function fills.
    Text(Vec<TextQuery>),
}

/// One query vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Query<'a> {
    /// For the dense types.
    Dense(&'a [f32]),
    /// For BinaryVector.
    Binary(&'a [u8]),
    /// For SparseFloatVector.
    Sparse(&'a SparseVector),
    /// For SparseFloatVector that a BM25 function fills.
    Text(&'a TextQuery),
}

impl From<Vec<Vec<f32>>> for Queries {
    fn from(queries: Vec<Vec<f32>>) -> Self {
        Self::Dense(queries)
    }
}

impl From<Vec<Vec<u8>>> for Queries {
    fn from(queries: Vec<Vec<u8>>) -> Self {
        Self::Binary(queries)
    }
}

impl Queries {
    /// Number of query vectors.
    pub fn len(&self) -> usize {
        match self {
            Self::Dense(q) => q.len(),
            Self::Binary(q) => q.len(),
            Self::Sparse(q) => q.len(),
            Self::Text(q) => q.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the vectors are of numbers of one length.
    pub fn is_dense(&self) -> bool {
        matches!(self, Self::Dense(_))
    }

    /// Whether they are of the kind of a field's vectors.
    fn is_of(&self, data_type: &DataType) -> bool {
        match self {
            Self::Dense(_) => data_type.is_dense_vector(),
            Self::Binary(_) => data_type.is_binary_vector(),
            Self::Sparse(_) | Self::Text(_) => data_type.is_sparse_vector(),
        }
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Option<Query<'_>> {
        match self {
            Self::Dense(q) => q.get(at).map(|q| Query::Dense(q)),
            Self::Binary(q) => q.get(at).map(|q| Query::Binary(q)),
            Self::Sparse(q) => q.get(at).map(Query::Sparse),
            Self::Text(q) => q.get(at).map(Query::Text),
        }
    }

    /// Checks that a field can be searched with these vectors and a metric; returns its dimension, 0
    /// of sparse vectors.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::core::error::ErrorKind::InvalidRequest): the field is no
    /// vector, or type, metric, length or a value of a query does not fit.
    pub fn check(&self, field: &FieldSchema, metric: Metric) -> Result<usize> {
        let bad = |why: String| Err(Error::invalid(Subject::Field, why));
        let data_type = &field.data_type;
        if !data_type.is_vector() {
            return bad(format!(
                "field {} is {}: only a vector field can be searched",
                field.name,
                data_type.display_name()
            ));
        }
        let dim = data_type.vector_dim().unwrap_or(0);
        if !self.is_of(data_type) {
            return bad(format!(
                "vector type must be the same, field {} - type {}, the query vectors are {}",
                field.name,
                data_type.display_name(),
                self.kind()
            ));
        }
        let is_text = matches!(self, Self::Text(_));
        if !metric.compares(data_type) || is_text != (metric == Metric::Bm25) {
            let fitting = match self {
                Self::Binary(_) => "HAMMING, JACCARD, SUBSTRUCTURE or SUPERSTRUCTURE",
                Self::Dense(_) => "L2, IP or COSINE",
                Self::Sparse(_) => "IP",
                Self::Text(_) => "BM25",
            };
            return bad(format!(
                "metric type {} does not compare vectors of field {} ({}): use {fitting}",
                metric.name(),
                field.name,
                data_type.display_name()
            ));
        }
        self.check_values(data_type, dim)?;
        Ok(dim as usize)
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Dense(_) => "dense",
            Self::Binary(_) => "of bits",
            Self::Sparse(_) => "sparse",
            Self::Text(_) => "text",
        }
    }

    fn check_values(&self, data_type: &DataType, dim: u32) -> Result<()> {
        let expected = data_type.vector_bytes().unwrap_or(0);
        let length = |bytes: u64| {
            if bytes == expected {
                return Ok(());
            }
            Err(Error::invalid(
                Subject::Field,
                format!(
                    "vector dimension mismatch, expected vector size(byte) {expected}, actual {bytes}."
                ),
            ))
        };
        match self {
            Self::Sparse(_) | Self::Text(_) => Ok(()),
            Self::Binary(queries) => queries.iter().try_for_each(|q| length(q.len() as u64)),
            Self::Dense(queries) => queries.iter().try_for_each(|query| {
                length(expected / u64::from(dim.max(1)) * query.len() as u64)?;
                match query.iter().find(|v| !v.is_finite()) {
                    None => Ok(()),
                    Some(bad) => Err(Error::invalid(
                        Subject::Field,
                        format!("value '{bad}' is not a number or infinity: query vector"),
                    )),
                }
            }),
        }
    }
}
