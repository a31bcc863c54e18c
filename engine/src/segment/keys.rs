//! The key index of a segment: its primary keys in order, each with its row.

use arrow::array::{ArrayRef, Int64Array, StringArray, UInt32Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use bytes::Bytes;
use std::cmp::Ordering;

use crate::core::error::{Error, Result};
use crate::core::key::{Key, Keys};
use crate::storage::frame;

/// Keys of a segment in ascending order, and the row of each.
#[derive(Debug)]
pub struct SegmentKeys {
    keys: Keys,
    rows: Vec<u32>,
}

impl SegmentKeys {
    /// Sorts the key column of a segment.
    pub fn build(column: &Keys) -> Result<Self> {
        let mut rows: Vec<u32> = (0..column.len()).map(|r| r as u32).collect();
        rows.sort_unstable_by(|a, b| column.compare(*a as usize, *b as usize));
        let order = UInt32Array::from(rows.clone());
        let sorted: ArrayRef = arrow::compute::take(column.to_array().as_ref(), &order, None)?;
        Ok(Self { keys: Keys::from_array(sorted.as_ref())?, rows })
    }

    /// The row that holds the key at a position of another column.
    pub fn find(&self, keys: &Keys, at: usize) -> Option<u32> {
        let mut low = 0;
        let mut high = self.keys.len();
        while low < high {
            let middle = low + (high - low) / 2;
            match self.keys.compare_with(middle, keys, at) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(self.rows[middle]),
            }
        }
        None
    }

    /// Smallest and largest key.
    pub fn range(&self) -> Option<(Key, Key)> {
        (!self.keys.is_empty()).then(|| (self.keys.get(0), self.keys.get(self.keys.len() - 1)))
    }

    /// The sorted keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Bytes in memory.
    pub fn size_bytes(&self) -> usize {
        self.keys.to_array().get_array_memory_size() + self.rows.len() * 4
    }

    /// The row of each sorted key.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Bytes of the file: in a checked frame a kind (0 integers, 1 texts), the count, the keys, the rows.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.rows.len() * 16);
        let kind: u64 = match &self.keys {
            Keys::Int(_) => 0,
            Keys::Text(_) => 1,
        };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        match &self.keys {
            Keys::Int(keys) => {
                keys.values().iter().for_each(|k| out.extend_from_slice(&k.to_le_bytes()));
            }
            Keys::Text(keys) => {
                let mut end = 0u32;
                out.extend_from_slice(&end.to_le_bytes());
                for key in keys.iter().flatten() {
                    end += key.len() as u32;
                    out.extend_from_slice(&end.to_le_bytes());
                }
                keys.iter().flatten().for_each(|k| out.extend_from_slice(k.as_bytes()));
            }
        }
        self.rows.iter().for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
        frame::seal(&out)
    }

    /// Reads [`Self::encode`]'s bytes; `what` names the file in errors.
    pub fn decode(bytes: &Bytes, what: &str) -> Result<Self> {
        let payload = frame::open(bytes, what)?;
        let bad = |why: &str| Error::corrupted(what, why);
        let head = payload.get(..16).ok_or_else(|| bad("it is cut off"))?;
        let count = u64::from_le_bytes(head[8..].try_into().map_err(|_| bad("count"))?);
        let count = usize::try_from(count).map_err(|_| bad("count"))?;
        let rest = &payload[16..];
        let rows_at = rest
            .len()
            .checked_sub(count.checked_mul(4).ok_or_else(|| bad("count"))?)
            .ok_or_else(|| bad("it is cut off"))?;
        let rows = words(&rest[rows_at..]);
        let keys = match head[0] {
            0 => decode_integers(&rest[..rows_at], count),
            1 => decode_texts(&rest[..rows_at], count),
            _ => None,
        };
        let keys = keys.ok_or_else(|| bad("its keys are unreadable"))?;
        Ok(Self { keys, rows })
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn decode_integers(bytes: &[u8], count: usize) -> Option<Keys> {
    if bytes.len() != count.checked_mul(8)? {
        return None;
    }
    let keys = bytes.chunks_exact(8).map(|b| b.try_into().map(i64::from_le_bytes));
    let keys: Vec<i64> = keys.collect::<Result<_, _>>().ok()?;
    Some(Keys::Int(Int64Array::from(keys)))
}

fn decode_texts(bytes: &[u8], count: usize) -> Option<Keys> {
    let (offsets, text) = bytes.split_at_checked((count + 1).checked_mul(4)?)?;
    let offsets: Vec<i32> =
        words(offsets).into_iter().map(i32::try_from).collect::<Result<_, _>>().ok()?;
    let ascending = offsets.windows(2).all(|w| w[0] <= w[1]);
    if !ascending || offsets.first() != Some(&0) || *offsets.last()? as usize != text.len() {
        return None;
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, text.to_vec().into(), None).ok().map(Keys::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_after_a_round_trip() {
        let ints = Keys::Int(Int64Array::from(vec![5, -3, 99, 7]));
        let texts = Keys::Text(StringArray::from(vec!["b", "", "zz", "a"]));
        for column in [ints, texts] {
            let built = SegmentKeys::build(&column).unwrap();
            let back = SegmentKeys::decode(&built.encode().into(), "f").unwrap();
            for row in 0..column.len() {
                assert_eq!(back.find(&column, row), Some(row as u32));
            }
            assert_eq!(back.find(&Keys::Int(Int64Array::from(vec![6])), 0), None);
        }
    }
}
