//! One import: its files checked from end to end, then written.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema};
use elanus_engine::api::{Collection, Engine, Rows};
use elanus_engine::core::error::Error;
use elanus_engine::core::runtime;
use elanus_engine::core::schema::CollectionSchema;
use elanus_engine::core::validate;
use tokio::sync::mpsc;

use super::job::Request;
use super::source::{Format, Place, Source};
use super::{csv, failed, json, numpy, parquet};
use crate::status::Failure;

/// Batches on their way from the reader to the writer.
const BATCHES_AHEAD: usize = 2;

/// Tells how far it is: rows so far, and whether they are written already.
pub type Progress<'a> = &'a (dyn Fn(u64, bool) + Send + Sync);

/// The files of a request.
///
/// # Errors
/// If one is not there, too large, or must not be read.
pub async fn find(engine: &Engine, request: &Request) -> Result<Files, Failure> {
    let mut files = Vec::new();
    for name in &request.files {
        files.push((name.clone(), Place::find(engine, name).await?));
    }
    Ok(Arc::new(files))
}

/// Checks all rows; gives their number.
pub async fn check(
    engine: &Engine,
    collection: &Collection,
    (files, request): (&Files, &Request),
    progress: Progress<'_>,
) -> Result<u64, Failure> {
    let limits = engine.settings().limits.clone();
    let schema = collection.schema();
    let mut rows = 0;
    let mut batches = read(engine, files, &schema, request);
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        let (schema, limits) = (schema.clone(), limits.clone());
        let check = move || {
            let keys = |count: usize| (0..count as i64).collect();
            validate::complete_rows(&schema, &batch, &limits, keys).map(|_| ())
        };
        runtime::blocking(check).await.map_err(|e| failed(e.message()))?;
        progress(rows, false);
    }
    Ok(rows)
}

/// Writes all rows; gives their number. Made keys go up from `first_key`, so that writing them again
/// replaces them.
pub async fn write(
    engine: &Engine,
    collection: &Collection,
    (files, request): (&Files, &Request),
    first_key: u64,
    progress: Progress<'_>,
) -> Result<u64, Failure> {
    let schema = collection.schema();
    let mut written = 0;
    let partition = Some(request.partition.clone()).filter(|name| !name.is_empty());
    let mut batches = read(engine, files, &schema, request);
    while let Some(batch) = batches.recv().await {
        let columns = with_keys(&schema, batch?, first_key + written)?;
        let rows = Rows { columns, partition: partition.clone() };
        written += collection.insert(rows).await.map_err(|e| failed(e.message()))?.count;
        progress(written, true);
    }
    Ok(written)
}

fn with_keys(
    schema: &CollectionSchema,
    batch: RecordBatch,
    first: u64,
) -> Result<RecordBatch, Failure> {
    let key = schema.primary()?;
    if !key.auto_id {
        return Ok(batch);
    }
    let made = (0..batch.num_rows() as u64).map(|row| (first + row).cast_signed() & i64::MAX);
    let column = validate::made_key_column(key, made.collect());
    let given = batch.schema();
    let field = Arc::new(Field::new(&key.name, column.data_type().clone(), false));
    let fields: Vec<FieldRef> = given.fields().iter().cloned().chain([field]).collect();
    let columns = batch.columns().iter().cloned().chain([column]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(Error::from)?)
}

/// Reads all files, away from the async threads; ends when nobody receives any more.
fn read(
    engine: &Engine,
    files: &Files,
    schema: &Arc<CollectionSchema>,
    request: &Request,
) -> mpsc::Receiver<Result<RecordBatch, Failure>> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let (engine, files) = (engine.clone(), files.clone());
    let reading = Reading { schema: schema.clone(), request: request.clone(), sender };
    runtime::spawn(async move {
        if let Err(failure) = reading.all(&engine, &files).await {
            // The receiver may be gone, and then nobody asks.
            reading.sender.send(Err(failure)).await.ok();
        }
    });
    receiver
}

/// Files by name, with where they lie.
pub type Files = Arc<Vec<(String, Place)>>;

#[derive(Clone)]
struct Reading {
    schema: Arc<CollectionSchema>,
    request: Request,
    sender: mpsc::Sender<Result<RecordBatch, Failure>>,
}

impl Reading {
    /// Columns need all their files at once; of files of rows only one is held.
    async fn all(&self, engine: &Engine, files: &[(String, Place)]) -> Result<(), Failure> {
        let columns = files.iter().all(|(name, _)| Format::of(name) == Ok(Format::Numpy));
        let step = if columns { files.len().max(1) } else { 1 };
        for together in files.chunks(step) {
            let mut opened = Vec::new();
            for (name, place) in together {
                opened.push((name.clone(), place.open(engine).await?));
            }
            let reading = self.clone();
            let read = runtime::blocking(move || Ok::<_, Error>(reading.some(&opened)));
            read.await??;
        }
        Ok(())
    }

    /// Reads files to their end, or until nobody receives.
    fn some(&self, files: &[(String, Source)]) -> Result<(), Failure> {
        let schema = &self.schema;
        let mut sink = |batch| Ok(self.sender.blocking_send(Ok(batch)).is_ok());
        let [(name, source)] = files else { return numpy::read(files, schema, &mut sink) };
        let separator = self.request.separator.bytes().next().unwrap_or(b',');
        let csv_form = (separator, self.request.null_text.as_str());
        let read = match Format::of(name)? {
            Format::Json => json::read(source.open()?, schema, &mut sink),
            Format::Parquet => parquet::read(source, schema, &mut sink),
            Format::Csv => csv::read(source.open()?, schema, csv_form, &mut sink),
            Format::Numpy => return numpy::read(files, schema, &mut sink),
        };
        read.map_err(|e| {
            failed(format!("{name}: {}", e.reason.trim_end_matches(": importing data failed")))
        })
    }
}
