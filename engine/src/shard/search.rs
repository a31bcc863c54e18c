//! Vector search over a snapshot: row sets first, each unit by its index, then one merge.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use super::coded::{Groups, wants_codes};
use super::snapshot::{RowAddress, ScanCounts, Selection, Snapshot};
use crate::core::effort::Effort;
use crate::core::error::Result;
use crate::core::key::{Key, Keys};
use crate::core::rowset::RowSet;
use crate::core::schema::DataType;
use crate::core::wanted::Wanted;
use crate::index::flat::FlatIndex;
use crate::index::{
    Metric, Queries, ScoreRange, SearchUnit, UnitHit, UnitQuery, VectorIndex, VectorView,
};

/// A vector search.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Vector field.
    pub field: String,
    /// Query vectors, each as long as the field's dimension, all finite.
    pub queries: Arc<Queries>,
    /// Metric, of the field's kind: dense or binary.
    pub metric: Metric,
    /// Results of each query.
    pub top_k: usize,
    /// Rows that may be answered.
    pub select: Selection,
    /// Only scores in this range.
    pub range: Option<ScoreRange>,
    /// How hard to try.
    pub effort: Effort,
}

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Score in the user's sense: for L2 the squared distance; small is near but for IP and COSINE.
    pub score: f32,
    /// The row.
    pub row: RowAddress,
    /// Which element of the row's array, in a search over elements.
    pub element: Option<u32>,
}

/// Answers of a search.
#[derive(Debug, Clone)]
pub struct SearchResult {
    /// For each query, best first; equal scores by primary key.
    pub hits: Vec<Vec<Hit>>,
    /// What was touched.
    pub counts: ScanCounts,
}

/// Bytes of vectors that are scanned quicker than another thread takes them over.
const HERE_BYTES: usize = 1 << 20;

/// Everything that a scan of neighbouring rows needs, gathered before the CPU work starts.
struct Prepared {
    unit: u32,
    /// Row of the unit at which these vectors start.
    start: u32,
    vectors: ArrayRef,
    allowed: RowSet,
    keys: Keys,
}

/// A result with the key that orders it among equal scores.
pub(super) type Ranked = (Hit, Key);

impl Snapshot {
    /// The nearest selected rows of each query: `min(top_k, matches)` of them, as surely as the effort says;
    /// exactly where there are no codes. In a field of arrays of vectors: the nearest elements, exactly.
    pub async fn search(&self, request: &SearchRequest) -> Result<SearchResult> {
        let field = self.schema().field(&request.field)?;
        if let Some(element) = field.data_type.vector_element() {
            return self.search_elements(request, element).await;
        }
        request.queries.check(field, request.metric)?;
        let data_type = &field.data_type;
        let kept = self.try_prune(&request.select)?;
        let mut counts = ScanCounts {
            units: self.units(),
            pruned_units: self.units() - kept.len(),
            ..Default::default()
        };
        let mut best: Vec<Vec<Ranked>> = vec![Vec::new(); request.queries.len()];
        let (mut wave, mut wave_bytes) = (Vec::new(), 0);
        let memory = self.memory_for(&kept, request, field).await?;
        // Joined codes are all in memory or of no use.
        let joined = match memory.all_fits && self.wants_joined(request) {
            true => self.joined(&request.field, &kept).await.filter(|j| j.can_answer(request)),
            false => None,
        };
        let mut groups = Groups::new(joined);
        for at in kept {
            counts.rows_considered += self.inner.units[at].alive.count() as u64;
            let unit = &self.inner.units[at];
            let allowed = self.unit_rows(unit, request.select.filter.as_ref()).await?;
            if allowed.count() == 0 {
                continue;
            }
            if wants_codes(request, &allowed)
                && let Some(coded) =
                    self.coded(at, &allowed, request, &groups, memory.all_fits).await?
            {
                counts.joined_units += usize::from(coded.is_joined());
                groups.add(coded);
                if !memory.all_fits && groups.bytes() >= memory.wave_bytes {
                    let full = std::mem::replace(&mut groups, Groups::new(None));
                    self.search_groups(full, request, data_type, &mut best, &mut counts).await?;
                }
                continue;
            }
            for part in self.prepare(at, &allowed, request).await? {
                wave_bytes += part.vectors.get_array_memory_size();
                wave.push(part);
                if wave_bytes >= memory.wave_bytes {
                    wave_bytes = 0;
                    let full = std::mem::take(&mut wave);
                    counts.rows_scanned +=
                        self.search_wave(full, request, data_type, &mut best).await?;
                }
            }
        }
        counts.rows_scanned += self.search_wave(wave, request, data_type, &mut best).await?;
        self.search_groups(groups, request, data_type, &mut best, &mut counts).await?;
        let hits = best.into_iter().map(|b| b.into_iter().map(|(hit, _)| hit).collect()).collect();
        Ok(SearchResult { hits, counts })
    }

    /// The parts of a unit that hold allowed rows.
    async fn prepare(
        &self,
        at: usize,
        allowed: &RowSet,
        request: &SearchRequest,
    ) -> Result<Vec<Prepared>> {
        let unit = &self.inner.units[at];
        let keys = self.unit_keys(unit).await?;
        let mut parts = Vec::new();
        let mut start = 0;
        for vectors in self.unit_column_parts(unit, &request.field).await?.iter() {
            let rows = vectors.len();
            let mut allowed = allowed.slice(start, rows);
            if let Some(nulls) = vectors.nulls() {
                allowed = allowed.and(&RowSet::from_bits(nulls.inner().clone()));
            }
            if allowed.count() > 0 {
                parts.push(Prepared {
                    unit: at as u32,
                    start: start as u32,
                    vectors: vectors.clone(),
                    allowed,
                    keys: keys.slice(start, rows),
                });
            }
            start += rows;
        }
        Ok(parts)
    }

    /// Searches some parts and keeps the best of them and of those before; returns the rows compared.
    async fn search_wave(
        &self,
        wave: Vec<Prepared>,
        request: &SearchRequest,
        data_type: &DataType,
        best: &mut Vec<Vec<Ranked>>,
    ) -> Result<u64> {
        if wave.is_empty() {
            return Ok(0);
        }
        let (request, data_type) = (request.clone(), data_type.clone());
        let queries = request.queries.len();
        let before = std::mem::take(best);
        let values: usize = wave.iter().map(|p| p.vectors.get_array_memory_size()).sum();
        let work = move |at_once: bool| search_parts(&wave, &request, &data_type, before, at_once);
        let (after, scanned) = match values * queries <= HERE_BYTES {
            true => work(false)?,
            false => self.inner.pools.search(move || work(true)).await?,
        };
        *best = after;
        Ok(scanned)
    }
}

fn search_parts(
    parts: &[Prepared],
    request: &SearchRequest,
    data_type: &DataType,
    mut best: Vec<Vec<Ranked>>,
    at_once: bool,
) -> Result<(Vec<Vec<Ranked>>, u64)> {
    use rayon::prelude::*;
    let query = UnitQuery {
        queries: &request.queries,
        metric: request.metric,
        top_k: request.top_k,
        range: request.range,
    };
    let wanted = Wanted::current();
    let search = |p: &Prepared| {
        wanted.check()?;
        let vectors = VectorView::of(p.vectors.as_ref(), data_type)?;
        let unit = SearchUnit { vectors, allowed: &p.allowed, keys: &p.keys };
        FlatIndex.search(&unit, &query)
    };
    let found: Vec<(Vec<Vec<UnitHit>>, u64)> = match at_once {
        true => parts.par_iter().map(search).collect::<Result<_>>()?,
        false => parts.iter().map(search).collect::<Result<_>>()?,
    };
    let scanned = found.iter().map(|(_, rows)| rows).sum();
    for (at, best) in best.iter_mut().enumerate() {
        for (part, (hits, _)) in parts.iter().zip(&found) {
            best.extend(hits[at].iter().map(|hit| {
                let row = RowAddress { unit: part.unit, row: part.start + hit.row };
                (Hit { score: hit.score, row, element: None }, part.keys.get(hit.row as usize))
            }));
        }
        keep_best(best, request);
    }
    Ok((best, scanned))
}

/// Orders results, best first and equal scores by key, and keeps as many as were asked for.
pub(super) fn keep_best(best: &mut Vec<Ranked>, request: &SearchRequest) {
    let higher = request.metric.higher_is_nearer();
    best.sort_unstable_by(|(a, a_key), (b, b_key)| {
        let by_score =
            if higher { b.score.total_cmp(&a.score) } else { a.score.total_cmp(&b.score) };
        by_score.then_with(|| a_key.cmp(b_key)).then_with(|| a.element.cmp(&b.element))
    });
    best.truncate(request.top_k);
}
