//! Rewrites of physical plans: the nearest vectors from a search in place of a sorted scan.

mod pattern;
mod rule;
mod top_k;

pub use rule::VectorTopK;
pub use top_k::VectorTopKExec;
