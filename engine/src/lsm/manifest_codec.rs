//! Manifests as bytes: protobuf in a checked frame.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use elanus_proto::disk;
use prost::Message;

use super::manifest::{
    CodebookMeta, ColumnBounds, FORMAT_VERSION, FileMeta, IndexInfo, Manifest, NamedSnapshot,
    PartitionInfo, SegmentMeta, VectorIndexMeta,
};
use crate::core::error::{Error, Result, Subject};
use crate::core::key::Key;
use crate::core::schema::{CollectionSchema, DataType, DefaultValue, FieldSchema, FunctionSchema};
use crate::core::structs::StructSchema;
use crate::storage::frame;

/// Bytes of a manifest file.
pub fn encode(manifest: &Manifest) -> Bytes {
    frame::seal(&to_disk(manifest).encode_to_vec()).into()
}

/// Reads a manifest file; `what` names it in errors.
pub fn decode(bytes: &Bytes, what: &str) -> Result<Manifest> {
    let payload = frame::open(bytes, what)?;
    let message = disk::Manifest::decode(payload).map_err(|e| Error::corrupted(what, e))?;
    if message.format_version != FORMAT_VERSION {
        return Err(Error::unsupported(
            Subject::Store,
            format!(
                "{what} has format {}, this version reads {FORMAT_VERSION}: use a newer Elanus",
                message.format_version
            ),
        ));
    }
    from_disk(message).map_err(|e| e.context(what))
}

fn sorted(map: HashMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter().collect()
}

fn unsorted(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn to_disk(m: &Manifest) -> disk::Manifest {
    disk::Manifest {
        format_version: FORMAT_VERSION,
        version: m.version,
        epoch: m.epoch,
        writer: m.writer.clone(),
        collection_id: m.collection_id,
        database: m.database.clone(),
        name: m.name.clone(),
        aliases: m.aliases.clone(),
        schema: Some(schema_to_disk(&m.schema)),
        properties: unsorted(&m.properties),
        shards: m.shards,
        consistency_level: m.consistency_level,
        requested_partitions: m.requested_partitions,
        partitions: m
            .partitions
            .iter()
            .map(|p| disk::Partition { id: p.id, name: p.name.clone(), created_ts: p.created_ts })
            .collect(),
        indexes: m
            .indexes
            .iter()
            .map(|i| disk::IndexDefinition {
                id: i.id,
                name: i.name.clone(),
                field: i.field.clone(),
                params: unsorted(&i.params),
            })
            .collect(),
        segments: m.segments.iter().map(|s| segment_to_disk(s)).collect(),
        next_segment_id: m.next_segment_id,
        next_object_id: m.next_object_id,
        flushed_ts: m.flushed_ts,
        created_ts: m.created_ts,
        schema_ts: m.schema_ts,
        loaded: m.loaded,
        loaded_partitions: m.loaded_partitions.clone(),
        released: m.released,
        dropped: m.dropped,
        codebooks: m
            .codebooks
            .iter()
            .map(|c| disk::Codebook {
                field: c.field.clone(),
                version: c.version,
                file: Some(file_to_disk(&c.file)),
                rows: c.rows,
                mean_error: c.mean_error,
            })
            .collect(),
        exact_from_ts: m.exact_from_ts,
        gap_from_ts: m.gap_from_ts.unwrap_or(0),
        snapshots: m
            .snapshots
            .iter()
            .map(|s| disk::NamedSnapshot {
                name: s.name.clone(),
                description: s.description.clone(),
                version: s.version,
                created_ts: s.created_ts,
            })
            .collect(),
        sources: m.sources.clone(),
    }
}

fn from_disk(m: disk::Manifest) -> Result<Manifest> {
    let missing = |what: &str| Error::corrupted("the manifest", format!("{what} is missing"));
    Ok(Manifest {
        version: m.version,
        epoch: m.epoch,
        writer: m.writer,
        collection_id: m.collection_id,
        database: m.database,
        name: m.name,
        aliases: m.aliases,
        schema: Arc::new(schema_from_disk(m.schema.ok_or_else(|| missing("schema"))?)?),
        properties: sorted(m.properties),
        shards: m.shards,
        consistency_level: m.consistency_level,
        requested_partitions: m.requested_partitions,
        partitions: m
            .partitions
            .into_iter()
            .map(|p| PartitionInfo { id: p.id, name: p.name, created_ts: p.created_ts })
            .collect(),
        indexes: m
            .indexes
            .into_iter()
            .map(|i| IndexInfo { id: i.id, name: i.name, field: i.field, params: sorted(i.params) })
            .collect(),
        segments: m
            .segments
            .into_iter()
            .map(|s| segment_from_disk(s).map(Arc::new))
            .collect::<Result<_>>()?,
        next_segment_id: m.next_segment_id,
        next_object_id: m.next_object_id,
        flushed_ts: m.flushed_ts,
        created_ts: m.created_ts,
        schema_ts: m.schema_ts,
        loaded: m.loaded,
        loaded_partitions: m.loaded_partitions,
        released: m.released,
        dropped: m.dropped,
        codebooks: m
            .codebooks
            .into_iter()
            .map(|c| {
                let file = file_from_disk(c.file.ok_or_else(|| missing("codebook file"))?);
                Ok(CodebookMeta {
                    field: c.field,
                    version: c.version,
                    file,
                    rows: c.rows,
                    mean_error: c.mean_error,
                })
            })
            .collect::<Result<_>>()?,
        exact_from_ts: m.exact_from_ts,
        gap_from_ts: (m.gap_from_ts != 0).then_some(m.gap_from_ts),
        snapshots: m
            .snapshots
            .into_iter()
            .map(|s| NamedSnapshot {
                name: s.name,
                description: s.description,
                version: s.version,
                created_ts: s.created_ts,
            })
            .collect(),
        sources: m.sources,
    })
}

fn file_to_disk(f: &FileMeta) -> disk::File {
    let owner = f.owner.unwrap_or(0);
    disk::File { name: f.name.clone(), size_bytes: f.size_bytes, xxh3: f.xxh3, owner }
}

fn file_from_disk(f: disk::File) -> FileMeta {
    let owner = (f.owner != 0).then_some(f.owner);
    FileMeta { name: f.name, size_bytes: f.size_bytes, xxh3: f.xxh3, owner }
}

fn segment_to_disk(s: &SegmentMeta) -> disk::Segment {
    let (min_key, max_key) = match &s.key_range {
        Some((min, max)) => (Some(key_to_disk(min)), Some(key_to_disk(max))),
        None => (None, None),
    };
    disk::Segment {
        id: s.id,
        partition_id: s.partition_id,
        level: s.level,
        rows: s.rows,
        min_ts: s.min_ts,
        max_ts: s.max_ts,
        data: Some(file_to_disk(&s.data)),
        keys: Some(file_to_disk(&s.keys)),
        sums: s.sums.as_ref().map(file_to_disk),
        deletes: s.deletes.as_ref().map(file_to_disk),
        deleted_rows: s.deleted_rows,
        columns: s.columns.iter().map(bounds_to_disk).collect(),
        schema_ts: s.schema_ts,
        min_key,
        max_key,
        indexes: s
            .indexes
            .iter()
            .map(|i| disk::VectorIndex {
                field: i.field.clone(),
                codebook_version: i.codebook_version,
                file: Some(file_to_disk(&i.file)),
            })
            .collect(),
    }
}

fn segment_from_disk(s: disk::Segment) -> Result<SegmentMeta> {
    let missing = |what: &str| {
        Error::corrupted("the manifest", format!("{what} of segment {} is missing", s.id))
    };
    let key_range = match (&s.min_key, &s.max_key) {
        (Some(min), Some(max)) => Some((key_from_disk(min)?, key_from_disk(max)?)),
        _ => None,
    };
    Ok(SegmentMeta {
        id: s.id,
        partition_id: s.partition_id,
        level: s.level,
        rows: s.rows,
        min_ts: s.min_ts,
        max_ts: s.max_ts,
        data: file_from_disk(s.data.clone().ok_or_else(|| missing("data file"))?),
        sums: s.sums.clone().map(file_from_disk),
        keys: file_from_disk(s.keys.clone().ok_or_else(|| missing("key file"))?),
        deletes: s.deletes.clone().map(file_from_disk),
        deleted_rows: s.deleted_rows,
        columns: s.columns.iter().map(bounds_from_disk).collect::<Result<_>>()?,
        schema_ts: s.schema_ts,
        key_range,
        indexes: s
            .indexes
            .iter()
            .map(|i| {
                Ok(VectorIndexMeta {
                    field: i.field.clone(),
                    codebook_version: i.codebook_version,
                    file: file_from_disk(i.file.clone().ok_or_else(|| missing("index file"))?),
                })
            })
            .collect::<Result<_>>()?,
    })
}

fn bounds_to_disk(b: &ColumnBounds) -> disk::ColumnStats {
    let (min, max) = match &b.range {
        Some((min, max)) => (Some(value_to_disk(min)), Some(value_to_disk(max))),
        None => (None, None),
    };
    disk::ColumnStats { column: b.column.clone(), min, max, nulls: b.nulls }
}

fn bounds_from_disk(b: &disk::ColumnStats) -> Result<ColumnBounds> {
    let range = match (&b.min, &b.max) {
        (Some(min), Some(max)) => Some((value_from_disk(min)?, value_from_disk(max)?)),
        _ => None,
    };
    Ok(ColumnBounds { column: b.column.clone(), range, nulls: b.nulls })
}

fn key_to_disk(key: &Key) -> disk::Value {
    value_to_disk(&match key {
        Key::Int(v) => DefaultValue::Int(*v),
        Key::Text(v) => DefaultValue::Text(v.to_string()),
    })
}

fn key_from_disk(value: &disk::Value) -> Result<Key> {
    match value_from_disk(value)? {
        DefaultValue::Int(v) => Ok(Key::Int(v)),
        DefaultValue::Text(v) => Ok(Key::Text(v.into())),
        _ => Err(Error::corrupted("the manifest", "a key is neither integer nor text")),
    }
}

fn value_to_disk(value: &DefaultValue) -> disk::Value {
    use disk::value::Value as V;
    let value = match value {
        DefaultValue::Bool(v) => V::BoolValue(*v),
        DefaultValue::Int(v) => V::IntValue(*v),
        DefaultValue::Float(v) => V::FloatValue(*v),
        DefaultValue::Double(v) => V::DoubleValue(*v),
        DefaultValue::Text(v) => V::TextValue(v.clone()),
        DefaultValue::Json(v) => V::JsonValue(v.clone()),
        DefaultValue::Timestamp(v) => V::TimestampValue(*v),
    };
    disk::Value { value: Some(value) }
}

fn value_from_disk(value: &disk::Value) -> Result<DefaultValue> {
    use disk::value::Value as V;
    Ok(match &value.value {
        Some(V::BoolValue(v)) => DefaultValue::Bool(*v),
        Some(V::IntValue(v)) => DefaultValue::Int(*v),
        Some(V::FloatValue(v)) => DefaultValue::Float(*v),
        Some(V::DoubleValue(v)) => DefaultValue::Double(*v),
        Some(V::TextValue(v)) => DefaultValue::Text(v.clone()),
        Some(V::JsonValue(v)) => DefaultValue::Json(v.clone()),
        Some(V::TimestampValue(v)) => DefaultValue::Timestamp(*v),
        None => return Err(Error::corrupted("the manifest", "a value is missing")),
    })
}

fn schema_to_disk(schema: &CollectionSchema) -> disk::Schema {
    disk::Schema {
        description: schema.description.clone(),
        enable_dynamic_field: schema.enable_dynamic_field,
        functions: schema.functions.iter().map(function_to_disk).collect(),
        structs: schema.structs.iter().map(struct_to_disk).collect(),
        fields: schema
            .fields
            .iter()
            .map(|f| disk::Field {
                id: f.id,
                name: f.name.clone(),
                description: f.description.clone(),
                r#type: Some(type_to_disk(&f.data_type)),
                nullable: f.nullable,
                default_value: f.default_value.as_ref().map(value_to_disk),
                is_primary: f.is_primary,
                auto_id: f.auto_id,
                is_partition_key: f.is_partition_key,
                is_clustering_key: f.is_clustering_key,
                params: unsorted(&f.params),
            })
            .collect(),
    }
}

fn schema_from_disk(schema: disk::Schema) -> Result<CollectionSchema> {
    let fields = schema
        .fields
        .into_iter()
        .map(|f| {
            Ok(FieldSchema {
                id: f.id,
                data_type: type_from_disk(f.r#type.as_ref(), &f.name)?,
                name: f.name,
                description: f.description,
                nullable: f.nullable,
                default_value: f.default_value.as_ref().map(value_from_disk).transpose()?,
                is_primary: f.is_primary,
                auto_id: f.auto_id,
                is_partition_key: f.is_partition_key,
                is_clustering_key: f.is_clustering_key,
                is_function_output: false,
                params: sorted(f.params),
            })
        })
        .collect::<Result<_>>()?;
    let mut schema = CollectionSchema {
        description: schema.description,
        fields,
        enable_dynamic_field: schema.enable_dynamic_field,
        functions: schema.functions.into_iter().map(function_from_disk).collect(),
        structs: schema.structs.into_iter().map(struct_from_disk).collect(),
    };
    schema.mark_outputs();
    Ok(schema)
}

fn struct_to_disk(own: &StructSchema) -> disk::Struct {
    disk::Struct {
        id: own.id,
        name: own.name.clone(),
        description: own.description.clone(),
        nullable: own.nullable,
        params: unsorted(&own.params),
    }
}

fn struct_from_disk(own: disk::Struct) -> StructSchema {
    StructSchema {
        id: own.id,
        name: own.name,
        description: own.description,
        nullable: own.nullable,
        params: sorted(own.params),
    }
}

fn function_to_disk(function: &FunctionSchema) -> disk::Function {
    disk::Function {
        id: function.id,
        name: function.name.clone(),
        description: function.description.clone(),
        kind: function.kind,
        inputs: function.inputs.clone(),
        outputs: function.outputs.clone(),
        params: unsorted(&function.params),
    }
}

fn function_from_disk(function: disk::Function) -> FunctionSchema {
    FunctionSchema {
        id: function.id,
        name: function.name,
        description: function.description,
        kind: function.kind,
        inputs: function.inputs,
        outputs: function.outputs,
        params: sorted(function.params),
    }
}

fn type_to_disk(data_type: &DataType) -> disk::Type {
    use disk::r#type::Kind;
    let (kind, size, element) = match data_type {
        DataType::Bool => (Kind::Bool, 0, None),
        DataType::Int8 => (Kind::Int8, 0, None),
        DataType::Int16 => (Kind::Int16, 0, None),
        DataType::Int32 => (Kind::Int32, 0, None),
        DataType::Int64 => (Kind::Int64, 0, None),
        DataType::Float => (Kind::Float, 0, None),
        DataType::Double => (Kind::Double, 0, None),
        DataType::VarChar { max_length } => (Kind::Varchar, *max_length, None),
        DataType::Text => (Kind::Text, 0, None),
        DataType::Json => (Kind::Json, 0, None),
        DataType::Timestamptz => (Kind::Timestamptz, 0, None),
        DataType::Geometry => (Kind::Geometry, 0, None),
        DataType::Array { element, max_capacity } => {
            (Kind::Array, *max_capacity, Some(Box::new(type_to_disk(element))))
        }
        DataType::FloatVector { dim } => (Kind::FloatVector, *dim, None),
        DataType::Float16Vector { dim } => (Kind::Float16Vector, *dim, None),
        DataType::BFloat16Vector { dim } => (Kind::Bfloat16Vector, *dim, None),
        DataType::Int8Vector { dim } => (Kind::Int8Vector, *dim, None),
        DataType::BinaryVector { dim } => (Kind::BinaryVector, *dim, None),
        DataType::SparseFloatVector => (Kind::SparseFloatVector, 0, None),
    };
    disk::Type { kind: kind.into(), size, element }
}

fn type_from_disk(message: Option<&disk::Type>, field: &str) -> Result<DataType> {
    use disk::r#type::Kind;
    let bad = || Error::corrupted("the manifest", format!("type of field {field} is unknown"));
    let message = message.ok_or_else(bad)?;
    Ok(match Kind::try_from(message.kind).map_err(|_| bad())? {
        Kind::Unknown => return Err(bad()),
        Kind::Bool => DataType::Bool,
        Kind::Int8 => DataType::Int8,
        Kind::Int16 => DataType::Int16,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Float => DataType::Float,
        Kind::Double => DataType::Double,
        Kind::Varchar => DataType::VarChar { max_length: message.size },
        Kind::Json => DataType::Json,
        Kind::Array => DataType::Array {
            element: Box::new(type_from_disk(message.element.as_deref(), field)?),
            max_capacity: message.size,
        },
        Kind::FloatVector => DataType::FloatVector { dim: message.size },
        Kind::Float16Vector => DataType::Float16Vector { dim: message.size },
        Kind::Bfloat16Vector => DataType::BFloat16Vector { dim: message.size },
        Kind::Int8Vector => DataType::Int8Vector { dim: message.size },
        Kind::BinaryVector => DataType::BinaryVector { dim: message.size },
        Kind::Text => DataType::Text,
        Kind::Timestamptz => DataType::Timestamptz,
        Kind::Geometry => DataType::Geometry,
        Kind::SparseFloatVector => DataType::SparseFloatVector,
    })
}
