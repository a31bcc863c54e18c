//! The loops that all vector instruction sets share, as a macro; why a macro is said in
//! `crate::skeleton`.
//!
//! The module that invokes it has the primitives of the f32 kernels (`V`, `LANES`, `zero`, `add`,
//! `sub`, `fma`, `load`, `load_tail`, `sum4`) in scope and supplies `widened` (LANES halves from
//! memory), `widened_tail` (the first `n < LANES`, the rest zero) and `store`.

/// Defines `pair` and `widen` for one instruction set.
macro_rules! half_kernels {
    ($feature:literal) => {
        /// Accumulators, as many as hide the latency of an addition.
        const CHAINS: usize = 4;

        #[inline]
        #[target_feature(enable = $feature)]
        fn step<const L2: bool>(sum: V, x: V, y: V) -> V {
            let d = sub(x, y);
            if L2 { fma(d, d, sum) } else { fma(x, y, sum) }
        }

        /// Inner product, or squared distance, of two vectors of one length.
        ///
        /// # Safety
        /// `row` must be as long as `q`.
        #[target_feature(enable = $feature)]
        pub(crate) unsafe fn pair<const L2: bool, const BF16: bool>(q: &[f32], row: &[u16]) -> f32 {
            let (len, q, row) = (q.len(), q.as_ptr(), row.as_ptr());
            let mut sums = [zero(); CHAINS];
            let mut at = 0;
            // SAFETY: every access lies below len.
            unsafe {
                while at + CHAINS * LANES <= len {
                    for sum in &mut sums {
                        *sum = step::<L2>(*sum, load(q.add(at)), widened::<BF16>(row.add(at)));
                        at += LANES;
                    }
                }
                while at + LANES <= len {
                    sums[0] = step::<L2>(sums[0], load(q.add(at)), widened::<BF16>(row.add(at)));
                    at += LANES;
                }
                if at < len {
                    let values = widened_tail::<BF16>(row.add(at), len - at);
                    sums[1] = step::<L2>(sums[1], load_tail(q.add(at), len - at), values);
                }
            }
            let [a, b, c, d] = sums;
            sum4([add(add(a, b), add(c, d)), zero(), zero(), zero()])[0]
        }

        /// Widens all values.
        ///
        /// # Safety
        /// `to` must be as long as `from`.
        #[target_feature(enable = $feature)]
        pub(crate) unsafe fn widen<const BF16: bool>(from: &[u16], to: &mut [f32]) {
            let whole = from.len() / LANES * LANES;
            for at in (0..whole).step_by(LANES) {
                // SAFETY: at + LANES <= whole.
                unsafe { store(widened::<BF16>(from.as_ptr().add(at)), to.as_mut_ptr().add(at)) };
            }
            super::widen::<BF16>(&from[whole..], &mut to[whole..]);
        }
    };
}
pub(crate) use half_kernels;
