//! Measurements of Elanus. Those of the whole are Python scripts beside this crate, because their
//! clients are; see `benches/README.md`. What needs the engine itself, without a server between, is
//! the program `ann`: it follows a job file and prints one line of JSON for each step. Those of the
//! kernels are in `engine/kernels/examples`.

pub mod below;
pub mod files;
pub mod job;
pub mod machine;
pub mod run;
pub mod search;

/// What can go wrong in a measurement: it ends, with its cause in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
