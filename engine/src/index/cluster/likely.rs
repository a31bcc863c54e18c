//! The few lists of least rank among many.

/// A list with what lists are ordered by, as one number: the order of such numbers is that of the ranks,
/// and the quickest to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List(u64);

impl List {
    pub fn new(list: u32, rank: f32) -> Self {
        let bits = rank.to_bits();
        // Ascending as unsigned numbers, negative ranks below the others.
        let order = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(order) << 32 | u64::from(list))
    }

    pub fn list(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    pub fn rank(self) -> f32 {
        let order = (self.0 >> 32) as u32;
        f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
    }
}

/// Ranks of which only the least is looked at first.
const PART: usize = 8;

/// Ranks of lists, and the least of every few of them: as many lists as there are least ranks up to a bound are
/// at most that bound, so that few of the others need to be looked at.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    ranks: Vec<f32>,
    least: Vec<f32>,
    sorted: Vec<f32>,
}

impl Ranks {
    /// Takes other ranks, those that `fill` puts into an empty buffer.
    pub fn set(&mut self, fill: impl FnOnce(&mut Vec<f32>)) {
        self.ranks.clear();
        fill(&mut self.ranks);
        // A part is every n-th rank, so that neighbouring parts are compared at once.
        let parts = self.ranks.len().div_ceil(PART).max(1);
        self.least.clear();
        self.least.resize(parts, f32::INFINITY);
        for ranks in self.ranks.chunks(parts) {
            for (least, rank) in self.least.iter_mut().zip(ranks) {
                *least = if rank < least { *rank } else { *least };
            }
        }
    }

    /// Number of ranks.
    pub fn len(&self) -> usize {
        self.ranks.len()
    }

    /// The `count` lists of least rank, in no order, in place of what `out` held; `list` names each of them.
    pub fn lowest(&mut self, count: usize, list: impl Fn(usize) -> u32, out: &mut Vec<List>) {
        let count = count.min(self.len());
        let mut bound = f32::INFINITY;
        if (1..=self.least.len()).contains(&count) {
            self.sorted.clone_from(&self.least);
            bound = *self.sorted.select_nth_unstable_by(count - 1, f32::total_cmp).1;
        }
        out.clear();
        for (at, rank) in self.ranks.iter().enumerate() {
            // What is no number is above every bound, but none may be lost where there is no other.
            if *rank <= bound || bound == f32::INFINITY {
                out.push(List::new(list(at), *rank));
            }
        }
        if count < out.len() {
            out.select_nth_unstable(count);
            out.truncate(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_are_those_of_a_full_sort() {
        let value = |i: usize| ((i * 7_919 % 1_009) as f32 - 500.0) / 7.0;
        for n in [0, 1, 7, 8, 9, 100, 759] {
            let ranks: Vec<f32> = (0..n).map(|i| value(i).floor()).collect();
            let mut all: Vec<List> =
                ranks.iter().zip(5..).map(|(rank, list)| List::new(list, *rank)).collect();
            all.sort_unstable();
            let mut set = Ranks::default();
            set.set(|out| out.extend(&ranks));
            for count in [0, 1, 2, 16, 17, 50, 94, 95, 96, 400, 759, 2_000] {
                let mut some = Vec::new();
                set.lowest(count, |at| at as u32 + 5, &mut some);
                some.sort_unstable();
                assert_eq!(some, all[..count.min(n)], "{count} of {n}");
            }
        }
    }

    #[test]
    fn ranks_that_are_no_numbers_come_last_and_are_not_lost() {
        let mut set = Ranks::default();
        set.set(|out| out.extend((0..100).map(|i| if i % 2 == 0 { f32::NAN } else { i as f32 })));
        let mut some = Vec::new();
        set.lowest(3, |at| at as u32, &mut some);
        some.sort_unstable();
        assert_eq!(some.iter().map(|l| l.list()).collect::<Vec<_>>(), [1, 3, 5]);
        set.lowest(100, |at| at as u32, &mut some);
        assert_eq!(some.len(), 100);
        set.set(|out| out.resize(40, f32::NAN));
        set.lowest(2, |at| at as u32, &mut some);
        assert_eq!(some.len(), 2);
        assert!(List::new(1, -2.0) < List::new(0, 1.0) && List::new(0, -3.5).rank() == -3.5);
    }
}
