//! The Walsh–Hadamard transform, the quick half of a random rotation.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::Kernels;
use crate::level::Level;

/// Longest transform: the stages of the longest one stay in the L2 cache.
const LONGEST: usize = 1 << 16;

/// The transform of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    transform: unsafe fn(&mut [f32]),
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => Ops { transform: avx512::transform },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Ops { transform: avx2::transform },
            _ => Ops { transform },
        }
    }
}

impl Kernels {
    /// Walsh–Hadamard transform in place, scaled by `1 / sqrt(len)`: orthonormal, and its own
    /// inverse. Same bits on every level.
    ///
    /// The length must be a power of two up to 65,536. Any other is a bug of the caller: a debug
    /// build asserts, a release build does nothing.
    pub fn hadamard(&self, x: &mut [f32]) {
        let fits = x.len().is_power_of_two() && x.len() <= LONGEST;
        debug_assert!(fits, "{} is not a power of two up to {LONGEST}", x.len());
        if fits {
            // SAFETY: this CPU has the level (invariant of Kernels); the length is a power of two.
            unsafe { (self.0.hadamard.transform)(x) }
        }
    }
}

/// Scale first, so that huge values do not overflow on the way, then stage by stage from the
/// nearest neighbours up: every level keeps this order, hence the same bits.
fn transform(x: &mut [f32]) {
    let scale = scale_of(x.len());
    x.iter_mut().for_each(|v| *v *= scale);
    stages(x, 1);
}

/// The factor that makes the transform orthonormal.
#[inline(always)]
pub(crate) fn scale_of(len: usize) -> f32 {
    1.0 / (len as f32).sqrt()
}

/// The stages from partners `first` apart.
#[inline(always)]
pub(crate) fn stages(x: &mut [f32], first: usize) {
    let mut half = first;
    while half < x.len() {
        for both in x.chunks_exact_mut(2 * half) {
            let (low, high) = both.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}
