//! Values for people and for programs.

pub mod human;
pub mod output;
pub mod table;
