//! Bit vectors as bytes of any number: counts of set bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::Kernels;
use crate::level::Level;

/// Counts set bits of `a ^ b`.
const XOR: bool = true;
/// Counts set bits of `a & b`.
const AND: bool = false;

type Pair = unsafe fn(&[u8], &[u8]) -> u32;
type Rows = unsafe fn(&[u8], &[u8], &mut [u32]);

/// The bit kernels of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    xor: Pair,
    and: Pair,
    xor_rows: Rows,
    and_rows: Rows,
}

macro_rules! table {
    ($pair:path, $rows:path) => {{
        use $pair as pair;
        use $rows as rows;
        Ops { xor: pair::<XOR>, and: pair::<AND>, xor_rows: rows::<XOR>, and_rows: rows::<AND> }
    }};
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => table!(avx512::pair, avx512::rows),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx2 => table!(avx2::pair, avx2::rows),
            // NEON belongs to every aarch64: the reference is compiled with it.
            _ => table!(self::pair, self::rows),
        }
    }
}

impl Kernels {
    /// Bits in which two vectors differ. Lengths that differ are a bug of the caller: a debug build
    /// asserts, a release build uses the shorter length.
    pub fn hamming(&self, a: &[u8], b: &[u8]) -> u32 {
        self.count(self.0.bits.xor, a, b)
    }

    /// Bits set in both of two vectors. Lengths as for [`Kernels::hamming`].
    pub fn and_count(&self, a: &[u8], b: &[u8]) -> u32 {
        self.count(self.0.bits.and, a, b)
    }

    /// Bits set.
    pub fn count_ones(&self, a: &[u8]) -> u32 {
        self.count(self.0.bits.and, a, a)
    }

    /// Bits in which `q` and each of the rows differ: `rows` is row-major `[out.len(), q.len()]`.
    ///
    /// Other lengths are a bug of the caller: a debug build asserts, a release build counts the
    /// whole rows that are there and sets the rest of `out` to `u32::MAX`.
    pub fn hamming_rows(&self, q: &[u8], rows: &[u8], out: &mut [u32]) {
        self.count_rows(self.0.bits.xor_rows, q, rows, out);
    }

    /// Bits set in both `q` and each of the rows. Shapes as for [`Kernels::hamming_rows`].
    pub fn and_count_rows(&self, q: &[u8], rows: &[u8], out: &mut [u32]) {
        self.count_rows(self.0.bits.and_rows, q, rows, out);
    }

    fn count(&self, kernel: Pair, a: &[u8], b: &[u8]) -> u32 {
        debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
        let n = a.len().min(b.len());
        // SAFETY: this CPU has the level (invariant of Kernels); the lengths are the same.
        unsafe { kernel(&a[..n], &b[..n]) }
    }

    fn count_rows(&self, kernel: Rows, q: &[u8], rows: &[u8], out: &mut [u32]) {
        debug_assert_eq!(rows.len(), q.len() * out.len(), "rows are not [out.len(), q.len()]");
        if q.is_empty() {
            out.fill(0);
            return;
        }
        let n = out.len().min(rows.len() / q.len());
        let (counts, missing) = out.split_at_mut(n);
        missing.fill(u32::MAX);
        // SAFETY: this CPU has the level (invariant of Kernels); `q` is not empty, and there is a
        // row for each count.
        unsafe { kernel(q, &rows[..n * q.len()], counts) };
    }
}

/// One pair of the same length.
#[inline(always)]
fn pair<const IS_XOR: bool>(a: &[u8], b: &[u8]) -> u32 {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    let both = |x: u64, y: u64| if IS_XOR { x ^ y } else { x & y }.count_ones();
    let words = a_words.iter().zip(b_words);
    let sum: u32 = words.map(|(x, y)| both(u64::from_le_bytes(*x), u64::from_le_bytes(*y))).sum();
    let rest = a_rest.iter().zip(b_rest);
    sum + rest.map(|(x, y)| both(u64::from(*x), u64::from(*y))).sum::<u32>()
}

/// All rows; `q` is not empty.
#[inline(always)]
fn rows<const IS_XOR: bool>(q: &[u8], rows: &[u8], out: &mut [u32]) {
    for (row, count) in rows.chunks_exact(q.len()).zip(out) {
        *count = pair::<IS_XOR>(q, row);
    }
}
