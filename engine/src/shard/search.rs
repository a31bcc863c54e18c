//! Vector search over a snapshot: row sets first, each unit by its index, then one merge.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Float32Type;

use super::snapshot::{RowAddress, ScanCounts, Selection, Snapshot};
use crate::core::error::{Error, Result, Subject};
use crate::core::key::Keys;
use crate::core::rowset::RowSet;
use crate::core::schema::DataType;
use crate::index::flat::FlatIndex;
use crate::index::{Metric, ScoreRange, SearchUnit, UnitHit, UnitQuery, VectorIndex};

/// A vector search.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Vector field.
    pub field: String,
    /// Query vectors, each as long as the field's dimension, all finite.
    pub queries: Arc<Vec<Vec<f32>>>,
    /// Metric.
    pub metric: Metric,
    /// Results of each query.
    pub top_k: usize,
    /// Rows that may be answered.
    pub select: Selection,
    /// Only scores in this range.
    pub range: Option<ScoreRange>,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Score in the user's sense: for L2 the squared distance (small is near), for IP and COSINE large is near.
    pub score: f32,
    /// The row.
    pub row: RowAddress,
}

/// Answers of a search.
#[derive(Debug, Clone)]
pub struct SearchResult {
    /// For each query, best first; equal scores by primary key.
    pub hits: Vec<Vec<Hit>>,
    /// What was touched.
    pub counts: ScanCounts,
}

/// Everything that a unit's scan needs, gathered before the CPU work starts.
struct Prepared {
    unit: u32,
    /// Row of the unit at which these vectors start.
    start: u32,
    vectors: ArrayRef,
    allowed: RowSet,
    keys: Keys,
}

impl Snapshot {
    /// The nearest selected rows of each query: `min(top_k, matches)` of them, exactly.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchResult> {
        let dim = self.check_search(request)?;
        let kept = self.try_prune(&request.select)?;
        let mut counts = ScanCounts {
            units: self.units(),
            pruned_units: self.units() - kept.len(),
            ..Default::default()
        };
        let mut prepared = Vec::with_capacity(kept.len());
        for at in kept {
            let unit = &self.inner.units[at];
            counts.rows_considered += unit.alive.count() as u64;
            let allowed = self.unit_rows(unit, request.select.filter.as_ref()).await?;
            if allowed.count() == 0 {
                continue;
            }
            let keys = self.unit_keys(unit).await?;
            let mut start = 0;
            for vectors in self.unit_column_parts(unit, &request.field).await?.iter() {
                let rows = vectors.len();
                let mut here = allowed.slice(start, rows);
                if let Some(nulls) = vectors.nulls() {
                    here = here.and(&RowSet::from_bits(nulls.inner().clone()));
                }
                if here.count() > 0 {
                    let keys = keys.slice(start, rows);
                    let (vectors, start) = (vectors.clone(), start as u32);
                    prepared.push(Prepared {
                        unit: at as u32,
                        start,
                        vectors,
                        allowed: here,
                        keys,
                    });
                }
                start += rows;
            }
        }
        let request = request.clone();
        let work = move || search_units(&prepared, &request, dim);
        let (hits, scanned) = self.inner.pools.search(work).await?;
        counts.rows_scanned = scanned;
        Ok(SearchResult { hits, counts })
    }

    fn check_search(&self, request: &SearchRequest) -> Result<usize> {
        let field = self.schema().field(&request.field)?;
        let DataType::FloatVector { dim } = field.data_type else {
            return Err(Error::invalid(
                Subject::Field,
                format!(
                    "field {} is {}: only a vector field can be searched",
                    field.name,
                    field.data_type.display_name()
                ),
            ));
        };
        for query in request.queries.iter() {
            if query.len() != dim as usize {
                return Err(Error::invalid(
                    Subject::Field,
                    format!(
                        "vector dimension mismatch, expected vector size(byte) {}, actual {}.",
                        4 * dim,
                        4 * query.len()
                    ),
                ));
            }
            if let Some(bad) = query.iter().find(|v| !v.is_finite()) {
                return Err(Error::invalid(
                    Subject::Field,
                    format!("value '{bad}' is not a number or infinity: query vector"),
                ));
            }
        }
        Ok(dim as usize)
    }
}

fn search_units(
    prepared: &[Prepared],
    request: &SearchRequest,
    dim: usize,
) -> Result<(Vec<Vec<Hit>>, u64)> {
    use rayon::prelude::*;
    let query = UnitQuery {
        queries: &request.queries,
        metric: request.metric,
        top_k: request.top_k,
        range: request.range,
    };
    let found: Vec<(Vec<Vec<UnitHit>>, u64)> = prepared
        .par_iter()
        .map(|p| {
            let vectors = p.vectors.as_fixed_size_list();
            let values = vectors.values().as_primitive::<Float32Type>();
            let start = vectors.offset() * dim;
            let values = &values.values()[start..start + vectors.len() * dim];
            let unit = SearchUnit { vectors: values, dim, allowed: &p.allowed, keys: &p.keys };
            FlatIndex.search(&unit, &query)
        })
        .collect::<Result<_>>()?;
    let scanned = found.iter().map(|(_, rows)| rows).sum();
    let hits = (0..request.queries.len()).map(|at| merge(prepared, &found, request, at)).collect();
    Ok((hits, scanned))
}

/// Merges the answers of all units to one query.
fn merge(
    prepared: &[Prepared],
    found: &[(Vec<Vec<UnitHit>>, u64)],
    request: &SearchRequest,
    at: usize,
) -> Vec<Hit> {
    let mut all: Vec<(usize, UnitHit)> = Vec::new();
    for (unit, (hits, _)) in found.iter().enumerate() {
        all.extend(hits[at].iter().map(|h| (unit, *h)));
    }
    let higher = request.metric.higher_is_nearer();
    all.sort_unstable_by(|(ua, a), (ub, b)| {
        let by_score =
            if higher { b.score.total_cmp(&a.score) } else { a.score.total_cmp(&b.score) };
        by_score.then_with(|| {
            let (left, right) = (&prepared[*ua].keys, &prepared[*ub].keys);
            left.compare_with(a.row as usize, right, b.row as usize)
        })
    });
    all.truncate(request.top_k);
    all.into_iter()
        .map(|(unit, hit)| Hit {
            score: hit.score,
            row: RowAddress { unit: prepared[unit].unit, row: prepared[unit].start + hit.row },
        })
        .collect()
}
