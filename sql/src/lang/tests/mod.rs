//! Tests of the filter language.

mod bad;
mod cases;
mod cases_more;
mod elements;
mod engine;
mod fixture;
mod syntax;
