//! Values for people and for programs.

pub mod human;
pub mod output;
mod plan;
pub mod table;
