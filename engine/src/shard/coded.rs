//! Search by codes: units that have them, grouped by codebook, then the last word by the vectors.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::joins::InUse;
use super::search::{Hit, Ranked, SearchRequest, keep_best};
use super::snapshot::{RowAddress, ScanCounts, Snapshot, UnitSource};
use crate::core::error::{Error, Result};
use crate::core::key::Keys;
use crate::core::rowset::RowSet;
use crate::core::schema::DataType;
use crate::index::cluster::{
    Candidate, ClusterSearch, Codebook, CodedRows, Scratch, Target, batch,
};
use crate::index::{Metric, Queries, Query, VectorView};
use crate::lsm::manifest::CodebookMeta;
use crate::segment::Segment;
use crate::segment::cache::Column;

/// A unit that is searched by its codes.
pub(super) struct Coded {
    unit: u32,
    book: Arc<Codebook>,
    codes: Codes,
    allowed: RowSet,
    keys: Keys,
    /// The vectors; none: too many for memory, they are taken from the file.
    vectors: Option<Column>,
}

/// Where a unit's codes are.
enum Codes {
    /// By themselves.
    Own(Arc<CodedRows>),
    /// Joined with others: the unit's place among them.
    Joined(usize),
}

impl Coded {
    /// Whether its codes are joined with those of others.
    pub fn is_joined(&self) -> bool {
        matches!(self.codes, Codes::Joined(_))
    }

    /// Memory of the codes, unless they are joined, and of the keys.
    fn bytes(&self) -> usize {
        let codes = match &self.codes {
            Codes::Own(codes) => codes.size_bytes(),
            Codes::Joined(_) => 0,
        };
        codes + self.keys.len() * 8
    }
}

/// Units by codebook, those of joined codes apart.
pub(super) struct Groups {
    joined: Option<InUse>,
    units: BTreeMap<u64, Vec<Coded>>,
}

impl Groups {
    pub fn new(joined: Option<InUse>) -> Self {
        Self { joined, units: BTreeMap::new() }
    }

    pub fn add(&mut self, coded: Coded) {
        self.units.entry(coded.book.version).or_default().push(coded);
    }

    /// Memory of the codes and keys.
    pub fn bytes(&self) -> usize {
        self.units.values().flatten().map(Coded::bytes).sum()
    }
}

/// The unit of candidates from joined codes, until the numbers are taken apart.
const JOINED: u32 = u32::MAX;

/// Vectors that are asked for before they are needed: they lie all over memory.
const AHEAD: usize = 3;

/// Most results of a query that is searched on the thread that asks.
const HERE_TOP_K: usize = 1_024;

thread_local! {
    /// Buffers of searches of one query.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a group found.
struct Found {
    /// For each query; none: it has to be compared exactly.
    found: Vec<batch::Found>,
    /// The order in which to go on with the queries.
    order: Vec<u32>,
}

/// Whether codes can answer: not if exactness is asked for, nor a ring, whose inner rows would have to be
/// found first, nor most of the rows.
pub(super) fn wants_codes(request: &SearchRequest, allowed: &RowSet) -> bool {
    let ring = request.range.is_some_and(|r| r.range_filter.is_some());
    let most = request.top_k.saturating_mul(4) >= allowed.count();
    !request.effort.is_exact() && request.queries.is_dense() && !ring && !most
}

impl InUse {
    /// Whether the codes can answer by the metric asked for.
    pub(super) fn can_answer(&self, request: &SearchRequest) -> bool {
        self.joined.rows().can_answer(self.joined.book.space, request.metric)
    }
}

impl Snapshot {
    /// Whether joined codes could serve a search.
    pub(super) fn wants_joined(&self, request: &SearchRequest) -> bool {
        let ring = request.range.is_some_and(|r| r.range_filter.is_some());
        self.units() > 1 && !request.effort.is_exact() && request.queries.is_dense() && !ring
    }

    /// The codes of a unit, where it has them. Vectors that are not in memory are read only if all `fit`.
    pub(super) async fn coded(
        &self,
        at: usize,
        allowed: &RowSet,
        request: &SearchRequest,
        groups: &Groups,
        fit: bool,
    ) -> Result<Option<Coded>> {
        let unit = &self.inner.units[at];
        let segment = match &unit.source {
            UnitSource::Segment(segment) => segment,
            UnitSource::Chunk(_) => return self.coded_chunk(at, allowed, request).await,
        };
        let joined = groups.joined.as_ref().and_then(|j| Some((j.find(at)?, &j.joined)));
        let (book, codes) = match joined {
            Some((part, joined)) => (joined.book.clone(), Codes::Joined(part)),
            None => match self.own_codes(segment, request).await {
                Some((book, codes)) => (book, Codes::Own(codes)),
                None => return Ok(None),
            },
        };
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

    /// The codes of a segment by itself, if they can answer.
    async fn own_codes(
        &self,
        segment: &Segment,
        request: &SearchRequest,
    ) -> Option<(Arc<Codebook>, Arc<CodedRows>)> {
        let (book, codes) = self.segment_codes(segment, &request.field).await?;
        codes.can_answer(book.space, request.metric).then_some((book, codes))
    }

    /// The codes of a segment by itself, with their codebook; none if either cannot be read.
    pub(super) async fn segment_codes(
        &self,
        segment: &Segment,
        field: &str,
    ) -> Option<(Arc<Codebook>, Arc<CodedRows>)> {
        let file = segment.codes_file(field)?;
        let named = |c: &&CodebookMeta| c.field == file.field && c.version == file.codebook_version;
        let meta = self.inner.manifest.codebooks.iter().find(named)?;
        let book = self.inner.codebooks.get(meta).await.ok()?;
        let codes = segment.codes(file, &book).await?;
        Some((book, codes))
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
        let codes = Codes::Own(codes);
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
        let Groups { joined, units } = groups;
        for (_, units) in units {
            let (units, joined) = (Arc::new(units), joined.clone());
            let resident = units.iter().all(|u| u.vectors.is_some());
            let work = {
                let (units, request, data_type) =
                    (units.clone(), request.clone(), data_type.clone());
                move || {
                    let found = search_codes(&units, joined.as_ref(), &request);
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
            for ((best, ranked), found) in best.iter_mut().zip(ranked).zip(found.found) {
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
        let mut ranked = Vec::with_capacity(found.found.len());
        for (at, found) in found.found.iter().enumerate() {
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
fn search_codes(units: &[Coded], joined: Option<&InUse>, request: &SearchRequest) -> Found {
    let Some(book) = units.first().map(|u| u.book.clone()) else {
        return Found { found: Vec::new(), order: Vec::new() };
    };
    let metric = request.metric;
    let (mut targets, mut parts) = (Vec::with_capacity(units.len()), Vec::new());
    for unit in units {
        match &unit.codes {
            Codes::Own(codes) => {
                targets.push(Target::new(unit.unit, &book, codes, &unit.allowed, metric));
            }
            Codes::Joined(at) => parts.push((*at, &unit.allowed)),
        }
    }
    if let (Some(joined), false) = (joined, parts.is_empty()) {
        targets.push(Target::joined(JOINED, &joined.joined, &parts, metric));
    }
    let count = request.queries.len();
    let narrowed: Vec<_> = targets.iter().map(|t| t.narrowed(&book, count)).collect();
    let targets = narrow(targets, &narrowed, &book, metric);
    let search = ClusterSearch::new(&book, targets, metric, request.top_k, request.effort);
    let queries: Vec<&[f32]> = (0..request.queries.len())
        .filter_map(|at| match request.queries.get(at) {
            Some(Query::Dense(query)) => Some(query),
            _ => None,
        })
        .collect();
    let (mut found, order) = match queries[..] {
        [query] => (vec![SCRATCH.with_borrow_mut(|scratch| search.run(query, scratch))], vec![0]),
        _ => search.run_all(&queries),
    };
    if let Some(joined) = joined {
        let candidates = found.iter_mut().flatten().flat_map(|(candidates, _)| candidates);
        candidates.for_each(|c| name_row(c, joined));
    }
    Found { found, order }
}

/// The targets by the codes of their allowed rows alone, where there are such.
fn narrow<'a>(
    targets: Vec<Target<'a>>,
    narrowed: &'a [Option<CodedRows>],
    book: &Codebook,
    metric: Metric,
) -> Vec<Target<'a>> {
    let one = |(target, rows): (Target<'a>, &'a Option<CodedRows>)| match rows {
        Some(rows) => target.over(rows, book, metric),
        None => target,
    };
    targets.into_iter().zip(narrowed).map(one).collect()
}

/// Puts unit and row in place of a number among joined rows.
fn name_row(candidate: &mut Candidate, joined: &InUse) {
    if candidate.unit == JOINED {
        let (at, row) = joined.joined.address(candidate.row);
        (candidate.unit, candidate.row) = (joined.units[at].unwrap_or(JOINED), row);
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
    let rank = |at: usize| {
        let found = &found.found[at];
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
                    let ask = |row: u32| {
                        let Some((view, at)) = find(row) else { return };
                        view.prefetch(at);
                        unit.keys.prefetch(row as usize);
                    };
                    let mut coming = rows().skip(AHEAD);
                    rows().take(AHEAD).for_each(ask);
                    for row in rows() {
                        coming.next().into_iter().for_each(ask);
                        add(row);
                    }
                }
                None => unit.allowed.iter().for_each(|row| add(row as u32)),
            }
        }
        keep_best(&mut all, request);
        Ok(all)
    };
    match found.order[..] {
        [at] => Ok(vec![rank(at as usize)?]),
        _ => batch::in_order(&found.order, || (), |(), at| rank(at)).into_iter().collect(),
    }
}

fn ranked_row(unit: &Coded, request: &SearchRequest, row: u32, score: f64) -> Option<Ranked> {
    let metric: Metric = request.metric;
    if request.range.is_some_and(|range| !range.holds(metric, score)) {
        return None;
    }
    let address = RowAddress { unit: unit.unit, row };
    Some((Hit { score: score as f32, row: address, element: None }, unit.keys.get(row as usize)))
}
