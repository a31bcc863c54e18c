//! AVX2: the reference compiled with the instruction that counts bits, and for wider registers.

/// One pair of the same length.
#[target_feature(enable = "avx2,popcnt")]
pub(crate) fn pair<const IS_XOR: bool>(a: &[u8], b: &[u8]) -> u32 {
    super::pair::<IS_XOR>(a, b)
}

/// All rows; `q` is not empty.
#[target_feature(enable = "avx2,popcnt")]
pub(crate) fn rows<const IS_XOR: bool>(q: &[u8], rows: &[u8], out: &mut [u32]) {
    super::rows::<IS_XOR>(q, rows, out);
}
