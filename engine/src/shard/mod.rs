//! One shard: the log position and memtables of its rows, and the tree of its segments.
//!
//! A collection on one machine is one shard.

mod books;
mod chunk_codes;
mod coded;
pub mod context;
mod elements;
mod filtering;
pub mod flush;
pub mod in_use;
mod ipc_check;
mod joins;
pub mod maintain;
pub mod memtable;
pub mod open;
pub mod past;
pub mod publish;
pub mod record;
mod scan_memory;
pub mod search;
pub mod snapshot;
mod text;
pub mod tree;
pub mod write;
