//! A view of the bucket whose reads of a known file are checked block by block, before anybody sees them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use super::blocks::BlockSums;

/// Reads of files whose sums are known are widened to whole blocks and checked; others are passed on.
#[derive(Debug)]
pub struct CheckedStore {
    inner: Arc<dyn ObjectStore>,
    known: Mutex<HashMap<Path, Weak<BlockSums>>>,
}

impl CheckedStore {
    /// Over a bucket's store.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, known: Mutex::default() }
    }

    /// From now on reads of the file are checked, for as long as the answer is held.
    pub fn know(self: &Arc<Self>, path: &str, sums: BlockSums) -> Known {
        let mut known = self.known.lock();
        let path = Path::from(path);
        let sums = match known.get(&path).and_then(Weak::upgrade) {
            Some(sums) => sums,
            None => Arc::new(sums),
        };
        known.insert(path.clone(), Arc::downgrade(&sums));
        Known { sums: Some(sums), store: self.clone(), path }
    }

    /// The sums of a file that is known already.
    pub fn known(self: &Arc<Self>, path: &str) -> Option<Known> {
        let path = Path::from(path);
        let sums = self.known.lock().get(&path).and_then(Weak::upgrade)?;
        Some(Known { sums: Some(sums), store: self.clone(), path })
    }
}

/// Keeps the reads of a file checked.
#[derive(Debug)]
pub struct Known {
    sums: Option<Arc<BlockSums>>,
    store: Arc<CheckedStore>,
    path: Path,
}

impl Known {
    /// The block that was found wrong last.
    pub fn failed(&self) -> Option<Range<u64>> {
        self.sums.as_ref()?.failed()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.sums = None;
        let mut known = self.store.known.lock();
        if known.get(&self.path).is_some_and(|sums| sums.strong_count() == 0) {
            known.remove(&self.path);
        }
    }
}

impl std::fmt::Display for CheckedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "checked {}", self.inner)
    }
}

fn refused(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "checked", source: e.into() }
}

async fn checked(
    inner: &Arc<dyn ObjectStore>,
    location: &Path,
    mut options: GetOptions,
    sums: &BlockSums,
) -> Result<GetResult> {
    let size = sums.size_bytes();
    let asked = match &options.range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start..range.end.min(size),
        Some(GetRange::Offset(from)) => *from..size,
        Some(GetRange::Suffix(bytes)) => size.saturating_sub(*bytes)..size,
    };
    if asked.is_empty() {
        return inner.get_opts(location, options).await;
    }
    let blocks = sums.around(&asked);
    options.range = Some(GetRange::Bounded(blocks.clone()));
    let found = inner.get_opts(location, options).await?;
    let (meta, attributes, extensions) =
        (found.meta.clone(), found.attributes.clone(), found.extensions.clone());
    let bytes = found.bytes().await?;
    if bytes.len() as u64 != blocks.end - blocks.start {
        return Err(refused(format!("{} bytes of bytes {blocks:?}", bytes.len())));
    }
    sums.check(blocks.start, &bytes).map_err(refused)?;
    let within = |at: u64| (at - blocks.start) as usize;
    let bytes: Bytes = bytes.slice(within(asked.start)..within(asked.end));
    let payload = GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed());
    Ok(GetResult { payload, meta, range: asked, attributes, extensions })
}

#[async_trait]
impl ObjectStore for CheckedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let known = self.known.lock().get(location).map(Weak::upgrade);
        match known {
            _ if options.head => self.inner.get_opts(location, options).await,
            None => self.inner.get_opts(location, options).await,
            Some(Some(sums)) => checked(&self.inner, location, options, &sums).await,
            Some(None) => Err(refused(format!("{location} was closed"))),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
