//! A random rotation that costs `O(n log n)`: signs are flipped at random, then a Hadamard transform mixes
//! the first and the last power of two of the dimensions, twice over.
//!
//! It spreads a vector evenly over its dimensions, which is what the one-bit code's error bound rests on
//! (Gao and Long, *RaBitQ*, SIGMOD 2024; the fast transform after Ailon and Chazelle, 2009).

use elanus_kernels::Kernels;

/// An orthonormal transform of vectors of `width` dimensions, given by its seed.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// One run of signs (1 or -1) before each transform.
    signs: Vec<Vec<f32>>,
    /// Largest power of two that is not above the width.
    power: usize,
}

/// Passes of the transform over the whole width.
const PASSES: usize = 2;

impl Rotation {
    /// The rotation of a seed. The same seed gives the same rotation on every machine, for ever: codes on
    /// disk depend on it.
    pub fn new(width: usize, seed: u64) -> Self {
        let power = if width == 0 { 0 } else { 1 << width.ilog2() };
        let steps = if power == width { PASSES } else { 2 * PASSES };
        let mut state = seed;
        let signs = (0..steps).map(|_| (0..width).map(|_| sign(&mut state)).collect()).collect();
        Self { signs, power }
    }

    /// Rotates a vector of `width` dimensions in place.
    pub fn apply(&self, kernels: Kernels, vector: &mut [f32]) {
        let width = vector.len();
        for (step, signs) in self.signs.iter().enumerate() {
            vector.iter_mut().zip(signs).for_each(|(v, s)| *v *= s);
            let from = if step % 2 == 0 || self.power == width { 0 } else { width - self.power };
            kernels.hadamard(&mut vector[from..from + self.power]);
        }
    }
}

/// The next sign of Steele, Lea and Flood's SplitMix64 (OOPSLA 2014).
fn sign(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (z ^ (z >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_are_kept_and_a_spike_is_spread() {
        for width in [64, 384, 448, 1024, 1536] {
            let rotation = Rotation::new(width, 7);
            let mut spike = vec![0.0; width];
            spike[5] = 1.0;
            let mut other: Vec<f32> = (0..width).map(|i| (i % 13) as f32 - 6.0).collect();
            let before = Kernels::best().dot(&spike, &other);
            let norm = Kernels::best().norm_squared(&other);
            rotation.apply(Kernels::best(), &mut spike);
            rotation.apply(Kernels::best(), &mut other);
            assert!((Kernels::best().dot(&spike, &other) - before).abs() < 1e-2, "{width}");
            assert!((Kernels::best().norm_squared(&other) / norm - 1.0).abs() < 1e-4, "{width}");
            let most = spike.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            assert!(most < 8.0 / (width as f32).sqrt(), "{width}: {most}");
        }
    }
}
