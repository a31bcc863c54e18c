//! Sets of rows: a dense mask for one answer, a timestamped roaring bitmap for deletes.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use croaring::{Bitmap, Portable};

use super::error::{Error, Result};
use super::time::Timestamp;

/// Rows of one unit (segment or memtable chunk) that an operation may touch, as one bit a row.
#[derive(Debug, Clone)]
pub struct RowSet {
    bits: BooleanBuffer,
    count: usize,
}

impl RowSet {
    /// All of `rows` rows.
    pub fn all(rows: usize) -> Self {
        Self { bits: BooleanBuffer::new_set(rows), count: rows }
    }

    /// None of `rows` rows.
    pub fn none(rows: usize) -> Self {
        Self { bits: BooleanBuffer::new_unset(rows), count: 0 }
    }

    /// Rows whose bit is set.
    pub fn from_bits(bits: BooleanBuffer) -> Self {
        let count = bits.count_set_bits();
        Self { bits, count }
    }

    /// Rows for which a filter is true; null counts as false.
    pub fn from_filter(mask: &BooleanArray) -> Self {
        match mask.nulls() {
            Some(nulls) => Self::from_bits(mask.values() & nulls.inner()),
            None => Self::from_bits(mask.values().clone()),
        }
    }

    /// These of `rows` rows.
    pub fn from_rows(rows: usize, members: impl Iterator<Item = u32>) -> Self {
        let mut bits = arrow::array::BooleanBufferBuilder::new(rows);
        bits.append_n(rows, false);
        members.for_each(|row| bits.set_bit(row as usize, true));
        Self::from_bits(bits.finish())
    }

    /// Rows at or after `from` and before `to`.
    pub fn range(rows: usize, from: usize, to: usize) -> Self {
        Self::from_bits(BooleanBuffer::collect_bool(rows, |i| i >= from && i < to))
    }

    /// The bits.
    pub fn bits(&self) -> &BooleanBuffer {
        &self.bits
    }

    /// Number of rows of the unit, in the set or not.
    pub fn rows(&self) -> usize {
        self.bits.len()
    }

    /// Number of rows in the set.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether every row of the unit is in the set.
    pub fn is_all(&self) -> bool {
        self.count == self.bits.len()
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: usize) -> bool {
        self.bits.value(row)
    }

    /// Rows in both.
    pub fn and(&self, other: &Self) -> Self {
        match (self.is_all(), other.is_all()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => Self::from_bits(&self.bits & &other.bits),
        }
    }

    /// Rows in either.
    pub fn or(&self, other: &Self) -> Self {
        match (self.count, other.count) {
            (0, _) => other.clone(),
            (_, 0) => self.clone(),
            _ => Self::from_bits(&self.bits | &other.bits),
        }
    }

    /// The part of the set that lies in `rows` rows from `from` on, as a set of its own.
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        if self.is_all() {
            return Self::all(rows);
        }
        Self::from_bits(self.bits.slice(from, rows))
    }

    /// The rows of the set in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.bits.set_indices()
    }

    /// The runs `[from, to)` of neighbouring rows in order.
    pub fn runs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.bits.set_slices()
    }
}

/// Rows of one unit that were deleted, each with the timestamp of its delete.
///
/// A row is deleted at most once, so the set at an older timestamp is the whole set less its newest entries.
#[derive(Debug, Clone, Default)]
pub struct DeleteSet {
    all: Bitmap,
    /// `(timestamp, row)` in the order of timestamps.
    log: Vec<(Timestamp, u32)>,
}

impl DeleteSet {
    /// Adds a row; `false` if it was deleted before. Timestamps must not go back.
    pub fn add(&mut self, row: u32, at: Timestamp) -> bool {
        let fresh = self.all.add_checked(row);
        if fresh {
            debug_assert!(self.log.last().is_none_or(|(last, _)| *last <= at));
            self.log.push((at, row));
        }
        fresh
    }

    /// Number of deleted rows.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether no row is deleted.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Whether the row is deleted, at any timestamp.
    pub fn contains(&self, row: u32) -> bool {
        self.all.contains(row)
    }

    /// Number of entries at or before a timestamp.
    pub fn len_at(&self, at: Timestamp) -> usize {
        self.log.partition_point(|(ts, _)| *ts <= at)
    }

    /// Number of deleted rows from `start` to before `end`.
    pub fn len_between(&self, start: u32, end: u32) -> usize {
        self.all.range_cardinality(start..end) as usize
    }

    /// Entries `(timestamp, row)` after a timestamp, in order.
    pub fn after(&self, at: Timestamp) -> &[(Timestamp, u32)] {
        &self.log[self.len_at(at)..]
    }

    /// Entries `(timestamp, row)` at or before a timestamp, in order.
    pub fn until(&self, at: Timestamp) -> &[(Timestamp, u32)] {
        &self.log[..self.len_at(at)]
    }

    /// Rows of a unit of `rows` rows that are alive at a timestamp.
    pub fn alive_at(&self, rows: usize, at: Timestamp) -> RowSet {
        let entries = self.until(at);
        if entries.is_empty() {
            return RowSet::all(rows);
        }
        let mut bits = arrow::array::BooleanBufferBuilder::new(rows);
        bits.append_n(rows, true);
        for (_, row) in entries {
            if (*row as usize) < rows {
                bits.set_bit(*row as usize, false);
            }
        }
        RowSet::from_bits(bits.finish())
    }

    /// Bytes for a file: entry count, portable roaring bitmap with its length, then the entries in order.
    pub fn encode(&self, until: Timestamp) -> Vec<u8> {
        let entries = self.until(until);
        let mut rows: Bitmap = entries.iter().map(|(_, row)| *row).collect();
        rows.run_optimize();
        let bitmap = rows.serialize::<Portable>();
        let mut out = Vec::with_capacity(16 + bitmap.len() + entries.len() * 12);
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        out.extend_from_slice(&(bitmap.len() as u64).to_le_bytes());
        out.extend_from_slice(&bitmap);
        for (ts, row) in entries {
            out.extend_from_slice(&ts.to_le_bytes());
            out.extend_from_slice(&row.to_le_bytes());
        }
        out
    }

    /// Reads [`Self::encode`]'s bytes; `what` names the file in errors.
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let bad = |why: &str| Error::corrupted(what, why);
        let word = |at: usize| -> Result<u64> {
            let part = bytes.get(at..at + 8).ok_or_else(|| bad("it is cut off"))?;
            Ok(u64::from_le_bytes(part.try_into().map_err(|_| bad("it is cut off"))?))
        };
        let count = usize::try_from(word(0)?).map_err(|_| bad("entry count"))?;
        let bitmap_len = usize::try_from(word(8)?).map_err(|_| bad("bitmap length"))?;
        let end = 16usize.checked_add(bitmap_len).ok_or_else(|| bad("bitmap length"))?;
        let bitmap = bytes.get(16..end).ok_or_else(|| bad("it is cut off"))?;
        let all =
            Bitmap::try_deserialize::<Portable>(bitmap).ok_or_else(|| bad("bitmap unreadable"))?;
        let rest = &bytes[end..];
        if count.checked_mul(12) != Some(rest.len()) {
            return Err(bad("entry list has the wrong length"));
        }
        let mut set = Self::default();
        for entry in rest.chunks_exact(12) {
            let (ts, row) = entry.split_at(8);
            let ts = u64::from_le_bytes(ts.try_into().map_err(|_| bad("entry"))?);
            let row = u32::from_le_bytes(row.try_into().map_err(|_| bad("entry"))?);
            if set.log.last().is_some_and(|(last, _)| *last > ts) {
                return Err(bad("entries are out of order"));
            }
            set.add(row, ts);
        }
        if set.all != all {
            return Err(bad("bitmap and entry list differ"));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delete_set_shows_each_row_from_its_timestamp_on() {
        let mut set = DeleteSet::default();
        assert!(set.add(3, 10));
        assert!(set.add(1, 20));
        assert!(!set.add(3, 30));
        assert_eq!(set.alive_at(5, 9).count(), 5);
        assert_eq!(set.alive_at(5, 10).iter().collect::<Vec<_>>(), vec![0, 1, 2, 4]);
        assert_eq!(set.alive_at(5, 99).iter().collect::<Vec<_>>(), vec![0, 2, 4]);
        assert_eq!(set.after(10), &[(20, 1)]);
    }

    #[test]
    fn delete_set_survives_encoding_and_refuses_damage() {
        let mut set = DeleteSet::default();
        for row in 0..1000 {
            set.add(row * 7, u64::from(row) + 5);
        }
        let bytes = set.encode(u64::MAX);
        let back = DeleteSet::decode(&bytes, "x").map(|s| s.log);
        assert_eq!(back.ok(), Some(set.log.clone()));
        for cut in [0, 8, 15, 17, bytes.len() - 1] {
            assert!(DeleteSet::decode(&bytes[..cut], "x").is_err(), "cut at {cut}");
        }
        let half = DeleteSet::decode(&set.encode(100), "x").map(|s| s.len());
        assert_eq!(half.ok(), Some(96));
    }

    #[test]
    fn row_set_ands_and_lists_runs() {
        let a = RowSet::range(10, 2, 8);
        let b = RowSet::from_bits(BooleanBuffer::collect_bool(10, |i| i != 4));
        let both = a.and(&b);
        assert_eq!(both.count(), 5);
        assert_eq!(both.runs().collect::<Vec<_>>(), vec![(2, 4), (5, 8)]);
    }
}
