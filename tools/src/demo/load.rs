//! Fills the demo's collection through the same calls that any embedding program uses.

use std::io::Write;
use std::time::Duration;

use arrow::array::RecordBatch;
use elanus_engine::api::{Collection, CompactMode, Engine, NewCollection, Rows};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::runtime::Stopwatch;
use elanus_engine::core::settings::Durability;
use indicatif::ProgressBar;

use super::data;
use crate::failure::Result;
use crate::format::human::{bytes, count, counted, duration};
use crate::progress::row_bar;

/// Rows of one insert.
const BATCH_ROWS: usize = 250;

/// Makes the collection anew, fills it, flushes and compacts, and tells how long each took.
pub async fn fill(engine: &Engine, rows: &RecordBatch, out: &mut dyn Write) -> Result<Collection> {
    let collection = create(engine).await?;
    let bar = row_bar(rows.num_rows() as u64);
    let (mut inserting, mut flushing) = (Duration::ZERO, Duration::ZERO);
    // Two halves, so that the compaction has something to merge.
    let half = rows.num_rows() / 2;
    for part in [rows.slice(0, half), rows.slice(half, rows.num_rows() - half)] {
        let watch = Stopwatch::start();
        insert(&collection, &part, &bar).await?;
        inserting += watch.elapsed();
        let watch = Stopwatch::start();
        collection.flush().await?;
        flushing += watch.elapsed();
    }
    bar.finish_and_clear();
    let rate = rows.num_rows() as f64 / inserting.as_secs_f64().max(1e-9);
    let loaded = counted(rows.num_rows() as u64, "row");
    let how = match engine.settings().log.durability {
        Durability::Sync => "fsynced before its acknowledgement",
        Durability::Os => "written before its acknowledgement",
    };
    writeln!(out, "loaded     {loaded} in {}, {} rows/s", duration(inserting), count(rate as u64))?;
    writeln!(out, "           each batch of {BATCH_ROWS} {how}")?;
    let before = collection.stats().segments.len() as u64;
    writeln!(out, "flushed    to {} in {}", counted(before, "segment"), duration(flushing))?;
    let watch = Stopwatch::start();
    collection.compact(CompactMode::All).await?;
    let took = duration(watch.elapsed());
    let stats = collection.stats();
    let after = counted(stats.segments.len() as u64, "segment");
    writeln!(out, "compacted  to {after} of {} in {took}", bytes(stats.data_bytes))?;
    Ok(collection)
}

async fn create(engine: &Engine) -> Result<Collection> {
    match engine.drop_collection("default", data::COLLECTION).await {
        Err(error) if error.kind != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let new = NewCollection::new(data::COLLECTION, data::schema());
    let collection = engine.create_collection("default", new).await?;
    let params = [("index_type", "AUTOINDEX"), ("metric_type", "COSINE")];
    let params = params.map(|(k, v)| (k.to_string(), v.to_string())).into();
    collection.create_index(data::VECTOR, data::VECTOR, params).await?;
    collection.set_loaded(true, Vec::new()).await?;
    Ok(collection)
}

async fn insert(collection: &Collection, rows: &RecordBatch, bar: &ProgressBar) -> Result<()> {
    for start in (0..rows.num_rows()).step_by(BATCH_ROWS) {
        let batch = rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start));
        let inserted = batch.num_rows() as u64;
        collection.insert(Rows { columns: batch, partition: None }).await?;
        bar.inc(inserted);
    }
    Ok(())
}
