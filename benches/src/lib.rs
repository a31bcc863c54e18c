//! Measurements of Elanus. Those of the whole are Python scripts beside this crate, because their
//! clients are; see `benches/README.md`. Those of the kernels are in `engine/kernels/examples`.
