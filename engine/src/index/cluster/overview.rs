//! What a search knows of the lists before it has seen a query: where they lie in the order, how many of their
//! rows are allowed. For one unit without a filter it is always the same and is kept with the codes.

use std::sync::Arc;

use super::search::HALF_SPREAD;
use super::target::Target;

/// The lists of some units.
#[derive(Debug, Default)]
pub struct Overview {
    /// Allowed rows of each list, over all units.
    pub counts: Vec<u32>,
    /// The lists that have any.
    pub(super) seen: Seen,
    /// For each allowed row so many rows are in those lists, by the number of all rows.
    pub depth: f64,
}

/// Lists that have allowed rows, in order: `rank = scale |q-c|² + add`.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub lists: Vec<u32>,
    scale: Vec<f32>,
    add: Vec<f32>,
}

impl Seen {
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// The rank of each list for a query of which `squared` and the scores of all centroids give `|q-c|²`.
    pub fn ranks(&self, scores: &[f32], squared: f32, out: &mut Vec<f32>) {
        out.clear();
        let factors = self.scale.iter().zip(&self.add);
        if self.len() == scores.len() {
            let ranks = scores.iter().zip(factors);
            out.extend(ranks.map(|(score, (scale, add))| scale * (score + squared) + add));
        } else {
            let ranks = self.lists.iter().zip(factors);
            let rank = |list: u32, scale, add| scale * (scores[list as usize] + squared) + add;
            out.extend(ranks.map(|(list, (scale, add))| rank(*list, scale, add)));
        }
    }
}

impl Overview {
    /// Of units in lists, the largest first.
    pub(super) fn of(listed: &[Target<'_>], lists: usize) -> Arc<Self> {
        if let [one] = listed
            && one.allows_all()
        {
            return one.lens.overview().get_or_init(|| Arc::new(Self::new(listed, lists))).clone();
        }
        Arc::new(Self::new(listed, lists))
    }

    fn new(listed: &[Target<'_>], lists: usize) -> Self {
        let mut counts = vec![0u32; lists];
        for target in listed {
            for (list, count) in counts.iter_mut().enumerate() {
                let (from, to) = target.rows.list(list);
                *count += target.count_in(from, to) as u32;
            }
        }
        let (mut rows, mut allowed) = (0.0f64, 0.0f64);
        for (list, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            allowed += f64::from(*count);
            let lists = listed.iter().map(|t| t.whole.list(list));
            rows += lists.map(|(from, to)| (to - from) as f64).sum::<f64>();
        }
        let all: f64 = listed.iter().map(|t| t.whole.rows as f64).sum();
        let depth = if allowed > 0.0 { rows / (allowed * all) } else { 0.0 };
        Self { seen: seen(listed, &counts), counts, depth }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        4 * self.counts.len() + 12 * self.seen.len()
    }
}

/// The lists with allowed rows. The largest unit that has rows of a list speaks for all.
fn seen(listed: &[Target<'_>], counts: &[u32]) -> Seen {
    let mut seen = Seen::default();
    for list in (0..counts.len()).filter(|list| counts[*list] > 0) {
        let has_rows = |t: &&Target<'_>| t.rows.list(list).0 < t.rows.list(list).1;
        let Some(target) = listed.iter().find(has_rows) else { continue };
        let (add, scale) = target.lens.list(list);
        // `|q-c|² + R²/2`: what all lists have of `R²` in `add`, less the rest.
        let inner = (1.0 - HALF_SPREAD) * target.rows.spread[list];
        seen.lists.push(list as u32);
        seen.scale.push(scale);
        seen.add.push(add - scale * inner);
    }
    seen
}
