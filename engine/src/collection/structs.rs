//! Struct fields that are added, changed and dropped after creation.

use std::collections::BTreeMap;

use super::Collection;
use super::ddl::alter_param;
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{CollectionSchema, FieldSchema};
use crate::core::structs::StructSchema;

impl Collection {
    /// Adds a struct field with its sub-fields; rows that are there have null in it.
    ///
    /// # Errors
    /// If it cannot be null, or is none that a schema can have.
    pub async fn add_struct(&self, own: StructSchema, fields: Vec<FieldSchema>) -> Result<()> {
        if !own.nullable {
            return Err(Error::invalid(
                Subject::Field,
                format!("added field must be nullable, please check it, field name = {}", own.name),
            ));
        }
        for field in &fields {
            self.forget_column(&field.name).await?;
        }
        self.alter_schema(|schema| {
            schema.structs.push(own.clone());
            schema.fields.extend(fields.iter().cloned());
            schema.number_fields();
            Ok(())
        })
        .await
    }

    /// Drops a struct field with its sub-fields and their indexes.
    ///
    /// # Errors
    /// If there is none of that name, or it has the last vectors of the schema.
    pub async fn drop_struct(&self, name: &str) -> Result<()> {
        self.alter_schema(|schema| {
            let own = known(schema, name)?.clone();
            schema.fields.retain(|f| own.sub_of(&f.name).is_none());
            schema.structs.retain(|s| s.name != name);
            match schema.searched_fields().next() {
                Some(_) => Ok(()),
                None => Err(Error::invalid(
                    Subject::Field,
                    format!("field {name} has the last vectors: it cannot be dropped"),
                )),
            }
        })
        .await
    }

    /// Changes parameters of a struct field: `max_capacity`, `field.description`, or any that is only kept;
    /// removes some of the latter.
    pub async fn alter_struct(
        &self,
        name: &str,
        params: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<()> {
        self.alter_schema(|schema| {
            let own = known(schema, name)?.clone();
            let subs = |f: &&mut FieldSchema| own.sub_of(&f.name).is_some();
            if let Some(value) = params.get("max_capacity") {
                for field in schema.fields.iter_mut().filter(subs) {
                    alter_param(field, "max_capacity", value)?;
                }
            }
            let Some(own) = schema.structs.iter_mut().find(|s| s.name == name) else {
                return Ok(());
            };
            for (key, value) in &params {
                match key.as_str() {
                    "max_capacity" => {}
                    "field.description" => own.description = value.clone(),
                    _ => {
                        own.params.insert(key.clone(), value.clone());
                    }
                }
            }
            remove.iter().for_each(|key| {
                own.params.remove(key);
            });
            Ok(())
        })
        .await
    }
}

fn known<'a>(schema: &'a CollectionSchema, name: &str) -> Result<&'a StructSchema> {
    schema
        .struct_named(name)
        .ok_or_else(|| Error::not_found(Subject::Field, format!("struct field {name} not exist")))
}
