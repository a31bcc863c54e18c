//! Exact search of sparse vectors: what query and row have in common, position by position.

use super::topk::TopK;
use super::{SearchUnit, UnitHit, UnitQuery};
use crate::core::sparse::SparseRows;

/// The best allowed rows of each query by a score of the row's bytes; rows without a common position have
/// none and are no answers.
pub(super) fn search<Q>(
    unit: &SearchUnit<'_>,
    query: &UnitQuery<'_>,
    queries: &[Q],
    rows: SparseRows<'_>,
    score: impl Fn(&Q, &[u8]) -> Option<f64>,
) -> Vec<Vec<UnitHit>> {
    let kept = query.top_k.min(unit.allowed.count());
    let mut tops: Vec<TopK<'_>> = queries.iter().map(|_| TopK::new(kept, unit.keys)).collect();
    for (from, to) in unit.allowed.runs() {
        for row in from..to {
            let bytes = rows.bytes(row);
            for (vector, top) in queries.iter().zip(&mut tops) {
                let Some(score) = score(vector, bytes) else { continue };
                if query.range.is_none_or(|r| r.holds(query.metric, score)) {
                    top.push(-(score as f32), row as u32);
                }
            }
        }
    }
    let hits = |top: TopK<'_>| {
        let candidates = top.into_sorted().into_iter();
        candidates.map(|c| UnitHit { score: -c.distance, row: c.row }).collect()
    };
    tops.into_iter().map(hits).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use crate::core::key::Keys;
    use crate::core::rowset::RowSet;
    use crate::core::sparse::{SparseRows, SparseVector};
    use crate::core::vectors::{VectorValues, VectorView};
    use crate::index::flat::FlatIndex;
    use crate::index::{Metric, Queries, ScoreRange, SearchUnit, UnitQuery, VectorIndex};

    fn bytes(pairs: &[(u32, f32)]) -> Vec<u8> {
        pairs.iter().flat_map(|(p, v)| [p.to_le_bytes(), v.to_le_bytes()].concat()).collect()
    }

    #[test]
    fn the_best_common_rows_answer_within_rows_and_range() {
        let data: Vec<Vec<u8>> = [1.0, 3.0, 2.0, 3.0].map(|v| bytes(&[(5, v)])).to_vec();
        let data = [data, vec![bytes(&[(6, 9.0)]), bytes(&[])]].concat();
        let offsets = [0, 8, 16, 24, 32, 40, 40];
        let flat = data.concat();
        let keys = Keys::Int(Int64Array::from_iter_values([0, 9, 2, 3, 4, 5]));
        let search = |allowed: RowSet, range| {
            let values = VectorValues::Sparse(SparseRows::new(&offsets, &flat));
            let vectors = VectorView { values, dim: 0, rows: 6 };
            let unit = SearchUnit { vectors, allowed: &allowed, keys: &keys };
            let queries = Queries::Sparse(vec![SparseVector::new(&bytes(&[(5, 2.0)])).unwrap()]);
            let query = UnitQuery { queries: &queries, metric: Metric::Ip, top_k: 3, range };
            let (hits, _) = FlatIndex.search(&unit, &query).unwrap();
            hits[0].iter().map(|h| (h.row, h.score)).collect::<Vec<_>>()
        };
        assert_eq!(search(RowSet::all(6), None), [(3, 6.0), (1, 6.0), (2, 4.0)]);
        assert_eq!(search(RowSet::range(6, 4, 6), None), []);
        let range = Some(ScoreRange { radius: 2.0, range_filter: Some(4.0) });
        assert_eq!(search(RowSet::all(6), range), [(2, 4.0)]);
    }
}
