//! Exact search of vectors of bits: counts are whole numbers, so one pass gives the final scores.

use elanus_kernels::Kernels;

use super::flat::BLOCK_ROWS;
use super::metric::{BitCounts, Metric};
use super::topk::TopK;
use super::{SearchUnit, UnitHit, UnitQuery};

/// The best allowed rows of each query. `bits` are the vectors of all rows of the unit.
pub(super) fn search(
    unit: &SearchUnit<'_>,
    query: &UnitQuery<'_>,
    queries: &[Vec<u8>],
    bits: &[u8],
) -> Vec<Vec<UnitHit>> {
    let kernels = Kernels::best();
    let bytes = unit.vectors.dim / 8;
    let query_bits: Vec<u32> = queries.iter().map(|q| kernels.count_ones(q)).collect();
    let kept = query.top_k.min(unit.allowed.count());
    let mut tops: Vec<TopK<'_>> = queries.iter().map(|_| TopK::new(kept, unit.keys)).collect();
    let mut counts = Counts::default();
    for (from, to) in unit.allowed.runs() {
        for start in (from..to).step_by(BLOCK_ROWS) {
            let end = to.min(start + BLOCK_ROWS);
            let rows = &bits[start * bytes..end * bytes];
            for ((vector, set), top) in queries.iter().zip(&query_bits).zip(&mut tops) {
                counts.take(&kernels, query.metric, vector, rows, end - start);
                for (at, row) in (start..end).enumerate() {
                    let (both, differing) = (counts.both[at], counts.differing[at]);
                    let bits = BitCounts { query: *set, both, differing };
                    offer(top, query, row as u32, query.metric.of_bits(bits));
                }
            }
        }
    }
    let hits = |top: TopK<'_>| {
        let candidates = top.into_sorted().into_iter();
        candidates.map(|c| UnitHit { score: c.distance, row: c.row }).collect()
    };
    tops.into_iter().map(hits).collect()
}

/// Counts of a block of rows against one query; those that a metric does not need stay zero.
struct Counts {
    both: [u32; BLOCK_ROWS],
    differing: [u32; BLOCK_ROWS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { both: [0; BLOCK_ROWS], differing: [0; BLOCK_ROWS] }
    }
}

impl Counts {
    fn take(&mut self, kernels: &Kernels, metric: Metric, query: &[u8], rows: &[u8], count: usize) {
        if metric != Metric::Hamming {
            kernels.and_count_rows(query, rows, &mut self.both[..count]);
        }
        if metric != Metric::Substructure {
            kernels.hamming_rows(query, rows, &mut self.differing[..count]);
        }
    }
}

/// Every binary metric is a distance, so the score orders the rows as it is.
fn offer(top: &mut TopK<'_>, query: &UnitQuery<'_>, row: u32, score: f64) {
    let metric: Metric = query.metric;
    if score.is_finite() && query.range.is_none_or(|r| r.holds(metric, score)) {
        top.push(score as f32, row);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;
    use crate::core::key::Keys;
    use crate::core::rowset::RowSet;
    use crate::index::flat::FlatIndex;
    use crate::index::{Queries, ScoreRange, VectorIndex, VectorView};

    const ROWS: [[u8; 2]; 4] =
        [[0b0000_0000, 0], [0b0000_0111, 1], [0b0000_0011, 0], [0b1111_1111, 0xff]];

    fn search(metric: Metric, range: Option<ScoreRange>, allowed: &RowSet) -> Vec<(u32, f32)> {
        let rows = ROWS.concat();
        let keys = Keys::Int(Int64Array::from(vec![0, 1, 2, 3]));
        let unit = SearchUnit { vectors: VectorView::of_bits(&rows, 16), allowed, keys: &keys };
        let queries = Queries::Binary(vec![vec![0b0000_0111, 0]]);
        let query = UnitQuery { queries: &queries, metric, top_k: 10, range };
        let (hits, compared) = FlatIndex.search(&unit, &query).unwrap();
        assert_eq!(compared, allowed.count() as u64);
        hits[0].iter().map(|h| (h.row, h.score)).collect()
    }

    #[test]
    fn each_metric_of_bits() {
        let all = RowSet::all(4);
        let hamming = [(1, 1.0), (2, 1.0), (0, 3.0), (3, 13.0)];
        assert_eq!(search(Metric::Hamming, None, &all), hamming);
        let jaccard = [(1, 0.25), (2, 1.0 / 3.0), (3, 13.0 / 16.0), (0, 1.0)];
        assert_eq!(search(Metric::Jaccard, None, &all), jaccard);
        assert_eq!(search(Metric::Substructure, None, &all), [(1, 0.0), (3, 0.0)]);
        assert_eq!(search(Metric::Superstructure, None, &all), [(0, 0.0), (2, 0.0)]);
    }

    #[test]
    fn ranges_and_row_sets_bound_the_answer() {
        let range = Some(ScoreRange { radius: 13.0, range_filter: Some(2.0) });
        assert_eq!(search(Metric::Hamming, range, &RowSet::all(4)), [(0, 3.0)]);
        assert_eq!(search(Metric::Hamming, None, &RowSet::range(4, 2, 3)), [(2, 1.0)]);
    }
}
