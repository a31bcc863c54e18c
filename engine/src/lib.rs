//! The storage engine of Elanus: a log-structured merge tree of Lance segments with vectors.
//!
//! Writes go to a log and a memtable and are visible when they are acknowledged; memtables are flushed to
//! immutable segments in a bucket, which are merged in the background. [`api`] is the door; [`offline`]
//! works on a bucket without a server. `ARCHITECTURE.md` has the plan of the house, `FORMAT.md` the bytes.

pub mod api;
pub mod collection;
pub mod core;
pub mod index;
pub mod lsm;
pub mod offline;
pub mod segment;
pub mod shard;
pub mod storage;
