//! The door of the engine: open a store, its databases and collections.
//!
//! ```
//! use elanus_engine::api::*;
//! use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
//! use std::sync::Arc;
//! use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
//! use arrow::datatypes::Float32Type;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = tempfile::tempdir()?;
//! let engine = Engine::open(OpenOptions::folder(folder.path())).await?;
//! let schema = CollectionSchema::new(vec![
//!     FieldSchema::new("id", DataType::Int64).primary(),
//!     FieldSchema::new("vector", DataType::FloatVector { dim: 2 }),
//! ]);
//! let books = engine.create_collection("default", NewCollection::new("books", schema)).await?;
//!
//! let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
//! let vectors = vec![Some(vec![Some(0.0), Some(1.0)]), Some(vec![Some(1.0), Some(0.0)])];
//! let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
//! let columns = RecordBatch::try_from_iter([("id", ids), ("vector", Arc::new(vectors) as _)])?;
//! books.insert(Rows { columns, partition: None }).await?; // durable and visible now
//!
//! let snapshot = books.snapshot();
//! let answer = snapshot
//!     .search(&SearchRequest {
//!         field: "vector".into(),
//!         queries: Arc::new(vec![vec![0.9, 0.1]].into()),
//!         metric: Metric::L2,
//!         top_k: 1,
//!         select: Selection::default(),
//!         range: None,
//!         effort: Effort::DEFAULT,
//!     })
//!     .await?;
//! let rows: Vec<RowAddress> = answer.hits[0].iter().map(|hit| hit.row).collect();
//! let found = snapshot.fetch(&rows, &["id".into()]).await?;
//! assert_eq!(found.column(0).as_ref(), &Int64Array::from(vec![2]) as &dyn arrow::array::Array);
//! engine.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod aliases;
mod background;
mod clones;
mod databases;
mod engine;
mod files;
mod maintenance;
mod opening;
mod records;

pub use crate::collection::rows::{DEFAULT_PARTITION, Rows, Written};
pub use crate::collection::{Collection, CollectionStats, SegmentInfo};
pub use crate::core::effort::Effort;
pub use crate::index::{Metric, Queries, Query, ScoreRange, VectorValues, VectorView, bit_score};
pub use crate::lsm::gc::GcReport;
pub use crate::lsm::history::AsOf;
pub use crate::lsm::info::CollectionInfo;
pub use crate::lsm::manifest::{IndexInfo, NamedSnapshot, PartitionInfo};
pub use crate::shard::maintain::{CompactMode, CompactReport};
pub use crate::shard::search::{Hit, SearchRequest, SearchResult};
pub use crate::shard::snapshot::{
    PartitionSet, RowAddress, RowOrder, ScanCounts, Selection, Snapshot, UnitInfo,
};
pub use crate::storage::catalog::DatabaseRecord as DatabaseInfo;
pub use clones::CloneOrder;
pub use engine::{DEFAULT_DATABASE, Engine, NewCollection};
pub(crate) use maintenance::MaintenanceEngine;
pub use opening::OpenOptions;
pub(crate) use opening::read_store_file;
pub use records::RecordChange;

/// The score of one pair of vectors as searches report it (before rounding to 32 bits): the same on every
/// processor. L2 is the squared distance; a zero vector has cosine 0.
pub fn vector_score(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    metric.dense().map_or(f64::NAN, |metric| elanus_kernels::exact_score(metric, query, row))
}
