//! Settings of a session.

use datafusion::common::config::{ConfigExtension, ConfigField, Visit};
use datafusion::common::{DataFusionError, Result, extensions_options};
use elanus_engine::api::Effort;

extensions_options! {
    /// Settings of a session under the prefix `elanus`, as in `SET elanus.vector_top_k = false`.
    pub struct SqlOptions {
        /// Whether `ORDER BY distance LIMIT k` is answered by a search where that gives the same rows.
        pub vector_top_k: bool, default = true
        /// Share of the true nearest rows that a search should find, above 0 and at most 1, which is
        /// an exact search. At any effort it gives as many rows as match, at most the limit.
        pub effort: SearchEffort, default = SearchEffort::default()
    }
}

impl ConfigExtension for SqlOptions {
    const PREFIX: &'static str = "elanus";
}

/// The effort of a search as a setting: its recall as a number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SearchEffort(pub Effort);

impl ConfigField for SearchEffort {
    fn visit<V: Visit>(&self, v: &mut V, key: &str, description: &'static str) {
        v.some(key, self.0.recall(), description);
    }

    fn set(&mut self, _key: &str, value: &str) -> Result<()> {
        let bad = |why: String| DataFusionError::Configuration(why);
        let recall = value.trim().parse::<f32>().map_err(|_| {
            bad(format!("'{value}' is not a number: give a recall above 0 and at most 1, as 0.99"))
        })?;
        self.0 = Effort::new(recall).map_err(|e| bad(e.message().to_string()))?;
        Ok(())
    }
}
