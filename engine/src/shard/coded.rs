//! Search by codes: units that have them, grouped by codebook, then the last word by the vectors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::search::{Hit, Ranked, SearchRequest, keep_best};
use super::snapshot::{RowAddress, ScanCounts, Snapshot, UnitSource};
use crate::core::error::{Error, Result};
use crate::core::key::Keys;
use crate::core::rowset::RowSet;
use crate::core::schema::DataType;
use crate::index::cluster::{
    Candidate, ClusterSearch, Codebook, CodedRows, Scratch, Target, Touched,
};
use crate::index::{Metric, Queries, Query, VectorView};
use crate::segment::cache::Column;

/// A unit that is searched by its codes.
pub(super) struct Coded {
    unit: u32,
    book: Arc<Codebook>,
    codes: Arc<CodedRows>,
    allowed: RowSet,
    keys: Keys,
    /// The vectors; none: too many for memory, they are taken from the file.
    vectors: Option<Column>,
}

/// Units by codebook.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<u64, Vec<Coded>>);

impl Groups {
    pub fn add(&mut self, coded: Coded) {
        self.0.entry(coded.book.version).or_default().push(coded);
    }

    /// Memory of the codes and keys.
    pub fn bytes(&self) -> usize {
        let units = self.0.values().flatten();
        units.map(|u| u.codes.size_bytes() + u.keys.len() * 8).sum()
    }
}

/// Vectors that are asked for before they are needed: they lie all over memory.
const AHEAD: usize = 3;

/// Most results of a query that is searched on the thread that asks.
const HERE_TOP_K: usize = 1_024;

thread_local! {
    /// Buffers of searches of one query.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a group found for each query; none: it has to be compared exactly.
type Found = Vec<Option<(Vec<Candidate>, Touched)>>;

/// Whether codes can answer: not if exactness is asked for, nor a ring, whose inner rows would have to be
/// found first, nor most of the rows.
pub(super) fn wants_codes(request: &SearchRequest, allowed: &RowSet) -> bool {
    let ring = request.range.is_some_and(|r| r.range_filter.is_some());
    let most = request.top_k.saturating_mul(4) >= allowed.count();
    !request.effort.is_exact() && !request.queries.is_binary() && !ring && !most
}

impl Snapshot {
    /// The codes of a unit, where it has them. Vectors that are not in memory are read only if all `fit`.
    pub(super) async fn coded(
        &self,
        at: usize,
        allowed: &RowSet,
        request: &SearchRequest,
        fit: bool,
    ) -> Result<Option<Coded>> {
        let unit = &self.inner.units[at];
        let segment = match &unit.source {
            UnitSource::Segment(segment) => segment,
            UnitSource::Chunk(_) => return self.coded_chunk(at, allowed, request).await,
        };
        let Some(file) = segment.codes_file(&request.field) else { return Ok(None) };
        let named = |c: &&crate::lsm::manifest::CodebookMeta| {
            c.field == file.field && c.version == file.codebook_version
        };
        let Some(meta) = self.inner.manifest.codebooks.iter().find(named) else { return Ok(None) };
        let Ok(book) = self.inner.codebooks.get(meta).await else { return Ok(None) };
        let Some(codes) = segment.codes(file, &book).await else { return Ok(None) };
        if !codes.can_answer(book.space, request.metric) {
            return Ok(None);
        }
        let at_hand = match fit {
            true => segment.can_keep(&request.field, unit.rows() * book.dim * 4),
            false => segment.holds(&request.field),
        };
        let vectors = match at_hand {
            true => Some(self.unit_column_parts(unit, &request.field).await?),
            false => None,
        };
        let keys = self.unit_keys(unit).await?;
        let (unit, allowed) = (at as u32, allowed.clone());
        Ok(Some(Coded { unit, book, codes, allowed, keys, vectors }))
    }

    /// The codes of a part of a memtable, under the newest codebook.
    async fn coded_chunk(
        &self,
        at: usize,
        allowed: &RowSet,
        request: &SearchRequest,
    ) -> Result<Option<Coded>> {
        let unit = &self.inner.units[at];
        let UnitSource::Chunk(chunk) = &unit.source else { return Ok(None) };
        let Some(meta) = self.inner.manifest.codebook(&request.field) else { return Ok(None) };
        let Ok(book) = self.inner.codebooks.get(meta).await else { return Ok(None) };
        let vectors = self.unit_column_parts(unit, &request.field).await?;
        let Some(column) = vectors.first() else { return Ok(None) };
        let data_type = &self.schema().field(&request.field)?.data_type;
        let pools = &self.inner.pools;
        let codes = chunk.codes.get(&request.field, column, data_type, &book, pools);
        let can_answer = |c: &Arc<CodedRows>| c.can_answer(book.space, request.metric);
        let Some(codes) = codes.filter(can_answer) else { return Ok(None) };
        let (unit, allowed, keys) = (at as u32, allowed.clone(), chunk.keys.clone());
        Ok(Some(Coded { unit, book, codes, allowed, keys, vectors: Some(vectors) }))
    }

    /// Searches groups of units and adds what they found to the best so far.
    pub(super) async fn search_groups(
        &self,
        groups: Groups,
        request: &SearchRequest,
        data_type: &DataType,
        best: &mut [Vec<Ranked>],
        counts: &mut ScanCounts,
    ) -> Result<()> {
        for (_, units) in groups.0 {
            let units = Arc::new(units);
            let resident = units.iter().all(|u| u.vectors.is_some());
            let work = {
                let (units, request, data_type) =
                    (units.clone(), request.clone(), data_type.clone());
                move || {
                    let found = search_codes(&units, &request);
                    let ranked = match resident {
                        true => Some(rank_all(&units, &request, &data_type, &found)?),
                        false => None,
                    };
                    Ok((found, ranked))
                }
            };
            // One query takes less than handing it to another thread and waiting for it would.
            let (found, ranked) = match request.queries.len() {
                1 if request.top_k <= HERE_TOP_K => work()?,
                _ => self.inner.pools.search(work).await?,
            };
            let ranked = match ranked {
                Some(ranked) => ranked,
                None => self.rank_from_files(&units, request, data_type, &found).await?,
            };
            for ((best, ranked), found) in best.iter_mut().zip(ranked).zip(found) {
                best.extend(ranked);
                keep_best(best, request);
                let touched = found.map(|(_, touched)| touched).unwrap_or_default();
                counts.lists_scanned += touched.lists;
                counts.codes_scanned += touched.coarse_rows;
                counts.rows_scanned += touched.fine_rows;
            }
        }
        Ok(())
    }

    /// [`rank_all`] with vectors taken from the files.
    async fn rank_from_files(
        &self,
        units: &[Coded],
        request: &SearchRequest,
        data_type: &DataType,
        found: &Found,
    ) -> Result<Vec<Vec<Ranked>>> {
        let names = [request.field.clone()];
        let mut ranked = Vec::with_capacity(found.len());
        for (at, found) in found.iter().enumerate() {
            let query = query(&request.queries, at)?;
            let mut all: Vec<Ranked> = Vec::new();
            for unit in units {
                let mut rows: Vec<u32> = match found {
                    Some((candidates, _)) => {
                        candidates.iter().filter(|c| c.unit == unit.unit).map(|c| c.row).collect()
                    }
                    None => unit.allowed.iter().map(|row| row as u32).collect(),
                };
                rows.sort_unstable();
                for rows in rows.chunks(8_192) {
                    let source = &self.inner.units[unit.unit as usize];
                    let column = self.take(source, &names, rows).await?.swap_remove(0);
                    let view = VectorView::of(column.as_ref(), data_type)?;
                    let mut buffer = Vec::new();
                    for (place, row) in rows.iter().enumerate().filter(|(p, _)| column.is_valid(*p))
                    {
                        let score =
                            view.exact_score_with(request.metric, query, place, &mut buffer);
                        all.extend(ranked_row(unit, request, *row, score));
                    }
                    keep_best(&mut all, request);
                }
            }
            ranked.push(all);
        }
        Ok(ranked)
    }
}

fn query(queries: &Queries, at: usize) -> Result<Query<'_>> {
    queries.get(at).ok_or_else(|| Error::internal("a query of a search is missing"))
}

/// Candidates of each query; queries go to the threads of the pool that this runs in.
fn search_codes(units: &[Coded], request: &SearchRequest) -> Found {
    let Some(book) = units.first().map(|u| u.book.clone()) else { return Vec::new() };
    let metric = request.metric;
    let targets =
        units.iter().map(|u| Target::new(u.unit, &book, &u.codes, &u.allowed, metric)).collect();
    let search = ClusterSearch::new(&book, targets, metric, request.top_k, request.effort);
    let run = |scratch: &mut Scratch, at: usize| match request.queries.get(at) {
        Some(Query::Dense(query)) => search.run(query, scratch),
        _ => None,
    };
    match request.queries.len() {
        1 => SCRATCH.with_borrow_mut(|scratch| vec![run(scratch, 0)]),
        n => (0..n).into_par_iter().with_min_len(4).map_init(Scratch::default, run).collect(),
    }
}

/// The answers of each query by the vectors in memory.
fn rank_all(
    units: &[Coded],
    request: &SearchRequest,
    data_type: &DataType,
    found: &Found,
) -> Result<Vec<Vec<Ranked>>> {
    let mut parts = Vec::with_capacity(units.len());
    for unit in units {
        let mut start = 0;
        let mut views = Vec::new();
        for part in unit.vectors.iter().flat_map(|v| v.iter()) {
            views.push((start, VectorView::of(part.as_ref(), data_type)?, part.nulls()));
            start += part.len();
        }
        parts.push(views);
    }
    let rank = |(at, found): (usize, &Option<(Vec<Candidate>, Touched)>)| {
        let query = query(&request.queries, at)?;
        let mut buffer = Vec::new();
        let mut all = Vec::new();
        for (unit, views) in units.iter().zip(&parts) {
            let find = |row: u32| {
                let part =
                    views.partition_point(|(start, ..)| *start <= row as usize).checked_sub(1);
                let (start, view, nulls) = views.get(part?)?;
                let place = row as usize - start;
                // A row without a vector is no answer, whatever its codes say.
                nulls.is_none_or(|nulls| nulls.is_valid(place)).then_some((view, place))
            };
            let mut add = |row: u32| {
                let Some((view, place)) = find(row) else { return };
                let score = view.exact_score_with(request.metric, query, place, &mut buffer);
                all.extend(ranked_row(unit, request, row, score));
            };
            match found {
                Some((candidates, _)) => {
                    let rows = || candidates.iter().filter(|c| c.unit == unit.unit).map(|c| c.row);
                    let mut coming = rows().skip(AHEAD);
                    rows().take(AHEAD).filter_map(find).for_each(|(view, at)| view.prefetch(at));
                    for row in rows() {
                        if let Some((view, at)) = coming.next().and_then(find) {
                            view.prefetch(at);
                        }
                        add(row);
                    }
                }
                // Only rows with a vector may be compared: those that have codes.
                None => coded_rows(unit).for_each(add),
            }
        }
        keep_best(&mut all, request);
        Ok(all)
    };
    match found.len() {
        1 => found.iter().enumerate().map(rank).collect(),
        _ => found.par_iter().enumerate().with_min_len(4).map(rank).collect(),
    }
}

/// Allowed rows that have codes.
fn coded_rows(unit: &Coded) -> impl Iterator<Item = u32> + '_ {
    let order = unit.codes.order.as_ref();
    (0..unit.codes.rows as u32)
        .map(move |place| order.map_or(place, |order| order[place as usize]))
        .filter(|row| unit.allowed.contains(*row as usize))
}

fn ranked_row(unit: &Coded, request: &SearchRequest, row: u32, score: f64) -> Option<Ranked> {
    let metric: Metric = request.metric;
    if request.range.is_some_and(|range| !range.holds(metric, score)) {
        return None;
    }
    let address = RowAddress { unit: unit.unit, row };
    Some((Hit { score: score as f32, row: address }, unit.keys.get(row as usize)))
}
