//! Checksums of a file's blocks, so that a read of a part of it can be checked.

use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::frame;
use crate::core::error::{Error, Result};

/// Bytes of a block: a read of one row reads and sums so much, and eight bytes of sums go with it.
pub const BLOCK_BYTES: u64 = 16 << 10;

/// The checksums of one file.
#[derive(Debug)]
pub struct BlockSums {
    block_bytes: u64,
    size_bytes: u64,
    sums: Vec<u64>,
    /// The newest block that was not what was written, and has not been read whole since.
    failed: Mutex<Option<Range<u64>>>,
}

/// A block is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongBlock {
    /// Bytes of the block in its file.
    pub bytes: Range<u64>,
}

impl std::fmt::Display for WrongBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "bytes {} to {} are not those that were written",
            self.bytes.start, self.bytes.end
        )
    }
}

impl std::error::Error for WrongBlock {}

impl BlockSums {
    /// Bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes that the sums take in memory.
    pub fn memory_bytes(&self) -> usize {
        self.sums.len() * 8
    }

    /// The least range of whole blocks around a range.
    pub fn around(&self, range: &Range<u64>) -> Range<u64> {
        let start = range.start / self.block_bytes * self.block_bytes;
        let end = range.end.div_ceil(self.block_bytes) * self.block_bytes;
        start..end.min(self.size_bytes)
    }

    /// Compares bytes that begin at a block's start and end with a block or the file.
    pub fn check(&self, from: u64, bytes: &[u8]) -> std::result::Result<(), WrongBlock> {
        let first = from / self.block_bytes;
        for (at, block) in bytes.chunks(self.block_bytes as usize).enumerate() {
            let start = from + at as u64 * self.block_bytes;
            let whole = start..start + block.len() as u64;
            if self.sums.get(first as usize + at) != Some(&xxh3_64(block)) {
                *self.failed.lock() = Some(whole.clone());
                return Err(WrongBlock { bytes: whole });
            }
            let mut failed = self.failed.lock();
            if failed.as_ref() == Some(&whole) {
                // A second read was right: the damage was on the way.
                *failed = None;
            }
        }
        Ok(())
    }

    /// The block that was found wrong last.
    pub fn failed(&self) -> Option<Range<u64>> {
        self.failed.lock().clone()
    }

    /// Bytes of the file that keeps them: in a frame bytes of a block, bytes of the file, the sums.
    pub fn encode(&self) -> Vec<u8> {
        let head = [self.block_bytes, self.size_bytes];
        let words = head.iter().chain(&self.sums);
        frame::seal(&words.flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// Reads [`Self::encode`]'s bytes; `what` names the file in errors.
    pub fn decode(bytes: &Bytes, what: &str) -> Result<Self> {
        let payload = frame::open(bytes, what)?;
        let words: Vec<u64> = payload
            .chunks_exact(8)
            .map(|b| b.try_into().map(u64::from_le_bytes).unwrap_or_default())
            .collect();
        match words.as_slice() {
            [block, size, sums @ ..]
                if *block > 0 && sums.len() as u64 == size.div_ceil(*block) =>
            {
                Ok(Self {
                    block_bytes: *block,
                    size_bytes: *size,
                    sums: sums.to_vec(),
                    failed: Mutex::default(),
                })
            }
            _ => Err(Error::corrupted(what, "it has not as many sums as its file has blocks")),
        }
    }
}

/// Sums a file that comes in pieces.
#[derive(Default)]
pub struct BlockSummer {
    whole: Xxh3,
    block: Xxh3,
    in_block: u64,
    size_bytes: u64,
    sums: Vec<u64>,
}

impl BlockSummer {
    /// Adds the next piece.
    pub fn add(&mut self, mut piece: &[u8]) {
        self.whole.update(piece);
        self.size_bytes += piece.len() as u64;
        while !piece.is_empty() {
            let room = (BLOCK_BYTES - self.in_block) as usize;
            let (now, rest) = piece.split_at(room.min(piece.len()));
            if now.len() as u64 == BLOCK_BYTES {
                self.sums.push(xxh3_64(now));
            } else {
                self.block.update(now);
                self.in_block += now.len() as u64;
                if self.in_block == BLOCK_BYTES {
                    self.end_block();
                }
            }
            piece = rest;
        }
    }

    fn end_block(&mut self) {
        self.sums.push(self.block.digest());
        self.block.reset();
        self.in_block = 0;
    }

    /// XXH3-64 of the whole, and the sums of its blocks.
    pub fn finish(mut self) -> (u64, BlockSums) {
        if self.in_block > 0 {
            self.end_block();
        }
        let sums = BlockSums {
            block_bytes: BLOCK_BYTES,
            size_bytes: self.size_bytes,
            sums: self.sums,
            failed: Mutex::default(),
        };
        (self.whole.digest(), sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_pieces_and_tell_of_every_changed_block() {
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 77).map(|i| (i * i % 251) as u8).collect();
        let (whole, sums) = summed(&bytes, bytes.len());
        for piece in [1_000, BLOCK_BYTES as usize, 40_000] {
            let (again, other) = summed(&bytes, piece);
            assert_eq!((again, &other.sums), (whole, &sums.sums), "pieces of {piece}");
        }
        assert_eq!(whole, frame::checksum(&bytes));
        let sums = BlockSums::decode(&sums.encode().into(), "f").unwrap();
        assert_eq!(sums.around(&(5..BLOCK_BYTES + 1)), 0..2 * BLOCK_BYTES);
        assert_eq!(sums.around(&(3 * BLOCK_BYTES + 5..3 * BLOCK_BYTES + 6)).end, sums.size_bytes);
        assert_eq!(sums.check(0, &bytes), Ok(()));
        for at in [0, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 76] {
            let mut bad = bytes.clone();
            bad[at as usize] ^= 4;
            let wrong = sums.check(0, &bad).unwrap_err();
            assert!(wrong.bytes.contains(&at), "{wrong}");
            assert_eq!(sums.failed(), Some(wrong.bytes));
            assert_eq!(sums.check(0, &bytes), Ok(()));
            assert_eq!(sums.failed(), None);
        }
        assert!(sums.check(3 * BLOCK_BYTES, &bytes[..10]).is_err(), "a cut block");
        assert!(BlockSums::decode(&frame::seal(&[0; 24]).into(), "f").is_err());
    }

    fn summed(bytes: &[u8], piece: usize) -> (u64, BlockSums) {
        let mut summer = BlockSummer::default();
        bytes.chunks(piece).for_each(|p| summer.add(p));
        summer.finish()
    }
}
