//! Which moments a version tells of: the few numbers of its manifest that a search for a moment needs.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prost::Message;

use super::manifest::{FORMAT_VERSION, Manifest};
use crate::core::error::{Error, Result, Subject};
use crate::core::time::Timestamp;
use crate::storage::bucket::Bucket;
use crate::storage::frame;

/// Versions of which the numbers are kept in memory, per collection.
const MOST: usize = 10_000;

/// The moments of a version; see the fields of [`Manifest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// Every write at or before it is in the version.
    pub flushed_ts: Timestamp,
    /// Moments from then on can be read; 0: unknown.
    pub exact_from_ts: Timestamp,
    /// Moments from then to `exact_from_ts` are in no version.
    pub gap_from_ts: Option<Timestamp>,
}

/// The same fields as in `elanus.proto`; what else a manifest holds, its segments above all, is skipped.
#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(uint32, tag = "1")]
    format_version: u32,
    #[prost(uint64, tag = "18")]
    flushed_ts: u64,
    #[prost(uint64, tag = "40")]
    exact_from_ts: u64,
    #[prost(uint64, tag = "43")]
    gap_from_ts: u64,
}

impl Moments {
    /// Those of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            flushed_ts: manifest.flushed_ts,
            exact_from_ts: manifest.exact_from_ts,
            gap_from_ts: manifest.gap_from_ts,
        }
    }

    async fn read(bucket: &Bucket, collection_id: u64, version: u64) -> Result<Self> {
        let path = Manifest::path(collection_id, version);
        let payload = frame::open(&bucket.get(&path).await?, &path)?;
        let head = Head::decode(payload).map_err(|e| Error::corrupted(&path, e))?;
        if head.format_version != FORMAT_VERSION {
            return Err(Error::unsupported(
                Subject::Store,
                format!(
                    "{path} has format {}, this version reads {FORMAT_VERSION}: use a newer Elanus",
                    head.format_version
                ),
            ));
        }
        Ok(Self {
            flushed_ts: head.flushed_ts,
            exact_from_ts: head.exact_from_ts,
            gap_from_ts: (head.gap_from_ts != 0).then_some(head.gap_from_ts),
        })
    }
}

/// The moments of versions that were read or published.
#[derive(Debug, Default)]
pub struct KnownMoments(Mutex<BTreeMap<u64, Moments>>);

impl KnownMoments {
    /// Notes those of a published version.
    pub fn note(&self, manifest: &Manifest) {
        self.insert(manifest.version, Moments::of(manifest));
    }

    fn insert(&self, version: u64, moments: Moments) {
        let mut known = self.0.lock();
        known.insert(version, moments);
        if known.len() > MOST {
            known.pop_first();
        }
    }

    /// Those of a version that is kept.
    pub async fn get(&self, bucket: &Bucket, collection_id: u64, version: u64) -> Result<Moments> {
        if let Some(known) = self.0.lock().get(&version) {
            return Ok(*known);
        }
        let read = Moments::read(bucket, collection_id, version).await?;
        self.insert(version, read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::invariants::tests::manifest;
    use crate::lsm::manifest_codec;

    #[tokio::test]
    async fn moments_are_read_as_the_whole_manifest_tells_them() {
        let bucket = Bucket::memory();
        let known = KnownMoments::default();
        for (version, gap_from_ts) in [(1, None), (2, Some(3))] {
            let mut manifest = manifest(&[("v", 1)], &[("v", 1)]);
            (manifest.version, manifest.gap_from_ts) = (version, gap_from_ts);
            (manifest.flushed_ts, manifest.exact_from_ts) = (u64::MAX / 2, u64::MAX / 3);
            let path = Manifest::path(manifest.collection_id, version);
            bucket.put_fresh(&path, manifest_codec::encode(&manifest)).await.unwrap();
            let read = known.get(&bucket, manifest.collection_id, version).await.unwrap();
            assert_eq!(read, Moments::of(&manifest));
        }
    }
}
