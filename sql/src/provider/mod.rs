//! The engine's collections as DataFusion's catalog, tables and scans.

mod catalog;
mod insert;
pub(crate) mod past;
mod scan;
mod table;

pub use catalog::{CATALOG, ElanusCatalog};
pub use insert::InsertExec;
pub(crate) use insert::count_batch;
pub use scan::ScanExec;
pub(crate) use scan::{conform, pieces};
pub use table::CollectionTable;
pub(crate) use table::compile;
