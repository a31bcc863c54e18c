//! Tests of the filter language.

mod bad;
mod cases;
mod engine;
mod fixture;
mod syntax;
