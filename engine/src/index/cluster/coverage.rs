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

/// Kinds of queries that are kept apart.
const KINDS: usize = 4;
/// Lists by whose distances a query's kind is told: the nearest and this one.
pub const FAR_LIST: usize = 16;
/// Queries farther off than this share of the stand-ins are unlike them.
const USUAL: f32 = 0.95;

/// What the order of lists says of a query before any is scanned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Distance of the nearest list.
    pub nearest: f32,
    /// How much farther list [`FAR_LIST`] is, as a share: a small one means that many lists look alike, and
    /// the neighbours may be in any of them.
    pub contrast: f32,
}

impl Outlook {
    /// From distances of lists in order, at least one.
    pub fn of(nearest: f32, far: f32) -> Self {
        let contrast = (far - nearest) / nearest.max(f32::MIN_POSITIVE);
        Self { nearest, contrast: if contrast.is_finite() { contrast.max(0.0) } else { 0.0 } }
    }
}

/// A stand-in for a query: what its lists look like, and the place of the list of each neighbour.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What its lists look like.
    pub outlook: Outlook,
    /// By rank of the neighbour.
    pub places: Vec<u32>,
}

/// Places by kind of query, depth and recall.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Rows among which neighbours were counted.
    rows: f32,
    /// Distance of the nearest list that few stand-ins exceed.
    usual: f32,
    /// Middle contrast of each kind, falling.
    contrasts: Vec<f32>,
    /// `[kinds, ranks, recalls]`: lists to look at; the first kind is all together.
    lists: Vec<f32>,
}

const TABLE: usize = RANKS.len() * RECALLS.len();

impl Coverage {
    /// From stand-ins whose neighbours were looked for among `rows` rows.
    pub fn of(rows: usize, mut probes: Vec<Probe>) -> Self {
        let mut lists = table(&probes);
        probes.sort_by(|a, b| b.outlook.contrast.total_cmp(&a.outlook.contrast));
        let mut contrasts = Vec::new();
        let size = probes.len().div_ceil(KINDS).max(1);
        for kind in 0..KINDS {
            let from = (kind * size).min(probes.len());
            let part = &probes[from..probes.len().min(from + size)];
            let middle = part.get(part.len() / 2).map(|p| p.outlook.contrast);
            contrasts.push(middle.or(contrasts.last().copied()).unwrap_or(0.0));
            lists.extend(table(if part.is_empty() { &probes } else { part }));
        }
        probes.sort_by(|a, b| a.outlook.nearest.total_cmp(&b.outlook.nearest));
        let at = (USUAL * probes.len() as f32) as usize;
        let usual = probes.get(at).map_or(f32::MAX, |p| p.outlook.nearest);
        Self { rows: rows as f32, usual, contrasts, lists }
    }

    /// Reads [`Self::values`]; none if they are not what that gives.
    pub fn from_values(values: &[f32]) -> Option<Self> {
        let ([rows, usual], rest) = values.split_first_chunk::<2>()?;
        let (contrasts, lists) = rest.split_at_checked(KINDS)?;
        let sound = lists.len() == (KINDS + 1) * TABLE
            && values.iter().all(|v| v.is_finite())
            && lists.iter().all(|l| *l >= 1.0)
            && *rows >= 1.0;
        let (contrasts, lists) = (contrasts.to_vec(), lists.to_vec());
        sound.then_some(Self { rows: *rows, usual: *usual, contrasts, lists })
    }

    /// The numbers, for the file.
    pub fn values(&self) -> Vec<f32> {
        let head = [self.rows, self.usual];
        head.iter().chain(&self.contrasts).chain(&self.lists).copied().collect()
    }

    /// Lists to look at so that of the rows down to `depth` (a share of all rows) the share `recall` is found,
    /// for any query.
    pub fn lists(&self, depth: f32, recall: f32) -> f32 {
        self.of_kind(0, depth, recall)
    }

    /// The same for a query with that outlook. One that lies farther off than the stand-ins did is unlike
    /// the rows, and its neighbours are scattered more.
    pub fn lists_for(&self, outlook: Outlook, depth: f32, recall: f32) -> f32 {
        let to = self.contrasts.iter().position(|c| *c <= outlook.contrast).unwrap_or(KINDS - 1);
        let from = to.saturating_sub(1);
        let (high, low) = (self.contrasts[from], self.contrasts[to]);
        let share = if high > low {
            ((high - outlook.contrast) / (high - low)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let kind = |kind: usize| self.of_kind(kind + 1, depth, recall).ln();
        let lists = (kind(from) + share * (kind(to) - kind(from))).exp();
        let unlike = (outlook.nearest / self.usual.max(f32::MIN_POSITIVE)).clamp(1.0, 1.6);
        lists * unlike * unlike
    }

    fn of_kind(&self, kind: usize, depth: f32, recall: f32) -> f32 {
        let rank = (depth * self.rows).max(0.25).log2();
        let steps = RANKS.len() - 1;
        // Below the first and beyond the last rank the line of the outermost two goes on.
        let from = (rank.floor().max(0.0) as usize).min(steps - 1);
        let table = &self.lists[kind * TABLE..(kind + 1) * TABLE];
        let (low, high) = (at(table, from, recall).ln(), at(table, from + 1, recall).ln());
        (low + (rank - from as f32) * (high - low)).exp().max(1.0)
    }
}

/// Lists by rank and recall of some stand-ins.
fn table(probes: &[Probe]) -> Vec<f32> {
    let mut seen: Vec<u32> = Vec::new();
    let mut lists = vec![0.0f32; TABLE];
    for (rank, until) in RANKS.iter().enumerate() {
        let from = if rank == 0 { 0 } else { RANKS[rank - 1] };
        let new = probes.iter().flat_map(|p| p.places.iter().take(*until).skip(from));
        seen.extend(new);
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

    fn coverage() -> Coverage {
        let probe = |i: u32| Probe {
            outlook: Outlook::of(1.0 + (i % 7) as f32 / 7.0, 2.5 + (i % 5) as f32),
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
    fn queries_that_see_no_contrast_or_lie_far_off_look_at_more_lists() {
        let coverage = coverage();
        let lists = |nearest, far| coverage.lists_for(Outlook::of(nearest, far), 0.01, 0.95);
        assert!(lists(1.0, 1.1) >= lists(1.0, 9.0));
        assert!(lists(9.0, 9.9) > lists(1.0, 1.1));
        assert!(lists(f32::INFINITY, 1.0).is_finite() && lists(0.0, 0.0) >= 1.0);
    }
}
