//! Sealed segments: immutable Lance files with a key index and a delete set. The only home of Lance.

pub mod bounds;
pub mod cache;
mod damage;
pub mod files;
pub mod keys;
pub mod reader;
pub mod scalar;
pub mod writer;

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;

use crate::core::budget::{Reservation, Use};
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::filter::UnitStats;
use crate::core::key::{Key, Keys};
use crate::core::rowset::{DeleteSet, RowSet};
use crate::core::schema::TIMESTAMP_FIELD;
use crate::core::time::Timestamp;
use crate::index::cluster::{Codebook, CodedRows};
use crate::segment::cache::Column;
use crate::segment::files::SegmentFiles;
use crate::segment::keys::SegmentKeys;
use crate::segment::reader::SegmentReader;
use crate::storage::bucket::Bucket;
use crate::storage::frame;

/// Name of the Lance file in a segment's folder.
pub const DATA_FILE: &str = "data.lance";
/// Name of the file with the checksums of the Lance file's blocks.
pub const SUMS_FILE: &str = "data.sums";
/// Name of the key index in a segment's folder.
pub const KEYS_FILE: &str = "pk.idx";

/// What a segment is, apart from its deletes: the same for ever.
#[derive(Debug, Clone)]
pub struct SegmentIdentity {
    /// Number within the collection.
    pub id: u64,
    /// Its folder in the bucket, by which its columns are kept in memory. A clone's files lie in another's.
    pub folder: String,
    /// Partition of all its rows.
    pub partition_id: u64,
    /// Level in the tree.
    pub level: u32,
    /// Rows, deleted ones included.
    pub rows: usize,
    /// Smallest commit timestamp.
    pub min_ts: Timestamp,
    /// Largest commit timestamp.
    pub max_ts: Timestamp,
    /// Smallest and largest key.
    pub key_range: Option<(Key, Key)>,
    /// Primary key column.
    pub key_column: String,
    /// The Lance file.
    pub data: SegmentFile,
    /// Checksums of its blocks; none in segments of older versions.
    pub sums: Option<SegmentFile>,
    /// The key index.
    pub keys: SegmentFile,
    /// Codes of its vectors.
    pub codes: Vec<CodesFile>,
}

/// A file, as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// Path in the bucket.
    pub path: String,
    /// Bytes.
    pub size_bytes: u64,
    /// XXH3-64 of all bytes.
    pub xxh3: u64,
}

impl SegmentFile {
    /// Reads it whole and compares it with the manifest.
    pub(crate) async fn read(&self, bucket: &Bucket) -> Result<Bytes> {
        let bytes = bucket.get(&self.path).await?;
        if frame::checksum(&bytes) != self.xxh3 {
            return Err(Error::corrupted(&self.path, "its checksum is not the manifest's"));
        }
        Ok(bytes)
    }
}

/// The codes of a vector field, as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodesFile {
    /// Field.
    pub field: String,
    /// Codebook that they belong to.
    pub codebook_version: u64,
    /// The file.
    pub file: SegmentFile,
}

/// Bounds of columns, made when a filter first asks for them.
type Stats = LazyLock<UnitStats, Box<dyn FnOnce() -> UnitStats + Send + Sync>>;

/// A sealed segment in use: its identity, its open files and its delete set in memory.
#[derive(Debug)]
pub struct Segment {
    /// What it is.
    pub identity: SegmentIdentity,
    stats: Stats,
    files: Arc<SegmentFiles>,
    reader: OnceCell<SegmentReader>,
    keys: OnceCell<(Arc<SegmentKeys>, Reservation)>,
    deletes: RwLock<DeleteSet>,
    /// The alive rows of the newest question: (deletes counted, rows).
    alive: Mutex<Option<(usize, RowSet)>>,
    /// Files of codes that turned out damaged.
    broken: Mutex<Vec<String>>,
    coming: scalar::Coming,
}

impl Segment {
    /// A segment with its delete set as published; files are opened when they are first read.
    pub fn new(
        files: Arc<SegmentFiles>,
        identity: SegmentIdentity,
        stats: impl FnOnce() -> UnitStats + Send + Sync + 'static,
        deletes: DeleteSet,
        keys: Option<Arc<SegmentKeys>>,
    ) -> Self {
        let keys = keys.map(|keys| {
            let held = files.budget.hold(Use::Keys, keys.size_bytes());
            (keys, held)
        });
        Self {
            identity,
            stats: LazyLock::new(Box::new(stats)),
            files,
            reader: OnceCell::new(),
            keys: OnceCell::new_with(keys),
            deletes: RwLock::new(deletes),
            alive: Mutex::new(None),
            broken: Mutex::default(),
            coming: scalar::Coming::default(),
        }
    }

    /// Bounds of its columns.
    pub fn stats(&self) -> &UnitStats {
        &self.stats
    }

    /// The key index, read on first use.
    pub async fn keys(&self) -> Result<Arc<SegmentKeys>> {
        let load = || async {
            let keys = match Box::pin(self.read_keys()).await {
                Err(e) if is_damage(&e) => {
                    tracing::warn!("{e}; the keys are read from the rows instead");
                    Box::pin(self.keys_of_rows()).await
                }
                read => read,
            }?;
            let held = self.files.hold(Use::Keys, keys.size_bytes());
            Ok((Arc::new(keys), held))
        };
        self.keys.get_or_try_init(load).await.map(|(keys, _)| keys.clone())
    }

    async fn read_keys(&self) -> Result<SegmentKeys> {
        let file = &self.identity.keys;
        let keys = SegmentKeys::decode(&file.read(&self.files.bucket).await?, &file.path)?;
        if keys.rows().len() != self.identity.rows || keys.range() != self.identity.key_range {
            return Err(Error::corrupted(&file.path, "its keys are not those of the manifest"));
        }
        Ok(keys)
    }

    /// The key index made anew: it is derived.
    async fn keys_of_rows(&self) -> Result<SegmentKeys> {
        let parts = self.reader().await?.read_stored(&self.identity.key_column).await?;
        SegmentKeys::build(&Keys::from_array(join_parts(&parts)?.as_ref())?)
    }

    /// The key index if it has been read.
    pub fn keys_if_loaded(&self) -> Option<&Arc<SegmentKeys>> {
        self.keys.get().map(|(keys, _)| keys)
    }

    /// The file with a field's codes.
    pub fn codes_file(&self, field: &str) -> Option<&CodesFile> {
        self.identity.codes.iter().find(|c| c.field == field)
    }

    /// Codes of a field under their codebook, through the cache. None if the file is damaged or gone: it
    /// is derived, so its rows are scanned instead, and a compaction or repair makes it anew.
    pub async fn codes(&self, file: &CodesFile, book: &Codebook) -> Option<Arc<CodedRows>> {
        let path = &file.file.path;
        let key = (self.identity.folder.clone(), path.clone());
        if let Some(codes) = self.files.cache.get_codes(&key) {
            return Some(codes);
        }
        let _loading = self.files.cache.loading(&key).await;
        if let Some(codes) = self.files.cache.get_codes(&key) {
            return Some(codes);
        }
        if self.broken.lock().contains(path) {
            return None;
        }
        match Box::pin(self.read_codes(file, book)).await {
            Ok(codes) => {
                let codes = Arc::new(codes);
                self.files.cache.put_codes(key, codes.clone());
                Some(codes)
            }
            Err(e) => {
                tracing::warn!("{e}; the segment is scanned without its vector index");
                if is_damage(&e) {
                    self.broken.lock().push(path.clone());
                }
                None
            }
        }
    }

    async fn read_codes(&self, file: &CodesFile, book: &Codebook) -> Result<CodedRows> {
        let bytes = file.file.read(&self.files.bucket).await?;
        CodedRows::decode(&bytes, book, self.identity.rows, &file.file.path)
    }

    /// Keeps codes that were just made.
    pub fn keep_codes(&self, field: &str, codes: Arc<CodedRows>) {
        if let Some(file) = self.codes_file(field) {
            let key = (self.identity.folder.clone(), file.file.path.clone());
            self.files.cache.put_codes(key, codes);
        }
    }

    /// Forgets codes that are held elsewhere by now.
    pub fn drop_codes(&self, file: &CodesFile) {
        self.files.cache.remove(&(self.identity.folder.clone(), file.file.path.clone()));
    }

    /// Whether a column of so many bytes is in memory, or small enough to be kept there.
    pub fn can_keep(&self, name: &str, bytes: usize) -> bool {
        self.holds(name) || self.files.cache.has_room_for(bytes)
    }

    /// Whether a column or a file of codes is in memory.
    pub fn holds(&self, name: &str) -> bool {
        self.files.cache.holds(&(self.identity.folder.clone(), name.to_string()))
    }

    /// Whether the segment's range of keys holds this one.
    pub fn may_hold(&self, keys: &Keys, row: usize) -> bool {
        match (&self.identity.key_range, keys) {
            (Some((Key::Int(min), Key::Int(max))), Keys::Int(a)) => {
                (*min..=*max).contains(&a.value(row))
            }
            (Some((Key::Text(min), Key::Text(max))), Keys::Text(a)) => {
                (min.as_ref()..=max.as_ref()).contains(&a.value(row))
            }
            _ => false,
        }
    }

    /// Deletes a row; `false` if it was deleted before.
    pub fn delete(&self, row: u32, at: Timestamp) -> bool {
        self.deletes.write().add(row, at)
    }

    /// Whether the row is deleted.
    pub fn is_deleted(&self, row: u32) -> bool {
        self.deletes.read().contains(row)
    }

    /// Reads the delete set.
    pub fn with_deletes<T>(&self, read: impl FnOnce(&DeleteSet) -> T) -> T {
        read(&self.deletes.read())
    }

    /// Rows alive at a timestamp.
    pub fn alive_at(&self, at: Timestamp) -> RowSet {
        let deletes = self.deletes.read();
        let counted = deletes.len_at(at);
        let mut alive = self.alive.lock();
        if let Some((known, rows)) = &*alive
            && *known == counted
        {
            return rows.clone();
        }
        let rows = deletes.alive_at(self.identity.rows, at);
        *alive = Some((counted, rows.clone()));
        rows
    }

    async fn reader(&self) -> Result<&SegmentReader> {
        let SegmentIdentity { data, sums, .. } = &self.identity;
        let open = || SegmentReader::open(&self.files, data, sums.as_ref());
        let reader = Box::pin(self.reader.get_or_try_init(open)).await?;
        if reader.rows() != self.identity.rows {
            return Err(Error::corrupted(
                &data.path,
                format!("it has {} rows, the manifest says {}", reader.rows(), self.identity.rows),
            ));
        }
        Ok(reader)
    }

    /// Whether the file holds a column of that name.
    pub async fn stores(&self, column: &str) -> Result<bool> {
        Ok(self.reader().await?.has(column))
    }

    /// Whole columns through the cache, in the order asked, typed and completed as `schema` says:
    /// a field that is younger than the segment reads as its default.
    pub async fn columns(&self, schema: &SchemaRef, names: &[String]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            columns.push(self.column(schema, name).await?);
        }
        Ok(columns)
    }

    async fn column(&self, schema: &SchemaRef, name: &str) -> Result<ArrayRef> {
        join_parts(&self.column_parts(schema, name).await?)
    }

    /// A whole column through the cache, in parts of neighbouring rows: no part is copied.
    pub async fn column_parts(&self, schema: &SchemaRef, name: &str) -> Result<Column> {
        let key = (self.identity.folder.clone(), name.to_string());
        if let Some(column) = self.files.cache.get(&key) {
            return Ok(column);
        }
        let _loading = self.files.cache.loading(&key).await;
        if let Some(column) = self.files.cache.get(&key) {
            return Ok(column);
        }
        let parts = Box::pin(self.reader().await?.read_column(schema, name)).await?;
        // Scalars are wanted whole, so they are joined once; vectors are scanned part by part.
        let vectors = matches!(parts.first().map(|p| p.data_type()), Some(t) if is_vector(t));
        let column: Column =
            if vectors || parts.len() == 1 { parts.into() } else { [join_parts(&parts)?].into() };
        self.files.cache.put(key, column.clone());
        Ok(column)
    }

    /// The commit timestamps of all rows.
    pub async fn timestamps(&self, schema: &SchemaRef) -> Result<ArrayRef> {
        self.column(schema, TIMESTAMP_FIELD).await
    }

    /// Some columns of some rows (ascending, without repetition): from the cache where a column is
    /// there, else by position from the file.
    pub async fn take(
        &self,
        schema: &SchemaRef,
        names: &[String],
        rows: &[u32],
    ) -> Result<Vec<ArrayRef>> {
        let indices = arrow::array::UInt32Array::from(rows.to_vec());
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for name in names {
            let key = (self.identity.folder.clone(), name.clone());
            match self.files.cache.get(&key) {
                Some(parts) => columns.push(Some(take_parts(&parts, rows)?)),
                None => {
                    columns.push(None);
                    missing.push(name.clone());
                }
            }
        }
        if !missing.is_empty() {
            let mut read =
                Box::pin(self.reader().await?.take(schema, &missing, &indices)).await?.into_iter();
            for column in columns.iter_mut().filter(|c| c.is_none()) {
                *column = read.next();
            }
        }
        columns
            .into_iter()
            .map(|c| c.ok_or_else(|| Error::internal("a column of a take is missing")))
            .collect()
    }

    /// A stream over all rows in the segment's order, `_ts` included, completed as `schema` says.
    pub async fn scan(
        &self,
        storage_schema: &SchemaRef,
    ) -> Result<impl futures::Stream<Item = Result<RecordBatch>> + Send + use<>> {
        self.reader().await?.scan(storage_schema).await
    }

    /// The folders in which its files lie: its own, and of a clone's segment another's.
    pub fn folders(&self) -> Vec<String> {
        let of_data =
            self.identity.data.path.rsplit_once('/').map(|(folder, _)| folder.to_string());
        of_data.into_iter().chain([self.identity.folder.clone()]).collect()
    }

    /// Forgets cached columns; called when the segment leaves the tree.
    pub fn evict(&self) {
        self.files.cache.remove_folder(&self.identity.folder);
    }
}

/// Whether a file is to blame, and not the store.
pub(crate) fn is_damage(e: &Error) -> bool {
    matches!(e.kind, ErrorKind::Corrupted | ErrorKind::NotFound)
}

fn is_vector(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(..) | DataType::FixedSizeBinary(_))
}

fn join_parts(parts: &[ArrayRef]) -> Result<ArrayRef> {
    match parts {
        [one] => Ok(one.clone()),
        parts => {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            Ok(arrow::compute::concat(&parts)?)
        }
    }
}

/// Rows, ascending, of a column in parts.
fn take_parts(parts: &[ArrayRef], rows: &[u32]) -> Result<ArrayRef> {
    let mut taken = Vec::with_capacity(1);
    let (mut start, mut rest) = (0, rows);
    for part in parts {
        let end = start + part.len();
        let (here, later) = rest.split_at(rest.partition_point(|row| (*row as usize) < end));
        if !here.is_empty() {
            let local: UInt32Array = here.iter().map(|row| row - start as u32).collect();
            taken.push(arrow::compute::take(part, &local, None)?);
        }
        (start, rest) = (end, later);
    }
    match (taken.is_empty(), parts.first()) {
        (true, Some(part)) => Ok(part.slice(0, 0)),
        _ => join_parts(&taken),
    }
}

/// Reads a timestamp column.
pub fn as_timestamps(column: &ArrayRef) -> Result<&arrow::array::UInt64Array> {
    column
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(|| Error::corrupted("a segment", "its timestamps have the wrong type"))
}
