//! Comparing rows by their byte codes, which lowers the distance that an answer does not exceed.

use elanus_kernels::Kernels;

use super::scratch::{Best, Scratch};
use super::search::{Candidate, ClusterSearch, Touched};

impl ClusterSearch<'_> {
    /// Compares the picks that may be nearer than `T`, best bounds first where `T` is not yet known.
    pub(super) fn settle(&self, s: &mut Scratch, flat: bool, touched: &mut Touched) {
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

    pub(super) fn compare_each(&self, s: &mut Scratch, flat: bool, touched: &mut Touched) {
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
    pub(super) fn limit(&self, s: &Scratch) -> f32 {
        match s.best.peek() {
            Some(worst) if s.best.len() >= self.keep => worst.0.distance,
            _ => f32::INFINITY,
        }
    }

    /// Compares the picks of one target by their bytes.
    pub(super) fn compare(
        &self,
        s: &mut Scratch,
        target: usize,
        flat: bool,
        touched: &mut Touched,
    ) {
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
}
