//! Milvus's filter language.
//!
//! A text goes through [`lexer`] and [`parser`] to a tree ([`ast`]), and through [`translate`]
//! with a collection's schema to one DataFusion expression, which [`Filter`] compiles once and
//! runs over columns. SQL's filters enter at that last step.
//!
//! Truth has three values. Null, a missing JSON path and a value of another type than the one
//! asked for are neither equal nor unequal to anything; only `is null` and `exists` know them.

mod arith;
mod array;
mod ast;
mod calls;
mod compare;
mod elements;
mod fault;
mod filter;
mod geometry;
mod isolation;
mod json;
mod json_view;
mod lexer;
mod literal;
mod moment;
mod number;
mod operators;
mod parser;
mod parts;
mod prune;
mod sample;
mod scan;
mod template;
mod translate;
mod udf;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use filter::Filter;
pub use isolation::check_isolation;
pub use template::TemplateValue;
