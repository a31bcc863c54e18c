//! Where bytes lie: the bucket, the local log and catalog, and who may write.

pub mod blocks;
pub mod bucket;
pub mod catalog;
pub mod checked;
pub mod disk;
pub mod frame;
pub mod generations;
pub mod lease;
pub mod local;
pub mod log;
pub mod probe;
pub mod space;
