//! What a search keeps while it runs.

use std::collections::BinaryHeap;

use super::likely::{List, Ranks};
use super::query::Ready;
use super::scan::Span;
use super::search::Candidate;

/// Buffers of a search, to be used again.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) ready: Ready,
    pub(super) scores: Vec<f32>,
    pub(super) ranks: Ranks,
    pub(super) lists: Vec<List>,
    pub(super) spans: Vec<Span>,
    pub(super) sums: Vec<f32>,
    pub(super) masks: Vec<u32>,
    pub(super) bounds: Vec<f32>,
    pub(super) picks: Vec<Pick>,
    pub(super) places: Vec<u32>,
    pub(super) dots: Vec<i32>,
    pub(super) rest: Vec<i32>,
    pub(super) best: BinaryHeap<Best>,
}

/// A row whose bound is below `T`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    pub(super) target: u32,
    pub(super) place: u32,
    /// Shifted squared distance of query and centre.
    pub(super) base: f32,
    pub(super) bound: f32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Best(pub(super) Candidate);

impl PartialEq for Best {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Best {}
impl PartialOrd for Best {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Best {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.distance.total_cmp(&other.0.distance)
    }
}
