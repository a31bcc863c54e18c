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
    pub(super) seen: Vec<Seen>,
    /// For each allowed row so many rows are in those lists, by the number of all rows.
    pub depth: f64,
}

/// A list that has allowed rows: `rank = scale (|q-c|² - inner) + add`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub list: u32,
    pub scale: f32,
    pub inner: f32,
    pub add: f32,
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
        4 * self.counts.len() + 16 * self.seen.len()
    }
}

/// The lists with allowed rows. The largest unit that has rows of a list speaks for all.
fn seen(listed: &[Target<'_>], counts: &[u32]) -> Vec<Seen> {
    let one = |list: usize| {
        let has_rows = |t: &&Target<'_>| t.rows.list(list).0 < t.rows.list(list).1;
        let target = listed.iter().find(has_rows)?;
        let (add, scale) = target.lens.list(list);
        let inner = (1.0 - HALF_SPREAD) * target.rows.spread[list];
        Some(Seen { list: list as u32, scale, inner, add })
    };
    (0..counts.len()).filter(|list| counts[*list] > 0).filter_map(one).collect()
}
