//! Reads a segment's Lance file: whole columns, rows by position, or all in order.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::datatypes::SchemaRef;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use lance_encoding::decoder::{DecoderPlugins, FilterExpression};
use lance_file::reader::{FileReader, FileReaderOptions, ReaderProjection};
use lance_io::ReadBatchParams;
use lance_io::utils::CachedFileSize;
use object_store::path::Path;

use super::damage::{self, Pages};
use super::files::SegmentFiles;
use super::{SegmentFile, is_damage};
use crate::core::error::{Error, Result, Subject};
use crate::core::{runtime, validate};
use crate::storage::blocks::BlockSums;
use crate::storage::checked::Known;

const BATCH_ROWS: u32 = 8192;
const READAHEAD: u32 = 4;

/// Rows of a part of a column.
const PART_ROWS: usize = 32_768;
/// Parts in flight at once.
const PARALLEL_PARTS: usize = 4;

/// An open Lance file. Cheap to copy.
#[derive(Clone)]
pub struct SegmentReader {
    reader: Arc<FileReader>,
    file: Arc<OpenFile>,
}

/// What is known of the file; held by every stream that reads it.
#[derive(Debug)]
struct OpenFile {
    path: String,
    /// Keeps its reads checked.
    known: Known,
    /// Its pages, once it is open.
    pages: OnceLock<Pages>,
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentReader({})", self.file.path)
    }
}

impl SegmentReader {
    /// Opens a file. What is read of it from then on is compared with the sums of its blocks; a file of an
    /// older version, which has none, is read whole once to make them.
    pub(crate) async fn open(
        files: &SegmentFiles,
        data: &SegmentFile,
        sums: Option<&SegmentFile>,
    ) -> Result<Self> {
        let path = &data.path;
        let found = files.bucket.size(path).await?;
        if found != data.size_bytes {
            let why = format!("it has {found} bytes, the manifest says {}", data.size_bytes);
            return Err(Error::corrupted(path, why));
        }
        let known = match files.checked.known(path) {
            Some(known) => known,
            None => files.checked.know(path, block_sums(files, data, sums).await?),
        };
        let file = OpenFile { path: path.clone(), known, pages: OnceLock::new() };
        let size = CachedFileSize::new(data.size_bytes);
        let open = async {
            let file = Path::from(path.as_str());
            FileReader::try_open(
                files.scheduler.open_file(&file, &size).await?,
                None,
                Arc::<DecoderPlugins>::default(),
                &files.metadata_cache,
                FileReaderOptions::default(),
            )
            .await
        };
        let reader = runtime::in_one_step(guarded(&file, open)).await?;
        file.pages.set(damage::pages(reader.metadata())).ok();
        Ok(Self { reader: Arc::new(reader), file: Arc::new(file) })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        usize::try_from(self.reader.num_rows()).unwrap_or(usize::MAX)
    }

    /// Whether the file holds a column of that name.
    pub fn has(&self, column: &str) -> bool {
        self.reader.schema().field(column).is_some()
    }

    fn projection(&self, names: &[&str]) -> Result<ReaderProjection> {
        lance_file::versions::reader_projection_from_column_names(
            self.reader.version(),
            self.reader.schema(),
            names,
        )
        .map_err(|e| unreadable(&self.file, e))
    }

    async fn read(
        &self,
        names: &[&str],
        rows: ReadBatchParams,
        batch_rows: u32,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let begin = self.reader.read_stream_projected(
            rows,
            batch_rows,
            READAHEAD,
            self.projection(names)?,
            FilterExpression::no_filter(),
        );
        let file = self.file.clone();
        let read = async {
            let stream = guarded(&self.file, begin).await?;
            let stream = AssertUnwindSafe(stream).catch_unwind().map(move |batch| match batch {
                Ok(batch) => batch.map_err(|e| unreadable(&file, e)),
                Err(_) => Err(gave_up(&file)),
            });
            Ok::<_, Error>(match runtime::simulated() {
                true => futures::stream::iter(stream.collect::<Vec<_>>().await).left_stream(),
                false => stream.right_stream(),
            })
        };
        runtime::in_one_step(read).await
    }

    /// Refuses a column that is not what the manifest says: the file's own description may be damaged.
    fn check(&self, schema: &SchemaRef, name: &str, column: &ArrayRef, rows: usize) -> Result<()> {
        let wanted = schema.field_with_name(name).map(|f| f.data_type());
        let fits = wanted.is_ok_and(|t| column.data_type().equals_datatype(t));
        if fits && column.len() == rows {
            return Ok(());
        }
        let why = format!("column {name}: {} of {} rows", column.data_type(), column.len());
        Err(Error::corrupted(&self.file.path, why))
    }

    /// One whole stored column in parts, in order, whatever its type.
    pub async fn read_stored(&self, name: &str) -> Result<Vec<ArrayRef>> {
        let stream = self.read(&[name], ReadBatchParams::RangeFull, BATCH_ROWS).await?;
        stream.map_ok(|batch| batch.column(0).clone()).try_collect().await
    }

    /// One whole column in parts, in order. A column that the file lacks reads as the field's default.
    ///
    /// The parts are read and decoded at once on several threads: a first search after a start waits for
    /// little else.
    pub async fn read_column(&self, schema: &SchemaRef, name: &str) -> Result<Vec<ArrayRef>> {
        if !self.has(name) {
            return Ok(vec![validate::absent_column(schema, name, self.rows())?]);
        }
        let rows = self.rows();
        let parts = (0..rows).step_by(PART_ROWS).map(|from| {
            let range = from..rows.min(from + PART_ROWS);
            let (reader, name) = (self.clone(), name.to_string());
            let schema = schema.clone();
            async move { runtime::join(runtime::spawn(reader.read_part(schema, name, range))).await }
        });
        futures::stream::iter(parts).buffered(PARALLEL_PARTS).try_collect().await
    }

    async fn read_part(
        self,
        schema: SchemaRef,
        name: String,
        rows: std::ops::Range<usize>,
    ) -> Result<ArrayRef> {
        let wanted = rows.len();
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let stream = self.read(&[name.as_str()], ReadBatchParams::Range(rows), count).await?;
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        let column = match batches.as_slice() {
            [] => {
                return Err(Error::corrupted(
                    &self.file.path,
                    format!("column {name} was not read"),
                ));
            }
            [one] => one.column(0).clone(),
            many => {
                let parts: Vec<&dyn Array> = many.iter().map(|b| b.column(0).as_ref()).collect();
                arrow::compute::concat(&parts)?
            }
        };
        self.check(&schema, &name, &column, wanted)?;
        Ok(column)
    }

    /// Some columns of some rows, which ascend without repetition.
    pub async fn take(
        &self,
        schema: &SchemaRef,
        names: &[String],
        rows: &UInt32Array,
    ) -> Result<Vec<ArrayRef>> {
        let stored: Vec<&str> = names.iter().map(String::as_str).filter(|n| self.has(n)).collect();
        let mut read: Vec<ArrayRef> = Vec::new();
        if !stored.is_empty() && !rows.is_empty() {
            let params = ReadBatchParams::Indices(rows.clone());
            let batch_rows = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            let stream = self.read(&stored, params, batch_rows).await?;
            let batches: Vec<RecordBatch> = stream.try_collect().await?;
            let first = batches.first().ok_or_else(|| Error::internal("a take gave no rows"))?;
            let batch = arrow::compute::concat_batches(&first.schema(), &batches)?;
            read = stored
                .iter()
                .map(|n| {
                    let column = batch.column_by_name(n).cloned().ok_or_else(|| {
                        Error::corrupted(&self.file.path, format!("column {n} was not read"))
                    })?;
                    self.check(schema, n, &column, rows.len())?;
                    Ok(column)
                })
                .collect::<Result<_>>()?;
        }
        let mut read = stored.iter().zip(read);
        names
            .iter()
            .map(|name| {
                if self.has(name) && !rows.is_empty() {
                    let (_, column) =
                        read.next().ok_or_else(|| Error::internal("a column of a take"))?;
                    return Ok(column);
                }
                validate::absent_column(schema, name, rows.len())
            })
            .collect()
    }

    /// All rows in order, completed to a storage schema.
    pub async fn scan(
        &self,
        storage_schema: &SchemaRef,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let stored: Vec<&str> = storage_schema
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .filter(|n| self.has(n))
            .collect();
        let stream = self.read(&stored, ReadBatchParams::RangeFull, BATCH_ROWS).await?;
        let (schema, path) = (storage_schema.clone(), self.file.path.clone());
        Ok(stream.map(move |batch| {
            complete(&batch?, &schema).map_err(|e| Error::corrupted(&path, e.message()))
        }))
    }
}

/// The sums of a file's blocks. Lost or damaged ones are made anew from the file, once its own sum is right.
async fn block_sums(
    files: &SegmentFiles,
    data: &SegmentFile,
    sums: Option<&SegmentFile>,
) -> Result<BlockSums> {
    if let Some(sums) = sums {
        match read_sums(files, data, sums).await {
            Err(e) if is_damage(&e) => tracing::warn!("{e}; the data file is read whole instead"),
            outcome => return outcome,
        }
    }
    let (sum, blocks) = files.bucket.sums(&data.path).await?;
    if sum != data.xxh3 {
        return Err(Error::corrupted(&data.path, "its checksum is not the manifest's"));
    }
    Ok(blocks)
}

async fn read_sums(
    files: &SegmentFiles,
    data: &SegmentFile,
    sums: &SegmentFile,
) -> Result<BlockSums> {
    let blocks = BlockSums::decode(&sums.read(&files.bucket).await?, &sums.path)?;
    if blocks.size_bytes() != data.size_bytes {
        return Err(Error::corrupted(&sums.path, "it is of a file of another size"));
    }
    Ok(blocks)
}

/// Runs a call into Lance. It asserts what a damaged file may break; such a panic is told as the damage.
async fn guarded<T>(
    file: &OpenFile,
    call: impl Future<Output = Result<T, lance_core::Error>>,
) -> Result<T> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(outcome) => outcome.map_err(|e| unreadable(file, e)),
        Err(_) => Err(gave_up(file)),
    }
}

fn gave_up(file: &OpenFile) -> Error {
    Error::corrupted(&file.path, "its contents contradict each other")
}

fn complete(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|f| match batch.column_by_name(f.name()) {
            Some(column) => Ok(column.clone()),
            None => validate::absent_column(schema, f.name(), batch.num_rows()),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// A Lance file that cannot be read is damaged, unless the store itself failed.
fn unreadable(file: &OpenFile, e: lance_core::Error) -> Error {
    let path = &file.path;
    if let Some(block) = file.known.failed() {
        return Error::corrupted(path, damage::describe(&block, file.pages.get())).with_source(e);
    }
    match e {
        lance_core::Error::NotFound { .. } => {
            Error::not_found(Subject::Store, format!("{path} is not in the store"))
        }
        e if store_failed(&e) => Error::storage(path, e),
        e => Error::corrupted(path, &e).with_source(e),
    }
}

/// Whether the cause is the store's: Lance calls a footer that it cannot decode an I/O error too.
fn store_failed(e: &lance_core::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(e);
    while let Some(e) = cause {
        if e.is::<object_store::Error>() || e.is::<std::io::Error>() {
            return true;
        }
        cause = e.source();
    }
    false
}
