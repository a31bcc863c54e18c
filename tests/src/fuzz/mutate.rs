//! Mutations for the runs without libFuzzer.

use rand::Rng;
use rand::rngs::StdRng;

/// Numbers that are wrong more often than others.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
];

/// Changes an input in a few places; `other` lends pieces.
pub fn mutate(input: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=out.len());
        match rng.random_range(0..8) {
            0 if at < out.len() => out[at] ^= 1 << rng.random_range(0..8),
            1 if at < out.len() => out[at] = rng.random(),
            2 => out.insert(at, rng.random()),
            3 => out.truncate(at),
            4 => {
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.random_range(0..4)];
                for (to, from) in out.iter_mut().skip(at).zip(&number[..width]) {
                    *to = *from;
                }
            }
            5 => {
                let end = rng.random_range(at..=out.len());
                let piece = out[at..end.min(at + 64)].to_vec();
                out.splice(at..at, piece);
            }
            6 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let to = rng.random_range(from..=other.len()).min(from + 64);
                out.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = rng.random_range(at..=out.len());
                out.drain(at..end.min(at + 16));
            }
        }
    }
    out.truncate(1 << 20);
    out
}
