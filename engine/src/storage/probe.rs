//! Whether a store keeps put-if-absent, on which everything rests: some that look like S3 do not.

use bytes::Bytes;

use super::bucket::Bucket;
use crate::core::error::{Error, Result, Subject};
use crate::core::runtime;

/// Writers that race for one new object.
const WRITERS: usize = 8;
/// Races, if none of the writers wins: a store may turn all away that come at once.
const RACES: usize = 3;

/// Lets writers race for a new object, which is removed afterwards.
///
/// # Errors
/// [`Unsupported`](crate::core::error::ErrorKind::Unsupported) if not just one of them is told that it made
/// the object, if the object is another's, or if it is made a second time.
pub async fn check_put_if_absent(bucket: &Bucket) -> Result<()> {
    for _ in 0..RACES {
        let path = format!("probe-{:016x}", runtime::random_id());
        let verdict = race(bucket, &path).await;
        let removed = bucket.delete(&path).await;
        match verdict? {
            Verdict::Kept => return removed,
            Verdict::Broken(why) => return Err(refused(bucket, &why)),
            Verdict::Nobody => {}
        }
    }
    Err(refused(bucket, &format!("none of {WRITERS} writers could make a new object")))
}

enum Verdict {
    Kept,
    Nobody,
    Broken(String),
}

async fn race(bucket: &Bucket, path: &str) -> Result<Verdict> {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (bucket, path) = (bucket.clone(), path.to_string());
            runtime::spawn(async move { bucket.put_if_absent(&path, content(writer)).await })
        })
        .collect();
    let mut winners = Vec::new();
    for (writer, task) in writers.into_iter().enumerate() {
        if runtime::join(task).await? {
            winners.push(writer);
        }
    }
    let winner = match winners.as_slice() {
        [] => return Ok(Verdict::Nobody),
        [one] => *one,
        many => {
            let told = many.len();
            let why = format!("{told} of {WRITERS} writers were told that they made one object");
            return Ok(Verdict::Broken(why));
        }
    };
    if bucket.get(path).await? != content(winner) {
        let why = "the object is not that of the writer who was told that he made it";
        return Ok(Verdict::Broken(why.into()));
    }
    if bucket.put_if_absent(path, content(WRITERS)).await?
        || bucket.get(path).await? != content(winner)
    {
        return Ok(Verdict::Broken("an object that was there was written over".into()));
    }
    Ok(Verdict::Kept)
}

fn content(writer: usize) -> Bytes {
    format!("writer {writer}").into()
}

fn refused(bucket: &Bucket, why: &str) -> Error {
    Error::unsupported(
        Subject::Store,
        format!(
            "the store {} does not keep put-if-absent (`If-None-Match: *`): {why}; \
             two writers would overwrite each other's rows, so it is not opened: \
             use a store that keeps it, as AWS S3 does",
            bucket.name()
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
    };

    use super::*;
    use crate::core::error::ErrorKind;

    /// How a store lies.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Lie {
        /// It does not.
        None,
        /// Conditions are not read.
        Overwrites,
        /// It looks first and writes then: who comes in between wins too.
        LooksFirst,
        /// It says no and writes all the same.
        WritesAndRefuses,
        /// It refuses everybody.
        RefusesAll,
        /// It refuses the first few: they came at once.
        RefusesSome,
    }

    #[derive(Debug)]
    struct Liar {
        inner: InMemory,
        lie: Lie,
        puts: AtomicUsize,
    }

    impl std::fmt::Display for Liar {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a liar")
        }
    }

    #[async_trait]
    impl ObjectStore for Liar {
        async fn put_opts(
            &self,
            path: &Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> StoreResult<PutResult> {
            let refuse = || {
                let source = "it is there".into();
                Err(object_store::Error::AlreadyExists { path: path.to_string(), source })
            };
            let over = PutOptions::from(PutMode::Overwrite);
            let nth = self.puts.fetch_add(1, Ordering::SeqCst);
            match self.lie {
                Lie::None => self.inner.put_opts(path, payload, options).await,
                Lie::Overwrites => self.inner.put_opts(path, payload, over).await,
                Lie::LooksFirst => {
                    let there = self.inner.get_opts(path, GetOptions::default()).await.is_ok();
                    runtime::sleep(std::time::Duration::from_millis(5)).await;
                    match there {
                        true => refuse(),
                        false => self.inner.put_opts(path, payload, over).await,
                    }
                }
                Lie::WritesAndRefuses => {
                    match self.inner.put_opts(path, payload.clone(), options).await {
                        Ok(done) => Ok(done),
                        Err(_) => {
                            self.inner.put_opts(path, payload, over).await?;
                            refuse()
                        }
                    }
                }
                Lie::RefusesAll => refuse(),
                Lie::RefusesSome if nth < WRITERS => refuse(),
                Lie::RefusesSome => self.inner.put_opts(path, payload, options).await,
            }
        }

        async fn put_multipart_opts(
            &self,
            path: &Path,
            options: PutMultipartOptions,
        ) -> StoreResult<Box<dyn MultipartUpload>> {
            self.inner.put_multipart_opts(path, options).await
        }

        async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
            self.inner.get_opts(path, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, StoreResult<Path>>,
        ) -> BoxStream<'static, StoreResult<Path>> {
            self.inner.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
            self.inner.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
            self.inner.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
            self.inner.copy_opts(from, to, options).await
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_lies_is_refused_with_the_reason() {
        for (lie, words) in [
            (Lie::None, ""),
            (Lie::RefusesSome, ""),
            (Lie::Overwrites, "8 of 8 writers"),
            (Lie::LooksFirst, "writers were told"),
            (Lie::WritesAndRefuses, "not that of the writer"),
            (Lie::RefusesAll, "none of 8 writers"),
        ] {
            let liar = Liar { inner: InMemory::new(), lie, puts: AtomicUsize::new(0) };
            let bucket = Bucket::over(Arc::new(liar), "a liar");
            match check_put_if_absent(&bucket).await {
                Ok(()) => assert_eq!(words, "", "{lie:?} was not found"),
                Err(e) => {
                    assert_eq!(e.kind, ErrorKind::Unsupported);
                    assert!(!words.is_empty() && e.message().contains(words), "{lie:?}: {e}");
                }
            }
            assert!(bucket.list("").await.unwrap().is_empty(), "{lie:?} left the probe");
        }
    }
}
