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

use elanus_kernels::Kernels;

use super::codebook::Codebook;
use super::coverage::Coverage;
use super::outlook::{FEW_LISTS, Outlook, looked_at};
use super::overview::Overview;
use super::query::Ready;
use super::scratch::{Pick, Scratch};
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
/// Below this many allowed rows all are compared by their bytes.
const FEW_ROWS: usize = 256;

/// A search over units of one codebook.
#[derive(Debug)]
pub struct ClusterSearch<'a> {
    pub(super) book: &'a Codebook,
    pub(super) flat: Vec<Target<'a>>,
    pub(super) listed: Vec<Target<'a>>,
    overview: Arc<Overview>,
    total: usize,
    /// Mean length of the vectors.
    pub(super) typical: f32,
    /// Whether all vectors have about the same length.
    same_length: bool,
    pub(super) metric: Metric,
    pub(super) keep: usize,
    /// How deep the answers lie, as a share of all rows.
    depth: f32,
    recall: f32,
    pub(super) sigmas: f32,
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
        scratch.ready.query.place(self.book, self.metric, self.typical, query);
        self.run_placed(None, scratch)
    }

    /// [`Self::run`] for the query that the buffers hold, with the scores of all centroids where they are there.
    pub(super) fn run_placed(
        &self,
        scores: Option<&[f32]>,
        scratch: &mut Scratch,
    ) -> Option<(Vec<Candidate>, Touched)> {
        let mut touched = Touched::default();
        // Nothing of an earlier search may be taken for this one's.
        scratch.best.clear();
        scratch.lists.clear();
        scratch.picks.clear();
        if !scratch.ready.query.sound {
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
        let empty = BinaryHeap::with_capacity(self.keep + 1);
        let best = std::mem::replace(&mut scratch.best, empty).into_sorted_vec();
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
            let base = s.ready.query.squared + s.ready.query.shift;
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
        let (seen, squared) = (&self.overview.seen, ready.query.squared + ready.query.shift);
        ranks.set(|out| seen.ranks(scores, squared, out));
        let name = |at: usize| seen.lists[at];
        let own = self.listed.iter().all(|t| matches!(t.lens, super::view::Lens::Own(_)));
        let wanted = match own && seen.len() > FEW_LISTS {
            true => {
                ranks.lowest(looked_at(self.book.lists()), name, lists);
                lists.sort_unstable();
                let outlook = Outlook::of(lists.len(), |at| lists[at].rank());
                self.lists_wanted(|coverage| coverage.lists_for(&outlook, self.depth, self.recall))
            }
            false => self.lists_wanted(|coverage| coverage.lists(self.depth, self.recall)),
        };
        let margin = if own || self.same_length { MARGIN } else { FOREIGN_MARGIN };
        let hidden = 1.0 - self.total as f32 / self.all_rows().max(1) as f32;
        let margin = margin * (1.0 + HIDDEN_MARGIN * hidden);
        let probes = ((wanted * margin).ceil() as usize).min(seen.len());
        if own && seen.len() > FEW_LISTS && probes <= lists.len() {
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
        Kernels::best().l2_squared(&ready.query.vector, self.book.centroid(list))
            + ready.query.shift
    }

    /// [`Self::base`] from the centroids' scores, where the bytes that those rest on tell rows apart.
    pub(super) fn scored_base(&self, ready: &Ready, scores: &[f32], list: usize) -> f32 {
        match ready.query.squared <= NEAR * self.book.mean_error {
            true => scores[list] + ready.query.squared + ready.query.shift,
            false => self.base(ready, list),
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
/// What is added by the share of rows that a filter hides: those that it lets through may lie elsewhere than the
/// rows at large, by which was measured.
const HIDDEN_MARGIN: f32 = 0.25;
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
