//! Tests that reach over several crates, in one binary. Add a module for each subject.

// Tests may look at the clock and start threads; only what is shipped has to replay.
#![allow(clippy::disallowed_methods)]

mod cancel;
mod compaction;
mod concurrent;
mod damage;
mod disk_full;
mod faces;
mod fuzz;
mod harness;
mod layers;
mod limits;
mod model;
mod past;
mod past_many;
mod recovery;
mod s3;
mod scalar_index;
mod search;
mod served;
mod storage;
mod structs;
mod vector_index;
mod vector_types;
mod wire;
