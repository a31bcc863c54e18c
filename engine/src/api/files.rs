//! Files in the store's bucket that are not the store's, such as those to be imported.

use bytes::Bytes;

use super::engine::Engine;
use crate::core::error::Result;

impl Engine {
    /// Bytes of a file of the bucket.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn file_size(&self, path: &str) -> Result<u64> {
        self.inner.context.files.bucket.size(path).await
    }

    /// A whole file of the bucket, in memory.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn read_file(&self, path: &str) -> Result<Bytes> {
        self.inner.context.files.bucket.get(path).await
    }
}
