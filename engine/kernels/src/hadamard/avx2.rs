//! AVX2: the reference compiled for wider registers.

use super::{scale_of, stages};

/// As [`Kernels::hadamard`](crate::Kernels::hadamard).
#[target_feature(enable = "avx2")]
pub(crate) fn transform(x: &mut [f32]) {
    let scale = scale_of(x.len());
    x.iter_mut().for_each(|v| *v *= scale);
    // The three nearest stages on eight values at once: the compiler keeps them in registers.
    let (eights, rest) = x.as_chunks_mut::<8>();
    eights.iter_mut().for_each(|eight| stages(eight, 1));
    if rest.is_empty() { stages(x, 8) } else { stages(rest, 1) }
}
