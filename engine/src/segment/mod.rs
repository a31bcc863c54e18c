//! Sealed segments: immutable Lance files with a key index and a delete set. The only home of Lance.

pub mod bounds;
pub mod cache;
pub mod files;
pub mod keys;
pub mod reader;
pub mod writer;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;

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

/// Name of the Lance file in a segment's folder.
pub const DATA_FILE: &str = "data.lance";
/// Name of the key index in a segment's folder.
pub const KEYS_FILE: &str = "pk.idx";

/// What a segment is, apart from its deletes: the same for ever.
#[derive(Debug, Clone)]
pub struct SegmentIdentity {
    /// Number within the collection.
    pub id: u64,
    /// Folder in the bucket.
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
    /// Bytes of the data file, as the manifest says.
    pub data_bytes: u64,
    /// XXH3-64 of the data file, as the manifest says.
    pub data_xxh3: u64,
    /// XXH3-64 of the key index, as the manifest says.
    pub keys_xxh3: u64,
    /// Codes of its vectors.
    pub codes: Vec<CodesFile>,
}

/// The codes of a vector field, as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodesFile {
    /// Field.
    pub field: String,
    /// Codebook that they belong to.
    pub codebook_version: u64,
    /// Name in the segment's folder.
    pub name: String,
    /// XXH3-64 of the file.
    pub xxh3: u64,
}

/// A sealed segment in use: its identity, its open files and its delete set in memory.
#[derive(Debug)]
pub struct Segment {
    /// What it is.
    pub identity: SegmentIdentity,
    /// Bounds of its columns.
    pub stats: UnitStats,
    files: Arc<SegmentFiles>,
    reader: OnceCell<SegmentReader>,
    keys: OnceCell<Arc<SegmentKeys>>,
    deletes: RwLock<DeleteSet>,
    /// The alive rows of the newest question: (deletes counted, rows).
    alive: Mutex<Option<(usize, RowSet)>>,
    /// Files of codes that turned out damaged.
    broken: Mutex<Vec<String>>,
}

impl Segment {
    /// A segment with its delete set as published; files are opened when they are first read.
    pub fn new(
        files: Arc<SegmentFiles>,
        identity: SegmentIdentity,
        stats: UnitStats,
        deletes: DeleteSet,
        keys: Option<Arc<SegmentKeys>>,
    ) -> Self {
        Self {
            identity,
            stats,
            files,
            reader: OnceCell::new(),
            keys: OnceCell::new_with(keys),
            deletes: RwLock::new(deletes),
            alive: Mutex::new(None),
            broken: Mutex::default(),
        }
    }

    /// The key index, read on first use.
    pub async fn keys(&self) -> Result<Arc<SegmentKeys>> {
        let load = || async {
            let path = format!("{}/{KEYS_FILE}", self.identity.folder);
            let bytes = self.files.bucket.get(&path).await?;
            if crate::storage::frame::checksum(&bytes) != self.identity.keys_xxh3 {
                return Err(Error::corrupted(path, "its checksum is not the manifest's"));
            }
            SegmentKeys::decode(&bytes, &path).map(Arc::new)
        };
        self.keys.get_or_try_init(load).await.cloned()
    }

    /// The key index if it has been read.
    pub fn keys_if_loaded(&self) -> Option<&Arc<SegmentKeys>> {
        self.keys.get()
    }

    /// The file with a field's codes.
    pub fn codes_file(&self, field: &str) -> Option<&CodesFile> {
        self.identity.codes.iter().find(|c| c.field == field)
    }

    /// Codes of a field under their codebook, through the cache. None if the file is damaged or gone: it
    /// is derived, so its rows are scanned instead, and a compaction or repair makes it anew.
    pub async fn codes(&self, file: &CodesFile, book: &Codebook) -> Option<Arc<CodedRows>> {
        let key = (self.identity.folder.clone(), file.name.clone());
        if let Some(codes) = self.files.cache.get_codes(&key) {
            return Some(codes);
        }
        if self.broken.lock().contains(&file.name) {
            return None;
        }
        match self.read_codes(file, book).await {
            Ok(codes) => {
                let codes = Arc::new(codes);
                self.files.cache.put_codes(key, codes.clone());
                Some(codes)
            }
            Err(e) => {
                tracing::warn!("{e}; the segment is scanned without its vector index");
                if matches!(e.kind, ErrorKind::Corrupted | ErrorKind::NotFound) {
                    self.broken.lock().push(file.name.clone());
                }
                None
            }
        }
    }

    async fn read_codes(&self, file: &CodesFile, book: &Codebook) -> Result<CodedRows> {
        let path = format!("{}/{}", self.identity.folder, file.name);
        let bytes = self.files.bucket.get(&path).await?;
        CodedRows::decode(&bytes, book, self.identity.rows, &path)
    }

    /// Keeps codes that were just made.
    pub fn keep_codes(&self, name: &str, codes: Arc<CodedRows>) {
        self.files.cache.put_codes((self.identity.folder.clone(), name.to_string()), codes);
    }

    /// Whether a column is small enough to be kept in memory.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.files.cache.has_room_for(bytes)
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
        let path = format!("{}/{DATA_FILE}", self.identity.folder);
        let open = || SegmentReader::open(&self.files, path, self.identity.data_bytes);
        let reader = self.reader.get_or_try_init(open).await?;
        if reader.rows() != self.identity.rows {
            return Err(Error::corrupted(
                format!("{}/{DATA_FILE}", self.identity.folder),
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
        let parts = self.reader().await?.read_column(schema, name).await?;
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
            let mut read = self.reader().await?.take(schema, &missing, &indices).await?.into_iter();
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

    /// Reads the whole data file and compares its checksum with the manifest's.
    pub async fn check_data(&self) -> Result<()> {
        let path = format!("{}/{DATA_FILE}", self.identity.folder);
        let (size, sum) = self.files.bucket.fingerprint(&path).await?;
        if (size, sum) != (self.identity.data_bytes, self.identity.data_xxh3) {
            return Err(Error::corrupted(path, "its checksum is not the manifest's"));
        }
        Ok(())
    }

    /// Forgets cached columns; called when the segment leaves the tree.
    pub fn evict(&self) {
        self.files.cache.remove_folder(&self.identity.folder);
    }
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
