//! Sparse vectors: pairs of position and value, positions ascending.

use std::ops::Range;

/// Bytes of a pair: position (u32) and value (f32), little-endian.
const PAIR: usize = 8;

/// Sparse vectors of neighbouring rows, borrowed from a column of bytes.
#[derive(Debug, Clone, Copy)]
pub struct SparseRows<'a> {
    /// One more than there are rows: where each begins and ends in the data.
    offsets: &'a [i32],
    data: &'a [u8],
}

impl<'a> SparseRows<'a> {
    /// Rows between neighbouring offsets.
    pub fn new(offsets: &'a [i32], data: &'a [u8]) -> Self {
        Self { offsets, data }
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// If the range passes the last row, as a slice does.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self { offsets: &self.offsets[rows.start..=rows.end], data: self.data }
    }

    /// The pairs of a row; nothing if there is no such row.
    pub fn bytes(&self, row: usize) -> &'a [u8] {
        let at = |row: usize| self.offsets.get(row).and_then(|o| usize::try_from(*o).ok());
        let range = at(row).zip(at(row + 1));
        range.and_then(|(from, to)| self.data.get(from..to)).unwrap_or_default()
    }
}

/// The pairs in some bytes.
pub fn pairs(bytes: &[u8]) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
    let (pairs, _) = bytes.as_chunks::<PAIR>();
    pairs.iter().map(|[a, b, c, d, e, f, g, h]| {
        (u32::from_le_bytes([*a, *b, *c, *d]), f32::from_le_bytes([*e, *f, *g, *h]))
    })
}

/// Refuses bytes that are no sparse vector; says why in Milvus's words.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    if !bytes.len().is_multiple_of(PAIR) {
        return Err(format!("invalid data length in sparse float vector: {}", bytes.len()));
    }
    let mut last = None;
    for (position, value) in pairs(bytes) {
        if position == u32::MAX {
            return Err("invalid index in sparse float vector: must be less than 2^32-1".into());
        }
        if last.is_some_and(|last| last >= position) {
            return Err("unsorted or same indices in sparse float vector".into());
        }
        if !value.is_finite() {
            return Err(format!("value '{value}' is not a number or infinity"));
        }
        last = Some(position);
    }
    Ok(())
}

/// One more than the largest position of a vector: the fewest dimensions that hold it.
pub fn dimensions(bytes: &[u8]) -> u64 {
    pairs(bytes).last().map_or(0, |(position, _)| u64::from(position) + 1)
}

/// A sparse vector that is searched for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SparseVector(Vec<(u32, f32)>);

impl SparseVector {
    /// From its bytes.
    ///
    /// # Errors
    /// As [`check`].
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        check(bytes)?;
        Ok(Self(pairs(bytes).collect()))
    }

    /// The inner product with a row, summed by position in double precision; `None` where no position
    /// is in both.
    pub fn dot(&self, row: &[u8]) -> Option<f64> {
        let (mut sum, mut common) = (0.0, false);
        let mut query = self.0.iter().peekable();
        for (position, value) in pairs(row) {
            while query.next_if(|(p, _)| *p < position).is_some() {}
            match query.peek() {
                Some((p, weight)) if *p == position => {
                    sum += f64::from(*weight) * f64::from(value);
                    common = true;
                }
                Some(_) => {}
                None => break,
            }
        }
        common.then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pairs: &[(u32, f32)]) -> Vec<u8> {
        pairs.iter().flat_map(|(p, v)| [p.to_le_bytes(), v.to_le_bytes()].concat()).collect()
    }

    #[test]
    fn products_of_common_positions() {
        let query = SparseVector::new(&bytes(&[(1, 2.0), (7, 0.5), (9, -1.0)])).unwrap();
        assert_eq!(query.dot(&bytes(&[(0, 9.0), (1, 3.0), (9, 4.0), (10, 1.0)])), Some(2.0));
        assert_eq!(query.dot(&bytes(&[(1, 1.0), (9, 2.0)])), Some(0.0));
        assert_eq!(query.dot(&bytes(&[(2, 1.0)])), None);
        assert_eq!(query.dot(&[]), None);
        assert_eq!(SparseVector::default().dot(&bytes(&[(2, 1.0)])), None);
        assert_eq!(dimensions(&bytes(&[(0, 1.0), (41, 1.0)])), 42);
    }

    #[test]
    fn rows_keep_their_places_in_slices() {
        let data = [bytes(&[(1, 1.0)]), bytes(&[]), bytes(&[(2, 2.0), (3, 3.0)])].concat();
        let rows = SparseRows::new(&[0, 8, 8, 24], &data);
        assert_eq!(rows.bytes(1), &[] as &[u8]);
        assert_eq!(pairs(rows.slice(1..3).bytes(1)).collect::<Vec<_>>(), [(2, 2.0), (3, 3.0)]);
        assert!(rows.bytes(3).is_empty());
    }

    #[test]
    fn what_is_no_sparse_vector_is_refused() {
        let refused = |pairs: &[(u32, f32)]| check(&bytes(pairs)).unwrap_err();
        assert!(refused(&[(2, 1.0), (2, 1.0)]).contains("unsorted or same indices"));
        assert!(refused(&[(3, 1.0), (2, 1.0)]).contains("unsorted or same indices"));
        assert!(refused(&[(u32::MAX, 1.0)]).contains("less than 2^32-1"));
        assert!(refused(&[(0, f32::NAN)]).contains("not a number"));
        assert!(check(&[1, 2, 3]).is_err());
        assert!(check(&[]).is_ok());
    }
}
