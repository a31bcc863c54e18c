//! What users may know of a collection, taken from one manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::manifest::{IndexInfo, Manifest, PartitionInfo};
use crate::core::schema::CollectionSchema;
use crate::core::time::Timestamp;

/// A consistent copy of what a collection is.
#[derive(Debug, Clone)]
pub struct CollectionInfo {
    /// Number.
    pub id: u64,
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Schema.
    pub schema: Arc<CollectionSchema>,
    /// Properties as given.
    pub properties: BTreeMap<String, String>,
    /// Shards as asked for.
    pub shards: u32,
    /// Milvus's consistency level as asked for.
    pub consistency_level: u32,
    /// Partitions in order of creation.
    pub partitions: Vec<PartitionInfo>,
    /// Indexes in order of creation.
    pub indexes: Vec<IndexInfo>,
    /// When it was made.
    pub created_ts: Timestamp,
    /// When its schema last changed.
    pub schema_ts: Timestamp,
    /// Whether it serves searches over the wire.
    pub loaded: bool,
    /// With `loaded`: only these partitions; none: all.
    pub loaded_partitions: Vec<u64>,
    /// Whether it was released and not loaded since.
    pub released: bool,
}

impl From<&Manifest> for CollectionInfo {
    fn from(m: &Manifest) -> Self {
        Self {
            id: m.collection_id,
            database: m.database.clone(),
            name: m.name.clone(),
            aliases: m.aliases.clone(),
            schema: m.schema.clone(),
            properties: m.properties.clone(),
            shards: m.shards,
            consistency_level: m.consistency_level,
            partitions: m.partitions.clone(),
            indexes: m.indexes.clone(),
            created_ts: m.created_ts,
            schema_ts: m.schema_ts,
            loaded: m.loaded,
            loaded_partitions: m.loaded_partitions.clone(),
            released: m.released,
        }
    }
}
