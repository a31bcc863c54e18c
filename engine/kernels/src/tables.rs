//! From a query to its nibble tables.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::Kernels;
use crate::level::Level;
use crate::nibble::MOST_ENTRY;

type Quantize = unsafe fn(&[f32], &mut [u8]) -> Option<(f32, f32)>;
type Sign = unsafe fn(&[f32], &mut [f32]);
type Pair = unsafe fn(&[f32], &[f32], &mut [f32]);

/// The table builders of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    quantize: Quantize,
    sign: Sign,
    pair: Pair,
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => {
                Ops { quantize: avx512::quantize, sign: avx512::sign, pair: avx512::pair }
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Ops { quantize: avx2::quantize, sign: avx2::sign, pair: avx2::pair },
            _ => Ops { quantize, sign, pair },
        }
    }
}

impl Kernels {
    /// Quantizes tables `[nibbles, 16]` to bytes for [`Kernels::scan_nibbles`]: an entry is `(t -
    /// least of its nibble) / unit`, rounded, and `unit` is the widest range of a nibble over
    /// [`MOST_ENTRY`].
    /// Returns `(unit, offset)`, with which a sum of table values is about `unit * sum of entries +
    /// offset`; `offset` is the sum of the least values.
    ///
    /// Without any range (or with one so near to zero that its inverse overflows) all entries are
    /// 0 and the unit is 1. Values or ranges that are not finite give entries 0, unit 1 and offset
    /// NaN, so that every estimate is NaN. Same bits on every level.
    ///
    /// Lengths that differ or are no multiple of 16 are a bug of the caller: a debug build asserts,
    /// a release build converts the whole nibbles that are in both and sets the rest to 0.
    pub fn quantize_tables(&self, tables: &[f32], out: &mut [u8]) -> (f32, f32) {
        debug_assert_eq!(tables.len(), out.len(), "tables and entries of different lengths");
        debug_assert_eq!(tables.len() % 16, 0, "tables are not whole nibbles");
        let len = tables.len().min(out.len()) / 16 * 16;
        let (entries, rest) = out.split_at_mut(len);
        rest.fill(0);
        // SAFETY: this CPU has the level (invariant of Kernels); both slices are of one length, a
        // multiple of 16.
        unsafe { (self.0.tables.quantize)(&tables[..len], entries) }.unwrap_or_else(|| {
            entries.fill(0);
            (1.0, f32::NAN)
        })
    }

    /// Tables of 1-bit codes for a rotated query: `out[m][c]` is the sum over `k < 4` of `q[4m +
    /// k]`, positive where bit `k` of `c` is set, else negative. `out` is `[q.len() / 4, 16]`, the
    /// length of `q` a multiple of 4. Same bits on every level.
    ///
    /// Other lengths are a bug of the caller: a debug build asserts, a release build fills the
    /// whole tables that are there.
    pub fn sign_tables(&self, q: &[f32], out: &mut [f32]) {
        debug_assert_eq!(q.len() % 4, 0, "the query is not padded to whole nibbles");
        debug_assert_eq!(out.len(), q.len() * 4, "out is not [q.len() / 4, 16]");
        let nibbles = (q.len() / 4).min(out.len() / 16);
        // SAFETY: this CPU has the level (invariant of Kernels); the slices hold `nibbles`.
        unsafe { (self.0.tables.sign)(&q[..4 * nibbles], &mut out[..16 * nibbles]) };
    }

    /// Tables of 4-bit product codes over pairs of dims: `out[m][c]` is the inner product of
    /// `q[2m..2m + 2]` with `centers[m][c]`; `centers` is `[pairs, 16, 2]`, `out` `[pairs, 16]`.
    /// Same bits on every level.
    ///
    /// Other lengths are a bug of the caller: a debug build asserts, a release build fills the
    /// whole tables that are there.
    pub fn pair_tables(&self, q: &[f32], centers: &[f32], out: &mut [f32]) {
        debug_assert_eq!(q.len() % 2, 0, "the query is not whole pairs");
        debug_assert_eq!(centers.len(), q.len() * 16, "centers are not [q.len() / 2, 16, 2]");
        debug_assert_eq!(out.len(), q.len() * 8, "out is not [q.len() / 2, 16]");
        let n = (q.len() / 2).min(centers.len() / 32).min(out.len() / 16);
        // SAFETY: this CPU has the level (invariant of Kernels); the slices hold `n` pairs.
        unsafe { (self.0.tables.pair)(&q[..2 * n], &centers[..32 * n], &mut out[..16 * n]) };
    }
}

/// Unit and its inverse for the widest range; `None` if it is not finite.
#[inline(always)]
pub(crate) fn unit_of(widest: f32) -> Option<(f32, f32)> {
    let unit = widest / f32::from(MOST_ENTRY);
    let inverse = 1.0 / unit;
    match widest.is_finite() {
        false => None,
        true if inverse.is_finite() => Some((unit, inverse)),
        true => Some((1.0, 0.0)),
    }
}

/// Least and greatest of one nibble's table; a range that is infinite if a value is not finite.
#[inline(always)]
fn bounds(table: &[f32]) -> (f32, f32) {
    let (mut low, mut high, mut finite) = (f32::INFINITY, f32::NEG_INFINITY, true);
    for t in table {
        low = if *t < low { *t } else { low };
        high = if *t > high { *t } else { high };
        finite &= t.is_finite();
    }
    if finite { (low, high) } else { (0.0, f32::INFINITY) }
}

#[inline(always)]
fn quantize(tables: &[f32], out: &mut [u8]) -> Option<(f32, f32)> {
    // In f64 and in order: the same bits on every level, and no overflow.
    let (mut widest, mut offset) = (0.0f32, 0.0f64);
    for table in tables.chunks_exact(16) {
        let (low, high) = bounds(table);
        widest = widest.max(high - low);
        offset += f64::from(low);
    }
    let (unit, inverse) = unit_of(widest)?;
    for (table, entries) in tables.chunks_exact(16).zip(out.chunks_exact_mut(16)) {
        let (low, _) = bounds(table);
        for (t, entry) in table.iter().zip(entries) {
            *entry = ((t - low) * inverse).round_ties_even() as u8;
        }
    }
    Some((unit, offset as f32))
}

#[inline(always)]
fn sign(q: &[f32], out: &mut [f32]) {
    for (dims, table) in q.chunks_exact(4).zip(out.chunks_exact_mut(16)) {
        for (c, t) in table.iter_mut().enumerate() {
            let signed = |k: usize| if c >> k & 1 == 1 { dims[k] } else { -dims[k] };
            *t = signed(0) + signed(1) + signed(2) + signed(3);
        }
    }
}

#[inline(always)]
fn pair(q: &[f32], centers: &[f32], out: &mut [f32]) {
    let tables = centers.chunks_exact(32).zip(out.chunks_exact_mut(16));
    for (dims, (centers, table)) in q.chunks_exact(2).zip(tables) {
        for (center, t) in centers.chunks_exact(2).zip(table) {
            *t = dims[0] * center[0] + dims[1] * center[1];
        }
    }
}
