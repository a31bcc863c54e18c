//! Small durable records that a face of the store keeps beside the catalog, such as its users.

use super::engine::Engine;
use crate::core::error::Result;

/// A record's new value; none removes it.
pub type RecordChange = (String, Option<Vec<u8>>);

impl Engine {
    /// The records whose names begin so, in the order of their names.
    pub fn records(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let names = self.inner.names.read();
        let from = names.records.range(prefix.to_string()..);
        from.take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Changes records, all of them or none. They are durable when the call returns. They lie in the
    /// local catalog: a store in a bucket loses them with its local folder.
    ///
    /// # Errors
    /// If the catalog cannot be written; then nothing has changed.
    pub async fn change_records(&self, changes: Vec<RecordChange>) -> Result<()> {
        let _ddl = self.inner.ddl.lock().await;
        self.inner.catalog.change_records(&changes)?;
        let mut names = self.inner.names.write();
        for (name, value) in changes {
            match value {
                Some(value) => names.records.insert(name, value),
                None => names.records.remove(&name),
            };
        }
        Ok(())
    }
}
