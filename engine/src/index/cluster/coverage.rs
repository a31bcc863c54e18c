//! How many of the nearest lists hold the nearest rows: measured when the codebook is trained.
//!
//! Rows that took no part in training stand in for queries. For each, the lists are put in the order in which
//! a search looks at them, and it is noted at which place the list of its 1st, 2nd, … neighbour comes. The
//! quantiles of those places say how many lists a search must look at for a wanted recall. Neighbours are
//! counted as shares of the rows (the *depth* of a search): the tenth of 100,000 rows lies about as deep as
//! the thousandth of 10 million, and as the tenth of those 1,000 of 10,000 rows that a filter lets through.

/// Neighbours whose places are kept apart.
pub const RANKS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// Recalls whose quantiles are kept.
pub const RECALLS: [f32; 12] =
    [0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];

/// Places by depth and recall.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Rows among which neighbours were counted.
    rows: f32,
    /// `[ranks, recalls]`: lists to look at.
    lists: Vec<f32>,
}

impl Coverage {
    /// From the places of lists: `places[r]` are those of the neighbours of rank below `RANKS[r]` and not
    /// below the one before, over all stand-ins; `rows` rows were their candidates.
    pub fn from_places(rows: usize, places: &[Vec<u32>]) -> Self {
        let mut seen: Vec<u32> = Vec::new();
        let mut lists = vec![0.0f32; RANKS.len() * RECALLS.len()];
        for rank in 0..RANKS.len() {
            seen.extend(places.get(rank).into_iter().flatten());
            seen.sort_unstable();
            for (at, recall) in RECALLS.iter().enumerate() {
                let place = (recall * seen.len() as f32) as usize;
                let found = seen.get(place.min(seen.len().saturating_sub(1))).copied();
                let mut needed = found.map_or(1.0, |p| (p + 1) as f32);
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
        Self { rows: rows as f32, lists }
    }

    /// Reads [`Self::values`]; none if they are not what that gives.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let (rows, lists) = values.split_first()?;
        let sound = lists.len() == RANKS.len() * RECALLS.len()
            && values.iter().all(|v| v.is_finite() && *v >= 1.0);
        sound.then(|| Self { rows: *rows, lists: lists.to_vec() })
    }

    /// The numbers, for the file.
    pub fn values(&self) -> Vec<f32> {
        std::iter::once(self.rows).chain(self.lists.iter().copied()).collect()
    }

    /// Lists to look at so that of the rows down to `depth` (a share of all rows) that share is found.
    pub fn lists(&self, depth: f32, recall: f32) -> f32 {
        let rank = (depth * self.rows).max(0.25).log2();
        let steps = RANKS.len() - 1;
        // Below the first and beyond the last rank the line of the outermost two goes on.
        let from = (rank.floor().max(0.0) as usize).min(steps - 1);
        let (low, high) = (self.at(from, recall).ln(), self.at(from + 1, recall).ln());
        (low + (rank - from as f32) * (high - low)).exp().max(1.0)
    }

    fn at(&self, rank: usize, recall: f32) -> f32 {
        let row = &self.lists[rank * RECALLS.len()..(rank + 1) * RECALLS.len()];
        let to = RECALLS.iter().position(|r| *r >= recall).unwrap_or(RECALLS.len() - 1).max(1);
        // Straight in the logarithm of the miss, which is how recall is paid for.
        let miss = |r: f32| (1.0 - r).max(1e-4).ln();
        let share =
            (miss(RECALLS[to - 1]) - miss(recall)) / (miss(RECALLS[to - 1]) - miss(RECALLS[to]));
        let (low, high) = (row[to - 1].ln(), row[to].ln());
        (low + share.clamp(0.0, 3.0) * (high - low)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_recall_and_more_depth_take_more_lists() {
        let places: Vec<Vec<u32>> = (0..RANKS.len() as u32)
            .map(|r| (0..400).map(|i| i * i * (r + 1) / 4_000).collect())
            .collect();
        let coverage = Coverage::from_places(10_000, &places);
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
}
