//! Databases: names that hold collections.

use std::collections::BTreeMap;

use super::engine::{DEFAULT_DATABASE, Engine};
use crate::core::error::{Error, Result, Subject};
use crate::storage::catalog::DatabaseRecord;

impl Engine {
    /// Makes a database.
    pub async fn create_database(
        &self,
        name: &str,
        properties: BTreeMap<String, String>,
    ) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        let most = self.settings().limits.max_databases;
        {
            let names = self.inner.names.read();
            if names.databases.contains_key(name) {
                return Err(Error::exists(
                    Subject::Database,
                    format!("database already exist: {name}"),
                ));
            }
            if names.databases.len() >= most {
                return Err(Error::limit(
                    Subject::Database,
                    format!("exceeded the limit number of databases[limit={most}]"),
                ));
            }
        }
        let created_ts = self.next_timestamp();
        self.store_database(DatabaseRecord {
            id: created_ts,
            name: name.into(),
            created_ts,
            properties,
        })
    }

    fn store_database(&self, record: DatabaseRecord) -> Result<()> {
        self.inner.catalog.put_database(&record)?;
        self.inner.names.write().databases.insert(record.name.clone(), record);
        Ok(())
    }

    /// Drops an empty database.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        if name == DEFAULT_DATABASE {
            return Err(Error::invalid(Subject::Database, "can not drop default database"));
        }
        self.database(name)?;
        if !self.collections(name)?.is_empty() {
            return Err(Error::precondition(
                Subject::Database,
                format!(
                    "database:{name} not empty, must drop all collections before drop database"
                ),
            ));
        }
        self.inner.catalog.remove_database(name)?;
        self.inner.names.write().databases.remove(name);
        Ok(())
    }

    /// Sets and removes properties of a database.
    pub async fn alter_database(
        &self,
        name: &str,
        set: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        let mut record = self.database(name)?;
        record.properties.extend(set);
        remove.iter().for_each(|key| {
            record.properties.remove(key);
        });
        self.store_database(record)
    }

    /// All databases by name.
    pub fn databases(&self) -> Vec<DatabaseRecord> {
        self.inner.names.read().databases.values().cloned().collect()
    }

    /// A database.
    pub fn database(&self, name: &str) -> Result<DatabaseRecord> {
        self.inner.names.read().databases.get(name).cloned().ok_or_else(|| {
            Error::not_found(Subject::Database, format!("database not found[database={name}]"))
        })
    }
}
