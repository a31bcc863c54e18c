//! What the log and the catalog ask of the local disk: small tables, and batches that are written whole.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::error::Result;

/// The table of the catalog; all others are log generations.
pub const CATALOG: &str = "catalog";

/// How far a write has to have come when its call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persist {
    /// In the operating system's hands.
    Buffer,
    /// Its data on stable storage, with all that was written before it.
    Data,
    /// The same, and the file's description too.
    All,
}

/// A change of one entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Table.
    pub table: Arc<str>,
    /// Key.
    pub key: Vec<u8>,
    /// Value; none: the key goes.
    pub value: Option<Bytes>,
}

/// Is handed the key and the value of one entry after another.
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// Tables of ordered keys on one journal.
///
/// A batch is there whole or not at all, also after a crash. Of what was not brought to stable storage a crash
/// leaves the oldest part, which may be nothing. Making and dropping a table are changes in that order too.
pub trait Disk: Send + Sync {
    /// The folder in a file system that the tables are in, if they are in one.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Names of the tables.
    fn tables(&self) -> Vec<String>;
    /// Opens a table, which is made if it is not there.
    fn open_table(&self, name: &str) -> Result<()>;
    /// Drops tables with all that they hold; those that are not there are passed over.
    fn drop_tables(&self, names: &[Arc<str>]) -> Result<()>;
    /// Writes all entries or none. Those of tables that were dropped are left out.
    fn write(&self, entries: Vec<Entry>, persist: Persist) -> Result<()>;
    /// Brings everything written before to stable storage.
    fn sync(&self, persist: Persist) -> Result<()>;
    /// The value of a key.
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// The first key of a table from a key on.
    fn first_key(&self, table: &str, from: &[u8]) -> Result<Option<Vec<u8>>>;
    /// Hands out the entries of a table from a key on, in order.
    fn scan(&self, table: &str, from: &[u8], each: Each<'_>) -> Result<()>;
}
