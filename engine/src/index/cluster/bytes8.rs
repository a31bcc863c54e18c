//! Vectors in one byte a dimension: each row has a scale of its own, so that no value is ever cut off.

/// The byte that stands for zero.
pub const ZERO: u8 = 128;
/// Vectors whose largest value is below this count as zero: their scale could not be inverted.
const LEAST: f32 = 1e-30;

/// Writes `round(v / scale) + 128` for each value and returns the scale, so that
/// `v ≈ scale * (code - 128)`. `out` may be longer than `vector`: the rest becomes zero.
pub fn quantize(vector: &[f32], out: &mut [u8]) -> f32 {
    let (scale, inverse) = scale_of(vector);
    let (head, tail) = out.split_at_mut(vector.len());
    for (o, v) in head.iter_mut().zip(vector) {
        *o = ((v * inverse + 128.5) as i32) as u8;
    }
    tail.fill(ZERO);
    scale
}

/// [`quantize`] for the signed side of a product.
pub fn quantize_signed(vector: &[f32], out: &mut [i8]) -> f32 {
    let (scale, inverse) = scale_of(vector);
    let (head, tail) = out.split_at_mut(vector.len());
    for (o, v) in head.iter_mut().zip(vector) {
        *o = ((v * inverse + 128.5) as i32 - 128) as i8;
    }
    tail.fill(0);
    scale
}

fn scale_of(vector: &[f32]) -> (f32, f32) {
    let most = vector.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    // NaN and infinity are kept out before; a row of (almost) zeros is exactly zero.
    if most < LEAST { (0.0, 0.0) } else { (most / 127.0, 127.0 / most) }
}

/// Vectors in bytes, row-major.
#[derive(Debug, Clone, Default)]
pub struct ByteRows {
    /// `[rows, stride]`.
    pub codes: Vec<u8>,
    /// Scale of each row.
    pub scales: Vec<f32>,
    /// Bytes of a row.
    pub stride: usize,
}

impl ByteRows {
    /// Quantises rows of `stride` values.
    pub fn of(rows: &[f32], stride: usize) -> Self {
        let mut codes = vec![ZERO; rows.len()];
        let scales = rows
            .chunks_exact(stride.max(1))
            .zip(codes.chunks_exact_mut(stride.max(1)))
            .map(|(row, out)| quantize(row, out))
            .collect();
        Self { codes, scales, stride }
    }

    /// Every so-many-th row.
    pub fn every(&self, step: usize) -> Self {
        let (step, stride) = (step.max(1), self.stride.max(1));
        let rows = self.codes.chunks_exact(stride).step_by(step);
        let scales = self.scales.iter().step_by(step).copied().collect();
        Self { codes: rows.flatten().copied().collect(), scales, stride: self.stride }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_half_a_step() {
        let row = [0.0, 1.0, -1.0, 0.37, -0.99];
        let mut codes = [7; 8];
        let scale = quantize(&row, &mut codes);
        for (v, c) in row.iter().zip(codes) {
            assert!((scale * (f32::from(c) - 128.0) - v).abs() <= scale * 0.501);
        }
        assert_eq!(codes[5..], [ZERO; 3]);
        let mut signed = [0; 5];
        assert_eq!(quantize_signed(&row, &mut signed), scale);
        assert!(codes.iter().zip(signed).all(|(u, s)| i32::from(*u) - 128 == i32::from(s)));
        assert_eq!(quantize(&[1e-40, -1e-41], &mut codes[..2]), 0.0);
    }
}
