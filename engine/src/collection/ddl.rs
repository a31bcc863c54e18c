//! Changes of a collection itself: partitions, indexes, properties, fields, load state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::DEFAULT_PARTITION;
use super::{Collection, check, no_partition};
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{CollectionSchema, DataType, FieldSchema};
use crate::lsm::manifest::{IndexInfo, Manifest, PartitionInfo};

impl Collection {
    /// Makes a partition.
    pub async fn create_partition(&self, name: &str) -> Result<()> {
        let most = self.shard.context.settings.limits.max_partitions;
        let created_ts = self.shard.context.next_timestamp();
        let edit = |manifest: &Manifest| {
            if manifest.partition(name).is_some() {
                return Err(Error::exists(
                    Subject::Partition,
                    format!("partition already exists[partition={name}]"),
                ));
            }
            if manifest.schema.partition_key().is_some() {
                return Err(Error::invalid(
                    Subject::Partition,
                    "disable create partition if partition key mode is used",
                ));
            }
            if manifest.partitions.len() >= most {
                return Err(Error::limit(
                    Subject::Partition,
                    format!("partition number ({most}) exceeds max configuration ({most})"),
                ));
            }
            let mut next = manifest.clone();
            let id = next.next_object_id;
            next.next_object_id += 1;
            next.partitions.push(PartitionInfo { id, name: name.into(), created_ts });
            Ok(next)
        };
        self.shard.alter(edit).await.map(|_| ())
    }

    /// Drops a partition and its rows.
    pub async fn drop_partition(&self, name: &str) -> Result<()> {
        if name == DEFAULT_PARTITION {
            return Err(Error::invalid(Subject::Partition, "default partition cannot be deleted"));
        }
        let edit = |manifest: &Manifest| {
            let partition = manifest.partition(name).ok_or_else(|| no_partition(name))?;
            if manifest.schema.partition_key().is_some() {
                return Err(Error::invalid(
                    Subject::Partition,
                    "disable drop partition if partition key mode is used",
                ));
            }
            Ok(manifest.without_partition(partition.id))
        };
        self.shard.alter_flushed(edit).await.map(|_| ())
    }

    /// Removes all rows.
    pub async fn truncate(&self) -> Result<()> {
        let edit = |manifest: &Manifest| {
            let mut next = manifest.clone();
            next.segments.clear();
            Ok(next)
        };
        self.shard.alter_flushed(edit).await.map(|_| ())
    }

    /// Makes an index. The same one again is no error.
    pub async fn create_index(
        &self,
        field: &str,
        name: &str,
        params: BTreeMap<String, String>,
    ) -> Result<()> {
        let name = if name.is_empty() { field } else { name };
        let manifest = self.shard.tree().manifest.clone();
        let same = |i: &IndexInfo| i.name == name && i.field == field && i.params == params;
        if manifest.indexes.iter().any(same) {
            return Ok(());
        }
        let edit = |manifest: &Manifest| {
            // A JSON field may have an index on each of several paths.
            let path = params.get("json_path");
            let taken = |i: &IndexInfo| i.field == field && i.params.get("json_path") == path;
            if manifest.indexes.iter().any(|i| i.name == name || taken(i)) {
                return Err(Error::exists(
                    Subject::Index,
                    format!(
                        "at most one distinct index is allowed per field (index {name}, field {field})"
                    ),
                ));
            }
            let mut next = manifest.clone();
            let id = next.next_object_id;
            next.next_object_id += 1;
            let params = params.clone();
            next.indexes.push(IndexInfo { id, name: name.into(), field: field.into(), params });
            Ok(next)
        };
        self.shard.alter(edit).await?;
        self.shard.build_scalar_indexes().await;
        Ok(())
    }

    /// Drops an index, by its name or, if none has it, by its field's.
    pub async fn drop_index(&self, name: &str) -> Result<()> {
        let edit = |manifest: &Manifest| {
            let named = manifest.indexes.iter().position(|i| i.name == name);
            let at = named.or_else(|| manifest.indexes.iter().position(|i| i.field == name));
            let mut next = manifest.clone();
            next.indexes.remove(at.ok_or_else(|| no_index(name))?);
            Ok(next)
        };
        self.shard.alter(edit).await.map(|_| ())
    }

    /// Changes parameters of an index.
    pub async fn alter_index(
        &self,
        name: &str,
        set: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<()> {
        let edit = |manifest: &Manifest| {
            let mut next = manifest.clone();
            let index = next.indexes.iter_mut().find(|i| i.name == name);
            let index = index.ok_or_else(|| no_index(name))?;
            index.params.extend(set.clone());
            remove.iter().for_each(|key| {
                index.params.remove(key);
            });
            Ok(next)
        };
        self.shard.alter(edit).await.map(|_| ())
    }

    /// Says whether the wire serves searches: all partitions, or (named) some. Rows can be read through
    /// the library either way.
    pub async fn set_loaded(&self, loaded: bool, partitions: Vec<String>) -> Result<()> {
        let edit = |manifest: &Manifest| {
            let mut next = manifest.clone();
            let find =
                |n: &String| manifest.partition(n).map(|p| p.id).ok_or_else(|| no_partition(n));
            let named: Vec<u64> = partitions.iter().map(find).collect::<Result<_>>()?;
            set_loaded(&mut next, loaded, &named);
            Ok(next)
        };
        let manifest = self.shard.tree().manifest.clone();
        if edit(&manifest)? != *manifest {
            self.shard.alter(edit).await?;
        }
        if loaded {
            self.shard.build_scalar_indexes().await;
        }
        Ok(())
    }

    /// Sets and removes properties.
    pub async fn alter_properties(
        &self,
        set: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<()> {
        check_properties(&set)?;
        let edit = |manifest: &Manifest| {
            let mut next = manifest.clone();
            next.properties.extend(set.clone());
            remove.iter().for_each(|key| {
                next.properties.remove(key);
            });
            Ok(next)
        };
        self.shard.alter(edit).await.map(|_| ())
    }

    /// Adds a field; rows that are there get its default or null.
    pub async fn add_field(&self, field: FieldSchema) -> Result<()> {
        self.forget_column(&field.name).await?;
        if !field.nullable && field.default_value.is_none() {
            return Err(Error::invalid(
                Subject::Field,
                format!(
                    "added field must be nullable, please check it, field name = {}",
                    field.name
                ),
            ));
        }
        self.alter_schema(|schema| {
            schema.fields.push(field.clone());
            schema.number_fields();
            Ok(())
        })
        .await
    }

    /// Changes parameters of a field: `max_length`, `max_capacity`, `field.description`, or any that is only
    /// kept; removes some of the latter.
    pub async fn alter_field(
        &self,
        name: &str,
        params: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<()> {
        self.alter_schema(|schema| {
            schema.field(name)?;
            let Some(field) = schema.fields.iter_mut().find(|f| f.name == name) else {
                return Ok(());
            };
            for (key, value) in &params {
                alter_param(field, key, value)?;
            }
            for key in &remove {
                field.params.remove(key);
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn alter_schema(
        &self,
        change: impl Fn(&mut CollectionSchema) -> Result<()>,
    ) -> Result<()> {
        let context = self.shard.context.clone();
        let edit = |manifest: &Manifest| {
            let mut schema = CollectionSchema::clone(&manifest.schema);
            change(&mut schema)?;
            check::check_schema(&schema, &context.settings.limits)?;
            let mut next = manifest.clone();
            next.schema = Arc::new(schema);
            next.forget_gone_fields(&manifest.schema);
            next.schema_ts = context.next_timestamp();
            Ok(next)
        };
        // What is wrong is told before anything is flushed.
        edit(&self.shard.tree().manifest)?;
        self.shard.alter_flushed(edit).await.map(|_| ())
    }
}

pub(super) fn alter_param(field: &mut FieldSchema, key: &str, value: &str) -> Result<()> {
    let number = || {
        value.parse::<u32>().map_err(|_| {
            Error::invalid(Subject::Field, format!("{key} of field {}: {value}", field.name))
        })
    };
    match (key, &mut field.data_type) {
        ("max_length", DataType::VarChar { max_length }) => *max_length = number()?,
        ("max_length", DataType::Array { element, .. })
            if matches!(**element, DataType::VarChar { .. }) =>
        {
            **element = DataType::VarChar { max_length: number()? };
        }
        ("max_capacity", DataType::Array { max_capacity, .. }) => *max_capacity = number()?,
        ("max_length" | "max_capacity" | "dim", _) => {
            return Err(Error::invalid(
                Subject::Field,
                format!("{key} of field {} cannot be changed", field.name),
            ));
        }
        ("field.description", _) => field.description = value.into(),
        _ => {
            field.params.insert(key.into(), value.into());
        }
    }
    Ok(())
}

fn set_loaded(manifest: &mut Manifest, loaded: bool, named: &[u64]) {
    manifest.released = !loaded && (named.is_empty() || manifest.released);
    if named.is_empty() {
        manifest.loaded = loaded;
        manifest.loaded_partitions.clear();
    } else if loaded {
        if manifest.loaded && manifest.loaded_partitions.is_empty() {
            return;
        }
        manifest.loaded = true;
        manifest.loaded_partitions.extend(named);
        manifest.loaded_partitions.sort_unstable();
        manifest.loaded_partitions.dedup();
    } else if manifest.loaded {
        if manifest.loaded_partitions.is_empty() {
            manifest.loaded_partitions = manifest.partitions.iter().map(|p| p.id).collect();
        }
        manifest.loaded_partitions.retain(|p| !named.contains(p));
        manifest.loaded = !manifest.loaded_partitions.is_empty();
        manifest.released = !manifest.loaded;
    }
}

/// Refuses properties whose value the engine uses and cannot read.
pub(crate) fn check_properties(properties: &BTreeMap<String, String>) -> Result<()> {
    match properties.get("collection.ttl.seconds") {
        Some(text) if text.parse::<i64>().is_err() => Err(Error::invalid(
            Subject::Collection,
            format!("collection.ttl.seconds = {text}: must be a whole number of seconds"),
        )),
        _ => Ok(()),
    }
}

fn no_index(name: &str) -> Error {
    Error::not_found(Subject::Index, format!("index not found[index={name}]"))
}
