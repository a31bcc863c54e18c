//! The parts of `elanus demo`: the bundled data, loading it, asking it two ways.

pub mod ask;
pub mod data;
pub mod load;
