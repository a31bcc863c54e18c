//! Many queries at once. All meet the centroids together, so that these are read once for many queries. Then
//! they are searched in the order of their nearest lists: neighbouring lists lie side by side, and what one query
//! brought into the caches the next one finds there.

use elanus_kernels::Kernels;
use rayon::prelude::*;

use super::query::Ready;
use super::scratch::Scratch;
use super::search::{Candidate, ClusterSearch, Touched};
use crate::core::wanted::Wanted;

/// Scores kept at once; more queries are searched in turns.
const WAVE_SCORES: usize = 1 << 22;
/// Queries that meet the centroids together.
const BAND: usize = 32;
/// Queries below which a thread does not hand any to another.
const LEAST: usize = 4;

/// What was found for one query; none: its rows have to be compared exactly.
pub type Found = Option<(Vec<Candidate>, Touched)>;

impl ClusterSearch<'_> {
    /// [`ClusterSearch::run`] for many queries, on all threads of the pool that this runs in; and the order in
    /// which whatever comes next had better take them.
    pub fn run_all(&self, queries: &[&[f32]]) -> (Vec<Found>, Vec<u32>) {
        let (mut found, mut order) = (Vec::with_capacity(queries.len()), Vec::new());
        let lists = self.book.lists();
        // Threads that help do not know whose work it is.
        let wanted = Wanted::current();
        for wave in queries.chunks((WAVE_SCORES / lists).max(BAND)) {
            let start = found.len() as u32;
            let mut scores = vec![0.0; wave.len() * lists];
            let mut here = self.survey(wave, &mut scores);
            here.sort_unstable();
            let here: Vec<u32> = here.into_iter().map(|(_, at)| at).collect();
            found.extend(in_order(&here, Scratch::default, |scratch, at| {
                if !wanted.still() {
                    return None;
                }
                let scores = &scores[at * lists..(at + 1) * lists];
                self.run_scored(wave[at], Some(scores), scratch)
            }));
            order.extend(here.into_iter().map(|at| start + at));
        }
        (found, order)
    }

    /// Scores of all centroids for each query; returns the nearest of each.
    fn survey(&self, queries: &[&[f32]], scores: &mut [f32]) -> Vec<(u32, u32)> {
        let lists = self.book.lists();
        let bands = queries.par_chunks(BAND).zip(scores.par_chunks_mut(BAND * lists)).enumerate();
        let nearest = bands.map_init(Ready::default, |ready, (band, (queries, scores))| {
            let mut codes = Vec::with_capacity(queries.len() * self.book.width);
            let mut scales = Vec::with_capacity(queries.len());
            for query in queries {
                // One that cannot be told in single precision has scores that nobody looks at.
                ready.prepare(self.book, self.metric, self.typical, query);
                ready.push_codes(&mut codes, &mut scales);
            }
            Kernels::best().centroid_scores(self.book.packed(), &codes, &scales, scores);
            let nearest = scores.chunks_exact(lists).map(least).enumerate();
            nearest.map(|(at, list)| (list, (band * BAND + at) as u32)).collect::<Vec<_>>()
        });
        nearest.flatten_iter().collect()
    }
}

/// Does something for each of `0..order.len()`, in that order but for threads; the outcomes in order of number.
pub fn in_order<T: Send, S>(
    order: &[u32],
    init: impl Fn() -> S + Sync + Send,
    each: impl Fn(&mut S, usize) -> T + Sync + Send,
) -> Vec<T> {
    let done = order.par_iter().with_min_len(LEAST);
    let mut done: Vec<(u32, T)> =
        done.map_init(init, |s, at| (*at, each(s, *at as usize))).collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Place of the least score.
fn least(scores: &[f32]) -> u32 {
    // By lanes, so that it takes vector instructions.
    let (lanes, rest) = scores.as_chunks::<16>();
    let mut least = [f32::INFINITY; 16];
    for lane in lanes {
        for (least, score) in least.iter_mut().zip(lane) {
            *least = if score < least { *score } else { *least };
        }
    }
    let least = least.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    scores.iter().position(|score| *score == least).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_of_number() {
        let order: Vec<u32> = (0..1_000).map(|n| n * 7 % 1_000).collect();
        let made = in_order(&order, || (), |(), at| at * 2);
        assert_eq!(made, (0..1_000).map(|at| at * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_least_of_any_number_of_scores() {
        for n in 1..70 {
            for at in 0..n {
                let scores: Vec<f32> = (0..n).map(|i| ((i + n - at) % n) as f32 - 3.0).collect();
                assert_eq!(least(&scores), at as u32, "{n}");
            }
        }
        assert_eq!(least(&[f32::NAN; 20]), 0);
    }
}
