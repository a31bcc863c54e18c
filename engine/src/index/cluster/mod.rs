//! The clustered index: rows of a segment lie in the order of the lists of a shared codebook, so that a list
//! is a range of rows, and each row has three forms: a nibble code (one bit a dimension, or four bits for a
//! pair), a byte code, and the vector itself. A search scans nibble codes of likely lists, compares what
//! may be near by bytes, and leaves the last word to the vectors.

pub mod batch;
pub mod blob;
pub mod bytes8;
pub mod codebook;
pub mod coder;
mod compare;
pub mod coverage;
pub mod joined;
pub mod kmeans;
mod likely;
mod narrow;
pub mod outlook;
mod overview;
mod query;
pub mod rotation;
pub mod rows;
mod scan;
mod scratch;
pub mod search;
pub mod target;
#[cfg(test)]
mod tests;
pub mod train;
pub mod view;
pub mod wire;

pub use codebook::{Codebook, Space};
pub use joined::Joined;
pub use rows::{CodedRows, RowCoder};
pub use scratch::Scratch;
pub use search::{Candidate, ClusterSearch, Touched};
pub use target::Target;
pub use train::{Order, sample_rows, train};
