//! Bytes that start at a cache line.

use std::ops::{Deref, DerefMut};

use crate::huge::expect_huge_pages;

/// Bytes of a cache line, and of the widest register.
const LINE_BYTES: usize = 64;

/// A vector of bytes whose first lies at the start of a cache line, so that a load of a whole register does not
/// touch two lines. What the allocator gives large vectors starts 16 bytes into one.
#[derive(Default)]
pub struct AlignedBytes {
    /// Those from `start` on are in use.
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedBytes {
    /// None yet, with room for so many, in large pages where the system has them.
    pub fn with_capacity(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(len + LINE_BYTES);
        expect_huge_pages(&mut bytes);
        // Wherever code runs this is below a line's bytes; were it not, nothing would be aligned.
        let start = bytes.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    /// Sets the number of bytes; new ones are `value`.
    pub fn resize(&mut self, len: usize, value: u8) {
        if self.start + len > self.bytes.capacity() {
            let mut wider = Self::with_capacity(len.max(2 * self.len()));
            wider.bytes.extend_from_slice(self);
            *self = wider;
        }
        self.bytes.resize(self.start + len, value);
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl DerefMut for AlignedBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut out = Self::default();
        out.resize(bytes.len(), 0);
        out.copy_from_slice(bytes);
        out
    }
}

impl Clone for AlignedBytes {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl PartialEq for AlignedBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for AlignedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_aligned_and_whole_as_they_grow() {
        let mut bytes = AlignedBytes::default();
        let mut plain = Vec::new();
        for (step, len) in [1, 63, 64, 65, 1_000, 999, 100_000, 3, 200].into_iter().enumerate() {
            bytes.resize(len, step as u8);
            plain.resize(len, step as u8);
            assert_eq!(*bytes, *plain);
            assert_eq!(bytes.as_ptr().align_offset(LINE_BYTES), 0, "{len}");
            assert_eq!(bytes.clone(), bytes);
        }
        assert_eq!(*AlignedBytes::from(&[1u8, 2][..]), [1, 2]);
    }
}
