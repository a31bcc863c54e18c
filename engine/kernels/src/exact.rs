//! The metrics, and the f64 forms that give the final score.
//!
//! A fixed number of partial sums, added up in a fixed order, no fused multiply-add: the same bits on every
//! machine, whatever the width of its vectors. The product of two f32 is exact in f64, so only the
//! additions round.

use crate::dispatch::Kernels;
use crate::level::Level;

/// How two vectors are compared. Scores are those that Milvus reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared Euclidean distance, 0 to infinity; lower is nearer.
    L2,
    /// Inner product, any sign; higher is nearer.
    Ip,
    /// Cosine of the angle, -1 to 1; higher is nearer. A zero vector scores 0 against every finite
    /// vector.
    Cosine,
}

impl Metric {
    /// Whether a higher score is nearer (`Ip`, `Cosine`) or a lower one (`L2`).
    pub fn higher_is_nearer(self) -> bool {
        !matches!(self, Metric::L2)
    }
}

/// Sums that are kept apart and added at the end, in one order: the same on every machine, and wide enough
/// for its widest vectors.
const LANES: usize = 16;

/// What is summed over two vectors.
#[derive(Clone, Copy, PartialEq)]
enum Sum {
    Dot,
    L2,
    DotAndNorms,
}

/// `[a·b or |a-b|², a·a, b·b]`; the last two are 0 unless asked for.
#[inline(always)]
fn sum_lanes(what: Sum, a: &[f32], b: &[f32]) -> [f64; 3] {
    let mut sums = [[0.0f64; LANES]; 3];
    let mut add = |lane: usize, x: f32, y: f32| {
        let (x, y) = (f64::from(x), f64::from(y));
        match what {
            Sum::L2 => sums[0][lane] += (x - y) * (x - y),
            Sum::Dot => sums[0][lane] += x * y,
            Sum::DotAndNorms => {
                sums[0][lane] += x * y;
                sums[1][lane] += x * x;
                sums[2][lane] += y * y;
            }
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            add(lane, a[lane], b[lane]);
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        add(lane, *x, *y);
    }
    sums.map(|mut lanes| {
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
        }
        lanes[0]
    })
}

/// [`sum_lanes`] compiled for wide vectors: the same operations in the same order, none fused.
#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{Sum, sum_lanes};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512(what: Sum, a: &[f32], b: &[f32]) -> [f64; 3] {
        sum_as(what, a, b)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(what: Sum, a: &[f32], b: &[f32]) -> [f64; 3] {
        sum_as(what, a, b)
    }

    /// One loop for each sum, so that none asks which it is.
    #[inline(always)]
    fn sum_as(what: Sum, a: &[f32], b: &[f32]) -> [f64; 3] {
        match what {
            Sum::Dot => sum_lanes(Sum::Dot, a, b),
            Sum::L2 => sum_lanes(Sum::L2, a, b),
            Sum::DotAndNorms => sum_lanes(Sum::DotAndNorms, a, b),
        }
    }
}

fn sum(what: Sum, a: &[f32], b: &[f32]) -> [f64; 3] {
    debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
    match Kernels::best().level() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this CPU has the level (invariant of Kernels), and with it avx512f.
        Level::Avx512 | Level::Avx512Vnni => unsafe { wide::avx512(what, a, b) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above, avx2.
        Level::Avx2 => unsafe { wide::avx2(what, a, b) },
        _ => sum_lanes(what, a, b),
    }
}

/// Inner product in f64. The lengths must match (debug assertion); else the shorter one decides.
pub fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    sum(Sum::Dot, a, b)[0]
}

/// Squared Euclidean distance in f64. The lengths must match (debug assertion); else the shorter
/// one decides.
pub fn l2_squared_f64(a: &[f32], b: &[f32]) -> f64 {
    sum(Sum::L2, a, b)[0]
}

/// Squared Euclidean norm in f64.
pub fn norm_squared_f64(a: &[f32]) -> f64 {
    dot_f64(a, a)
}

/// The score of `row` for `query`, as the client sees it: the same bits on every machine, in the
/// direction that [`Metric`] gives. Lengths as for [`dot_f64`]. NaN in either vector gives NaN.
pub fn exact_score(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    match metric {
        Metric::L2 => l2_squared_f64(query, row),
        Metric::Ip => dot_f64(query, row),
        Metric::Cosine => {
            // One root of the product: a vector against itself is then exactly 1. No f32 is so
            // large or so small that the product of two norms leaves the range of f64.
            let [dot, queries, rows] = sum(Sum::DotAndNorms, query, row);
            let norms = queries * rows;
            if norms == 0.0 { 0.0 } else { (dot / norms.sqrt()).clamp(-1.0, 1.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_scores() {
        let (a, b) = ([1.0, 2.0, 3.0], [4.0, -5.0, 6.0]);
        assert_eq!(exact_score(Metric::L2, &a, &b), 9.0 + 49.0 + 9.0);
        assert_eq!(exact_score(Metric::Ip, &a, &b), 12.0);
        assert_eq!(exact_score(Metric::Cosine, &a, &b), 12.0 / (14.0f64 * 77.0).sqrt());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_bits_are_the_same_at_every_width() {
        for len in (0..70).chain([384, 1000]) {
            let a: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) * 1.37e-3).collect();
            let b: Vec<f32> = (0..len).map(|i| ((i * 53 % 97) as f32 - 48.0) * 7.1e2).collect();
            for what in [Sum::Dot, Sum::L2, Sum::DotAndNorms] {
                let plain = sum_lanes(what, &a, &b).map(f64::to_bits);
                if Level::Avx2.is_available() {
                    // SAFETY: just checked.
                    let wide = unsafe { wide::avx2(what, &a, &b) };
                    assert_eq!(wide.map(f64::to_bits), plain, "{len}");
                }
                if Level::Avx512.is_available() {
                    // SAFETY: just checked.
                    let wide = unsafe { wide::avx512(what, &a, &b) };
                    assert_eq!(wide.map(f64::to_bits), plain, "{len}");
                }
            }
        }
    }

    #[test]
    fn cosine_at_its_edges() {
        for v in [[1e-45, 3e-45, 0.0], [f32::MAX, -f32::MAX, 1.0], [0.1, 0.2, 0.3]] {
            assert_eq!(exact_score(Metric::Cosine, &v, &v), 1.0, "{v:?}");
            assert_eq!(exact_score(Metric::Cosine, &v, &v.map(|x| -x)), -1.0, "{v:?}");
            assert_eq!(exact_score(Metric::Cosine, &v, &[0.0; 3]), 0.0, "{v:?}");
        }
        let nan = [f32::NAN, 0.0, 0.0];
        for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
            assert!(exact_score(metric, &nan, &[0.0; 3]).is_nan(), "{metric:?}");
        }
        assert_eq!(exact_score(Metric::Cosine, &[], &[]), 0.0);
    }
}
