//! The log of one collection: generations of records in the order of timestamps.
//!
//! A generation ends when its memtable is frozen and goes when that is flushed. Where it was small its table is
//! emptied and serves a later generation: fjall keeps what it knew of a table for as long as it runs, so that
//! its list of them would grow with every flush. Which generation a table holds is told by its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::catalog::Catalog;
use super::disk::{Entry, Persist};
use super::log::{LogWriter, Pending, Progress};
use crate::core::error::{Error, Result};
use crate::core::time::Timestamp;

/// The log of one collection.
#[derive(Debug)]
pub struct CollectionLog {
    writer: Arc<LogWriter>,
    collection: u64,
    tables: Mutex<Tables>,
    progress: Arc<Progress>,
}

/// The tables of a collection.
#[derive(Debug, Default)]
struct Tables {
    generations: BTreeMap<u64, Generation>,
    /// Those that hold nothing.
    free: Vec<Arc<str>>,
    /// The highest number that a table has in its name.
    highest: u64,
}

#[derive(Debug)]
struct Generation {
    table: Arc<str>,
    /// Bytes of its records; none: it was there before, and nobody has counted.
    bytes: Option<u64>,
}

impl CollectionLog {
    /// Opens the log of a collection; `flushed_ts` is what its manifest holds.
    pub fn open(writer: Arc<LogWriter>, collection: u64, flushed_ts: Timestamp) -> Result<Self> {
        let prefix = format!("log/{collection}/");
        let mut tables = Tables::default();
        let mut filled = Vec::new();
        for name in writer.local.tables() {
            let number = name.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok());
            let Some(number) = number else { continue };
            writer.local.open_table(&name)?;
            tables.highest = tables.highest.max(number);
            if writer.local.first_key(&name, &[])?.is_none() {
                tables.free.push(name.into());
                continue;
            }
            // A table may hold what is flushed already beside a later generation, which alone counts.
            let first = writer.local.first_key(&name, &(flushed_ts + 1).to_be_bytes())?;
            filled.push((first, number, name));
        }
        filled.sort();
        let generations = (1..).zip(filled);
        tables.generations = generations
            .map(|(at, (_, _, name))| (at, Generation { table: name.into(), bytes: None }))
            .collect();
        let progress = Arc::new(Progress::new(flushed_ts));
        Ok(Self { writer, collection, tables: Mutex::new(tables), progress })
    }

    /// How far it is durable.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Whether it holds any record.
    pub fn has_records(&self) -> Result<bool> {
        for table in self.filled() {
            if self.writer.local.first_key(&table, &[])?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tables of the generations, in order.
    fn filled(&self) -> Vec<Arc<str>> {
        self.tables.lock().generations.values().map(|g| g.table.clone()).collect()
    }

    /// Hands every record after `flushed_ts` to `apply`, in order.
    pub fn replay(
        &self,
        flushed_ts: Timestamp,
        mut apply: impl FnMut(Timestamp, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let from = (flushed_ts + 1).to_be_bytes();
        for table in self.filled() {
            self.writer.local.scan(&table, &from, &mut |key, value| {
                let key: [u8; 8] = key
                    .try_into()
                    .map_err(|_| Error::corrupted("the local log", "a record's key"))?;
                let ts = Timestamp::from_be_bytes(key);
                apply(ts, value)?;
                self.progress.advance(ts);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Notes beside the log that a version of the collection is published.
    pub fn note_version(&self, version: u64) -> Result<()> {
        Catalog::note_version(&self.writer.local, self.collection, version)
    }

    /// Starts a new generation and returns its number.
    pub fn begin_generation(&self) -> Result<u64> {
        let mut tables = self.tables.lock();
        let table = match tables.free.pop() {
            Some(table) => table,
            None => {
                let name = format!("log/{}/{}", self.collection, tables.highest + 1);
                self.writer.local.open_table(&name)?;
                tables.highest += 1;
                name.into()
            }
        };
        let number = tables.generations.last_key_value().map_or(1, |(n, _)| n + 1);
        tables.generations.insert(number, Generation { table, bytes: Some(0) });
        Ok(number)
    }

    /// Queues a record; [`Progress::wait`] tells when it is durable. Calls must be in the order of `ts`.
    pub fn append(&self, generation: u64, ts: Timestamp, record: Bytes) -> Result<()> {
        let table = {
            let mut tables = self.tables.lock();
            let generation = tables.generations.get_mut(&generation);
            let gone = || Error::internal("a write to a log generation that is gone");
            let generation = generation.ok_or_else(gone)?;
            generation.bytes = generation.bytes.map(|bytes| bytes + record.len() as u64);
            generation.table.clone()
        };
        self.writer.send(Pending { table, ts, record, progress: self.progress.clone() })
    }

    /// Lets go of generations up to and with this one; their rows must be in published segments.
    pub fn drop_generations(&self, through: u64) -> Result<()> {
        let dropped = {
            let mut tables = self.tables.lock();
            let keep = tables.generations.split_off(&(through + 1));
            std::mem::replace(&mut tables.generations, keep)
        };
        let most = self.writer.reuse_max_bytes;
        let small = |generation: &Generation| generation.bytes.is_some_and(|bytes| bytes < most);
        let (small, large): (Vec<_>, Vec<_>) = dropped.into_values().partition(small);
        let names = |of: Vec<Generation>| of.into_iter().map(|g| g.table).collect::<Vec<_>>();
        let large = names(large);
        if !large.is_empty() {
            self.writer.local.drop_tables(&large)?;
        }
        self.empty(names(small))
    }

    /// Removes all records of tables, which may then be used again.
    fn empty(&self, tables: Vec<Arc<str>>) -> Result<()> {
        let mut gone = Vec::new();
        for table in &tables {
            self.writer.local.scan(table, &[], &mut |key, _| {
                gone.push(Entry { table: table.clone(), key: key.to_vec(), value: None });
                Ok(())
            })?;
        }
        if !gone.is_empty() {
            self.writer.local.write(gone, Persist::Data)?;
        }
        self.tables.lock().free.extend(tables);
        Ok(())
    }

    /// Drops everything, with the collection.
    pub fn drop_all(&self) -> Result<()> {
        let Tables { generations, free, .. } = std::mem::take(&mut *self.tables.lock());
        let tables: Vec<_> = generations.into_values().map(|g| g.table).chain(free).collect();
        match tables.is_empty() {
            true => Ok(()),
            false => self.writer.local.drop_tables(&tables),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::local::LocalDb;
    use super::*;
    use crate::core::settings::LogSettings;

    fn writer(folder: &std::path::Path, reuse_max_bytes: u64) -> Arc<LogWriter> {
        let settings = LogSettings { reuse_max_bytes, ..LogSettings::default() };
        Arc::new(LogWriter::start(LocalDb::open(folder).unwrap(), &settings).unwrap())
    }

    async fn write(log: &CollectionLog, generation: u64, ts: Timestamp) {
        log.append(generation, ts, ts.to_be_bytes().to_vec().into()).unwrap();
        log.progress().wait(ts).await.unwrap();
    }

    fn replayed(log: &CollectionLog, flushed_ts: Timestamp) -> Vec<Timestamp> {
        let mut seen = Vec::new();
        log.replay(flushed_ts, |ts, record| {
            assert_eq!(record, ts.to_be_bytes());
            seen.push(ts);
            Ok(())
        })
        .unwrap();
        seen
    }

    #[tokio::test]
    async fn tables_serve_again_and_their_records_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        {
            let writer = writer(folder.path(), 1 << 20);
            let log = CollectionLog::open(writer.clone(), 7, 0).unwrap();
            let mut ts = 0;
            let mut newest = 0;
            for _ in 0..20 {
                newest = log.begin_generation().unwrap();
                for _ in 0..3 {
                    ts += 1;
                    write(&log, newest, ts).await;
                }
                if newest > 2 {
                    log.drop_generations(newest - 2).unwrap();
                }
            }
            // Two living generations and one that is dropped while a third begins.
            assert!(writer.local.tables().len() <= 5, "{:?}", writer.local.tables());
            assert_eq!((newest, replayed(&log, 0)), (20, (55..=60).collect()));
            writer.stop().unwrap();
        }
        let writer = writer(folder.path(), 1 << 20);
        let log = CollectionLog::open(writer.clone(), 7, 57).unwrap();
        assert!(log.has_records().unwrap());
        assert_eq!(replayed(&log, 57), [58, 59, 60]);
        let next = log.begin_generation().unwrap();
        write(&log, next, 61).await;
        assert_eq!(replayed(&log, 57), [58, 59, 60, 61]);
        log.drop_generations(next).unwrap();
        assert!(!log.has_records().unwrap());
        log.drop_all().unwrap();
        assert_eq!(writer.local.tables(), ["catalog"]);
    }

    #[tokio::test]
    async fn tables_of_large_generations_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path(), 20);
        let log = CollectionLog::open(writer.clone(), 7, 0).unwrap();
        for ts in [1, 4] {
            let generation = log.begin_generation().unwrap();
            for ts in ts..ts + 3 {
                write(&log, generation, ts).await;
            }
            log.drop_generations(generation).unwrap();
            assert_eq!(writer.local.tables(), ["catalog"]);
        }
    }
}
