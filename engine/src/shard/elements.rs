//! Search in the vectors of struct arrays: for the nearest elements, or for the nearest arrays. Both compare
//! every element of every selected row.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use arrow::compute;
use rayon::prelude::*;

use super::search::{Hit, Ranked, SearchRequest, SearchResult, keep_best};
use super::snapshot::{RowAddress, ScanCounts, Snapshot};
use crate::core::error::{Error, Result, Subject};
use crate::core::filter::ElementFilter;
use crate::core::key::Keys;
use crate::core::rowset::RowSet;
use crate::core::schema::{DataType, FieldSchema};
use crate::core::structs::split_name;
use crate::core::wanted::Wanted;
use crate::index::flat::FlatIndex;
use crate::index::{Queries, SearchUnit, UnitHit, UnitQuery, VectorIndex, VectorView};

/// Selected rows of a unit that have an array, and the arrays.
struct Part {
    unit: u32,
    /// The row of each array.
    rows: Vec<u32>,
    arrays: ListArray,
    /// For each element whether it may be answered.
    allowed: RowSet,
    /// The key of each array's row.
    keys: Keys,
}

/// What all parts are compared with.
struct Asked {
    request: SearchRequest,
    element: DataType,
    /// The number of vectors of each query array; none: elements are compared with single vectors.
    lengths: Option<Vec<usize>>,
}

impl Snapshot {
    /// The nearest elements of the selected rows; see [`Snapshot::search`]. A filter's elements are held to.
    pub(super) async fn search_elements(
        &self,
        request: &SearchRequest,
        element: &DataType,
    ) -> Result<SearchResult> {
        let asked = Asked { request: request.clone(), element: element.clone(), lengths: None };
        self.search_lists(asked).await
    }

    /// The rows whose arrays of vectors are nearest to arrays of query vectors: each query vector counts with
    /// its nearest element, and these scores are added up. Rows without an element are no answers.
    ///
    /// `request.queries` are the vectors of all query arrays end to end, `lengths` their numbers.
    ///
    /// # Errors
    /// As [`Snapshot::search`]; and if the lengths do not fit, or the filter names single elements.
    pub async fn search_arrays(
        &self,
        request: &SearchRequest,
        lengths: &[usize],
    ) -> Result<SearchResult> {
        let field = self.schema().field(&request.field)?;
        let bad = |why: String| Error::invalid(Subject::Field, why);
        let element = field
            .data_type
            .vector_element()
            .ok_or_else(|| bad(format!("field {} holds no arrays of vectors", field.name)))?;
        if lengths.iter().sum::<usize>() != request.queries.len() || lengths.contains(&0) {
            return Err(bad("a query array must have at least one vector".into()));
        }
        if elements_of(request).is_some() {
            return Err(bad("element_filter is only supported for element-level search".into()));
        }
        let lengths = Some(lengths.to_vec());
        let asked = Asked { request: request.clone(), element: element.clone(), lengths };
        self.search_lists(asked).await
    }

    async fn search_lists(&self, asked: Asked) -> Result<SearchResult> {
        let asked = Arc::new(asked);
        let request = &asked.request;
        let own = FieldSchema::new(request.field.as_str(), asked.element.clone());
        request.queries.check(&own, request.metric)?;
        let filter = elements_of(request);
        if let Some(filter) = &filter {
            check_struct(filter.as_ref(), &request.field)?;
        }
        let kept = self.try_prune(&request.select)?;
        let mut counts = ScanCounts {
            units: self.units(),
            pruned_units: self.units() - kept.len(),
            ..Default::default()
        };
        let queries = asked.lengths.as_ref().map_or(request.queries.len(), Vec::len);
        let mut best: Vec<Vec<Ranked>> = vec![Vec::new(); queries];
        let _memory = self.memory_for(&kept, request, self.schema().field(&request.field)?).await?;
        for at in kept {
            let unit = &self.inner.units[at];
            counts.rows_considered += unit.alive.count() as u64;
            let allowed = self.unit_rows(unit, request.select.filter.as_ref()).await?;
            if allowed.count() == 0 {
                continue;
            }
            let parts = self.list_parts(at, &allowed, &request.field, filter.as_deref()).await?;
            let (asked, before) = (asked.clone(), std::mem::take(&mut best));
            let work = move || search_parts(&parts, &asked, before);
            let (after, scanned) = self.inner.pools.search(work).await?;
            best = after;
            counts.rows_scanned += scanned;
        }
        let hits = best.into_iter().map(|b| b.into_iter().map(|(hit, _)| hit).collect()).collect();
        Ok(SearchResult { hits, counts })
    }

    /// The arrays of a unit's allowed rows, in parts of neighbouring rows.
    async fn list_parts(
        &self,
        at: usize,
        allowed: &RowSet,
        field: &str,
        filter: Option<&dyn ElementFilter>,
    ) -> Result<Vec<Part>> {
        let unit = &self.inner.units[at];
        let keys = self.unit_keys(unit).await?;
        let tested = match filter {
            Some(filter) => self.unit_columns(unit, filter.columns()).await?,
            None => Vec::new(),
        };
        let mut parts = Vec::new();
        let mut start = 0;
        for lists in self.unit_column_parts(unit, field).await?.iter() {
            let count = lists.len();
            let mut present = allowed.slice(start, count);
            if let Some(nulls) = lists.nulls() {
                present = present.and(&RowSet::from_bits(nulls.inner().clone()));
            }
            if present.count() > 0 {
                let mask = BooleanArray::new(present.bits().clone(), None);
                let arrays = picked(lists, &mask)?;
                let allowed = match filter {
                    Some(filter) => {
                        let columns = tested.iter().map(|c| picked(&c.slice(start, count), &mask));
                        let columns = columns.collect::<Result<Vec<_>>>()?;
                        RowSet::from_filter(&filter.test(columns.iter().map(elements).collect())?)
                    }
                    None => RowSet::all(elements(&arrays).len()),
                };
                let places: Vec<usize> = present.iter().map(|row| start + row).collect();
                parts.push(Part {
                    unit: at as u32,
                    keys: keys.pick(&places)?,
                    rows: places.into_iter().map(|row| row as u32).collect(),
                    arrays,
                    allowed,
                });
            }
            start += count;
        }
        Ok(parts)
    }
}

/// What the elements of an answer are held to.
fn elements_of(request: &SearchRequest) -> Option<Arc<dyn ElementFilter>> {
    request.select.filter.as_ref().and_then(|f| f.elements())
}

fn check_struct(filter: &dyn ElementFilter, field: &str) -> Result<()> {
    match split_name(field) {
        Some((own, _)) if own == filter.of() => Ok(()),
        _ => Err(Error::invalid(
            Subject::Expression,
            format!(
                "element_filter is on struct {}, but the search is on {field}: they must be of one \
                 struct",
                filter.of()
            ),
        )),
    }
}

/// Those lists that a mask marks; none of them is null.
fn picked(lists: &ArrayRef, mask: &BooleanArray) -> Result<ListArray> {
    let wrong = || Error::internal("a struct array is no list");
    if mask.true_count() == mask.len() {
        return lists.as_list_opt::<i32>().cloned().ok_or_else(wrong);
    }
    compute::filter(lists, mask)?.as_list_opt::<i32>().cloned().ok_or_else(wrong)
}

/// The elements of lists that are not null, end to end.
fn elements(lists: &ListArray) -> ArrayRef {
    let (from, to) = (offset(lists, 0), offset(lists, lists.len()));
    lists.values().slice(from, to - from)
}

fn offset(lists: &ListArray, at: usize) -> usize {
    lists.value_offsets().get(at).map_or(0, |o| usize::try_from(*o).unwrap_or(0))
}

fn search_parts(
    parts: &[Part],
    asked: &Asked,
    mut best: Vec<Vec<Ranked>>,
) -> Result<(Vec<Vec<Ranked>>, u64)> {
    let wanted = Wanted::current();
    let search = |part: &Part| {
        wanted.check()?;
        match &asked.lengths {
            Some(lengths) => nearest_arrays(part, asked, lengths),
            None => nearest_elements(part, asked),
        }
    };
    let found = parts.par_iter().map(search).collect::<Result<Vec<_>>>()?;
    for (at, best) in best.iter_mut().enumerate() {
        best.extend(found.iter().flat_map(|hits| hits[at].iter().cloned()));
        keep_best(best, &asked.request);
    }
    Ok((best, parts.iter().map(|p| p.rows.len() as u64).sum()))
}

fn nearest_elements(part: &Part, asked: &Asked) -> Result<Vec<Vec<Ranked>>> {
    let elements = elements(&part.arrays);
    let first = offset(&part.arrays, 0);
    // The array of each element.
    let of: Vec<usize> = (0..part.rows.len())
        .flat_map(|at| (offset(&part.arrays, at)..offset(&part.arrays, at + 1)).map(move |_| at))
        .collect();
    let keys = part.keys.pick(&of)?;
    let request = &asked.request;
    let query = UnitQuery {
        queries: &request.queries,
        metric: request.metric,
        top_k: request.top_k,
        range: request.range,
    };
    let vectors = VectorView::of(elements.as_ref(), &asked.element)?;
    let unit = SearchUnit { vectors, allowed: &part.allowed, keys: &keys };
    let (hits, _) = FlatIndex.search(&unit, &query)?;
    let ranked = |hits: Vec<UnitHit>| {
        let one = |hit: UnitHit| {
            let at = of[hit.row as usize];
            let element = first + hit.row as usize - offset(&part.arrays, at);
            let row = RowAddress { unit: part.unit, row: part.rows[at] };
            let hit = Hit { score: hit.score, row, element: Some(element as u32) };
            (hit, part.keys.get(at))
        };
        hits.into_iter().map(one).collect()
    };
    Ok(hits.into_iter().map(ranked).collect())
}

fn nearest_arrays(part: &Part, asked: &Asked, lengths: &[usize]) -> Result<Vec<Vec<Ranked>>> {
    let elements = elements(&part.arrays);
    let vectors = VectorView::of(elements.as_ref(), &asked.element)?;
    let first = offset(&part.arrays, 0);
    let request = &asked.request;
    let mut answers = Vec::with_capacity(lengths.len());
    let mut from = 0;
    for length in lengths {
        let mut best = Vec::new();
        for (at, row) in part.rows.iter().enumerate() {
            let of = offset(&part.arrays, at) - first..offset(&part.arrays, at + 1) - first;
            if of.is_empty() {
                continue;
            }
            let score = sum_of_best(&vectors, of, request, from..from + length);
            if request.range.is_some_and(|range| !range.holds(request.metric, score)) {
                continue;
            }
            let row = RowAddress { unit: part.unit, row: *row };
            best.push((Hit { score: score as f32, row, element: None }, part.keys.get(at)));
        }
        keep_best(&mut best, request);
        answers.push(best);
        from += length;
    }
    Ok(answers)
}

/// The sum over some query vectors of the score of the nearest of some elements.
fn sum_of_best(
    vectors: &VectorView<'_>,
    elements: Range<usize>,
    request: &SearchRequest,
    queries: Range<usize>,
) -> f64 {
    let higher = request.metric.higher_is_nearer();
    let mut buffer = Vec::new();
    let mut nearest = |at: usize| {
        let query = Queries::get(&request.queries, at)?;
        let scores = elements
            .clone()
            .map(|e| vectors.exact_score_with(request.metric, query, e, &mut buffer));
        scores.reduce(|a, b| if higher { a.max(b) } else { a.min(b) })
    };
    queries.filter_map(&mut nearest).sum()
}
