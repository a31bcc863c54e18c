//! The reference kernels: plain loops in f32, one accumulator, in order. Every other level is
//! measured against these and against the f64 forms; they are meant to be read, not to be fast.

/// Sum of `a[i] * b[i]`.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + x * y)
}

/// Sum of `(a[i] - b[i])²`.
fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y))
}

/// One pair; the shorter slice decides the length.
pub(crate) fn pair<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
    if L2 { l2_squared(a, b) } else { dot(a, b) }
}

/// Scores `out.len()` rows; the caller gives a query that is not empty and exactly `out.len() *
/// query.len()` values.
pub(crate) fn rows<const L2: bool>(query: &[f32], rows: &[f32], out: &mut [f32]) {
    for (row, score) in rows.chunks_exact(query.len()).zip(out) {
        *score = pair::<L2>(query, row);
    }
}
