//! The vectors that a search is asked to find neighbours of.

use super::metric::Metric;
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{DataType, FieldSchema};

/// Query vectors of one search, all of one kind and length.
#[derive(Debug, Clone, PartialEq)]
pub enum Queries {
    /// For the dense types; values of narrower types are widened exactly.
    Dense(Vec<Vec<f32>>),
    /// For BinaryVector: `dim / 8` bytes each, the lowest bit of a byte first.
    Binary(Vec<Vec<u8>>),
}

/// One query vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Query<'a> {
    /// For the dense types.
    Dense(&'a [f32]),
    /// For BinaryVector.
    Binary(&'a [u8]),
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
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the vectors are of bits.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Binary(_))
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Option<Query<'_>> {
        match self {
            Self::Dense(q) => q.get(at).map(|q| Query::Dense(q)),
            Self::Binary(q) => q.get(at).map(|q| Query::Binary(q)),
        }
    }

    /// Checks that a field can be searched with these vectors and a metric; returns its dimension.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::core::error::ErrorKind::InvalidRequest): the field is no
    /// vector, or type, metric, length or a value of a query does not fit.
    pub fn check(&self, field: &FieldSchema, metric: Metric) -> Result<usize> {
        let bad = |why: String| Err(Error::invalid(Subject::Field, why));
        let data_type = &field.data_type;
        let Some(dim) = data_type.vector_dim() else {
            return bad(format!(
                "field {} is {}: only a vector field can be searched",
                field.name,
                data_type.display_name()
            ));
        };
        let binary = data_type.is_binary_vector();
        if self.is_binary() != binary {
            return bad(format!(
                "vector type must be the same, field {} - type {}, the query vectors are {}",
                field.name,
                data_type.display_name(),
                if binary { "dense" } else { "of bits" }
            ));
        }
        if metric.is_binary() != binary {
            let fitting = if binary {
                "HAMMING, JACCARD, SUBSTRUCTURE or SUPERSTRUCTURE"
            } else {
                "L2, IP or COSINE"
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
