//! All pairs of rows of codes with a packed set of centroids: assignment and scoring.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod packed;
mod scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod skeleton;

pub use packed::PackedCentroids;

use crate::Kernels;
use crate::level::Level;

/// A row's centroid and its score.
pub(crate) type Hit = (u32, f32);
/// What stands where there is no centroid.
pub(crate) const NO_HIT: Hit = (u32::MAX, f32::INFINITY);

type Nearest = unsafe fn(&PackedCentroids, &[u8], &[f32], &mut [Hit]);
type Scores = unsafe fn(&PackedCentroids, &[u8], &[f32], &mut [f32]);
type Best = unsafe fn(&PackedCentroids, &[u8], &[f32], usize, &mut [Hit]);

/// The centroid kernels of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    nearest: Nearest,
    scores: Scores,
    best: Best,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! table {
    ($module:ident) => {
        Ops { nearest: $module::nearest, scores: $module::all_scores, best: $module::best }
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
            _ => Ops { nearest: scalar::nearest, scores: scalar::scores, best: scalar::best },
        }
    }
}

impl Kernels {
    /// For each row the centroid with the least score, the first of equals; `(u32::MAX, inf)` where
    /// no score is less than infinity. `rows` are codes (value + 128) `[out.len(), stride]`, and
    /// `row_scale` is what one step of a row's codes is worth.
    ///
    /// `score = bias[c] - row_scale * scale[c] * dot`, with an exact integer `dot`; same bits on
    /// every level, so that a row gets the same centroid on every machine.
    ///
    /// Other lengths are a bug of the caller: a debug build asserts, a release build scores the
    /// whole rows that are in all slices and sets the rest of `out` as if there were no centroids.
    pub fn nearest_centroid(
        &self,
        set: &PackedCentroids,
        rows: &[u8],
        row_scale: &[f32],
        out: &mut [(u32, f32)],
    ) {
        let n = whole_rows(set, rows, row_scale, out.len(), 1);
        let (hits, missing) = out.split_at_mut(n);
        missing.fill(NO_HIT);
        // SAFETY: this CPU has the level (invariant of Kernels); the slices hold n rows.
        unsafe { (self.0.tile.nearest)(set, &rows[..n * set.stride()], &row_scale[..n], hits) };
    }

    /// All scores, row-major `[n, set.len()]`, `n` being the length of `row_scale`; see
    /// [`Kernels::nearest_centroid`]. What a release build cannot score is set to infinity.
    pub fn centroid_scores(
        &self,
        set: &PackedCentroids,
        rows: &[u8],
        row_scale: &[f32],
        out: &mut [f32],
    ) {
        let n = whole_rows(set, rows, row_scale, out.len(), set.len());
        let (scores, missing) = out.split_at_mut(n * set.len());
        missing.fill(f32::INFINITY);
        // SAFETY: this CPU has the level (invariant of Kernels); the slices hold n rows.
        unsafe { (self.0.tile.scores)(set, &rows[..n * set.stride()], &row_scale[..n], scores) };
    }

    /// The `k` best of each row in order of score, equals in order of number, `[n, k]`; `(u32::MAX,
    /// inf)` where there are fewer. See [`Kernels::nearest_centroid`].
    pub fn nearest_centroids(
        &self,
        set: &PackedCentroids,
        rows: &[u8],
        row_scale: &[f32],
        k: usize,
        out: &mut [(u32, f32)],
    ) {
        let n = whole_rows(set, rows, row_scale, out.len(), k);
        let (hits, missing) = out.split_at_mut(n * k);
        missing.fill(NO_HIT);
        if k > 0 {
            // SAFETY: this CPU has the level (invariant of Kernels); the slices hold n rows, and k
            // is not 0.
            unsafe { (self.0.tile.best)(set, &rows[..n * set.stride()], &row_scale[..n], k, hits) };
        }
    }
}

/// Rows that all slices hold, `out` having `each` values a row.
fn whole_rows(set: &PackedCentroids, rows: &[u8], scale: &[f32], out: usize, each: usize) -> usize {
    let n = scale.len();
    debug_assert_eq!(rows.len(), n * set.stride(), "rows are not [n, stride]");
    debug_assert_eq!(out, n * each, "out is not [n, {each}]");
    let coded = rows.len().checked_div(set.stride()).unwrap_or(usize::MAX);
    n.min(coded).min(out.checked_div(each).unwrap_or(usize::MAX))
}
