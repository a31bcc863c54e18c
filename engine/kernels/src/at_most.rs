//! Which of many numbers are small enough.

use crate::Kernels;
use crate::level::Level;

type AtMost = unsafe fn(&[f32], f32, &mut [u32]) -> usize;

/// The selection of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    at_most: AtMost,
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => Ops { at_most: avx512 },
            _ => Ops { at_most },
        }
    }
}

impl Kernels {
    /// Puts the places of all values that are at most `bound` into `places`, in order, and returns how many
    /// they are; NaN is not. What lies in `places` after those means nothing.
    ///
    /// Fewer places than values are a bug of the caller: a debug build asserts, a release build looks at as
    /// many values as there are places.
    pub fn at_most(&self, values: &[f32], bound: f32, places: &mut [u32]) -> usize {
        debug_assert!(places.len() >= values.len(), "fewer places than values");
        let values = &values[..values.len().min(places.len())];
        // SAFETY: this CPU has the level (invariant of Kernels), and there is a place for each value.
        unsafe { (self.0.at_most.at_most)(values, bound, places) }
    }
}

/// The reference. There must be a place for each value.
fn at_most(values: &[f32], bound: f32, places: &mut [u32]) -> usize {
    let mut found = 0;
    for (at, value) in values.iter().enumerate() {
        // Without a branch, which nobody could foresee.
        places[found] = at as u32;
        found += usize::from(*value <= bound);
    }
    found
}

/// 16 values a step.
///
/// # Safety
/// There must be a place for each value.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn avx512(values: &[f32], bound: f32, places: &mut [u32]) -> usize {
    use std::arch::x86_64::*;
    let (bound, step) = (_mm512_set1_ps(bound), _mm512_set1_epi32(16));
    let mut at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut found = 0;
    for part in values.chunks(16) {
        let there = ((1u32 << part.len()) - 1) as __mmask16;
        // SAFETY: values outside the mask are not accessed.
        let part = unsafe { _mm512_maskz_loadu_ps(there, part.as_ptr()) };
        let small = _mm512_mask_cmp_ps_mask::<_CMP_LE_OQ>(there, part, bound);
        // A compressed register with a masked store: the store that compresses is many times slower.
        let count = small.count_ones();
        let packed = _mm512_maskz_compress_epi32(small, at);
        // SAFETY: as many places are written as values were found, and before them no more than there are values.
        unsafe {
            let wanted = ((1u32 << count) - 1) as __mmask16;
            _mm512_mask_storeu_epi32(places.as_mut_ptr().add(found).cast(), wanted, packed);
        }
        found += count as usize;
        at = _mm512_add_epi32(at, step);
    }
    found
}
