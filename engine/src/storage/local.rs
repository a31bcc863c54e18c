//! The fjall database beside a store: one home for its opening and its options.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use parking_lot::RwLock;

use super::disk::{CATALOG, Disk, Each, Entry, Persist};
use crate::core::error::{Error, Result};

/// A log generation is dropped whole when its rows are flushed, so it need not reach fjall's tables.
const LOG_MEMTABLE_BYTES: u64 = 2 << 30;
/// Catalog entry that is written only to move the sequence number on.
pub(super) const ANCHOR: &str = "anchor";
/// More sequence numbers than fjall uses for one change of keyspaces.
const BURNED_ANCHORS: usize = 64;
/// Bytes of journals after which fjall writes stragglers out.
const JOURNAL_BYTES: u64 = 4 << 30;

/// The local database: log generations and the catalog. Cheap to copy.
#[derive(Clone)]
pub struct LocalDb(Arc<dyn Disk>);

impl std::fmt::Debug for LocalDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalDb")
    }
}

impl std::ops::Deref for LocalDb {
    type Target = dyn Disk;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl LocalDb {
    /// Opens or makes the database in a folder.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self(Arc::new(FjallDisk::open(folder)?)))
    }

    /// Over another disk, which has the table of the catalog from here on.
    pub fn over(disk: Arc<dyn Disk>) -> Result<Self> {
        disk.open_table(CATALOG)?;
        Ok(Self(disk))
    }
}

/// Tables as keyspaces of fjall.
struct FjallDisk {
    folder: PathBuf,
    db: Database,
    catalog: Keyspace,
    open: RwLock<HashMap<String, Keyspace>>,
}

impl FjallDisk {
    fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::storage(format!("cannot make {}", folder.display()), e))?;
        let db = Database::builder(folder)
            .worker_threads(1)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(|e| match e {
                fjall::Error::Locked => Error::fenced(format!(
                    "{} is in use by another process: stop it first",
                    folder.display()
                )),
                e => Error::from(e).context(folder.display()),
            })?;
        let catalog = db.keyspace(CATALOG, KeyspaceCreateOptions::default)?;
        // A crash may have come between a change of keyspaces and its anchor.
        for _ in 0..BURNED_ANCHORS {
            catalog.insert(ANCHOR, b"")?;
        }
        db.persist(PersistMode::SyncData)?;
        let open = RwLock::new(HashMap::from([(CATALOG.to_string(), catalog.clone())]));
        Ok(Self { folder: folder.to_path_buf(), db, catalog, open })
    }

    /// To be called after keyspaces were made or deleted. At recovery fjall takes its sequence number from
    /// the keyspaces that live; without a later entry in one of them it would go back behind the entries
    /// that it made for deleted ones, and a new keyspace could be taken for a deleted one.
    fn anchor(&self) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.catalog, ANCHOR, b"".as_slice());
        Ok(batch.commit()?)
    }

    fn table(&self, name: &str) -> Result<Keyspace> {
        let open = self.open.read();
        let missing = || Error::internal(format!("table {name} of the local log is not open"));
        open.get(name).cloned().ok_or_else(missing)
    }
}

fn mode(persist: Persist) -> PersistMode {
    match persist {
        Persist::Buffer => PersistMode::Buffer,
        Persist::Data => PersistMode::SyncData,
        Persist::All => PersistMode::SyncAll,
    }
}

impl Disk for FjallDisk {
    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }

    fn tables(&self) -> Vec<String> {
        self.db.list_keyspace_names().iter().map(|name| name.to_string()).collect()
    }

    fn open_table(&self, name: &str) -> Result<()> {
        let new = !self.db.keyspace_exists(name);
        let options = || KeyspaceCreateOptions::default().max_memtable_size(LOG_MEMTABLE_BYTES);
        let keyspace = self.db.keyspace(name, options)?;
        self.open.write().insert(name.to_string(), keyspace);
        if new { self.anchor() } else { Ok(()) }
    }

    fn drop_tables(&self, names: &[Arc<str>]) -> Result<()> {
        for name in names {
            if let Some(keyspace) = self.open.write().remove(name.as_ref()) {
                self.db.delete_keyspace(keyspace)?;
            }
        }
        self.anchor()?;
        // A rotation of any keyspace lets fjall seal a long journal; sealed ones whose keyspaces are
        // all dropped or written out are removed.
        self.catalog.rotate_memtable()?;
        Ok(())
    }

    fn write(&self, entries: Vec<Entry>, persist: Persist) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(mode(persist)));
        let mut at: Option<(Arc<str>, Keyspace)> = None;
        for Entry { table, key, value } in entries {
            let keyspace = match at.take() {
                Some((name, keyspace)) if name == table => keyspace,
                _ => match self.open.read().get(table.as_ref()) {
                    Some(keyspace) => keyspace.clone(),
                    None => continue,
                },
            };
            match value {
                Some(value) => batch.insert(&keyspace, key, value),
                None => batch.remove(&keyspace, key),
            }
            at = Some((table, keyspace));
        }
        Ok(batch.commit()?)
    }

    fn sync(&self, persist: Persist) -> Result<()> {
        Ok(self.db.persist(mode(persist))?)
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = self.db.snapshot().get(&self.table(table)?, key)?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn first_key(&self, table: &str, from: &[u8]) -> Result<Option<Vec<u8>>> {
        let first = self.db.snapshot().range(&self.table(table)?, from.to_vec()..).next();
        Ok(first.map(|entry| entry.key()).transpose()?.map(|key| key.to_vec()))
    }

    fn scan(&self, table: &str, from: &[u8], each: Each<'_>) -> Result<()> {
        let snapshot = self.db.snapshot();
        for entry in snapshot.range(&self.table(table)?, from.to_vec()..) {
            let (key, value) = entry.into_inner()?;
            each(&key, &value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_a_dropped_table_do_not_stop_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let db = LocalDb::open(folder.path()).unwrap();
        let name = |n: u64| -> Arc<str> { format!("log/{n}/1").into() };
        let entry = |n| Entry { table: name(n), key: vec![1], value: Some(vec![2].into()) };
        (1..=3).for_each(|n| db.open_table(&name(n)).unwrap());
        db.drop_tables(&[name(2)]).unwrap();
        db.write(vec![entry(1), entry(2), entry(3), entry(2), entry(1)], Persist::Data).unwrap();
        assert_eq!(db.get(&name(1), &[1]).unwrap(), Some(vec![2]));
        assert_eq!(db.get(&name(3), &[1]).unwrap(), Some(vec![2]));
    }
}
