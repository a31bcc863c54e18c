//! The local catalog: databases, which collections exist, and the newest id given.
//!
//! Everything about one collection is in its manifest; the catalog only says that it exists.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::disk::{CATALOG, Entry, Persist};
use super::local::LocalDb;
use crate::core::error::{Error, Result};
use crate::core::runtime;
use crate::core::time::Timestamp;

/// A database as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// Number.
    pub id: u64,
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_ts: Timestamp,
    /// Properties as given.
    pub properties: BTreeMap<String, String>,
}

/// The catalog's content.
#[derive(Debug, Clone, Default)]
pub struct CatalogContent {
    /// Id of the store that this catalog belongs to; none in a fresh catalog.
    pub store_id: Option<String>,
    /// Databases by name.
    pub databases: BTreeMap<String, DatabaseRecord>,
    /// Ids of the collections that exist, each with a version that was published for sure.
    pub collections: BTreeMap<u64, u64>,
    /// Records that a face of the store keeps here, by key.
    pub records: BTreeMap<String, Vec<u8>>,
}

const STORE_ID: &str = "store_id";
const WRITER_ID: &str = "writer_id";
const DATABASE: &str = "database/";
const COLLECTION: &str = "collection/";
const RECORD: &str = "record/";

/// The catalog in the local database. Every change is durable when the call returns.
#[derive(Debug, Clone)]
pub struct Catalog {
    local: LocalDb,
}

impl Catalog {
    /// The catalog of a local database.
    pub fn new(local: LocalDb) -> Self {
        Self { local }
    }

    /// Reads all of it.
    pub fn load(&self) -> Result<CatalogContent> {
        let mut content = CatalogContent::default();
        self.local.scan(CATALOG, b"", &mut |key, value| {
            let bad = |why: String| Error::corrupted("the local catalog", why);
            let key = std::str::from_utf8(key).map_err(|e| bad(e.to_string()))?;
            if key == STORE_ID {
                content.store_id = Some(String::from_utf8_lossy(value).into_owned());
            } else if key.starts_with(DATABASE) {
                let record: DatabaseRecord =
                    serde_json::from_slice(value).map_err(|e| bad(format!("{key}: {e}")))?;
                content.databases.insert(record.name.clone(), record);
            } else if let Some(id) = key.strip_prefix(COLLECTION) {
                let id = id.parse().map_err(|e| bad(format!("{key}: {e}")))?;
                let version = value.try_into().map_or(0, u64::from_be_bytes);
                content.collections.insert(id, version);
            } else if let Some(name) = key.strip_prefix(RECORD) {
                content.records.insert(name.to_string(), value.to_vec());
            }
            Ok(())
        })?;
        Ok(content)
    }

    fn put(&self, key: String, value: Vec<u8>) -> Result<()> {
        self.local.write(vec![change(key, Some(value))], Persist::Data)
    }

    fn remove(&self, key: String) -> Result<()> {
        self.local.write(vec![change(key, None)], Persist::Data)
    }

    /// Id of this local database, made at first use: no other writer of the same store has it.
    pub fn writer_id(&self) -> Result<String> {
        if let Some(id) = self.local.get(CATALOG, WRITER_ID.as_bytes())? {
            return Ok(String::from_utf8_lossy(&id).into_owned());
        }
        let id = format!("{:016x}", runtime::random_id());
        self.put(WRITER_ID.into(), id.clone().into_bytes())?;
        Ok(id)
    }

    /// Binds the catalog to a store.
    pub fn set_store_id(&self, id: &str) -> Result<()> {
        self.put(STORE_ID.into(), id.into())
    }

    /// Adds or replaces a database.
    pub fn put_database(&self, record: &DatabaseRecord) -> Result<()> {
        let value = serde_json::to_vec(record)
            .map_err(|e| Error::internal(format!("a database record cannot be written: {e}")))?;
        self.put(format!("{DATABASE}{}", record.name), value)
    }

    /// Removes a database.
    pub fn remove_database(&self, name: &str) -> Result<()> {
        self.remove(format!("{DATABASE}{name}"))
    }

    /// Sets records and, where there is no value, removes them: all of them or none.
    pub fn change_records(&self, changes: &[(String, Option<Vec<u8>>)]) -> Result<()> {
        let entries =
            changes.iter().map(|(name, value)| change(format!("{RECORD}{name}"), value.clone()));
        self.local.write(entries.collect(), Persist::Data)
    }

    /// Notes that a collection exists.
    pub fn put_collection(&self, id: u64) -> Result<()> {
        self.put(format!("{COLLECTION}{id}"), Vec::new())
    }

    /// Notes that a version of a collection is published, so that its loss is noticed. Not synced: after a
    /// power failure an older version may stand here, never a newer one than was published.
    pub fn note_version(local: &LocalDb, id: u64, version: u64) -> Result<()> {
        let entry = change(format!("{COLLECTION}{id}"), Some(version.to_be_bytes().to_vec()));
        local.write(vec![entry], Persist::Buffer)
    }

    /// Notes that a collection exists no more.
    pub fn remove_collection(&self, id: u64) -> Result<()> {
        self.remove(format!("{COLLECTION}{id}"))
    }
}

fn change(key: String, value: Option<Vec<u8>>) -> Entry {
    Entry { table: CATALOG.into(), key: key.into_bytes(), value: value.map(Bytes::from) }
}
