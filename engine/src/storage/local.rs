//! The fjall database beside a store: one home for its opening and its options.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::core::error::{Error, Result};

/// A log generation is dropped whole when its rows are flushed, so it need not reach fjall's tables.
const LOG_MEMTABLE_BYTES: u64 = 2 << 30;
/// Catalog entry that is written only to move the sequence number on.
pub(super) const ANCHOR: &str = "anchor";
/// More sequence numbers than fjall uses for one change of keyspaces.
const BURNED_ANCHORS: usize = 64;
/// Bytes of journals after which fjall writes stragglers out.
const JOURNAL_BYTES: u64 = 4 << 30;

/// The local database: log generations and the catalog.
#[derive(Clone)]
pub struct LocalDb {
    pub(super) db: Database,
    catalog: Keyspace,
}

impl std::fmt::Debug for LocalDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LocalDb")
    }
}

impl LocalDb {
    /// Opens or makes the database in a folder.
    pub fn open(folder: &Path) -> Result<Self> {
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
        let catalog = db.keyspace("catalog", KeyspaceCreateOptions::default)?;
        let local = Self { db, catalog };
        // A crash may have come between a change of keyspaces and its anchor.
        for _ in 0..BURNED_ANCHORS {
            local.catalog.insert(ANCHOR, b"")?;
        }
        local.db.persist(PersistMode::SyncData)?;
        Ok(local)
    }

    /// To be called after keyspaces were made or deleted. At recovery fjall takes its sequence number from
    /// the keyspaces that live; without a later entry in one of them it would go back behind the entries
    /// that it made for deleted ones, and a new keyspace could be taken for a deleted one.
    pub(super) fn anchor(&self) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.catalog, ANCHOR, b"".as_slice());
        Ok(batch.commit()?)
    }

    /// The keyspace of the catalog.
    pub(super) fn catalog(&self) -> &Keyspace {
        &self.catalog
    }

    /// A keyspace for log records.
    pub(super) fn log_keyspace(&self, name: &str) -> Result<Keyspace> {
        Ok(self.db.keyspace(name, || {
            KeyspaceCreateOptions::default().max_memtable_size(LOG_MEMTABLE_BYTES)
        })?)
    }

    /// Gives the journal's space back after log generations were dropped.
    pub(super) fn trim_journal(&self) -> Result<()> {
        self.anchor()?;
        // A rotation of any keyspace lets fjall seal a long journal; sealed ones whose keyspaces are
        // all dropped or written out are removed.
        self.catalog.rotate_memtable()?;
        Ok(())
    }
}
