//! The search over all units of one codebook.
//!
//! 1. The lists are put in the order of `|q-c|² + R²/2`, `R²` the mean squared residual of the list: rows
//!    that are answers lie on the query's side of their centroid.
//! 2. [`super::coverage`] says how many of them to look at for the wanted recall: more for a larger `k`
//!    and under a filter, where the answers lie deeper.
//! 3. A scan of a list gives a lower bound for each row (estimate less some standard deviations of its
//!    error); rows whose bound is below `T`, the worst distance among the best so far, are compared by their
//!    bytes, which lowers `T`.
//!
//! What comes out are candidates by their byte distances, a few more than asked for: the caller compares
//! them by the vectors themselves. All units share the lists and `T`, so many segments cost little more than
//! one. Filters and deletes are masks; a list without allowed rows is not looked at, and the search goes on
//! until it has as many rows as were asked for, or all.

use std::collections::BinaryHeap;

use elanus_kernels::{BLOCK_ROWS, Kernels, NibbleRows, NibbleTables};

use super::codebook::Codebook;
use super::query::Ready;
use super::target::Target;
use crate::core::effort::Effort;
use crate::index::Metric;

/// A row that may be an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Number of the unit.
    pub unit: u32,
    /// Row of the unit.
    pub row: u32,
    /// What the metric ranks by, by the byte codes; smaller is nearer.
    pub distance: f32,
}

/// What a search of one query touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Touched {
    /// Lists scanned.
    pub lists: u64,
    /// Rows whose nibble codes were scanned.
    pub coarse_rows: u64,
    /// Rows compared by their bytes.
    pub fine_rows: u64,
}

/// Lists scanned between two looks at what is left.
const STEP: usize = 8;
/// Places of a flat unit scanned at once.
const FLAT_STEP: usize = 2_048;
/// Below this many allowed rows all are compared by their bytes.
const FEW_ROWS: usize = 256;

/// A search over units of one codebook.
#[derive(Debug)]
pub struct ClusterSearch<'a> {
    book: &'a Codebook,
    flat: Vec<Target<'a>>,
    listed: Vec<Target<'a>>,
    /// Allowed rows of each list, over all units.
    counts: Vec<u32>,
    total: usize,
    metric: Metric,
    keep: usize,
    /// Lists to look at.
    probes: usize,
    sigmas: f32,
}

/// Buffers of a search, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    ready: Ready,
    scores: Vec<f32>,
    lists: Vec<List>,
    masks: Vec<u32>,
    bounds: Vec<f32>,
    picks: Vec<Pick>,
    places: Vec<u32>,
    dots: Vec<i32>,
    best: BinaryHeap<Best>,
}

#[derive(Debug, Clone, Copy)]
struct List {
    list: u32,
    /// What the lists are ordered by.
    rank: f32,
}

/// A row whose bound is below `T`.
#[derive(Debug, Clone, Copy)]
struct Pick {
    target: u32,
    place: u32,
    /// Shifted squared distance of query and centre.
    base: f32,
    bound: f32,
}

#[derive(Debug, Clone, Copy)]
struct Best(Candidate);

impl PartialEq for Best {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Best {}
impl PartialOrd for Best {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Best {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.distance.total_cmp(&other.0.distance)
    }
}

impl<'a> ClusterSearch<'a> {
    /// A search for the `top_k` nearest rows of each query; `targets` share the codebook and the metric.
    pub fn new(
        book: &'a Codebook,
        targets: Vec<Target<'a>>,
        metric: Metric,
        top_k: usize,
        effort: Effort,
    ) -> Self {
        let total = targets.iter().map(|t| t.count).sum();
        let (flat, listed): (Vec<_>, Vec<_>) = targets.into_iter().partition(|t| t.rows.is_flat());
        let mut counts = vec![0u32; book.lists()];
        for target in &listed {
            for (list, count) in counts.iter_mut().enumerate() {
                let (from, to) = target.rows.list(list);
                *count += target.count_in(from, to) as u32;
            }
        }
        let miss = 1.0 - effort.recall();
        let mut search = Self {
            book,
            flat,
            listed,
            counts,
            total,
            metric,
            keep: keep(top_k),
            probes: 0,
            sigmas: sigmas(miss),
        };
        search.probes = search.probes_for(top_k, effort);
        search
    }

    /// Candidates of a query, nearest first; none if the query's distances cannot be told in single
    /// precision and the rows have to be compared exactly.
    pub fn run(&self, query: &[f32], scratch: &mut Scratch) -> Option<(Vec<Candidate>, Touched)> {
        let mut touched = Touched::default();
        scratch.best.clear();
        if !scratch.ready.prepare(self.book, self.metric, query) {
            return None;
        }
        if self.total <= FEW_ROWS.max(self.keep) || self.total <= self.all_rows() / 100 {
            self.compare_all(scratch, &mut touched);
        } else {
            self.hunt(scratch, &mut touched);
        }
        let best = std::mem::take(&mut scratch.best).into_sorted_vec();
        Some((best.into_iter().map(|b| b.0).collect(), touched))
    }

    fn all_rows(&self) -> usize {
        self.flat.iter().chain(&self.listed).map(|t| t.rows.rows).sum()
    }

    /// Compares every allowed row by its bytes.
    fn compare_all(&self, s: &mut Scratch, touched: &mut Touched) {
        let mut places = Vec::new();
        for list in (0..self.counts.len()).filter(|l| self.counts[*l] > 0) {
            let base = self.base(&s.ready, list);
            for (at, target) in self.listed.iter().enumerate() {
                let (from, to) = target.rows.list(list);
                places.clear();
                target.places(from, to, &mut places);
                let pick =
                    |place: &u32| Pick { target: at as u32, place: *place, base, bound: 0.0 };
                s.picks.extend(places.iter().map(pick));
            }
        }
        for target in 0..self.listed.len() {
            self.compare(s, target, false, touched);
        }
        for (at, target) in self.flat.iter().enumerate() {
            places.clear();
            target.places(0, target.rows.rows, &mut places);
            let base = s.ready.squared + s.ready.shift;
            let pick = |place: &u32| Pick { target: at as u32, place: *place, base, bound: 0.0 };
            s.picks.extend(places.iter().map(pick));
            self.compare(s, at, true, touched);
        }
    }

    /// How many lists to look at.
    fn probes_for(&self, top_k: usize, effort: Effort) -> usize {
        let (mut rows, mut allowed) = (0.0f64, 0.0f64);
        for (list, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            allowed += f64::from(*count);
            let lists = self.listed.iter().map(|t| t.rows.list(list));
            rows += lists.map(|(from, to)| (to - from) as f64).sum::<f64>();
        }
        if allowed == 0.0 {
            return 0;
        }
        // The answers lie as deep as `top_k` times the rows for each allowed one, in the lists that have any.
        let all: f64 = self.listed.iter().map(|t| t.rows.rows as f64).sum();
        let depth = top_k as f64 * rows / (allowed * all);
        let lists = self.book.coverage.lists(depth as f32, effort.recall());
        (lists * MARGIN).ceil() as usize
    }

    fn hunt(&self, s: &mut Scratch, touched: &mut Touched) {
        if !self.listed.is_empty() {
            s.ready.build_tables(&self.book.fine, false);
            self.order_lists(s);
        }
        let mut next = self.scan_first(s, touched);
        self.settle(s, false, touched);
        self.scan_flat(s, touched);
        let mut ordered = self.probes.min(s.lists.len());
        while next < s.lists.len() && (next < self.probes || s.best.len() < self.keep) {
            if next >= ordered {
                // A filter left too few rows in the likely lists: all others, in order.
                s.lists[next..].sort_unstable_by(|a, b| a.rank.total_cmp(&b.rank));
                ordered = s.lists.len();
            }
            let end = s.lists.len().min(next + STEP);
            let limit = self.limit(s);
            for at in next..end {
                self.scan_list(s, at, limit, touched);
            }
            next = end;
            self.settle(s, false, touched);
        }
    }

    /// Scans the nearest lists until they have given enough rows to know `T`; returns how many.
    fn scan_first(&self, s: &mut Scratch, touched: &mut Touched) -> usize {
        let enough = (4 * self.keep).max(512);
        let (mut rows, mut next) = (0, 0);
        while next < s.lists.len().min(self.probes) && rows < enough {
            rows += self.counts[s.lists[next].list as usize] as usize;
            self.scan_list(s, next, f32::INFINITY, touched);
            next += 1;
        }
        next
    }

    /// The lists that hold allowed rows, the most likely ones first and in order.
    fn order_lists(&self, s: &mut Scratch) {
        let Scratch { ready, scores, lists, .. } = s;
        ready.centroid_scores(self.book, scores);
        lists.clear();
        let Some(largest) = self.listed.iter().max_by_key(|t| t.rows.rows) else { return };
        for (list, score) in scores.iter().enumerate() {
            if self.counts[list] == 0 {
                continue;
            }
            let (add, scale) = largest.lens.list(list);
            let squared = score + ready.squared + ready.shift;
            let inner = (1.0 - HALF_SPREAD) * largest.rows.spread[list];
            lists.push(List { list: list as u32, rank: scale * (squared - inner) + add });
        }
        let by_rank = |a: &List, b: &List| a.rank.total_cmp(&b.rank);
        let probes = self.probes.min(lists.len());
        if probes < lists.len() {
            lists.select_nth_unstable_by(probes, by_rank);
        }
        lists[..probes].sort_unstable_by(by_rank);
    }

    /// Shifted squared distance to a centroid.
    fn base(&self, ready: &Ready, list: usize) -> f32 {
        Kernels::best().l2_squared(&ready.vector, self.book.centroid(list)) + ready.shift
    }

    /// Compares the picks that may be nearer than `T`, best bounds first where `T` is not yet known.
    fn settle(&self, s: &mut Scratch, flat: bool, touched: &mut Touched) {
        let first = 2 * self.keep;
        if s.best.len() < self.keep && s.picks.len() > first {
            s.picks.select_nth_unstable_by(first, |a, b| a.bound.total_cmp(&b.bound));
            let mut rest = s.picks.split_off(first);
            self.compare_each(s, flat, touched);
            let limit = self.limit(s);
            rest.retain(|p| p.bound < limit);
            s.picks.append(&mut rest);
        }
        self.compare_each(s, flat, touched);
    }

    fn compare_each(&self, s: &mut Scratch, flat: bool, touched: &mut Touched) {
        let targets = if flat { self.flat.len() } else { self.listed.len() };
        if targets == 1 {
            return self.compare(s, 0, flat, touched);
        }
        let mut all = std::mem::take(&mut s.picks);
        all.sort_unstable_by_key(|p| p.target);
        for same in all.chunk_by(|a, b| a.target == b.target) {
            s.picks.clear();
            s.picks.extend_from_slice(same);
            self.compare(s, same[0].target as usize, flat, touched);
        }
        all.clear();
        s.picks = all;
    }

    /// The distance that an answer does not exceed.
    fn limit(&self, s: &Scratch) -> f32 {
        match s.best.peek() {
            Some(worst) if s.best.len() >= self.keep => worst.0.distance,
            _ => f32::INFINITY,
        }
    }

    /// Compares the picks of one target by their bytes.
    fn compare(&self, s: &mut Scratch, target: usize, flat: bool, touched: &mut Touched) {
        let target = if flat { &self.flat[target] } else { &self.listed[target] };
        let (fine, scale) = (target.lens.fine(), target.lens.scale());
        s.places.clear();
        s.places.extend(s.picks.iter().map(|p| p.place));
        s.dots.clear();
        s.dots.resize(s.places.len(), 0);
        let kernels = Kernels::best();
        kernels.int8_dot_picked(&s.ready.bytes, &target.rows.bytes, &s.places, &mut s.dots);
        touched.fine_rows += s.places.len() as u64;
        for (pick, dot) in s.picks.iter().zip(&s.dots) {
            let at = pick.place as usize;
            let base = scale.map_or(pick.base, |scale| scale[at] * pick.base);
            let product = s.ready.bytes_scale * *dot as f32;
            let distance = base + fine.add[at] + fine.mul[at] * product;
            if s.best.len() < self.keep {
                let row = target.row(pick.place);
                s.best.push(Best(Candidate { unit: target.unit, row, distance }));
            } else if let Some(mut worst) = s.best.peek_mut()
                && distance < worst.0.distance
            {
                let row = target.row(pick.place);
                *worst = Best(Candidate { unit: target.unit, row, distance });
            }
        }
        s.picks.clear();
    }

    fn scan_list(&self, s: &mut Scratch, at: usize, limit: f32, touched: &mut Touched) {
        let list = s.lists[at].list as usize;
        let base = self.base(&s.ready, list);
        touched.lists += 1;
        for (at, target) in self.listed.iter().enumerate() {
            let (from, to) = target.rows.list(list);
            if from < to {
                scan(target, at, (from, to), base, (limit, self.sigmas), s, touched);
            }
        }
    }

    fn scan_flat(&self, s: &mut Scratch, touched: &mut Touched) {
        if self.flat.is_empty() {
            return;
        }
        s.ready.build_tables(&self.book.flat, true);
        let base = s.ready.squared + s.ready.shift;
        for (at, target) in self.flat.iter().enumerate() {
            for from in (0..target.rows.rows).step_by(FLAT_STEP) {
                let to = target.rows.rows.min(from + FLAT_STEP);
                let limit = self.limit(s);
                scan(target, at, (from, to), base, (limit, self.sigmas), s, touched);
                self.settle(s, true, touched);
            }
        }
    }
}

/// Weight of a list's mean squared residual in the order of lists.
pub(super) const HALF_SPREAD: f32 = 0.5;
/// Lists looked at for each that the stand-ins for queries needed: true queries lie a little farther off.
const MARGIN: f32 = 1.2;

/// Candidates kept for `top_k` answers: byte distances may be wrong about the last places.
fn keep(top_k: usize) -> usize {
    top_k + 4 + top_k / 4
}

/// Standard deviations that a bound lies below its estimate.
fn sigmas(miss: f32) -> f32 {
    // -ln(miss) grows like the square of the normal quantile; 2 at a miss of 2 %.
    (-miss.max(1e-6).ln()).sqrt()
}

/// Scans places `[from, to)` of a target and picks those whose bound is below the limit.
fn scan(
    target: &Target<'_>,
    number: usize,
    (from, to): (usize, usize),
    base: f32,
    (limit, sigmas): (f32, f32),
    s: &mut Scratch,
    touched: &mut Touched,
) {
    target.masks(from, to, &mut s.masks);
    let (first, last) = (from / BLOCK_ROWS, to.div_ceil(BLOCK_ROWS));
    let tables = if target.rows.is_flat() { &s.ready.flat } else { &s.ready.fine };
    let nibbles = tables.entries.len() / 16;
    let coarse = target.lens.coarse();
    let places = first * BLOCK_ROWS..last * BLOCK_ROWS;
    let rows = NibbleRows {
        nibbles,
        codes: &target.rows.nibbles[first * nibbles * 16..last * nibbles * 16],
        add: &coarse.add[places.clone()],
        mul: &coarse.mul[places.clone()],
        scale: target.lens.scale().map(|scale| &scale[places.clone()]),
    };
    let slack = tables.slack(sigmas, base - s.ready.shift);
    let tables =
        NibbleTables { tables: &tables.entries, unit: tables.unit, offset: tables.offset + slack };
    s.bounds.resize(places.len(), 0.0);
    touched.coarse_rows += (to - from) as u64;
    let found =
        Kernels::best().scan_nibbles(&rows, &tables, base, limit, &mut s.masks, &mut s.bounds);
    if found == 0 {
        return;
    }
    for (block, mask) in s.masks.iter().enumerate() {
        let mut bits = *mask;
        while bits != 0 {
            let at = block * BLOCK_ROWS + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            s.picks.push(Pick {
                target: number as u32,
                place: (places.start + at) as u32,
                base,
                bound: s.bounds[at],
            });
        }
    }
}
