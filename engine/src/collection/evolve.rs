//! Changes that take something out of a schema, and what has to happen before it may come back.

use super::Collection;
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{CollectionSchema, DYNAMIC_FIELD, FunctionSchema};
use crate::lsm::manifest::{Manifest, TTL_FIELD};

/// Rewritings that are tried while other merges hold segments.
const REWRITES: usize = 20;

impl Collection {
    /// Drops a field with its indexes. Its column stays in segments until they are merged, but nothing
    /// reads it.
    pub async fn drop_field(&self, name: &str) -> Result<()> {
        self.alter_schema(|schema| {
            let field = schema.field(name)?;
            let last = field.data_type.is_vector() && schema.searched_fields().count() == 1;
            if field.is_primary || field.is_partition_key || field.is_clustering_key || last {
                return Err(Error::invalid(
                    Subject::Field,
                    format!("field {name} is a key or the last vector field: it cannot be dropped"),
                ));
            }
            schema.fields.retain(|f| f.name != name);
            Ok(())
        })
        .await
    }

    /// Adds a function, whose output fields come with it.
    pub async fn add_function(
        &self,
        change: impl Fn(&mut CollectionSchema) -> Result<()>,
        outputs: &[String],
    ) -> Result<()> {
        for output in outputs {
            self.forget_column(output).await?;
        }
        self.alter_schema(change).await
    }

    /// Drops a function with its output fields.
    pub async fn drop_function(&self, name: &str) -> Result<()> {
        self.alter_schema(|schema| {
            let known = |f: &&FunctionSchema| f.name == name;
            let function = schema.functions.iter().find(known).cloned().ok_or_else(|| {
                Error::invalid(Subject::Schema, format!("function not found: {name}"))
            })?;
            schema.functions.retain(|f| f.name != name);
            schema.fields.retain(|f| !function.outputs.contains(&f.name));
            schema.mark_outputs();
            Ok(())
        })
        .await
    }

    /// Switches dynamic fields on or off; off, those that are there are gone.
    pub async fn set_dynamic(&self, on: bool) -> Result<()> {
        if self.schema().enable_dynamic_field == on {
            return Ok(());
        }
        if on {
            self.forget_column(DYNAMIC_FIELD).await?;
        }
        self.alter_schema(|schema| {
            schema.enable_dynamic_field = on;
            Ok(())
        })
        .await
    }

    /// Sets the description.
    pub async fn set_description(&self, text: &str) -> Result<()> {
        self.alter_schema(|schema| {
            schema.description = text.to_string();
            Ok(())
        })
        .await
    }

    /// Sets Milvus's consistency level, which is kept.
    pub async fn set_consistency_level(&self, level: u32) -> Result<()> {
        let edit = |manifest: &Manifest| {
            let mut next = manifest.clone();
            next.consistency_level = level;
            Ok(next)
        };
        self.shard.alter(edit).await.map(|_| ())
    }

    /// Rewrites the segments that still hold a column of a name that the schema has not: or a new field
    /// of that name would show the values of an old one.
    pub(super) async fn forget_column(&self, name: &str) -> Result<()> {
        let schema = self.schema();
        if schema.has_field(name) || (name == DYNAMIC_FIELD && schema.enable_dynamic_field) {
            return Ok(());
        }
        for _ in 0..REWRITES {
            let mut stale = Vec::new();
            for segment in &self.shard.tree().segments {
                if segment.stores(name).await? {
                    stale.push(segment.identity.id);
                }
            }
            if stale.is_empty() {
                return Ok(());
            }
            for id in stale {
                self.shard.rewrite(id).await?;
            }
        }
        Err(Error::busy(format!(
            "segments still hold the dropped column {name}, and merges hold them: try again later"
        )))
    }

    /// The field that the property `ttl_field` names, if it is of moments.
    pub fn ttl_field(&self) -> Option<String> {
        let manifest = self.shard.tree().manifest.clone();
        manifest.properties.get(TTL_FIELD)?;
        manifest.ttl_field().map(str::to_string)
    }
}
