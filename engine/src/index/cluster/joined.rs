//! The codes of several units as one.
//!
//! Codes are scanned in blocks of rows. In a small unit a list is a fraction of a block, so that ten small
//! units cost a search as much as ten large ones. Their codes, list by list behind one another, cost it as
//! much as one unit of all the rows. Rows are numbered through: the first unit's, then the second's, and so on.

use std::sync::Arc;

use super::codebook::Codebook;
use super::coverage::Coverage;
use super::rows::{CodedRows, RowCoder};
use crate::core::rowset::RowSet;

/// Stands for the place of a row without a vector.
const NO_PLACE: u32 = u32::MAX;

/// A unit to be joined: codes in lists of the common codebook, its own ones or a part of others joined before.
#[derive(Debug, Clone)]
pub struct Part {
    /// The caller's number of the unit.
    pub unit: u64,
    /// Its rows, with those that have no vector.
    pub rows: usize,
    /// Where its codes are.
    pub source: Source,
}

/// Codes in lists.
#[derive(Debug, Clone)]
pub enum Source {
    /// Of the unit alone.
    Own(Arc<CodedRows>),
    /// Of a unit that was joined before: the unit's place among those.
    Joined(Arc<Joined>, usize),
}

impl Source {
    /// The codes, the number of the unit's first row in them and that after its last.
    fn codes(&self, rows: usize) -> (&CodedRows, u32, u32) {
        match self {
            Self::Own(codes) => (codes, 0, rows as u32),
            Self::Joined(joined, at) => (&joined.rows, joined.starts[*at], joined.starts[at + 1]),
        }
    }
}

/// The codes of several units.
#[derive(Debug)]
pub struct Joined {
    /// Their codebook.
    pub book: Arc<Codebook>,
    /// The caller's numbers of the units, in order.
    pub units: Vec<u64>,
    /// The codes; `order` holds the rows' numbers.
    pub(super) rows: CodedRows,
    /// Number of each unit's first row; then that after the last.
    starts: Vec<u32>,
    /// Place of each row.
    places: Vec<u32>,
}

impl Joined {
    /// Joins units. None if there are no codes, or more rows than can be numbered.
    pub fn new(book: Arc<Codebook>, parts: &[Part], coverage: Option<Coverage>) -> Option<Self> {
        let mut starts = vec![0u32];
        for part in parts {
            let last = starts.last().copied().unwrap_or(0);
            starts.push(last.checked_add(u32::try_from(part.rows).ok()?)?);
        }
        let total = *starts.last()?;
        let mut coder = RowCoder::new(book.clone(), false, total as usize);
        let mut order = Vec::with_capacity(total as usize);
        let mut places = vec![NO_PLACE; total as usize];
        for list in 0..book.lists() {
            for (part, start) in parts.iter().zip(&starts) {
                let (codes, first, end) = part.source.codes(part.rows);
                let (from, to) = codes.list(list);
                for place in from..to {
                    let row = codes.row(place as u32);
                    if row < first || row >= end {
                        continue;
                    }
                    let number = start + (row - first);
                    places[number as usize] = order.len() as u32;
                    order.push(number);
                    coder.copy(codes, place, list as u32);
                }
            }
        }
        let (mut rows, _) = coder.finish(Some(order))?;
        rows.coverage = coverage;
        let units = parts.iter().map(|p| p.unit).collect();
        (rows.rows > 0).then_some(Self { book, units, rows, starts, places })
    }

    /// The codes of all.
    pub fn rows(&self) -> &CodedRows {
        &self.rows
    }

    /// Rows of a unit, by its place among the units.
    pub fn unit_rows(&self, at: usize) -> usize {
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => (to - from) as usize,
            _ => 0,
        }
    }

    /// Unit (its place among the units) and row of a number.
    pub fn address(&self, number: u32) -> (usize, u32) {
        let at = self.starts.partition_point(|start| *start <= number).saturating_sub(1);
        (at, number - self.starts[at])
    }

    /// The places of allowed rows, one bit a place; none: all. A unit that is not named has no allowed rows.
    pub(super) fn allowed(&self, units: &[(usize, &RowSet)]) -> Option<Vec<u64>> {
        let count: usize = units.iter().map(|(_, rows)| rows.count()).sum();
        if count == self.places.len() {
            return None;
        }
        // What is rarer is written: few deleted rows cost little, and so does a narrow filter.
        let most = 2 * count >= self.places.len();
        let mut words = vec![if most { u64::MAX } else { 0 }; self.rows.rows.div_ceil(64)];
        let mut turn = |number: usize| {
            let place = self.places[number];
            if place != NO_PLACE {
                words[place as usize / 64] ^= 1 << (place % 64);
            }
        };
        for at in 0..self.units.len() {
            let (from, to) = (self.starts[at] as usize, self.starts[at + 1] as usize);
            match (units.iter().find(|(unit, _)| *unit == at), most) {
                (Some((_, rows)), false) => rows.iter().for_each(|row| turn(from + row)),
                (Some((_, rows)), true) if rows.is_all() => {}
                (Some((_, rows)), true) => {
                    (!rows.bits()).set_indices().for_each(|row| turn(from + row));
                }
                (None, true) => (from..to).for_each(&mut turn),
                (None, false) => {}
            }
        }
        Some(words)
    }

    /// Puts the codes into large pages, as [`CodedRows::use_huge_pages`] does.
    pub fn use_huge_pages(&self) {
        self.rows.use_huge_pages();
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        self.rows.size_bytes() + 4 * self.places.len()
    }
}
