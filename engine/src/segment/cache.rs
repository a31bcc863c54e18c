//! Columns, vector codes and scalar indexes of segments in memory, the least used given up first.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef};
use parking_lot::Mutex;

use crate::core::budget::{Budget, Use};
use crate::index::cluster::{CodedRows, Joined};
use crate::index::scalar::ScalarIndex;

/// Segment folder and column, file of codes, or scalar index.
pub type ColumnKey = (String, String);

/// Locks under which columns are read, so that several who want the same one read it once.
const LOADERS: usize = 64;

/// Whole columns and codes of segments, up to a number of bytes.
#[derive(Debug)]
pub struct ColumnCache {
    capacity_bytes: usize,
    budget: Arc<Budget>,
    state: Mutex<State>,
    loading: [tokio::sync::Mutex<()>; LOADERS],
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<ColumnKey, Entry>,
    bytes: usize,
    tick: u64,
}

/// A whole column of a segment, in parts of neighbouring rows.
pub type Column = Arc<[ArrayRef]>;

#[derive(Debug, Clone)]
enum Kept {
    Column(Column),
    Codes(Arc<CodedRows>),
    Index(Arc<ScalarIndex>),
    Joined(Arc<Joined>),
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    bytes: usize,
    used: u64,
}

impl ColumnCache {
    /// An empty cache.
    pub fn new(capacity_bytes: usize) -> Self {
        Self::within(capacity_bytes, Budget::unlimited())
    }

    /// An empty cache that holds at most so many bytes, and less while others need the budget.
    pub fn within(capacity_bytes: usize, budget: Arc<Budget>) -> Self {
        let loading = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { capacity_bytes, budget, state: Mutex::default(), loading }
    }

    /// Held by whoever reads a column that is not here; others that want it then find it here.
    pub async fn loading(&self, key: &ColumnKey) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.loading[hasher.finish() as usize % LOADERS].lock().await
    }

    /// Whether a column is here, without counting as a use of it.
    pub fn holds(&self, key: &ColumnKey) -> bool {
        self.state.lock().entries.contains_key(key)
    }

    /// The most that it may hold now.
    pub fn room_bytes(&self) -> usize {
        self.capacity_bytes.min(self.budget.cache_room_bytes())
    }

    /// Gives up what it may no longer hold.
    pub fn trim(&self) {
        let room = self.room_bytes();
        let mut state = self.state.lock();
        state.shrink(room);
        self.budget.set(Use::Cache, state.bytes);
    }

    /// A column, if it is there.
    pub fn get(&self, key: &ColumnKey) -> Option<Column> {
        match self.touch(key)? {
            Kept::Column(column) => Some(column),
            _ => None,
        }
    }

    /// Codes, if they are there.
    pub fn get_codes(&self, key: &ColumnKey) -> Option<Arc<CodedRows>> {
        match self.touch(key)? {
            Kept::Codes(codes) => Some(codes),
            _ => None,
        }
    }

    /// A scalar index, if it is there.
    pub fn get_index(&self, key: &ColumnKey) -> Option<Arc<ScalarIndex>> {
        match self.touch(key)? {
            Kept::Index(index) => Some(index),
            _ => None,
        }
    }

    /// Joined codes, if they are there.
    pub fn get_joined(&self, key: &ColumnKey) -> Option<Arc<Joined>> {
        match self.touch(key)? {
            Kept::Joined(joined) => Some(joined),
            _ => None,
        }
    }

    fn touch(&self, key: &ColumnKey) -> Option<Kept> {
        let mut state = self.state.lock();
        state.tick += 1;
        let tick = state.tick;
        let entry = state.entries.get_mut(key)?;
        entry.used = tick;
        Some(entry.kept.clone())
    }

    /// Whether something of that many bytes may be kept without pushing out most of the rest.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        bytes <= self.room_bytes() / 2
    }

    /// Keeps a column; others go if there is no room. One larger than the cache is not kept.
    pub fn put(&self, key: ColumnKey, column: Column) {
        let bytes = column.iter().map(|part| part.get_array_memory_size()).sum();
        column.iter().for_each(|part| use_huge_pages(&part.to_data()));
        self.keep(key, Kept::Column(column), bytes);
    }

    /// Keeps codes, as [`Self::put`] does columns.
    pub fn put_codes(&self, key: ColumnKey, codes: Arc<CodedRows>) {
        let bytes = codes.size_bytes();
        codes.use_huge_pages();
        self.keep(key, Kept::Codes(codes), bytes);
    }

    /// Keeps a scalar index, as [`Self::put`] does columns; `false` if it is too large.
    pub fn put_index(&self, key: ColumnKey, index: Arc<ScalarIndex>) -> bool {
        let bytes = index.size_bytes();
        let fits = self.has_room_for(bytes);
        if fits {
            self.keep(key, Kept::Index(index), bytes);
        }
        fits
    }

    /// Keeps joined codes, as [`Self::put`] does columns.
    pub fn put_joined(&self, key: ColumnKey, joined: Arc<Joined>) {
        let bytes = joined.size_bytes();
        joined.use_huge_pages();
        self.keep(key, Kept::Joined(joined), bytes);
    }

    /// Forgets one entry.
    pub fn remove(&self, key: &ColumnKey) {
        let mut state = self.state.lock();
        if let Some(entry) = state.entries.remove(key) {
            state.bytes -= entry.bytes;
            self.budget.set(Use::Cache, state.bytes);
        }
    }

    fn keep(&self, key: ColumnKey, kept: Kept, bytes: usize) {
        let room = self.room_bytes();
        if bytes > room {
            return;
        }
        let mut state = self.state.lock();
        state.tick += 1;
        let used = state.tick;
        if let Some(old) = state.entries.insert(key, Entry { kept, bytes, used }) {
            state.bytes -= old.bytes;
        }
        state.bytes += bytes;
        state.shrink(room);
        self.budget.set(Use::Cache, state.bytes);
    }

    /// Forgets the columns of a segment.
    pub fn remove_folder(&self, folder: &str) {
        let mut state = self.state.lock();
        let mut freed = 0;
        state.entries.retain(|(its_folder, _), entry| {
            let keep = its_folder != folder;
            freed += if keep { 0 } else { entry.bytes };
            keep
        });
        state.bytes -= freed;
        self.budget.set(Use::Cache, state.bytes);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl State {
    fn shrink(&mut self, room: usize) {
        while self.bytes > room {
            let oldest = self.entries.iter().min_by_key(|(_, e)| e.used).map(|(k, _)| k.clone());
            let Some(oldest) = oldest else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

fn use_huge_pages(values: &ArrayData) {
    values.buffers().iter().for_each(|buffer| elanus_kernels::use_huge_pages(buffer));
    values.child_data().iter().for_each(use_huge_pages);
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn column(values: usize) -> Column {
        let part: ArrayRef = Arc::new(Int64Array::from(vec![1; values]));
        [part].into()
    }

    #[test]
    fn the_least_used_column_goes_first_and_bytes_stay_below_the_capacity() {
        let cache = ColumnCache::new(3 * column(100)[0].get_array_memory_size());
        let key = |n: usize| ("s".to_string(), n.to_string());
        for n in 0..3 {
            cache.put(key(n), column(100));
        }
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(3), column(100));
        assert!(cache.get(&key(1)).is_none());
        assert!(cache.get(&key(0)).is_some());
        cache.put(key(9), column(100_000));
        assert!(cache.get(&key(9)).is_none());
        cache.remove_folder("s");
        assert_eq!(cache.bytes(), 0);
    }
}
