//! Where bytes lie: the bucket, the local log and catalog, and who may write.

pub mod bucket;
pub mod catalog;
pub mod disk;
pub mod frame;
pub mod lease;
pub mod local;
pub mod log;
