//! Milvus's calls, one file for each family. A handler takes the context, the database's name and the
//! request, and gives the answer or a [`Failure`](crate::status::Failure).

pub mod alias;
pub mod analyze;
pub mod collection;
pub mod compaction;
pub mod connect;
pub mod database;
pub mod describe;
pub mod dml;
pub mod evolve;
pub mod field;
pub mod flush;
pub mod grants;
pub mod import;
pub mod index;
pub mod index_params;
mod isolation;
pub mod load;
pub mod metrics;
pub mod names;
pub mod partition;
pub mod properties;
pub mod query;
pub mod resource_group;
pub mod roles;
pub mod schema_limits;
pub mod search;
mod search_effort;
pub mod snapshot;
pub mod statistics;
pub mod struct_field;
pub mod users;
