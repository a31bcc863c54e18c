//! A manifest: one immutable version of a collection, with edits that return the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::key::Key;
use crate::core::schema::{CollectionSchema, DataType, DefaultValue};
use crate::core::time::Timestamp;
use crate::storage::frame;

/// Version of the bytes that this code writes.
pub const FORMAT_VERSION: u32 = 1;

/// The property that names the field of moments until which rows live.
pub const TTL_FIELD: &str = "ttl_field";

/// A file that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Name within the segment's folder.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// XXH3-64 of all bytes.
    pub xxh3: u64,
    /// Number of the collection in whose folder it lies; none: the manifest's own.
    pub owner: Option<u64>,
}

impl FileMeta {
    /// A file of the manifest's own collection with this content.
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        let (size_bytes, xxh3) = (bytes.len() as u64, frame::checksum(bytes));
        Self { name: name.into(), size_bytes, xxh3, owner: None }
    }

    /// [`Self::of`] for content in pieces.
    pub fn of_pieces(name: impl Into<String>, pieces: &[Bytes]) -> Self {
        let size_bytes = pieces.iter().map(|p| p.len() as u64).sum();
        Self { name: name.into(), size_bytes, xxh3: frame::checksum_of(pieces), owner: None }
    }

    /// Path in the bucket of a file of a segment.
    pub fn in_segment(&self, collection_id: u64, segment_id: u64) -> String {
        let owner = self.owner.unwrap_or(collection_id);
        format!("{}/{}", Manifest::segment_folder(owner, segment_id), self.name)
    }

    /// Path in the bucket of a file of a collection.
    pub fn in_collection(&self, collection_id: u64) -> String {
        format!("{}/{}", Manifest::folder(self.owner.unwrap_or(collection_id)), self.name)
    }
}

/// Bounds of a column in a segment, as the manifest keeps them.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnBounds {
    /// Column.
    pub column: String,
    /// Smallest and largest value; none when unknown.
    pub range: Option<(DefaultValue, DefaultValue)>,
    /// Number of nulls.
    pub nulls: u64,
}

/// A sealed segment as the manifest describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentMeta {
    /// Number, never used again.
    pub id: u64,
    /// Partition of all its rows.
    pub partition_id: u64,
    /// 0 from a flush, one more than its inputs' highest from a compaction.
    pub level: u32,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Smallest commit timestamp of a row.
    pub min_ts: Timestamp,
    /// Largest commit timestamp of a row.
    pub max_ts: Timestamp,
    /// The Lance file.
    pub data: FileMeta,
    /// Checksums of the Lance file's blocks; none in segments of older versions.
    pub sums: Option<FileMeta>,
    /// The key index.
    pub keys: FileMeta,
    /// The delete set, once a row is deleted.
    pub deletes: Option<FileMeta>,
    /// Entries in that file.
    pub deleted_rows: u64,
    /// Bounds by column.
    pub columns: Vec<ColumnBounds>,
    /// Timestamp of the schema it was written under.
    pub schema_ts: Timestamp,
    /// Smallest and largest primary key; none in a segment of no rows.
    pub key_range: Option<(Key, Key)>,
    /// Codes of its vectors, by field; a field without is scanned.
    pub indexes: Vec<VectorIndexMeta>,
}

impl SegmentMeta {
    /// Bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.files().map(|file| file.size_bytes).sum()
    }

    /// The files, by path within the segment's folder.
    pub fn files(&self) -> impl Iterator<Item = &FileMeta> {
        let indexes = self.indexes.iter().map(|i| &i.file);
        let always = [&self.data, &self.keys].into_iter();
        always.chain(&self.sums).chain(&self.deletes).chain(indexes)
    }
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Number.
    pub id: u64,
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_ts: Timestamp,
}

/// An index as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexInfo {
    /// Number.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Field.
    pub field: String,
    /// `index_type`, `metric_type`, …
    pub params: BTreeMap<String, String>,
}

/// The codes of a segment's vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorIndexMeta {
    /// Vector field.
    pub field: String,
    /// Codebook that they belong to.
    pub codebook_version: u64,
    /// The file, in the segment's folder.
    pub file: FileMeta,
}

/// Centroids and rotation that segments share.
#[derive(Debug, Clone, PartialEq)]
pub struct CodebookMeta {
    /// Vector field.
    pub field: String,
    /// Number, only grows.
    pub version: u64,
    /// The file, in the collection's folder.
    pub file: FileMeta,
    /// Rows of the collection when it was trained.
    pub rows: u64,
    /// Mean squared distance of a row to its centroid then.
    pub mean_error: f32,
}

/// One version of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Number of this version.
    pub version: u64,
    /// Writer that published it.
    pub epoch: u64,
    /// Id of the local log that holds what is not flushed.
    pub writer: String,
    /// Number of the collection.
    pub collection_id: u64,
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
    /// Shards as asked for; one machine uses one.
    pub shards: u32,
    /// Milvus's consistency level as asked for.
    pub consistency_level: u32,
    /// Partitions asked for with a partition key.
    pub requested_partitions: u32,
    /// Partitions in order of creation.
    pub partitions: Vec<PartitionInfo>,
    /// Indexes.
    pub indexes: Vec<IndexInfo>,
    /// Segments, oldest rows first.
    pub segments: Vec<Arc<SegmentMeta>>,
    /// Next number of a segment.
    pub next_segment_id: u64,
    /// Next number of a partition or index.
    pub next_object_id: u64,
    /// Every write at or before it is in the segments and their delete sets.
    pub flushed_ts: Timestamp,
    /// When the collection was made.
    pub created_ts: Timestamp,
    /// When the schema last changed.
    pub schema_ts: Timestamp,
    /// Whether it serves searches over the wire.
    pub loaded: bool,
    /// With `loaded`: only these partitions; none: all.
    pub loaded_partitions: Vec<u64>,
    /// Whether it was released and not loaded since; one that was never loaded is not.
    pub released: bool,
    /// Whether this is the last version of a dropped collection.
    pub dropped: bool,
    /// Codebooks that segments name.
    pub codebooks: Vec<CodebookMeta>,
    /// The rows of any moment from this timestamp on are in this version or came after it; 0: unknown, in
    /// versions of older programs.
    pub exact_from_ts: Timestamp,
    /// With a flush that left out rows which were replaced or deleted before it: the flushed timestamp of the
    /// version before. Moments from then to `exact_from_ts` are in no version.
    pub gap_from_ts: Option<Timestamp>,
    /// Versions that are kept by name, oldest first.
    pub snapshots: Vec<NamedSnapshot>,
    /// Other collections whose files versions of this one may name, because it was cloned from them.
    pub sources: Vec<u64>,
}

/// A version that is kept until it is dropped by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSnapshot {
    /// Name, one of its collection.
    pub name: String,
    /// As given.
    pub description: String,
    /// The version, which is the one that first told of it.
    pub version: u64,
    /// When it was made.
    pub created_ts: Timestamp,
}

/// What a flush or compaction puts in place of what.
#[derive(Debug, Clone, Default)]
pub struct SegmentEdit {
    /// Segments that go, by number.
    pub remove: Vec<u64>,
    /// Segments that come.
    pub add: Vec<Arc<SegmentMeta>>,
    /// With a flush: the timestamp that is now in the segments.
    pub flushed_ts: Option<Timestamp>,
    /// The newest timestamp of a delete that was obeyed: its row is in no segment.
    pub exact_from_ts: Timestamp,
}

impl Manifest {
    /// The next version with other segments. New ones take the place of the first that goes, so that the
    /// order of age is kept; those of a flush come last.
    pub fn with_segments(&self, edit: &SegmentEdit) -> Self {
        let mut next = self.clone();
        let place = self
            .segments
            .iter()
            .position(|s| edit.remove.contains(&s.id))
            .unwrap_or(self.segments.len());
        next.segments.retain(|s| !edit.remove.contains(&s.id));
        let place = place.min(next.segments.len());
        next.segments.splice(place..place, edit.add.iter().cloned());
        next.flushed_ts = edit.flushed_ts.unwrap_or(self.flushed_ts).max(self.flushed_ts);
        next.exact_from_ts = match self.exact_from_ts {
            // Older programs obeyed deletes that were only in the log; now they are flushed.
            0 if next.flushed_ts > self.flushed_ts => next.flushed_ts,
            0 => 0,
            known => known.max(edit.exact_from_ts),
        };
        let gap = edit.flushed_ts.is_some() && edit.exact_from_ts > self.flushed_ts;
        next.gap_from_ts = gap.then_some(self.flushed_ts);
        next
    }

    /// The next version with new codebooks and without those that no segment names and a newer one has
    /// replaced.
    pub fn with_codebooks(&self, new: &[CodebookMeta]) -> Self {
        let mut next = self.clone();
        next.codebooks.extend(new.iter().cloned());
        // The newest but one stays: a flush or compaction that began with it may not have ended.
        let newer = |c: &CodebookMeta| {
            next.codebooks.iter().filter(|o| o.field == c.field && o.version > c.version).count()
        };
        let named = |c: &CodebookMeta| {
            let uses = |i: &VectorIndexMeta| i.field == c.field && i.codebook_version == c.version;
            next.segments.iter().any(|s| s.indexes.iter().any(uses))
        };
        let kept = next.codebooks.iter().filter(|c| newer(c) < 2 || named(c));
        next.codebooks = kept.cloned().collect();
        next
    }

    /// The newest codebook of a field.
    pub fn codebook(&self, field: &str) -> Option<&CodebookMeta> {
        self.codebooks.iter().filter(|c| c.field == field).max_by_key(|c| c.version)
    }

    /// The next version without a partition and its segments.
    pub fn without_partition(&self, id: u64) -> Self {
        let mut next = self.clone();
        next.partitions.retain(|p| p.id != id);
        next.loaded_partitions.retain(|p| *p != id);
        next.segments.retain(|s| s.partition_id != id);
        next
    }

    /// Drops what belongs to fields that the schema has no longer: indexes, codebooks, codes. An index of
    /// a dynamic field stays while there are such.
    pub fn forget_gone_fields(&mut self, before: &CollectionSchema) {
        let schema = self.schema.clone();
        let kept = |field: &str| {
            // Sub-fields of structs have brackets in their names, and so have paths of dynamic fields.
            let whole = schema.has_field(field) || before.has_field(field);
            let base = if whole { field } else { field.split('[').next().unwrap_or(field) };
            schema.has_field(base) || (schema.enable_dynamic_field && !before.has_field(base))
        };
        self.indexes.retain(|i| kept(&i.field));
        self.codebooks.retain(|c| kept(&c.field));
        for segment in &mut self.segments {
            if segment.indexes.iter().any(|i| !kept(&i.field)) {
                Arc::make_mut(segment).indexes.retain(|i| kept(&i.field));
            }
        }
    }

    /// The last version, of a dropped collection.
    pub fn dropped(&self) -> Self {
        let mut next = self.clone();
        next.version += 1;
        next.dropped = true;
        next.aliases.clear();
        next.segments.clear();
        next.snapshots.clear();
        next
    }

    /// The partition of that name.
    pub fn partition(&self, name: &str) -> Option<&PartitionInfo> {
        self.partitions.iter().find(|p| p.name == name)
    }

    /// Milliseconds that rows live, from the property `collection.ttl.seconds`; none: for ever.
    pub fn ttl_ms(&self) -> Option<u64> {
        let seconds: i64 = self.properties.get("collection.ttl.seconds")?.parse().ok()?;
        u64::try_from(seconds).ok().filter(|s| *s > 0).map(|s| s.saturating_mul(1000))
    }

    /// The field that says until when each row lives, from the property `ttl_field`; a row without a
    /// value lives for ever.
    pub fn ttl_field(&self) -> Option<&str> {
        let name = self.properties.get(TTL_FIELD)?;
        let field = self.schema.fields.iter().find(|f| f.name == *name)?;
        (field.data_type == DataType::Timestamptz).then_some(field.name.as_str())
    }

    /// The paths of all files that it names.
    pub fn files(&self) -> impl Iterator<Item = String> {
        let of_segment = |s: &Arc<SegmentMeta>| {
            let paths = s.files().map(|file| file.in_segment(self.collection_id, s.id));
            paths.collect::<Vec<_>>()
        };
        let books = self.codebooks.iter().map(|c| c.file.in_collection(self.collection_id));
        self.segments.iter().flat_map(of_segment).chain(books)
    }

    /// Folder of the collection in the bucket.
    pub fn folder(collection_id: u64) -> String {
        format!("collections/{collection_id}")
    }

    /// Path of a version of the manifest.
    pub fn path(collection_id: u64, version: u64) -> String {
        format!("{}/manifest/{version:020}", Self::folder(collection_id))
    }

    /// Folder of a segment in the bucket.
    pub fn segment_folder(collection_id: u64, segment_id: u64) -> String {
        format!("{}/segments/{segment_id:020}", Self::folder(collection_id))
    }
}
