//! Rewrites of physical plans: the nearest vectors from a search in place of a sorted scan.

mod options;
mod pattern;
mod rule;
mod top_k;

pub use options::SqlOptions;
pub use rule::VectorTopK;
pub use top_k::VectorTopKExec;
