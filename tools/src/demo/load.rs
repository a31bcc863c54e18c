//! Fills the demo's collection through the same calls that any embedding program uses.

use std::io::Write;

use arrow::array::RecordBatch;
use elanus_engine::api::{Collection, CompactMode, Engine, NewCollection, Rows};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::runtime::Stopwatch;

use super::data;
use crate::failure::Result;
use crate::format::human::{bytes, count, counted, duration};
use crate::progress::row_bar;

/// Rows of one insert.
const BATCH_ROWS: usize = 250;

/// Makes the collection anew, fills it, flushes and compacts, and tells how long each took.
pub async fn fill(engine: &Engine, rows: &RecordBatch, out: &mut dyn Write) -> Result<Collection> {
    let collection = create(engine).await?;
    let watch = Stopwatch::start();
    insert(&collection, rows).await?;
    let took = watch.elapsed();
    let rate = rows.num_rows() as f64 / took.as_secs_f64().max(1e-9);
    writeln!(
        out,
        "loaded     {} in {} ({} rows/s; each batch of {BATCH_ROWS} was on disk when acknowledged)",
        counted(rows.num_rows() as u64, "row"),
        duration(took),
        count(rate as u64),
    )?;
    let watch = Stopwatch::start();
    let segments = collection.flush().await?;
    let flushed = counted(segments.len() as u64, "segment");
    writeln!(out, "flushed    {flushed} in {}", duration(watch.elapsed()))?;
    let watch = Stopwatch::start();
    collection.compact(CompactMode::All).await?;
    let stats = collection.stats();
    writeln!(
        out,
        "compacted  to {} of {} in {}",
        counted(stats.segments.len() as u64, "segment"),
        bytes(stats.data_bytes),
        duration(watch.elapsed()),
    )?;
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

async fn insert(collection: &Collection, rows: &RecordBatch) -> Result<()> {
    let bar = row_bar(rows.num_rows() as u64);
    for start in (0..rows.num_rows()).step_by(BATCH_ROWS) {
        let batch = rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start));
        let inserted = batch.num_rows() as u64;
        collection.insert(Rows { columns: batch, partition: None }).await?;
        bar.inc(inserted);
    }
    bar.finish_and_clear();
    Ok(())
}
