//! The memtable: rows as Arrow batches that only grow, and the newest position of each key.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::RwLock;

use super::chunk_codes::ChunkCodes;
use crate::core::error::{Error, Result};
use crate::core::key::Keys;
use crate::core::rowset::{DeleteSet, RowSet};
use crate::core::time::Timestamp;

/// Neighbouring chunks are joined up to this many rows, so that row-by-row writers do not leave a chunk a row.
const CHUNK_ROWS: usize = 8192;
/// … and up to this size, bytes: rows that came many at once are not worth copying again.
const CHUNK_BYTES: usize = 4 << 20;

/// Neighbouring rows of one partition.
#[derive(Debug)]
pub struct Chunk {
    /// Partition of all rows.
    pub partition_id: u64,
    /// Position of the first row in the memtable.
    pub start: u32,
    /// The rows, without timestamps.
    pub batch: RecordBatch,
    /// Commit timestamp of each row, ascending.
    pub times: Vec<Timestamp>,
    /// Primary keys.
    pub keys: Keys,
    /// Codes of its vectors, made when they are first wanted.
    pub codes: ChunkCodes,
}

impl Chunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// Number of rows committed at or before a timestamp.
    pub fn rows_at(&self, at: Timestamp) -> usize {
        self.times.partition_point(|ts| *ts <= at)
    }

    fn join(&self, next: &Chunk, key_column: usize) -> Result<Chunk> {
        let batch =
            arrow::compute::concat_batches(&self.batch.schema(), [&self.batch, &next.batch])?;
        let keys = Keys::from_array(batch.column(key_column).as_ref())?;
        let times = [self.times.as_slice(), &next.times].concat();
        let (partition_id, start) = (self.partition_id, self.start);
        Ok(Chunk { partition_id, start, batch, times, keys, codes: ChunkCodes::default() })
    }
}

/// Rows that are in the log but in no segment.
#[derive(Debug)]
pub struct Memtable {
    /// Log generation of its records.
    pub generation: u64,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    key_column: usize,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    chunks: Vec<Arc<Chunk>>,
    positions: Positions,
    deletes: DeleteSet,
    rows: u32,
    bytes: usize,
    max_ts: Timestamp,
}

#[derive(Debug, Default)]
struct Positions {
    ints: HashMap<i64, u32>,
    texts: HashMap<Arc<str>, u32>,
}

impl Positions {
    fn get(&self, keys: &Keys, at: usize) -> Option<u32> {
        match keys {
            Keys::Int(a) => self.ints.get(&a.value(at)).copied(),
            Keys::Text(a) => self.texts.get(a.value(at)).copied(),
        }
    }

    fn insert(&mut self, keys: &Keys, at: usize, position: u32) -> Option<u32> {
        match keys {
            Keys::Int(a) => self.ints.insert(a.value(at), position),
            Keys::Text(a) => match self.texts.get_mut(a.value(at)) {
                Some(old) => Some(std::mem::replace(old, position)),
                None => self.texts.insert(a.value(at).into(), position),
            },
        }
    }
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The memtable never saw it: look in older places.
    Unknown,
    /// It held it, alive.
    Alive,
    /// It held it, deleted: it is deleted in older places too.
    Deleted,
}

/// A run of visible rows in a snapshot.
#[derive(Debug, Clone)]
pub struct MemtableUnit {
    /// The rows.
    pub chunk: Arc<Chunk>,
    /// Those that the snapshot sees, of all of the chunk.
    pub alive: RowSet,
}

impl Memtable {
    /// An empty memtable whose records go to a log generation.
    pub fn new(generation: u64, created_ms: u64, key_column: usize) -> Self {
        Self { generation, created_ms, key_column, inner: RwLock::default() }
    }

    /// Adds rows of one partition at a timestamp not older than any before. Older versions of their keys
    /// here are deleted. Returns the rows whose keys it did not know: older places must be looked at.
    pub fn append(&self, batch: RecordBatch, partition_id: u64, ts: Timestamp) -> Result<Vec<u32>> {
        let keys = Keys::from_array(batch.column(self.key_column).as_ref())?;
        let mut inner = self.inner.write();
        let start = inner.rows;
        let rows = u32::try_from(batch.num_rows()).ok();
        let end = rows
            .and_then(|rows| start.checked_add(rows))
            .ok_or_else(|| Error::internal("a memtable of more than 2^32 rows"))?;
        let mut unknown = Vec::new();
        for at in 0..batch.num_rows() {
            let position = start + at as u32;
            match inner.positions.insert(&keys, at, position) {
                Some(old) => {
                    inner.deletes.add(old, ts);
                }
                None => unknown.push(at as u32),
            }
        }
        inner.bytes += batch_bytes(&batch) + batch.num_rows() * 40;
        inner.rows = end;
        inner.max_ts = ts;
        let times = vec![ts; batch.num_rows()];
        let codes = ChunkCodes::default();
        inner.push(Chunk { partition_id, start, batch, times, keys, codes }, self.key_column);
        Ok(unknown)
    }

    /// Deletes a key here. `allowed` says whether rows of a partition may be deleted.
    pub fn delete(
        &self,
        keys: &Keys,
        at: usize,
        ts: Timestamp,
        allowed: impl Fn(u64) -> bool,
    ) -> Lookup {
        let outcome = self.delete_frozen(keys, at, ts, allowed);
        self.touch(ts);
        outcome
    }

    /// [`Self::delete`] by a record of a later generation: [`Self::max_ts`] stays, since it is the
    /// timestamp up to which a flush of this memtable makes the manifest complete.
    pub fn delete_frozen(
        &self,
        keys: &Keys,
        at: usize,
        ts: Timestamp,
        allowed: impl Fn(u64) -> bool,
    ) -> Lookup {
        let mut inner = self.inner.write();
        let Some(position) = inner.positions.get(keys, at) else { return Lookup::Unknown };
        let chunk = inner.chunks.partition_point(|c| c.start <= position);
        let partition = chunk.checked_sub(1).map(|c| inner.chunks[c].partition_id);
        if partition.is_some_and(|p| !allowed(p)) {
            return Lookup::Deleted;
        }
        if inner.deletes.add(position, ts) { Lookup::Alive } else { Lookup::Deleted }
    }

    /// Notes a record that changed only other places, and its bytes in the log.
    pub fn note(&self, ts: Timestamp, record_bytes: usize) {
        self.inner.write().bytes += record_bytes;
        self.touch(ts);
    }

    fn touch(&self, ts: Timestamp) {
        let mut inner = self.inner.write();
        inner.max_ts = inner.max_ts.max(ts);
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> usize {
        self.inner.read().rows as usize
    }

    /// Bytes, about.
    pub fn bytes(&self) -> usize {
        self.inner.read().bytes
    }

    /// Newest timestamp of a row or delete; 0: no record came.
    pub fn max_ts(&self) -> Timestamp {
        self.inner.read().max_ts
    }

    /// Rows of the partitions that `counts`, without those that were deleted or replaced.
    pub fn living_rows(&self, counts: impl Fn(u64) -> bool) -> usize {
        let inner = self.inner.read();
        let living = |c: &Arc<Chunk>| {
            c.rows() - inner.deletes.len_between(c.start, c.start + c.rows() as u32)
        };
        inner.chunks.iter().filter(|c| counts(c.partition_id)).map(living).sum()
    }

    /// Deletes `(timestamp, position)` after a timestamp.
    pub fn deletes_after(&self, at: Timestamp) -> Vec<(Timestamp, u32)> {
        self.inner.read().deletes.after(at).to_vec()
    }

    /// Its rows as a snapshot at a timestamp sees them.
    pub fn units_at(&self, at: Timestamp) -> Vec<MemtableUnit> {
        let inner = self.inner.read();
        let alive = inner.deletes.alive_at(inner.rows as usize, at);
        let mut units = Vec::with_capacity(inner.chunks.len());
        for chunk in &inner.chunks {
            let visible = chunk.rows_at(at);
            if visible == 0 {
                break;
            }
            let bits = alive.bits().slice(chunk.start as usize, chunk.rows());
            let mut rows = RowSet::from_bits(bits);
            if visible < chunk.rows() {
                rows = rows.and(&RowSet::range(chunk.rows(), 0, visible));
            }
            if rows.count() > 0 {
                units.push(MemtableUnit { chunk: chunk.clone(), alive: rows });
            }
        }
        units
    }
}

impl Inner {
    fn push(&mut self, chunk: Chunk, key_column: usize) {
        let mut last = chunk;
        // Joining only chunks of like size copies each row a logarithmic number of times.
        while let Some(before) = self.chunks.last() {
            let rows = before.rows() + last.rows();
            let join = before.partition_id == last.partition_id
                && rows <= CHUNK_ROWS
                && before.rows() <= 2 * last.rows()
                && batch_bytes(&before.batch) + batch_bytes(&last.batch) <= CHUNK_BYTES;
            if !join {
                break;
            }
            // Joining is only an economy: columns too large for one array stay apart.
            let Ok(joined) = before.join(&last, key_column) else { break };
            last = joined;
            self.chunks.pop();
        }
        self.chunks.push(Arc::new(last));
    }
}

/// Bytes of the rows of a batch, without the parts of shared buffers that they do not use.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};

    fn batch(ids: &[i64]) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        RecordBatch::try_from_iter([("id", ids)]).unwrap()
    }

    fn visible(memtable: &Memtable, at: Timestamp) -> Vec<i64> {
        let mut ids = Vec::new();
        for unit in memtable.units_at(at) {
            let Keys::Int(keys) = &unit.chunk.keys else { panic!() };
            ids.extend(unit.alive.iter().map(|r| keys.value(r)));
        }
        ids
    }

    #[test]
    fn each_timestamp_sees_its_own_rows_whatever_comes_later() {
        let memtable = Memtable::new(1, 0, 0);
        let all = |_| true;
        assert_eq!(memtable.append(batch(&[1, 2]), 7, 10).unwrap(), vec![0, 1]);
        assert_eq!(memtable.append(batch(&[2, 3]), 7, 20).unwrap(), vec![1]);
        let keys = Keys::Int(Int64Array::from(vec![1, 9]));
        assert_eq!(memtable.delete(&keys, 0, 30, all), Lookup::Alive);
        assert_eq!(memtable.delete(&keys, 0, 31, all), Lookup::Deleted);
        assert_eq!(memtable.delete(&keys, 1, 31, all), Lookup::Unknown);
        assert_eq!(visible(&memtable, 9), Vec::<i64>::new());
        assert_eq!(visible(&memtable, 10), vec![1, 2]);
        assert_eq!(visible(&memtable, 20), vec![1, 2, 3]);
        assert_eq!(visible(&memtable, 30), vec![2, 3]);
    }

    #[test]
    fn single_rows_are_joined_into_few_chunks() {
        let memtable = Memtable::new(1, 0, 0);
        for id in 0..5_000 {
            memtable.append(batch(&[id]), 7, id as u64 + 1).unwrap();
        }
        assert!(memtable.inner.read().chunks.len() < 20);
        assert_eq!(visible(&memtable, 1_234).len(), 1_234);
    }
}
