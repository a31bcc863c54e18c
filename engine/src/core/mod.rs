//! The words of the engine: errors, schema, keys, row sets, time, settings. Knows nothing of storage.

pub mod budget;
pub mod effort;
pub mod error;
pub mod filter;
pub mod geometry;
pub mod key;
pub mod machine;
pub mod rowset;
pub mod runtime;
pub mod schema;
pub mod server_settings;
pub mod settings;
pub mod sparse;
pub mod structs;
pub mod text;
pub mod time;
pub mod timestamptz;
pub mod validate;
pub mod vectors;
pub mod wanted;
