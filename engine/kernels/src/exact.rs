//! The metrics, and the f64 forms that give the final score.
//!
//! One accumulator, in order, no fused multiply-add: slower than the f32 kernels, but the same bits
//! on every machine. The product of two f32 is exact in f64, so only the additions round.

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

/// Inner product in f64. The lengths must match (debug assertion); else the shorter one decides.
pub fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + f64::from(*x) * f64::from(*y))
}

/// Squared Euclidean distance in f64. The lengths must match (debug assertion); else the shorter
/// one decides.
pub fn l2_squared_f64(a: &[f32], b: &[f32]) -> f64 {
    debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
    a.iter().zip(b).fold(0.0, |sum, (x, y)| {
        let d = f64::from(*x) - f64::from(*y);
        sum + d * d
    })
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
            let norms = norm_squared_f64(query) * norm_squared_f64(row);
            if norms == 0.0 { 0.0 } else { (dot_f64(query, row) / norms.sqrt()).clamp(-1.0, 1.0) }
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
