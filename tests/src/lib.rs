//! Tests of the whole. The Rust ones are one binary, `it/main.rs` with a module each, because every
//! further binary would link all dependencies again; those in Python are in `sdk/`.
