//! Exact search: every allowed row is compared.
//!
//! The scan runs in single precision with a margin of extra candidates; those are scored again in double
//! precision by one sequential reference, so that a score does not depend on the processor.

use elanus_kernels::{Kernels, Metric as DenseMetric, exact_score};

use super::topk::{Candidate, TopK};
use super::{
    Metric, Queries, Query, ScoreRange, SearchUnit, UnitHit, UnitQuery, VectorIndex, VectorValues,
    flat_bits, flat_sparse,
};
use crate::core::error::{Error, Result};
use crate::core::sparse::SparseVector;
use crate::core::text::bm25::TextQuery;

/// Rows scored per step: their vectors stay in the cache while all queries of a batch see them.
pub(super) const BLOCK_ROWS: usize = 256;
/// Candidates beyond `top_k` that are scored again.
const MARGIN: usize = 32;

/// Exact search by scanning.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlatIndex;

impl VectorIndex for FlatIndex {
    fn search(
        &self,
        unit: &SearchUnit<'_>,
        query: &UnitQuery<'_>,
    ) -> Result<(Vec<Vec<UnitHit>>, u64)> {
        let dim = unit.vectors.dim;
        let hits = match (query.queries, unit.vectors.values, query.metric.dense()) {
            (Queries::Binary(queries), VectorValues::Bits(bits), None)
                if queries.iter().all(|q| q.len() == dim / 8) =>
            {
                flat_bits::search(unit, query, queries, bits)
            }
            (Queries::Sparse(queries), VectorValues::Sparse(rows), _)
                if query.metric == Metric::Ip =>
            {
                flat_sparse::search(unit, query, queries, rows, SparseVector::dot)
            }
            (Queries::Text(queries), VectorValues::Sparse(rows), _)
                if query.metric == Metric::Bm25 =>
            {
                flat_sparse::search(unit, query, queries, rows, TextQuery::score)
            }
            (Queries::Dense(queries), _, Some(metric))
                if unit.vectors.is_dense() && queries.iter().all(|q| q.len() == dim) =>
            {
                Scan::new(unit, query, queries, metric).search()
            }
            _ => return Err(Error::internal("the queries of a search do not fit the vectors")),
        };
        Ok((hits, (unit.allowed.count() * query.queries.len()) as u64))
    }
}

struct Scan<'a> {
    kernels: Kernels,
    unit: &'a SearchUnit<'a>,
    query: &'a UnitQuery<'a>,
    queries: &'a [Vec<f32>],
    metric: DenseMetric,
    dim: usize,
    /// Norms of the rows of the block, where the metric needs them.
    norms: Vec<f32>,
    /// The largest of all blocks.
    longest: f32,
    /// Whether a row's norm is out of the range of single precision.
    odd: bool,
}

impl<'a> Scan<'a> {
    fn new(
        unit: &'a SearchUnit<'a>,
        query: &'a UnitQuery<'a>,
        queries: &'a [Vec<f32>],
        metric: DenseMetric,
    ) -> Self {
        Self {
            kernels: Kernels::best(),
            unit,
            query,
            queries,
            metric,
            dim: unit.vectors.dim,
            norms: Vec::with_capacity(BLOCK_ROWS),
            longest: 0.0,
            odd: false,
        }
    }

    fn search(mut self) -> Vec<Vec<UnitHit>> {
        let (unit, query) = (self.unit, self.query);
        let kept = query.top_k.saturating_add(MARGIN).min(unit.allowed.count());
        let mut tops: Vec<TopK<'_>> =
            self.queries.iter().map(|_| TopK::new(kept, unit.keys)).collect();
        let mut scores = vec![0.0; BLOCK_ROWS];
        let mut widened = Vec::new();
        for (from, to) in unit.allowed.runs() {
            for start in (from..to).step_by(BLOCK_ROWS) {
                let end = to.min(start + BLOCK_ROWS);
                let rows = unit.vectors.block(start..end, &mut widened);
                self.measure(rows);
                for (vector, top) in self.queries.iter().zip(&mut tops) {
                    let out = &mut scores[..end - start];
                    self.distances(vector, rows, out);
                    for (row, distance) in (start..end).zip(out) {
                        top.push(*distance, row as u32);
                    }
                }
            }
        }
        let answers = tops.into_iter().zip(self.queries).map(|(top, vector)| {
            let candidates = top.into_sorted();
            let all = candidates.len() == unit.allowed.count();
            if all || query.range.is_some() || self.apart(query.top_k, &candidates, vector) {
                return finish(unit, query, candidates.iter().map(|c| c.row), vector);
            }
            finish(unit, query, unit.allowed.iter().map(|row| row as u32), vector)
        });
        answers.collect()
    }

    /// Takes the norms of a block, once for all queries.
    fn measure(&mut self, rows: &[f32]) {
        if self.metric == DenseMetric::L2 || self.query.range.is_some() {
            return;
        }
        self.norms.clear();
        for row in rows.chunks_exact(self.dim.max(1)) {
            let squared = self.kernels.norm_squared(row);
            self.odd |= !in_range(squared) && row.iter().any(|v| *v != 0.0);
            let norm = squared.sqrt();
            self.longest = self.longest.max(norm);
            self.norms.push(norm);
        }
    }

    /// Whether the rounding of the scan cannot have kept out a row that belongs to the best `top_k`: the
    /// last candidate is farther than the last answer by more than two roundings. If not, as with thousands
    /// of equal scores, every row has to be scored exactly.
    fn apart(&self, top_k: usize, candidates: &[Candidate], query: &[f32]) -> bool {
        let (Some(last), Some(answer)) = (candidates.last(), top_k.checked_sub(1)) else {
            return true;
        };
        let Some(answer) = candidates.get(answer) else { return true };
        let squared = self.kernels.norm_squared(query);
        let odd = self.odd || (!in_range(squared) && query.iter().any(|v| *v != 0.0));
        let relative = self.dim as f32 * f32::EPSILON;
        let error = match self.metric {
            DenseMetric::L2 => relative * last.distance.abs(),
            DenseMetric::Cosine => relative,
            DenseMetric::Ip => relative * squared.sqrt() * self.longest,
        };
        // Below the smallest normal number, rounding is no longer relative.
        let error = error + self.dim as f32 * f32::MIN_POSITIVE;
        let odd = odd && self.metric != DenseMetric::L2;
        !odd && last.distance - answer.distance > 2.0 * error
    }

    /// With a range, rows must not be cut by their rounded score: all are scored exactly, and those outside
    /// are put infinitely far away, so that they never push out one inside.
    fn exact_distances(&self, range: ScoreRange, query: &[f32], rows: &[f32], out: &mut [f32]) {
        let metric = self.query.metric;
        for (distance, row) in out.iter_mut().zip(rows.chunks_exact(self.dim.max(1))) {
            let score = exact_score(self.metric, query, row);
            *distance = match (range.holds(metric, score), metric.higher_is_nearer()) {
                (false, _) => f32::INFINITY,
                (true, true) => -score as f32,
                (true, false) => score as f32,
            };
        }
    }

    /// Distances (smaller is nearer) of a block of rows to a query.
    fn distances(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        if let Some(range) = self.query.range {
            return self.exact_distances(range, query, rows, out);
        }
        match self.metric {
            DenseMetric::L2 => self.kernels.l2_rows(query, rows, out),
            DenseMetric::Ip => self.kernels.dot_rows(query, rows, out),
            DenseMetric::Cosine => {
                self.kernels.dot_rows(query, rows, out);
                let query_norm = self.kernels.norm_squared(query).sqrt();
                for (score, norm) in out.iter_mut().zip(&self.norms) {
                    let norms = query_norm * norm;
                    *score = if norms > 0.0 { *score / norms } else { 0.0 };
                }
            }
        }
        if self.metric.higher_is_nearer() {
            out.iter_mut().for_each(|s| *s = -*s);
        }
    }
}

/// Whether a squared norm is so far from both ends of single precision that no part of it was lost.
fn in_range(squared: f32) -> bool {
    (1e-30..1e30).contains(&squared)
}

/// The best of some rows by their exact scores.
fn finish(
    unit: &SearchUnit<'_>,
    query: &UnitQuery<'_>,
    rows: impl Iterator<Item = u32>,
    vector: &[f32],
) -> Vec<UnitHit> {
    let mut exact = TopK::new(query.top_k, unit.keys);
    let sign = if query.metric.higher_is_nearer() { -1.0 } else { 1.0 };
    let mut widened = Vec::new();
    for row in rows {
        let vector = Query::Dense(vector);
        let score = unit.vectors.exact_score_with(query.metric, vector, row as usize, &mut widened);
        if query.range.is_none_or(|r| r.holds(query.metric, score)) {
            exact.push((sign * score) as f32, row);
        }
    }
    let hits = exact.into_sorted().into_iter();
    hits.map(|c| UnitHit { score: sign as f32 * c.distance, row: c.row }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::key::Keys;
    use crate::core::rowset::RowSet;
    use crate::index::{Metric, VectorView};
    use arrow::array::Int64Array;

    fn search(metric: Metric, range: Option<ScoreRange>, allowed: &RowSet) -> Vec<(u32, f32)> {
        let vectors = [0.0, 1.0, 1.0, 1.0, 3.0, 4.0, -1.0, 0.0];
        let keys = Keys::Int(Int64Array::from(vec![0, 1, 2, 3]));
        let unit = SearchUnit { vectors: VectorView::of_floats(&vectors, 2), allowed, keys: &keys };
        let queries = Queries::Dense(vec![vec![1.0, 1.0]]);
        let query = UnitQuery { queries: &queries, metric, top_k: 10, range };
        let (hits, _) = FlatIndex.search(&unit, &query).unwrap();
        hits[0].iter().map(|h| (h.row, h.score)).collect()
    }

    #[test]
    fn each_metric_orders_its_own_way() {
        let all = RowSet::all(4);
        assert_eq!(search(Metric::L2, None, &all), [(1, 0.0), (0, 1.0), (3, 5.0), (2, 13.0)]);
        assert_eq!(search(Metric::Ip, None, &all), [(2, 7.0), (1, 2.0), (0, 1.0), (3, -1.0)]);
        let cosine: Vec<u32> = search(Metric::Cosine, None, &all).iter().map(|h| h.0).collect();
        assert_eq!(cosine, [1, 2, 0, 3]);
    }

    #[test]
    fn ranges_and_row_sets_bound_the_answer() {
        let all = RowSet::all(4);
        let range = Some(ScoreRange { radius: 13.0, range_filter: Some(1.0) });
        assert_eq!(search(Metric::L2, range, &all), [(0, 1.0), (3, 5.0)]);
        let range = Some(ScoreRange { radius: 1.0, range_filter: Some(2.0) });
        assert_eq!(search(Metric::Ip, range, &all), [(1, 2.0)]);
        assert_eq!(search(Metric::L2, None, &RowSet::range(4, 2, 4)), [(3, 5.0), (2, 13.0)]);
    }

    #[test]
    fn rows_just_nearer_than_the_range_do_not_push_out_those_inside() {
        let mut vectors = vec![1.0; 100];
        vectors.extend([2.0; 50]);
        let keys = Keys::Int(Int64Array::from_iter_values(0..150));
        let allowed = RowSet::all(150);
        let unit = SearchUnit {
            vectors: VectorView::of_floats(&vectors, 1),
            allowed: &allowed,
            keys: &keys,
        };
        let range = Some(ScoreRange { radius: 100.0, range_filter: Some(1.000_000_2) });
        let queries = Queries::Dense(vec![vec![0.0]]);
        let query = UnitQuery { queries: &queries, metric: Metric::L2, top_k: 10, range };
        let (hits, _) = FlatIndex.search(&unit, &query).unwrap();
        assert_eq!(
            hits[0].iter().map(|h| h.row).collect::<Vec<_>>(),
            (100..110).collect::<Vec<_>>()
        );
    }

    #[test]
    fn equal_scores_go_to_the_smallest_keys_however_the_scan_rounds() {
        let vectors: Vec<f32> =
            (0..1_000).flat_map(|n| [0.25, 0.75, -0.5].map(|v| v * (n + 1) as f32)).collect();
        let keys = Keys::Int(Int64Array::from_iter_values((0..1_000).rev()));
        let allowed = RowSet::all(1_000);
        let unit = SearchUnit {
            vectors: VectorView::of_floats(&vectors, 3),
            allowed: &allowed,
            keys: &keys,
        };
        let queries = Queries::Dense(vec![vec![0.1, 0.9, 0.4]]);
        let query = UnitQuery { queries: &queries, metric: Metric::Cosine, top_k: 10, range: None };
        let (hits, _) = FlatIndex.search(&unit, &query).unwrap();
        let first = hits[0][0].score;
        assert!(hits[0].iter().all(|h| h.score == first));
        assert_eq!(
            hits[0].iter().map(|h| h.row).collect::<Vec<_>>(),
            (990..1_000).rev().collect::<Vec<_>>()
        );
    }
}
