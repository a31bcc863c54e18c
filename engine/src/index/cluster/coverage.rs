//! How many of the nearest lists hold the nearest rows: measured when the codebook is trained.
//!
//! Rows that took no part in training stand in for queries. For each, the lists are put in the order in which
//! a search looks at them, and it is noted at which place the list of its 1st, 2nd, … neighbour comes. The
//! quantiles of those places say how many lists a search must look at for a wanted recall. Neighbours are
//! counted as shares of the rows (the *depth* of a search): the tenth of 100,000 rows lies about as deep as
//! the thousandth of 10 million, and as the tenth of those 1,000 of 10,000 rows that a filter lets through.

use super::outlook::{Difficulty, Outlook};

/// Neighbours whose places are kept apart.
pub const RANKS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Recalls whose quantiles are kept.
pub const RECALLS: [f32; 12] =
    [0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];

/// Queries farther off than this share of the stand-ins are unlike them.
const USUAL: f32 = 0.95;
/// Neighbours by which it is told how hard a stand-in is.
const NEAR: usize = 16;

/// A stand-in for a query: what its lists look like, and the place of the list of each neighbour.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What its lists look like.
    pub outlook: Outlook,
    /// By rank of the neighbour.
    pub places: Vec<u32>,
}

/// Places by depth and recall.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Rows among which neighbours were counted.
    rows: f32,
    /// Distance of the nearest list that few stand-ins exceed.
    usual: f32,
    difficulty: Difficulty,
    /// `[ranks, recalls]`: lists to look at for any query.
    any: Vec<f32>,
    /// The same for a query of middle difficulty.
    middle: Vec<f32>,
}

const TABLE: usize = RANKS.len() * RECALLS.len();
/// Kinds of queries of the form before, which had tables by contrast behind the one for any query.
const KINDS: usize = 4;

impl Coverage {
    /// From stand-ins whose neighbours were looked for among `rows` rows.
    pub fn of(rows: usize, mut probes: Vec<Probe>) -> Self {
        let needed = |p: &Probe| {
            let near = p.places.iter().take(NEAR).map(|place| (*place as f32 + 1.0).ln());
            let count = p.places.len().clamp(1, NEAR);
            (p.outlook, near.sum::<f32>() / count as f32)
        };
        let difficulty = Difficulty::learn(&probes.iter().map(needed).collect::<Vec<_>>());
        let any = table(&probes, |_| 1.0);
        let middle = table(&probes, |probe| difficulty.factor(&probe.outlook));
        probes.sort_by(|a, b| a.outlook.nearest.total_cmp(&b.outlook.nearest));
        let at = (USUAL * probes.len() as f32) as usize;
        let usual = probes.get(at).map_or(f32::MAX, |p| p.outlook.nearest);
        Self { rows: rows as f32, usual, difficulty, any, middle }
    }

    /// Reads [`Self::values`]; none if they are not what that gives. Those of the form before say nothing of
    /// how hard a query is.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let ([rows, usual], rest) = values.split_first_chunk::<2>()?;
        let (difficulty, any, middle) = if rest.len() == KINDS + (KINDS + 1) * TABLE {
            let any = &rest[KINDS..KINDS + TABLE];
            (Difficulty::default(), any, any)
        } else {
            let (difficulty, tables) = rest.split_first_chunk()?;
            let (any, middle) = tables.split_at_checked(TABLE)?;
            (Difficulty::from_values(difficulty), any, middle)
        };
        let sound = middle.len() == TABLE
            && values.iter().all(|v| v.is_finite())
            && any.iter().all(|lists| *lists >= 1.0)
            && middle.iter().all(|lists| *lists > 0.0)
            && *rows >= 1.0;
        let (any, middle) = (any.to_vec(), middle.to_vec());
        sound.then_some(Self { rows: *rows, usual: *usual, difficulty, any, middle })
    }

    /// The numbers, for the file.
    pub fn values(&self) -> Vec<f32> {
        let head = [self.rows, self.usual].into_iter().chain(self.difficulty.values());
        head.chain(self.any.iter().chain(&self.middle).copied()).collect()
    }

    /// Lists to look at so that of the rows down to `depth` (a share of all rows) the share `recall` is found,
    /// for any query.
    pub fn lists(&self, depth: f32, recall: f32) -> f32 {
        self.of_table(&self.any, depth, recall).max(1.0)
    }

    /// The same for a query with that outlook. One that lies farther off than the stand-ins did is unlike
    /// the rows, and its neighbours are scattered more.
    pub fn lists_for(&self, outlook: &Outlook, depth: f32, recall: f32) -> f32 {
        let lists = self.of_table(&self.middle, depth, recall) * self.difficulty.factor(outlook);
        let unlike = (outlook.nearest / self.usual.max(f32::MIN_POSITIVE)).clamp(1.0, 1.6);
        (lists * unlike * unlike).max(1.0)
    }

    fn of_table(&self, table: &[f32], depth: f32, recall: f32) -> f32 {
        let rank = (depth * self.rows).max(0.25).log2();
        let steps = RANKS.len() - 1;
        // Below the first and beyond the last rank the line of the outermost two goes on.
        let from = (rank.floor().max(0.0) as usize).min(steps - 1);
        let (low, high) = (at(table, from, recall).ln(), at(table, from + 1, recall).ln());
        (low + (rank - from as f32) * (high - low)).exp()
    }
}

/// Lists by rank and recall of some stand-ins, each taken as one that needs `factor` times fewer.
fn table(probes: &[Probe], factor: impl Fn(&Probe) -> f32) -> Vec<f32> {
    let factors: Vec<f32> = probes.iter().map(factor).collect();
    let mut seen: Vec<f32> = Vec::new();
    let mut lists = vec![0.0f32; TABLE];
    for (rank, until) in RANKS.iter().enumerate() {
        let from = if rank == 0 { 0 } else { RANKS[rank - 1] };
        for (probe, factor) in probes.iter().zip(&factors) {
            let new = probe.places.iter().take(*until).skip(from);
            seen.extend(new.map(|place| (*place as f32 + 1.0) / factor));
        }
        seen.sort_unstable_by(f32::total_cmp);
        for (at, recall) in RECALLS.iter().enumerate() {
            let place = (recall * seen.len() as f32) as usize;
            let mut needed =
                seen.get(place.min(seen.len().saturating_sub(1))).copied().unwrap_or(1.0);
            // Few counts may stumble; more depth or recall never takes fewer lists.
            if at > 0 {
                needed = needed.max(lists[rank * RECALLS.len() + at - 1]);
            }
            if rank > 0 {
                needed = needed.max(lists[(rank - 1) * RECALLS.len() + at]);
            }
            lists[rank * RECALLS.len() + at] = needed;
        }
    }
    lists
}

fn at(table: &[f32], rank: usize, recall: f32) -> f32 {
    let row = &table[rank * RECALLS.len()..(rank + 1) * RECALLS.len()];
    let to = RECALLS.iter().position(|r| *r >= recall).unwrap_or(RECALLS.len() - 1).max(1);
    // Straight in the logarithm of the miss, which is how recall is paid for.
    let miss = |r: f32| (1.0 - r).max(1e-4).ln();
    let share =
        (miss(RECALLS[to - 1]) - miss(recall)) / (miss(RECALLS[to - 1]) - miss(RECALLS[to]));
    let (low, high) = (row[to - 1].ln(), row[to].ln());
    (low + share.clamp(0.0, 3.0) * (high - low)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nearest list, and one beyond which all are as far.
    fn outlook(nearest: f32, far: f32) -> Outlook {
        Outlook::of(100, |at| nearest + (far - nearest) * (at as f32 / 64.0).min(1.0))
    }

    fn coverage() -> Coverage {
        let probe = |i: u32| Probe {
            outlook: outlook(1.0 + (i % 7) as f32 / 7.0, 2.5 + (i % 5) as f32),
            places: (0..256).map(|rank| i * i / 900 + rank * (5 - i % 5) / 9).collect(),
        };
        Coverage::of(10_000, (0..400).map(probe).collect())
    }

    #[test]
    fn more_recall_and_more_depth_take_more_lists() {
        let coverage = coverage();
        let mut before = 0.0f32;
        for recall in [0.3, 0.5, 0.9, 0.96, 0.99, 0.9995] {
            let lists = coverage.lists(0.001, recall);
            assert!(lists >= before.max(1.0), "{recall}: {lists}");
            before = lists;
        }
        assert!(coverage.lists(0.02, 0.95) > coverage.lists(0.0002, 0.95));
        assert!(coverage.lists(0.0, 0.95) >= 1.0);
        assert_eq!(Coverage::from_values(&coverage.values()), Some(coverage));
        assert_eq!(Coverage::from_values(&[1.0]), None);
    }

    #[test]
    fn the_form_before_is_read_and_tells_queries_no_longer_apart() {
        let coverage = coverage();
        let mut old = vec![coverage.rows, coverage.usual];
        old.extend([4.0, 3.0, 2.0, 1.0]);
        (0..=KINDS).for_each(|_| old.extend(&coverage.any));
        let read = Coverage::from_values(&old).unwrap();
        assert_eq!(read.lists(0.001, 0.9), coverage.lists(0.001, 0.9));
        assert_eq!(read.lists_for(&outlook(1.0, 1.1), 0.001, 0.9), read.lists(0.001, 0.9));
    }

    #[test]
    fn queries_that_see_no_contrast_or_lie_far_off_look_at_more_lists() {
        let coverage = coverage();
        let lists = |nearest, far| coverage.lists_for(&outlook(nearest, far), 0.01, 0.95);
        assert!(lists(1.0, 1.1) >= lists(1.0, 9.0));
        assert!(lists(9.0, 9.9) > lists(1.0, 1.1));
        assert!(lists(f32::INFINITY, 1.0).is_finite() && lists(0.0, 0.0) >= 1.0);
    }
}
