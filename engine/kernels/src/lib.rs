//! Distance kernels of Elanus: the only home of intrinsics.
//!
//! Vectors are `&[f32]`, a batch of rows is one row-major slice `[n, dim]`. There are three kinds
//! of answers:
//!
//! * **Quick** ([`Kernels`], [`dot`], [`l2_squared`], [`norm_squared`], and rows of f16 and bf16):
//!   f32 arithmetic at the widest [`Level`] the CPU has. The last bits depend on the level, so
//!   these rank candidates but are never shown to a client. Within one level a row's score is the
//!   same bits whether it was scored alone or anywhere in a batch.
//! * **Exact** ([`dot_f64`], [`l2_squared_f64`], [`exact_score`]): f64, summed in order, the same
//!   bits on every machine.
//! * **Same on every level**: what an index is built and searched with. Scans of nibble codes and
//!   their tables, centroid scores and assignment, the Walsh–Hadamard transform use no fused
//!   operations and a fixed order; byte and bit vectors are exact integers. Two machines get the
//!   same clusters and the same candidates.
//!
//! IEEE rules hold in the first two: NaN in gives NaN out, denormals count. A quick sum whose
//! partial sums pass `f32::MAX` gives an infinity, or NaN when it meets the opposite infinity, even
//! where the true sum is finite; the exact forms do not overflow on finite input.
//!
//! The environment variable `ELANUS_KERNELS` (`scalar`, `avx2`, `avx512`, `avx512vnni`, `neon`,
//! `auto`) forces a level; [`level_report`] says what came of it.
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod aligned;
mod at_most;
mod bits;
mod dispatch;
mod exact;
mod hadamard;
mod half;
mod huge;
mod int8;
mod level;
#[cfg(target_arch = "aarch64")]
mod neon;
mod nibble;
mod prefetch;
mod scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod skeleton;
mod tables;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use aligned::AlignedBytes;
pub use dispatch::{Kernels, dot, l2_squared, norm_squared};
pub use exact::{Metric, dot_f64, exact_score, l2_squared_f64, norm_squared_f64};
pub use half::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
pub use huge::{expect_huge_pages, use_huge_pages};
pub use level::{ENV_LEVEL, Level, LevelError, level_report};
pub use nibble::{BLOCK_ROWS, MOST_ENTRY, NibbleRows, NibbleTables};
pub use prefetch::prefetch;
pub use tile::PackedCentroids;
