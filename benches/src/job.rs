//! A job: which store, which data, which steps. Scripts write it as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use elanus_engine::core::settings::Settings;
use serde::Deserialize;

/// What `ann` is to do. Paths are taken as they are given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Folder of the store; made if it is not there, opened again if it is.
    pub store: PathBuf,
    /// Dimensions of rows and queries.
    pub dim: u32,
    /// `L2`, `IP` or `COSINE`.
    pub metric: String,
    /// Rows: little-endian f32, `[n, dim]`; the key of a row is its number in this file.
    pub base: PathBuf,
    /// Queries: little-endian f32, `[n, dim]`.
    pub queries: PathBuf,
    /// Int64 columns beside the vector: little-endian i64, `[n]` each, by name.
    #[serde(default)]
    pub columns: BTreeMap<String, PathBuf>,
    /// Parameters of the index, as a client would give them (`index_type`, …); the metric is added.
    #[serde(default)]
    pub index: BTreeMap<String, String>,
    /// Settings of the engine.
    #[serde(default)]
    pub settings: Settings,
    /// What to do, in this order.
    pub steps: Vec<Step>,
}

/// One step; each prints one line with its CPU and wall seconds.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Writes the rows `from..to` of the file, 1,000 in a write.
    Insert {
        /// First row.
        from: usize,
        /// Row after the last.
        to: usize,
    },
    /// Deletes rows by key.
    Delete {
        /// The keys.
        keys: Vec<i64>,
    },
    /// Brings the memtable into segments.
    Flush,
    /// Merges.
    Compact {
        /// Everything into as few segments as possible, or only what the planner finds due.
        #[serde(default)]
        all: bool,
    },
    /// Searches all queries, again and again for the time given.
    Search(Search),
}

/// A search step.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Name that the line repeats.
    #[serde(default)]
    pub name: String,
    /// Recall wanted, above 0 and at most 1; none: the default.
    pub effort: Option<f32>,
    /// Results of each query.
    pub k: usize,
    /// All queries in one call, or one a call.
    #[serde(default)]
    pub mode: Mode,
    /// Passes over the queries are made until this much CPU time is used, at least one.
    #[serde(default)]
    pub seconds: f64,
    /// Only rows of which a column is below a value.
    pub below: Option<Bound>,
    /// Where to write the keys found: little-endian i32, `[queries, k]`, -1 where there is none.
    pub ids: Option<PathBuf>,
}

/// How queries are asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All in one call.
    #[default]
    Batch,
    /// One a call, one after the other.
    Single,
}

/// The condition `column < value`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// One of the job's columns.
    pub column: String,
    /// The bound, outside.
    pub value: i64,
}
