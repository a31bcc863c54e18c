//! Settings of a session.

use datafusion::common::config::ConfigExtension;
use datafusion::common::extensions_options;

extensions_options! {
    /// Settings of a session under the prefix `elanus`, as in `SET elanus.vector_top_k = false`.
    pub struct SqlOptions {
        /// Whether `ORDER BY distance LIMIT k` is answered by a search where that gives the same rows.
        pub vector_top_k: bool, default = true
    }
}

impl ConfigExtension for SqlOptions {
    const PREFIX: &'static str = "elanus";
}
