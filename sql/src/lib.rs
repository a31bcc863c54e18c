//! SQL and Milvus's filter language over the engine.
//!
//! [`Sql`] runs SQL text; [`lang`] makes filters for the engine from text and from SQL's
//! expressions. No type of DataFusion is needed by users of [`Sql`].

mod error;
pub mod functions;
pub mod lang;
pub mod plan;
pub mod provider;
mod session;
#[cfg(test)]
mod tests;

pub use error::{from_datafusion, to_datafusion};
pub use session::{Answer, RowStream, Sql, SqlOptions};
