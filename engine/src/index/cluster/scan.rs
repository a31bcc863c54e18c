//! Scanning nibble codes, of lists and of flat units, for rows that may be near enough.

use elanus_kernels::{BLOCK_ROWS, Kernels, NibbleRows, NibbleTables};

use super::scratch::{Pick, Scratch};
use super::search::{ClusterSearch, Touched};
use super::target::Target;

/// Places of a flat unit scanned at once.
const FLAT_STEP: usize = 2_048;

impl ClusterSearch<'_> {
    /// Scans some of the ordered lists, in all units. Lists that are neighbours in the file go together.
    pub(super) fn scan_lists(
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

    pub(super) fn scan_flat(&self, s: &mut Scratch, touched: &mut Touched) {
        if self.flat.is_empty() {
            return;
        }
        s.ready.build_tables(&self.book.flat, true);
        let base = s.ready.query.squared + s.ready.query.shift;
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

/// Neighbouring places of a target.
#[derive(Clone, Copy)]
struct Place {
    number: usize,
    from: usize,
    to: usize,
}

/// A list with its distance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
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
    let slack = tables.slack(sigmas, (farthest - s.ready.query.shift).max(0.0));
    let tables =
        NibbleTables { tables: &tables.entries, unit: tables.unit, offset: tables.offset + slack };
    if s.bounds.len() < places.len() {
        s.bounds.resize(places.len(), 0.0);
    }
    let bounds = &mut s.bounds[..places.len()];
    touched.coarse_rows += (place.to - place.from) as u64;
    let found = Kernels::best().scan_nibbles(&rows, &tables, base, limit, &mut s.masks, bounds);
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
