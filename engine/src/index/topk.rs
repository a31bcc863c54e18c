//! The best k of many, ordered by score and, where equal, by primary key.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::core::key::Keys;

/// A candidate: `distance` is smaller when nearer, whatever the metric.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Smaller is nearer; NaN is farthest.
    pub distance: f32,
    /// Row.
    pub row: u32,
}

struct Ranked<'a> {
    candidate: Candidate,
    keys: &'a Keys,
}

impl Ranked<'_> {
    fn order(&self, other: &Self) -> Ordering {
        self.candidate.distance.total_cmp(&other.candidate.distance).then_with(|| {
            self.keys.compare(self.candidate.row as usize, other.candidate.row as usize)
        })
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}
impl Eq for Ranked<'_> {}
impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other)
    }
}

/// Keeps the `k` nearest candidates of one unit.
pub struct TopK<'a> {
    heap: BinaryHeap<Ranked<'a>>,
    k: usize,
    keys: &'a Keys,
    worst: f32,
}

impl<'a> TopK<'a> {
    /// For `k` results; `keys` breaks ties.
    pub fn new(k: usize, keys: &'a Keys) -> Self {
        let heap = BinaryHeap::with_capacity(k.min(4096) + 1);
        Self { heap, k, keys, worst: f32::INFINITY }
    }

    /// Offers a candidate.
    #[inline]
    pub fn push(&mut self, distance: f32, row: u32) {
        // A tie with the worst may still win by its key, so only what is truly farther is dropped early.
        if distance > self.worst || self.k == 0 {
            return;
        }
        self.insert(Candidate { distance, row });
    }

    fn insert(&mut self, candidate: Candidate) {
        self.heap.push(Ranked { candidate, keys: self.keys });
        if self.heap.len() > self.k {
            self.heap.pop();
        }
        if self.heap.len() == self.k {
            self.worst = self.heap.peek().map_or(f32::INFINITY, |r| r.candidate.distance);
        }
    }

    /// The candidates, nearest first.
    pub fn into_sorted(self) -> Vec<Candidate> {
        self.heap.into_sorted_vec().into_iter().map(|r| r.candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn ties_go_to_the_smaller_key_wherever_they_stand() {
        let keys = Keys::Int(Int64Array::from(vec![9, 3, 7, 1, 5]));
        let mut top = TopK::new(3, &keys);
        for (row, distance) in [1.0, 1.0, 0.5, 1.0, f32::NAN].into_iter().enumerate() {
            top.push(distance, row as u32);
        }
        let rows: Vec<u32> = top.into_sorted().iter().map(|c| c.row).collect();
        assert_eq!(rows, vec![2, 3, 1]);
    }
}
