//! Tests of the whole. The Rust ones are one binary, `it/main.rs` with a module each, because every
//! further binary would link all dependencies again; those in Python are in `sdk/` and `crash/`.
//!
//! The library holds what `it/` and the cargo-fuzz targets in `fuzz/` share.

#![recursion_limit = "256"]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot begin has to fail")]

pub mod fuzz;
