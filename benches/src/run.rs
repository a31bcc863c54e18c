//! Runs a job, step by step.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType as ArrowType, Field};
use elanus_engine::api::{
    Collection, CompactMode, DEFAULT_DATABASE, Engine, Metric, NewCollection, OpenOptions,
    PartitionSet, Rows,
};
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use serde_json::{Value, json};

use crate::Failure;
use crate::files::RowFile;
use crate::job::{Job, Step};
use crate::machine::{Meter, memory_bytes};
use crate::search::search;

/// Name of the collection.
pub const COLLECTION: &str = "bench";
/// Its key field.
pub const KEY: &str = "id";
/// Its vector field.
pub const VECTOR: &str = "vector";
/// Rows in a write.
const BATCH: usize = 1_000;

/// A job that runs.
struct Runner {
    collection: Collection,
    metric: Metric,
    dim: u32,
    base: RowFile,
    columns: BTreeMap<String, RowFile>,
    queries: Vec<Vec<f32>>,
}

/// Runs the job of a file; prints a line of JSON for the opening and for each step.
///
/// # Errors
/// The first thing that went wrong; the steps before it have been printed.
pub async fn run(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let job: Job = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let (before, _) = memory_bytes()?;
    let meter = Meter::start()?;
    let options = OpenOptions { settings: job.settings.clone(), ..OpenOptions::folder(&job.store) };
    let engine = Engine::open(options).await?;
    let outcome = run_steps(&engine, &job, &meter, before).await;
    engine.close().await?;
    outcome
}

async fn run_steps(
    engine: &Engine,
    job: &Job,
    opening: &Meter,
    memory_before: u64,
) -> Result<(), Failure> {
    let mut runner = Runner::new(engine, job).await?;
    let mut line = opening.report()?;
    line["rss_before_bytes"] = json!(memory_before);
    line["kernels"] = json!(elanus_kernels::level_report());
    print("open", line)?;
    for step in &job.steps {
        let (name, line) = runner.step(step).await?;
        print(name, line)?;
    }
    Ok(())
}

fn print(name: &str, mut line: Value) -> Result<(), Failure> {
    line["do"] = json!(name);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn metric(name: &str) -> Result<Metric, Failure> {
    match name {
        "L2" => Ok(Metric::L2),
        "IP" => Ok(Metric::Ip),
        "COSINE" => Ok(Metric::Cosine),
        other => Err(format!("metric {other}: give L2, IP or COSINE").into()),
    }
}

/// The collection of the store, made if it is not there.
async fn collection(engine: &Engine, job: &Job) -> Result<Collection, Failure> {
    if let Ok(found) = engine.collection(DEFAULT_DATABASE, COLLECTION) {
        return Ok(found);
    }
    let mut fields = vec![
        FieldSchema::new(KEY, DataType::Int64).primary(),
        FieldSchema::new(VECTOR, DataType::FloatVector { dim: job.dim }),
    ];
    fields.extend(job.columns.keys().map(|name| FieldSchema::new(name, DataType::Int64)));
    let new = NewCollection::new(COLLECTION, CollectionSchema::new(fields));
    let made = engine.create_collection(DEFAULT_DATABASE, new).await?;
    let mut params = job.index.clone();
    params.insert("metric_type".into(), job.metric.clone());
    params.entry("index_type".into()).or_insert_with(|| "AUTOINDEX".into());
    made.create_index(VECTOR, VECTOR, params).await?;
    Ok(made)
}

impl Runner {
    async fn new(engine: &Engine, job: &Job) -> Result<Self, Failure> {
        let width = job.dim as usize * 4;
        let mut queries = RowFile::open(&job.queries, width)?;
        let count = queries.rows;
        let queries = queries.floats(0, count)?;
        let mut columns = BTreeMap::new();
        for (name, path) in &job.columns {
            columns.insert(name.clone(), RowFile::open(path, 8)?);
        }
        Ok(Self {
            collection: collection(engine, job).await?,
            metric: metric(&job.metric)?,
            dim: job.dim,
            base: RowFile::open(&job.base, width)?,
            columns,
            queries: queries.chunks(job.dim as usize).map(<[f32]>::to_vec).collect(),
        })
    }

    async fn step(&mut self, step: &Step) -> Result<(&'static str, Value), Failure> {
        // A client has its rows in memory: reading them is no work of the engine.
        let batches = match step {
            Step::Insert { from, to } => (*from..*to)
                .step_by(BATCH)
                .map(|start| self.rows(start, (start + BATCH).min(*to)))
                .collect::<Result<Vec<_>, _>>()?,
            _ => Vec::new(),
        };
        let meter = Meter::start()?;
        let name = match step {
            Step::Insert { .. } => {
                for columns in batches {
                    self.collection.insert(Rows { columns, partition: None }).await?;
                }
                "insert"
            }
            Step::Delete { keys } => {
                let wanted = Keys::Int(Int64Array::from(keys.clone()));
                let done = self.collection.delete_keys(wanted, &PartitionSet::All).await?;
                if done.count != keys.len() as u64 {
                    let (asked, gone) = (keys.len(), done.count);
                    return Err(format!("{asked} rows to delete, but {gone} were there").into());
                }
                "delete"
            }
            Step::Flush => {
                self.collection.flush().await?;
                "flush"
            }
            Step::Compact { all } => {
                let mode = if *all { CompactMode::All } else { CompactMode::Planned };
                self.collection.compact(mode).await?;
                "compact"
            }
            Step::Search(step) => {
                let line = search(&self.collection, &self.queries, self.metric, step).await?;
                return Ok(("search", self.with_segments(line)));
            }
        };
        Ok((name, self.with_segments(meter.report()?)))
    }

    fn with_segments(&self, mut line: Value) -> Value {
        let stats = self.collection.stats();
        line["segments"] = json!(stats.segments.len());
        line["segment_ids"] = json!(stats.segments.iter().map(|s| s.id).collect::<Vec<_>>());
        line["live_rows"] = json!(stats.live_rows);
        line["memtable_rows"] = json!(stats.memtable_rows);
        line["data_bytes"] = json!(stats.data_bytes);
        line
    }

    /// Rows `from..to` of the files as a write takes them.
    fn rows(&mut self, from: usize, to: usize) -> Result<RecordBatch, Failure> {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(from as i64..to as i64));
        let item = Arc::new(Field::new("item", ArrowType::Float32, true));
        let values = Arc::new(Float32Array::from(self.base.floats(from, to)?));
        let vectors = FixedSizeListArray::try_new(item, i32::try_from(self.dim)?, values, None)?;
        let mut columns = vec![(KEY.to_string(), keys), (VECTOR.to_string(), Arc::new(vectors))];
        for (name, file) in &mut self.columns {
            columns.push((name.clone(), Arc::new(Int64Array::from(file.integers(from, to)?))));
        }
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}
