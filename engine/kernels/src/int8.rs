//! Byte vectors: inner products and distances, exact in integers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod skeleton;

use crate::Kernels;
use crate::level::Level;

/// Values of which a sum of squared differences fits an i32 with room to spare.
const CHUNK: usize = 1 << 14;

type Picked = unsafe fn(&[i8], &[u8], &[u32], &mut [i32]);
type Rows = unsafe fn(&[i8], &[u8], &mut [i32]);
type Pair = unsafe fn(&[i8], &[i8]) -> i32;

/// The byte kernels of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    picked: Picked,
    rows: Rows,
    dot: Pair,
    l2: Pair,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! table {
    ($module:ident) => {
        Ops { picked: $module::picked, rows: $module::rows, dot: $module::dot, l2: $module::l2 }
    };
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => table!(avx512),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx2 => table!(avx2),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => table!(neon),
            _ => Ops { picked, rows: all_rows, dot, l2 },
        }
    }
}

impl Kernels {
    /// Inner products of `query` with picked rows of codes: `out[i]` is the sum of `(code - 128) *
    /// query` over row `picks[i]`. `rows` is row-major `[n, query.len()]`, the length of the query
    /// a multiple of 32; padding has query 0 and any code. Sums are exact up to 32,768 dims and
    /// wrap beyond.
    ///
    /// Coming picks are fetched ahead, for they are rows anywhere in a large array.
    ///
    /// Other lengths, and picks that are no rows, are a bug of the caller: a debug build asserts, a
    /// release build sets what it cannot score to `i32::MIN`.
    pub fn int8_dot_picked(&self, query: &[i8], rows: &[u8], picks: &[u32], out: &mut [i32]) {
        debug_assert_eq!(picks.len(), out.len(), "picks and out of different lengths");
        let n = picks.len().min(out.len());
        let (scores, missing) = out.split_at_mut(n);
        missing.fill(i32::MIN);
        if self.scorable(query, scores) {
            // SAFETY: this CPU has the level (invariant of Kernels); the query has a length that is
            // a positive multiple of 32, and there are as many picks as scores.
            unsafe { (self.0.int8.picked)(query, rows, &picks[..n], scores) };
        }
    }

    /// Inner products of `query` with all rows of codes in order, as for
    /// [`Kernels::int8_dot_picked`]; `rows` is `[out.len(), query.len()]`.
    pub fn int8_dot_rows(&self, query: &[i8], rows: &[u8], out: &mut [i32]) {
        debug_assert_eq!(rows.len(), query.len() * out.len(), "rows are not [out, query]");
        let n = rows.len().checked_div(query.len()).unwrap_or(usize::MAX).min(out.len());
        let (scores, missing) = out.split_at_mut(n);
        missing.fill(i32::MIN);
        if self.scorable(query, scores) {
            // SAFETY: this CPU has the level (invariant of Kernels); the query has a length that is
            // a positive multiple of 32, and `rows` holds a row for each score.
            unsafe { (self.0.int8.rows)(query, &rows[..n * query.len()], scores) };
        }
    }

    /// Inner product of two signed vectors of the same length, any length; exact up to 32,768 dims,
    /// wraps beyond. Lengths that differ are a bug of the caller: a debug build asserts, a release
    /// build uses the shorter length.
    pub fn int8_dot(&self, a: &[i8], b: &[i8]) -> i32 {
        debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
        let n = a.len().min(b.len());
        // SAFETY: this CPU has the level (invariant of Kernels); the lengths are the same.
        unsafe { (self.0.int8.dot)(&a[..n], &b[..n]) }
    }

    /// Squared Euclidean distance of two signed vectors, exact for any length. Lengths as for
    /// [`Kernels::int8_dot`].
    pub fn int8_l2(&self, a: &[i8], b: &[i8]) -> i64 {
        debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
        let n = a.len().min(b.len());
        let chunks = a[..n].chunks(CHUNK).zip(b[..n].chunks(CHUNK));
        // SAFETY: this CPU has the level (invariant of Kernels); chunks of slices of one length are
        // of one length, at most CHUNK.
        chunks.map(|(a, b)| i64::from(unsafe { (self.0.int8.l2)(a, b) })).sum()
    }

    /// Whether the kernels take a query of this length; fills `out` if not.
    fn scorable(&self, query: &[i8], out: &mut [i32]) -> bool {
        debug_assert_eq!(query.len() % 32, 0, "the query is not padded");
        if query.is_empty() {
            out.fill(0);
        } else if !query.len().is_multiple_of(32) {
            out.fill(i32::MIN);
        }
        !query.is_empty() && query.len().is_multiple_of(32)
    }
}

fn codes_dot(query: &[i8], row: &[u8]) -> i32 {
    let term = |(q, code): (&i8, &u8)| (i32::from(*code) - 128) * i32::from(*q);
    query.iter().zip(row).map(term).fold(0, i32::wrapping_add)
}

fn picked(query: &[i8], rows: &[u8], picks: &[u32], out: &mut [i32]) {
    for (pick, score) in picks.iter().zip(out) {
        let row = row_at(rows, query.len(), *pick);
        debug_assert!(row.is_some(), "pick {pick} is no row");
        *score = row.map_or(i32::MIN, |row| codes_dot(query, row));
    }
}

/// The picked row, if it is one.
#[inline(always)]
pub(crate) fn row_at(rows: &[u8], stride: usize, pick: u32) -> Option<&[u8]> {
    let start = (pick as usize).checked_mul(stride)?;
    rows.get(start..start.checked_add(stride)?)
}

fn all_rows(query: &[i8], rows: &[u8], out: &mut [i32]) {
    for (row, score) in rows.chunks_exact(query.len()).zip(out) {
        *score = codes_dot(query, row);
    }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    let term = |(x, y): (&i8, &i8)| i32::from(*x) * i32::from(*y);
    a.iter().zip(b).map(term).fold(0, i32::wrapping_add)
}

fn l2(a: &[i8], b: &[i8]) -> i32 {
    let term = |(x, y): (&i8, &i8)| (i32::from(*x) - i32::from(*y)).pow(2);
    a.iter().zip(b).map(term).fold(0, i32::wrapping_add)
}
