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
use std::sync::Arc;

use elanus_kernels::{BLOCK_ROWS, Kernels, NibbleRows, NibbleTables};

use super::codebook::Codebook;
use super::coverage::{Coverage, FAR_LIST, Outlook};
use super::likely::{List, Ranks};
use super::overview::Overview;
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

/// Rows of the nearest lists that are scanned before `T` is known.
const FIRST_ROWS: usize = 128;
/// Lists of the first step after `T` is known.
const STEP: usize = 8;
/// Places of a flat unit scanned at once.
const FLAT_STEP: usize = 2_048;
/// Below this many allowed rows all are compared by their bytes.
const FEW_ROWS: usize = 256;
/// Most searches look at no more lists than these.
const USUAL_PROBES: usize = 64;

/// A search over units of one codebook.
#[derive(Debug)]
pub struct ClusterSearch<'a> {
    pub(super) book: &'a Codebook,
    flat: Vec<Target<'a>>,
    listed: Vec<Target<'a>>,
    overview: Arc<Overview>,
    total: usize,
    /// Mean length of the vectors.
    pub(super) typical: f32,
    /// Whether all vectors have about the same length.
    same_length: bool,
    pub(super) metric: Metric,
    keep: usize,
    /// How deep the answers lie, as a share of all rows.
    depth: f32,
    recall: f32,
    sigmas: f32,
}

/// Buffers of a search, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    ready: Ready,
    scores: Vec<f32>,
    ranks: Ranks,
    lists: Vec<List>,
    spans: Vec<Span>,
    sums: Vec<f32>,
    masks: Vec<u32>,
    bounds: Vec<f32>,
    picks: Vec<Pick>,
    places: Vec<u32>,
    dots: Vec<i32>,
    rest: Vec<i32>,
    best: BinaryHeap<Best>,
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
        let typical = typical_length(&targets);
        let same_length = targets.iter().all(|t| {
            let seen = t.rows.lengths_seen();
            seen.most <= SAME_LENGTH * seen.least
        });
        let (flat, mut listed): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|t| t.rows.is_flat());
        listed.sort_by_key(|t| std::cmp::Reverse(t.rows.rows));
        let miss = 1.0 - effort.recall();
        let overview = Overview::of(&listed, book.lists());
        Self {
            book,
            flat,
            depth: (top_k as f64 * overview.depth) as f32,
            overview,
            listed,
            total,
            typical,
            same_length,
            metric,
            keep: keep(top_k),
            recall: effort.recall(),
            sigmas: sigmas(miss),
        }
    }

    /// Candidates of a query, nearest first; none if the query's distances cannot be told in single
    /// precision and the rows have to be compared exactly.
    pub fn run(&self, query: &[f32], scratch: &mut Scratch) -> Option<(Vec<Candidate>, Touched)> {
        self.run_scored(query, None, scratch)
    }

    /// [`Self::run`] with the scores of all centroids where they are there already.
    pub(super) fn run_scored(
        &self,
        query: &[f32],
        scores: Option<&[f32]>,
        scratch: &mut Scratch,
    ) -> Option<(Vec<Candidate>, Touched)> {
        let mut touched = Touched::default();
        // Nothing of an earlier search may be taken for this one's.
        scratch.best.clear();
        scratch.lists.clear();
        scratch.picks.clear();
        if !scratch.ready.prepare(self.book, self.metric, self.typical, query) {
            return None;
        }
        if self.total <= FEW_ROWS.max(self.keep) || self.total <= self.all_rows() / 100 {
            self.compare_all(scratch, &mut touched);
        } else {
            self.hunt(scratch, scores, &mut touched);
            if scratch.best.len() < self.keep.min(self.total) {
                // Bounds overflowed: every allowed row is compared.
                scratch.best.clear();
                self.compare_all(scratch, &mut touched);
            }
        }
        if scratch.best.iter().any(|b| !b.0.distance.is_finite()) {
            return None;
        }
        let best = std::mem::take(&mut scratch.best).into_sorted_vec();
        Some((best.into_iter().map(|b| b.0).collect(), touched))
    }

    fn all_rows(&self) -> usize {
        self.flat.iter().chain(&self.listed).map(|t| t.whole.rows).sum()
    }

    /// Compares every allowed row by its bytes.
    fn compare_all(&self, s: &mut Scratch, touched: &mut Touched) {
        let mut places = Vec::new();
        for list in (0..self.overview.counts.len()).filter(|l| self.overview.counts[*l] > 0) {
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
        self.compare_each(s, false, touched);
        for (at, target) in self.flat.iter().enumerate() {
            places.clear();
            target.places(0, target.rows.rows, &mut places);
            let base = s.ready.squared + s.ready.shift;
            let pick = |place: &u32| Pick { target: at as u32, place: *place, base, bound: 0.0 };
            s.picks.extend(places.iter().map(pick));
            self.compare(s, at, true, touched);
        }
    }

    fn hunt(&self, s: &mut Scratch, scores: Option<&[f32]>, touched: &mut Touched) {
        let mut own = std::mem::take(&mut s.scores);
        let probes = match (self.listed.is_empty(), scores) {
            (true, _) => 0,
            (false, scores) => {
                s.ready.build_tables(&self.book.fine, false);
                if scores.is_none() {
                    s.ready.centroid_scores(self.book, &mut own);
                }
                self.order_lists(s, scores.unwrap_or(&own))
            }
        };
        self.hunt_lists(s, scores.unwrap_or(&own), probes, touched);
        s.scores = own;
    }

    /// Looks at the likely lists, and at more if those held too few rows.
    fn hunt_lists(&self, s: &mut Scratch, scores: &[f32], probes: usize, touched: &mut Touched) {
        let mut next = self.scan_first(s, scores, probes, touched);
        self.settle(s, false, touched);
        self.scan_flat(s, touched);
        let mut step = STEP;
        let all = if self.listed.is_empty() { 0 } else { self.overview.seen.len() };
        while next < all && (next < probes || s.best.len() < self.keep) {
            if next >= s.lists.len() {
                // A filter left too few rows in the likely lists: others, in order.
                let Scratch { ranks, lists, .. } = s;
                ranks.lowest(all, |at| self.overview.seen.lists[at], lists);
                lists.sort_unstable();
            }
            // `T` falls fast at first and hardly later, so steps grow.
            let most = if next < probes { probes } else { all };
            let end = most.min(next + step);
            step *= 2;
            self.scan_lists(s, scores, next..end, self.limit(s), touched);
            next = end;
            self.settle(s, false, touched);
        }
    }

    /// Scans the nearest lists until they have given enough rows to know `T`; returns how many.
    fn scan_first(
        &self,
        s: &mut Scratch,
        scores: &[f32],
        probes: usize,
        touched: &mut Touched,
    ) -> usize {
        let enough = (4 * self.keep).max(FIRST_ROWS);
        let (mut rows, mut next) = (0, 0);
        while next < probes && rows < enough {
            rows += self.overview.counts[s.lists[next].list()] as usize;
            next += 1;
        }
        self.scan_lists(s, scores, 0..next, f32::INFINITY, touched);
        next
    }

    /// The likely ones of the lists that hold allowed rows, in order; returns how many there are.
    fn order_lists(&self, s: &mut Scratch, scores: &[f32]) -> usize {
        let Scratch { ready, ranks, lists, .. } = s;
        let (seen, squared) = (&self.overview.seen, ready.squared + ready.shift);
        ranks.set(|out| seen.ranks(scores, squared, out));
        let name = |at: usize| seen.lists[at];
        let own = self.listed.iter().all(|t| matches!(t.lens, super::view::Lens::Own(_)));
        let wanted = match own && seen.len() > FAR_LIST {
            true => {
                ranks.lowest(USUAL_PROBES, name, lists);
                lists.sort_unstable();
                let outlook = Outlook::of(lists[0].rank(), lists[FAR_LIST].rank());
                self.lists_wanted(|coverage| coverage.lists_for(outlook, self.depth, self.recall))
            }
            false => self.lists_wanted(|coverage| coverage.lists(self.depth, self.recall)),
        };
        let margin = if own || self.same_length { MARGIN } else { FOREIGN_MARGIN };
        let probes = ((wanted * margin).ceil() as usize).min(seen.len());
        if own && seen.len() > FAR_LIST && probes <= lists.len() {
            lists.truncate(probes);
        } else {
            ranks.lowest(probes, name, lists);
            lists.sort_unstable();
        }
        probes
    }

    /// The most lists that any unit's rows ask for.
    fn lists_wanted(&self, of: impl Fn(&Coverage) -> f32) -> f32 {
        let own = |t: &Target<'a>| of(t.rows.coverage.as_ref().unwrap_or(&self.book.coverage));
        self.listed.iter().map(own).fold(1.0, f32::max)
    }

    /// Shifted squared distance to a centroid.
    fn base(&self, ready: &Ready, list: usize) -> f32 {
        Kernels::best().l2_squared(&ready.vector, self.book.centroid(list)) + ready.shift
    }

    /// [`Self::base`] from the centroids' scores, where the bytes that those rest on tell rows apart.
    fn scored_base(&self, ready: &Ready, scores: &[f32], list: usize) -> f32 {
        match ready.squared <= NEAR * self.book.mean_error {
            true => scores[list] + ready.squared + ready.shift,
            false => self.base(ready, list),
        }
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
        for place in &s.places {
            let at = *place as usize;
            elanus_kernels::prefetch(&fine.add[at..=at]);
            elanus_kernels::prefetch(&fine.mul[at..=at]);
        }
        let kernels = Kernels::best();
        kernels.int8_dot_picked(&s.ready.bytes, &target.rows.bytes, &s.places, &mut s.dots);
        touched.fine_rows += s.places.len() as u64;
        s.rest.clear();
        s.rest.resize(s.places.len(), 0);
        if !s.ready.rest.is_empty() {
            kernels.int8_dot_picked(&s.ready.rest, &target.rows.bytes, &s.places, &mut s.rest);
        }
        for ((pick, dot), rest) in s.picks.iter().zip(&s.dots).zip(&s.rest) {
            let at = pick.place as usize;
            let base = scale.map_or(pick.base, |scale| scale[at] * pick.base);
            let product = s.ready.bytes_scale * *dot as f32 + s.ready.rest_scale * *rest as f32;
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

    /// Scans some of the ordered lists, in all units. Lists that are neighbours in the file go together.
    fn scan_lists(
        &self,
        s: &mut Scratch,
        scores: &[f32],
        which: std::ops::Range<usize>,
        limit: f32,
        touched: &mut Touched,
    ) {
        touched.lists += which.len() as u64;
        let mut spans = std::mem::take(&mut s.spans);
        spans.clear();
        for list in &s.lists[which] {
            let base = self.scored_base(&s.ready, scores, list.list());
            spans.push(Span { list: list.list() as u32, base });
        }
        spans.sort_unstable_by_key(|span| span.list);
        let mut runs = spans.chunk_by(|a, b| a.list + 1 == b.list).peekable();
        while let Some(run) = runs.next() {
            if let (Some([first, .., last] | [first @ last]), Some(target)) =
                (runs.peek(), self.listed.first())
            {
                target.prefetch(first.list as usize, last.list as usize);
            }
            for (at, target) in self.listed.iter().enumerate() {
                self.scan_run(target, at, run, limit, s, touched);
            }
        }
        s.spans = spans;
    }

    /// Scans lists that lie side by side in a target.
    fn scan_run(
        &self,
        target: &Target<'_>,
        number: usize,
        run: &[Span],
        limit: f32,
        s: &mut Scratch,
        touched: &mut Touched,
    ) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        let (from, to) =
            (target.rows.list(first.list as usize).0, target.rows.list(last.list as usize).1);
        if from == to {
            return;
        }
        let place = Place { number, from, to };
        if run.len() == 1 {
            scan(target, place, first.base, None, (limit, self.sigmas), s, touched);
            return;
        }
        // The lists' distances differ: they are added row by row, and the scan adds nothing.
        let start = from / BLOCK_ROWS * BLOCK_ROWS;
        let add = &target.lens.coarse().add;
        let mut sums = std::mem::take(&mut s.sums);
        sums.clear();
        sums.extend_from_slice(&add[start..to.next_multiple_of(BLOCK_ROWS)]);
        let mut most = first.base;
        for span in run {
            most = most.max(span.base);
            let (from, to) = target.rows.list(span.list as usize);
            let part = &mut sums[from - start..to - start];
            match target.lens.scale() {
                None => part.iter_mut().for_each(|sum| *sum += span.base),
                Some(scale) => {
                    part.iter_mut().zip(&scale[from..to]).for_each(|(s, m)| *s += m * span.base);
                }
            }
        }
        let own = Own { add: &sums, run, most };
        scan(target, place, 0.0, Some(own), (limit, self.sigmas), s, touched);
        s.sums = sums;
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
                let place = Place { number: at, from, to };
                scan(target, place, base, None, (limit, self.sigmas), s, touched);
                self.settle(s, true, touched);
            }
        }
    }
}

/// Squared distance to the mean, as a multiple of the mean squared residual, up to which the bytes of query and
/// centroid are as fine as those of query and residual.
const NEAR: f32 = 4.0;
/// Weight of a list's mean squared residual in the order of lists.
pub(super) const HALF_SPREAD: f32 = 0.5;
/// Lists looked at for each that the stand-ins for queries needed: true queries lie a little farther off.
const MARGIN: f32 = 1.2;
/// The same for a metric that the lists were not measured for, and that vectors of several lengths order in
/// another way.
const FOREIGN_MARGIN: f32 = 3.0;
/// Lengths that differ by less order rows alike under every metric.
const SAME_LENGTH: f32 = 1.01;

/// Candidates kept for `top_k` answers: byte distances may be wrong about the last places.
fn keep(top_k: usize) -> usize {
    top_k + 2 + top_k / 8
}

/// Mean length of the vectors of some units.
fn typical_length(targets: &[Target<'_>]) -> f32 {
    let (mut sum, mut rows) = (0.0f64, 0.0f64);
    for target in targets {
        let n = target.rows.rows as f64;
        sum += f64::from(target.rows.lengths_seen().mean) * n;
        rows += n;
    }
    (sum / rows.max(1.0)) as f32
}

/// Standard deviations that a bound lies below its estimate.
fn sigmas(miss: f32) -> f32 {
    // -ln(miss) grows like the square of the normal quantile; 1.2 at a miss of 2 %. A row that is lost by its
    // bound is one of many reasons to miss one, and the rarest even so: twice the width took half as many
    // comparisons more for a tenth of a per cent.
    0.6 * (-miss.max(1e-6).ln()).sqrt()
}

/// Neighbouring places of a target.
#[derive(Clone, Copy)]
struct Place {
    number: usize,
    from: usize,
    to: usize,
}

/// A list with its distance.
#[derive(Debug, Clone, Copy)]
struct Span {
    list: u32,
    base: f32,
}

/// Neighbouring lists, whose distances are in the sums already.
#[derive(Clone, Copy)]
struct Own<'a> {
    /// From the first place's block on.
    add: &'a [f32],
    run: &'a [Span],
    /// The farthest of them.
    most: f32,
}

/// Scans places of a target and picks those whose bound is below the limit.
fn scan(
    target: &Target<'_>,
    place: Place,
    base: f32,
    own: Option<Own<'_>>,
    (limit, sigmas): (f32, f32),
    s: &mut Scratch,
    touched: &mut Touched,
) {
    target.masks(place.from, place.to, &mut s.masks);
    let (first, last) = (place.from / BLOCK_ROWS, place.to.div_ceil(BLOCK_ROWS));
    let tables = if target.rows.is_flat() { &s.ready.flat } else { &s.ready.fine };
    let nibbles = tables.entries.len() / 16;
    let coarse = target.lens.coarse();
    let places = first * BLOCK_ROWS..last * BLOCK_ROWS;
    let scale = target.lens.scale().filter(|_| own.is_none());
    let rows = NibbleRows {
        nibbles,
        codes: &target.rows.nibbles[first * nibbles * 16..last * nibbles * 16],
        add: own.map_or(&coarse.add[places.clone()], |own| own.add),
        mul: &coarse.mul[places.clone()],
        scale: scale.map(|scale| &scale[places.clone()]),
    };
    let farthest = own.map_or(base, |own| own.most);
    let slack = tables.slack(sigmas, (farthest - s.ready.shift).max(0.0));
    let tables =
        NibbleTables { tables: &tables.entries, unit: tables.unit, offset: tables.offset + slack };
    s.bounds.resize(places.len(), 0.0);
    touched.coarse_rows += (place.to - place.from) as u64;
    let found =
        Kernels::best().scan_nibbles(&rows, &tables, base, limit, &mut s.masks, &mut s.bounds);
    if found == 0 {
        return;
    }
    let mut lists = own.map(|own| own.run.iter());
    let (mut base, mut end) = (base, if own.is_some() { 0 } else { usize::MAX });
    for (block, mask) in s.masks.iter().enumerate() {
        let mut bits = *mask;
        while bits != 0 {
            let at = block * BLOCK_ROWS + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            while places.start + at >= end {
                // Places come in order, and so do the lists.
                let Some(span) = lists.as_mut().and_then(Iterator::next) else { return };
                base = span.base;
                end = target.rows.list(span.list as usize).1;
            }
            s.picks.push(Pick {
                target: place.number as u32,
                place: (places.start + at) as u32,
                base,
                bound: s.bounds[at],
            });
        }
    }
}
