//! An open store and its collections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::background::Background;
use crate::collection::rows::DEFAULT_PARTITION;
use crate::collection::{Collection, check, ddl};
use crate::core::budget::{Reservation, Use};
use crate::core::error::{Error, Result, Subject};
use crate::core::runtime::{self, CpuPools};
use crate::core::schema::CollectionSchema;
use crate::core::settings::Settings;
use crate::core::time::Timestamp;
use crate::lsm::commit;
use crate::lsm::manifest::{Manifest, PartitionInfo};
use crate::shard::context::StoreContext;
use crate::shard::open::Shard;
use crate::storage::catalog::{Catalog, DatabaseRecord};
use crate::storage::generations::CollectionLog;

/// Name of the database that always exists.
pub const DEFAULT_DATABASE: &str = "default";

/// How long a request waits for memory.
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);

/// How long closing waits for work that is under way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// A collection to be made.
#[derive(Debug, Clone)]
pub struct NewCollection {
    /// Name.
    pub name: String,
    /// Schema.
    pub schema: CollectionSchema,
    /// Properties, kept as given; `collection.ttl.seconds` is obeyed.
    pub properties: BTreeMap<String, String>,
    /// Shards asked for; 0: one.
    pub shards: u32,
    /// Milvus's consistency level, kept.
    pub consistency_level: u32,
    /// Partitions for a partition key; 0: 16.
    pub partitions: u32,
}

impl NewCollection {
    /// With everything else at its default.
    pub fn new(name: impl Into<String>, schema: CollectionSchema) -> Self {
        Self {
            name: name.into(),
            schema,
            properties: BTreeMap::new(),
            shards: 1,
            consistency_level: 2,
            partitions: 0,
        }
    }
}

/// An open store. Cheap to copy; all copies are one store.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub context: Arc<StoreContext>,
    pub catalog: Catalog,
    pub names: RwLock<Names>,
    /// Held by changes of names, so that two of them do not meet.
    pub ddl: tokio::sync::Mutex<()>,
    /// First manifests of collections whose making failed: they may be there or not.
    pub doubtful: Mutex<Vec<Manifest>>,
    pub background: Mutex<Option<Background>>,
}

/// Names in memory; the truth is in the catalog and the manifests.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub databases: BTreeMap<String, DatabaseRecord>,
    pub collections: BTreeMap<u64, Collection>,
    pub records: BTreeMap<String, Vec<u8>>,
}

impl Names {
    pub fn find(&self, database: &str, name: &str) -> Option<&Collection> {
        self.collections.values().find(|c| {
            let manifest = &c.shard.tree().manifest;
            manifest.database == database && manifest.name == name
        })
    }

    pub fn find_alias(&self, database: &str, alias: &str) -> Option<&Collection> {
        self.collections.values().find(|c| {
            let manifest = &c.shard.tree().manifest;
            manifest.database == database && manifest.aliases.iter().any(|a| a == alias)
        })
    }
}

impl Engine {
    /// Stops the background work, syncs the log and gives the right to write back. Rows in memtables stay
    /// in the log and are replayed at the next opening. What does not come to rest within some seconds is left
    /// as a crash would leave it.
    pub async fn close(&self) -> Result<()> {
        let background = self.inner.background.lock().take();
        let rest = async {
            if let Some(background) = background {
                background.stop().await;
            }
            for collection in self.all_collections() {
                collection.shard.settle().await;
            }
        };
        if runtime::within(CLOSE_PATIENCE, rest).await.is_none() {
            tracing::warn!(waited = ?CLOSE_PATIENCE, "closing with work still under way");
        }
        let log = self.inner.context.log.clone();
        runtime::blocking(move || log.stop()).await?;
        self.inner.context.lease.release().await
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.context.settings
    }

    /// Threads for CPU work.
    pub fn pools(&self) -> &CpuPools {
        &self.inner.context.pools
    }

    /// Memory for a request, which waits until others give it back; held until it is dropped.
    ///
    /// # Errors
    /// `LimitExceeded` if it could never fit into `memory.limit_bytes`; `Busy` if it did not become free in time.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.inner.context.files.reserve(Use::Requests, bytes, REQUEST_PATIENCE).await
    }

    /// A fresh timestamp.
    pub fn next_timestamp(&self) -> Timestamp {
        self.inner.context.next_timestamp()
    }

    /// The first of `count` timestamps in a row that are the caller's alone, as keys for rows.
    pub fn reserve_timestamps(&self, count: u64) -> Timestamp {
        let context = &self.inner.context;
        context.oracle.next_many(context.clock.now_ms(), count)
    }

    /// Milliseconds since 1970 by the store's clock.
    pub fn now_ms(&self) -> u64 {
        self.inner.context.clock.now_ms()
    }

    /// Makes a collection.
    pub async fn create_collection(
        &self,
        database: &str,
        new: NewCollection,
    ) -> Result<Collection> {
        let (engine, database) = (self.clone(), database.to_string());
        runtime::finish(async move { engine.create_now(&database, new).await }).await
    }

    async fn create_now(&self, database: &str, new: NewCollection) -> Result<Collection> {
        let limits = &self.settings().limits;
        check::check_schema(&new.schema, limits)?;
        ddl::check_properties(&new.properties)?;
        let _ddl = self.inner.ddl.lock().await;
        self.database(database)?;
        {
            let names = self.inner.names.read();
            check_free(&names, database, &new.name)?;
            if names.collections.len() >= limits.max_collections {
                return Err(Error::limit(
                    Subject::Collection,
                    format!(
                        "exceeded the limit number of collections[limit={}]",
                        limits.max_collections
                    ),
                ));
            }
        }
        let created_ts = self.next_timestamp();
        let mut manifest =
            first_manifest(database, new, created_ts, self.inner.context.writer_id.as_deref());
        manifest.epoch = manifest.epoch.max(self.inner.context.lease.number());
        self.inner.context.check_lease()?;
        self.settle_doubtful().await?;
        let made = Shard::create(self.inner.context.clone(), manifest.clone()).await;
        self.finish_making(manifest, made).await
    }

    /// Gives a new collection its name. If anything fails it may be there or not, which is settled later.
    pub(super) async fn finish_making(
        &self,
        first: Manifest,
        made: Result<Shard>,
    ) -> Result<Collection> {
        let id = first.collection_id;
        runtime::gate("create.manifest").await;
        let name = |shard| {
            // From here on it exists, unless another writer has taken over meanwhile.
            self.inner.context.check_lease()?;
            self.inner.catalog.put_collection(id).map(|()| shard)
        };
        let named = made.and_then(name);
        let shard = named.inspect_err(|_| self.inner.doubtful.lock().push(first))?;
        let collection = Collection::new(Arc::new(shard));
        self.inner.names.write().collections.insert(id, collection.clone());
        Ok(collection)
    }

    /// Sees to it that collections whose making failed are not there, so that none comes back under a name that
    /// has been given again.
    pub(super) async fn settle_doubtful(&self) -> Result<()> {
        let doubtful = self.inner.doubtful.lock().clone();
        for first in doubtful {
            let id = first.collection_id;
            let bucket = &self.inner.context.files.bucket;
            self.inner.context.check_lease()?;
            commit::unmake(bucket, &first).await?;
            self.inner.catalog.remove_collection(id)?;
            CollectionLog::open(self.inner.context.log.clone(), id, 0)?.drop_all()?;
            self.inner.doubtful.lock().retain(|d| d.collection_id != id);
        }
        Ok(())
    }

    /// A collection by its name or an alias.
    pub fn collection(&self, database: &str, name: &str) -> Result<Collection> {
        self.database(database)?;
        let names = self.inner.names.read();
        let found = names.find(database, name).or_else(|| names.find_alias(database, name));
        found.cloned().ok_or_else(|| no_collection(database, name))
    }

    /// The collections of a database in the order of their making.
    pub fn collections(&self, database: &str) -> Result<Vec<Collection>> {
        self.database(database)?;
        let names = self.inner.names.read();
        let all = names.collections.values();
        Ok(all.filter(|c| c.shard.tree().manifest.database == database).cloned().collect())
    }

    /// Every collection of the store.
    pub fn all_collections(&self) -> Vec<Collection> {
        self.inner.names.read().collections.values().cloned().collect()
    }

    /// Drops a collection and its aliases; its files go after the grace time.
    pub async fn drop_collection(&self, database: &str, name: &str) -> Result<()> {
        let (engine, database, name) = (self.clone(), database.to_string(), name.to_string());
        runtime::finish(async move { engine.drop_now(&database, &name).await }).await
    }

    async fn drop_now(&self, database: &str, name: &str) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.database(database)?;
        let collection = {
            let names = self.inner.names.read();
            if names.find_alias(database, name).is_some() {
                return Err(Error::invalid(
                    Subject::Alias,
                    format!("cannot drop the collection via alias = {name}"),
                ));
            }
            names.find(database, name).cloned().ok_or_else(|| no_collection(database, name))?
        };
        // Else an earlier try came as far as this.
        if !collection.shard.tree().manifest.dropped {
            collection.shard.alter(|manifest| Ok(manifest.dropped())).await?;
        }
        runtime::gate("drop.manifest").await;
        self.inner.catalog.remove_collection(collection.id())?;
        self.inner.names.write().collections.remove(&collection.id());
        runtime::gate("drop.catalog").await;
        collection.shard.discard().await
    }

    /// Gives a collection another name, in the same or another database.
    pub async fn rename_collection(
        &self,
        database: &str,
        name: &str,
        to_database: &str,
        to_name: &str,
    ) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.database(to_database)?;
        let collection = {
            let names = self.inner.names.read();
            check_free(&names, to_database, to_name)?;
            names.find(database, name).cloned().ok_or_else(|| no_collection(database, name))?
        };
        let edit = |manifest: &Manifest| {
            if database != to_database && !manifest.aliases.is_empty() {
                return Err(Error::precondition(
                    Subject::Collection,
                    "a collection with aliases cannot move to another database: drop them first",
                ));
            }
            let mut next = manifest.clone();
            next.database = to_database.into();
            next.name = to_name.into();
            Ok(next)
        };
        collection.shard.alter(edit).await.map(|_| ())
    }
}

pub(super) fn no_collection(database: &str, name: &str) -> Error {
    Error::not_found(
        Subject::Collection,
        format!("collection not found[database={database}][collection={name}]"),
    )
}

pub(super) fn check_free(names: &Names, database: &str, name: &str) -> Result<()> {
    if names.find(database, name).is_some() {
        return Err(Error::exists(
            Subject::Collection,
            format!("collection already exists[database={database}][collection={name}]"),
        ));
    }
    if names.find_alias(database, name).is_some() {
        return Err(Error::exists(
            Subject::Alias,
            format!(
                "collection name [{name}] conflicts with an existing alias, please choose a unique name"
            ),
        ));
    }
    Ok(())
}

fn first_manifest(
    database: &str,
    new: NewCollection,
    created_ts: Timestamp,
    writer: Option<&str>,
) -> Manifest {
    let mut schema = new.schema;
    schema.number_fields();
    let mut names = vec![DEFAULT_PARTITION.to_string()];
    if schema.partition_key().is_some() {
        let count = if new.partitions == 0 { 16 } else { new.partitions };
        names = (0..count).map(|n| format!("{DEFAULT_PARTITION}_{n}")).collect();
    }
    let partitions: Vec<PartitionInfo> = names
        .into_iter()
        .enumerate()
        .map(|(n, name)| PartitionInfo { id: n as u64 + 1, name, created_ts })
        .collect();
    Manifest {
        version: 1,
        epoch: 1,
        writer: writer.unwrap_or_default().into(),
        collection_id: created_ts,
        database: database.into(),
        name: new.name,
        aliases: Vec::new(),
        schema: Arc::new(schema),
        properties: new.properties,
        shards: new.shards.max(1),
        consistency_level: new.consistency_level,
        requested_partitions: new.partitions,
        next_object_id: partitions.len() as u64 + 1,
        partitions,
        indexes: Vec::new(),
        segments: Vec::new(),
        next_segment_id: 1,
        flushed_ts: created_ts,
        created_ts,
        schema_ts: created_ts,
        loaded: false,
        loaded_partitions: Vec::new(),
        released: false,
        dropped: false,
        codebooks: Vec::new(),
        exact_from_ts: created_ts,
        gap_from_ts: None,
        snapshots: Vec::new(),
        sources: Vec::new(),
    }
}
