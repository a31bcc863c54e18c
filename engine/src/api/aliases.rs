//! Aliases: further names of collections, kept in their manifests.

use super::engine::{Engine, no_collection};
use crate::collection::Collection;
use crate::core::error::{Error, Result, Subject};
use crate::lsm::manifest::Manifest;

impl Engine {
    /// Gives a collection a further name.
    pub async fn create_alias(&self, database: &str, collection: &str, alias: &str) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.database(database)?;
        let target = {
            let names = self.inner.names.read();
            if let Some(holder) = names.find_alias(database, alias) {
                return Err(Error::exists(
                    Subject::Alias,
                    format!(
                        "{alias} is alias to another collection: {}: alias already exist[database={database}][alias={alias}]",
                        holder.name()
                    ),
                ));
            }
            if names.find(database, alias).is_some() {
                return Err(Error::invalid(
                    Subject::Alias,
                    format!(
                        "alias and collection name conflict[database={database}][alias={alias}]"
                    ),
                ));
            }
            names
                .find(database, collection)
                .cloned()
                .ok_or_else(|| no_collection(database, collection))?
        };
        add(&target, alias).await
    }

    /// Moves an alias to another collection.
    pub async fn alter_alias(&self, database: &str, collection: &str, alias: &str) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.database(database)?;
        let (holder, target) = {
            let names = self.inner.names.read();
            let target = names
                .find(database, collection)
                .cloned()
                .ok_or_else(|| no_collection(database, collection))?;
            let holder = names
                .find_alias(database, alias)
                .cloned()
                .ok_or_else(|| no_alias(database, alias))?;
            (holder, target)
        };
        if holder.id() == target.id() {
            return Ok(());
        }
        // First taken away, then given: a crash between leaves no alias rather than two.
        remove(&holder, alias).await?;
        add(&target, alias).await
    }

    /// Removes an alias; one that is not there is no error.
    pub async fn drop_alias(&self, database: &str, alias: &str) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.database(database)?;
        let holder = self.inner.names.read().find_alias(database, alias).cloned();
        match holder {
            Some(holder) => remove(&holder, alias).await,
            None => Ok(()),
        }
    }

    /// All aliases of a database with their collections.
    pub fn aliases(&self, database: &str) -> Result<Vec<(String, String)>> {
        let mut found: Vec<(String, String)> = self
            .collections(database)?
            .iter()
            .flat_map(|c| {
                let info = c.info();
                let name = info.name;
                info.aliases.into_iter().map(move |alias| (alias, name.clone()))
            })
            .collect();
        found.sort();
        Ok(found)
    }
}

async fn add(collection: &Collection, alias: &str) -> Result<()> {
    let edit = |manifest: &Manifest| {
        let mut next = manifest.clone();
        next.aliases.push(alias.into());
        Ok(next)
    };
    collection.shard.alter(edit).await.map(|_| ())
}

async fn remove(collection: &Collection, alias: &str) -> Result<()> {
    let edit = |manifest: &Manifest| {
        let mut next = manifest.clone();
        next.aliases.retain(|a| a != alias);
        Ok(next)
    };
    collection.shard.alter(edit).await.map(|_| ())
}

fn no_alias(database: &str, alias: &str) -> Error {
    Error::not_found(Subject::Alias, format!("alias not found[database={database}][alias={alias}]"))
}
