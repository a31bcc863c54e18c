//! Small files as one checked frame: magic, length, payload, XXH3-64 of all before it.

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::core::error::{Error, Result};

const MAGIC: &[u8; 8] = b"ELANUS\x01\n";

/// Checksum of a file's bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The checksum of bytes in pieces.
pub fn checksum_of(pieces: &[Bytes]) -> u64 {
    let mut sum = Xxh3::new();
    pieces.iter().for_each(|piece| sum.update(piece));
    sum.digest()
}

/// Wraps a payload.
pub fn seal(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 24);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(payload);
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// Unwraps what [`seal`] made; `what` names the file in errors.
pub fn open(bytes: &Bytes, what: &str) -> Result<Bytes> {
    let bad = |why: &str| Error::corrupted(what, why);
    if bytes.len() < 24 {
        return Err(bad("it is cut off"));
    }
    let (body, sum) = bytes.split_at(bytes.len() - 8);
    if checksum(body).to_le_bytes() != sum {
        return Err(bad("its checksum is wrong"));
    }
    if &body[..8] != MAGIC {
        return Err(bad("it is not a file of Elanus"));
    }
    if (body.len() as u64 - 16).to_le_bytes() != body[8..16] {
        return Err(bad("its length is wrong"));
    }
    Ok(bytes.slice(16..bytes.len() - 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(b"some payload");
        assert_eq!(
            open(&Bytes::from(sealed.clone()), "f").ok().as_deref(),
            Some(&b"some payload"[..])
        );
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bad = sealed.clone();
                bad[at] ^= 1 << bit;
                assert!(open(&Bytes::from(bad), "f").is_err(), "byte {at} bit {bit}");
            }
            assert!(open(&Bytes::from(sealed[..at].to_vec()), "f").is_err(), "cut {at}");
        }
    }
}
