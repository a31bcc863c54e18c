//! Catalog `elanus`: a schema per database, a table per collection and alias.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use elanus_engine::api::{Engine, Snapshot};
use elanus_engine::core::error::{Error, ErrorKind};

use super::{CollectionTable, past};
use crate::error::to_datafusion;

/// Name of the one catalog.
pub const CATALOG: &str = "elanus";

/// The catalog as one statement sees it: each collection is pinned to one snapshot at its first
/// use, however often and under whatever alias the statement names it.
#[derive(Clone)]
pub struct ElanusCatalog {
    engine: Engine,
    pins: Arc<Mutex<Pins>>,
}

#[derive(Default)]
struct Pins {
    snapshots: HashMap<u64, Snapshot>,
    /// Why the last table that was asked for is not there.
    missing: Option<Error>,
}

impl ElanusCatalog {
    /// A catalog that has pinned nothing yet.
    pub fn new(engine: Engine) -> Self {
        Self { engine, pins: Arc::default() }
    }

    /// Why the last table that was asked for in vain is not there.
    pub(crate) fn missing(&self) -> Option<Error> {
        self.pins().missing.clone()
    }

    fn pins(&self) -> std::sync::MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ElanusCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ElanusCatalog")
    }
}

impl CatalogProviderList for ElanusCatalog {
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_string()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as _)
    }
}

impl CatalogProvider for ElanusCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.engine.databases().into_iter().map(|d| d.name).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if let Err(error) = self.engine.database(name) {
            self.pins().missing = Some(error);
            return None;
        }
        Some(Arc::new(Database { catalog: self.clone(), name: name.to_string() }))
    }
}

/// One database.
#[derive(Debug)]
struct Database {
    catalog: ElanusCatalog,
    name: String,
}

impl Database {
    /// The table, or `None` if there is no such collection or alias.
    fn find(&self, name: &str) -> Result<Option<CollectionTable>> {
        let collection = match self.catalog.engine.collection(&self.name, name) {
            Ok(collection) => collection,
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.catalog.pins().missing = Some(error);
                return Ok(None);
            }
            Err(error) => return Err(to_datafusion(error)),
        };
        let snapshot = self
            .catalog
            .pins()
            .snapshots
            .entry(collection.id())
            .or_insert_with(|| collection.snapshot())
            .clone();
        let max_top_k = self.catalog.engine.settings().limits.max_top_k;
        Ok(Some(CollectionTable::new(collection, snapshot, max_top_k)))
    }
}

impl Database {
    /// The table as of a moment.
    async fn find_past(&self, name: &str, when: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.find(name)? else { return Ok(None) };
        let when = past::parse(when).map_err(to_datafusion)?;
        let snapshot = table.collection().as_of(&when).await.map_err(to_datafusion)?;
        let table = CollectionTable::new(table.collection().clone(), snapshot, table.max_top_k());
        Ok(Some(Arc::new(table.as_past())))
    }
}

#[async_trait]
impl SchemaProvider for Database {
    fn owner_name(&self) -> Option<&str> {
        None
    }

    fn table_names(&self) -> Vec<String> {
        let engine = &self.catalog.engine;
        let collections = engine.collections(&self.name).unwrap_or_default();
        let aliases = engine.aliases(&self.name).unwrap_or_default();
        let names = collections.iter().map(|c| c.name());
        names.chain(aliases.into_iter().map(|(alias, _)| alias)).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some((name, when)) = past::split(name) {
            return self.find_past(name, when).await;
        }
        Ok(self.find(name)?.map(|table| Arc::new(table) as _))
    }

    fn table_exist(&self, name: &str) -> bool {
        let name = past::split(name).map_or(name, |(name, _)| name);
        self.catalog.engine.collection(&self.name, name).is_ok()
    }
}
