//! The bucket: a folder or an S3 prefix, seen through `object_store`.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::blocks::{BlockSummer, BlockSums};
use super::frame;
use crate::core::error::{Error, ErrorKind, Result, Subject};

/// A file of the bucket as a listing shows it.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// Path below the root.
    pub path: String,
    /// Bytes.
    pub size_bytes: u64,
    /// Milliseconds since 1970 of its creation.
    pub modified_ms: u64,
}

/// A folder or an S3 prefix. Files in it are written once under a fresh name and never changed.
#[derive(Debug, Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    name: String,
    folder: Option<PathBuf>,
}

impl Bucket {
    /// Opens `s3://bucket/prefix` or a folder, which is made if `create` says so.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a missing folder; [`ErrorKind::Unsupported`] for another scheme.
    pub fn open(location: &str, create: bool) -> Result<Self> {
        match location.split_once("://") {
            Some(("file", path)) => Self::open_folder(path, create),
            Some(("memory", _)) => Ok(Self::memory()),
            Some(("s3", _)) => Self::open_s3(location),
            Some((scheme, _)) => Err(Error::unsupported(
                Subject::Store,
                format!(
                    "{location}: scheme {scheme} is not known; give a folder or s3://bucket/prefix"
                ),
            )),
            None => Self::open_folder(location, create),
        }
    }

    /// A bucket in memory, for tests.
    pub fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), name: "memory".into(), folder: None }
    }

    /// Over another store, under a name that users know it by.
    pub fn over(store: Arc<dyn ObjectStore>, name: impl Into<String>) -> Self {
        Self { store, name: name.into(), folder: None }
    }

    /// Whether others may write to it too whose manners are not the operating system's.
    pub fn is_remote(&self) -> bool {
        self.folder.is_none() && self.name != "memory"
    }

    fn open_folder(path: &str, create: bool) -> Result<Self> {
        if create {
            std::fs::create_dir_all(path)
                .map_err(|e| Error::storage(format!("cannot make the folder {path}"), e))?;
        } else if !FsPath::new(path).is_dir() {
            return Err(Error::not_found(Subject::Store, format!("{path} is not a folder")));
        }
        let store = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), name: path.into(), folder: Some(path.into()) })
    }

    #[cfg(feature = "s3")]
    fn open_s3(location: &str) -> Result<Self> {
        let url = url::Url::parse(location)
            .map_err(|e| Error::invalid(Subject::Store, format!("{location} is not a URL: {e}")))?;
        let store =
            object_store::aws::AmazonS3Builder::from_env().with_url(url.as_str()).build()?;
        let prefix = Path::parse(url.path().trim_matches('/'))
            .map_err(|e| Error::invalid(Subject::Store, format!("{location}: {e}")))?;
        let store = object_store::prefix::PrefixStore::new(store, prefix);
        Ok(Self {
            store: Arc::new(store),
            name: location.trim_end_matches('/').into(),
            folder: None,
        })
    }

    #[cfg(not(feature = "s3"))]
    fn open_s3(location: &str) -> Result<Self> {
        Err(Error::unsupported(
            Subject::Store,
            format!("{location}: this build has no S3; build it with the feature s3"),
        ))
    }

    /// Removes what writes that a crash cut off have left in a folder: names that end in `#` and a number,
    /// which listings do not show. Nobody else may be writing.
    pub fn remove_leftovers(&self) -> Result<()> {
        match &self.folder {
            Some(folder) => remove_leftovers(&folder.join("collections")),
            None => Ok(()),
        }
    }

    /// What users call it: the folder or URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<&FsPath> {
        self.folder.as_deref()
    }

    /// The store below, for readers and writers of large files.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Writes a new file durably; `false` if the name is taken. The one contended step of the design.
    pub async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<bool> {
        let path = Path::from(path);
        let mode = PutMode::Create.into();
        match self.store.put_opts(&path, PutPayload::from(bytes), mode).await {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(e) => Err(Error::from(e).context(format!("writing {path}"))),
        }
    }

    /// Writes a new file under a name that nobody else uses.
    pub async fn put_fresh(&self, path: &str, content: impl Into<PutPayload>) -> Result<()> {
        self.store
            .put(&Path::from(path), content.into())
            .await
            .map_err(|e| Error::from(e).context(format!("writing {path}")))?;
        Ok(())
    }

    /// [`Self::put_fresh`] for content in pieces, which are not copied together.
    pub async fn put_pieces(&self, path: &str, pieces: Vec<Bytes>) -> Result<()> {
        self.put_fresh(path, PutPayload::from_iter(pieces)).await
    }

    /// Reads a whole file.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        Ok(self.store.get(&Path::from(path)).await?.bytes().await?)
    }

    /// Reads a whole file, if it is there.
    pub async fn get_if_present(&self, path: &str) -> Result<Option<Bytes>> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Bytes of a file.
    pub async fn size(&self, path: &str) -> Result<u64> {
        Ok(self.store.head(&Path::from(path)).await?.size)
    }

    /// Size and checksum of a file, read in pieces.
    pub async fn fingerprint(&self, path: &str) -> Result<(u64, u64)> {
        let (sum, blocks) = self.sums(path).await?;
        Ok((blocks.size_bytes(), sum))
    }

    /// Checksums of a file and of its blocks, read in pieces.
    pub async fn sums(&self, path: &str) -> Result<(u64, BlockSums)> {
        let mut summer = BlockSummer::default();
        if self.folder.is_some() {
            self.sum_local(path, &mut summer).await?;
        } else {
            let mut stream = self.store.get(&Path::from(path)).await?.into_stream();
            while let Some(piece) = stream.try_next().await? {
                summer.add(&piece);
            }
        }
        Ok(summer.finish())
    }

    /// A stream of a local file comes in pieces of 8 KiB, each from another thread; ranges are large.
    async fn sum_local(&self, path: &str, summer: &mut BlockSummer) -> Result<()> {
        const PIECE_BYTES: u64 = 1 << 20;
        let size = self.size(path).await?;
        let path = Path::from(path);
        for from in (0..size).step_by(PIECE_BYTES as usize) {
            let range = from..size.min(from + PIECE_BYTES);
            summer.add(&self.store.get_range(&path, range).await?);
        }
        Ok(())
    }

    /// Files below a folder of the bucket.
    pub async fn list(&self, prefix: &str) -> Result<Vec<FileEntry>> {
        let prefix = Path::from(prefix);
        let prefix = (!prefix.as_ref().is_empty()).then_some(&prefix);
        let metas: Vec<_> = self.store.list(prefix).try_collect().await?;
        Ok(metas
            .into_iter()
            .map(|m| FileEntry {
                path: m.location.to_string(),
                size_bytes: m.size,
                modified_ms: u64::try_from(m.last_modified.timestamp_millis()).unwrap_or(0),
            })
            .collect())
    }

    /// Removes a file; one that is gone already is fine.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(Error::from(e).context(format!("removing {path}"))),
        }
    }

    /// Reads a framed file ([`frame::seal`]).
    pub async fn get_framed(&self, path: &str) -> Result<Bytes> {
        frame::open(&self.get(path).await?, path)
    }
}

fn remove_leftovers(folder: &FsPath) -> Result<()> {
    let failed = |e| Error::storage(format!("cleaning {}", folder.display()), e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.rsplit_once('#').map(|(_, number)| number);
        if entry.file_type().map_err(failed)?.is_dir() {
            remove_leftovers(&entry.path())?;
        } else if number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
