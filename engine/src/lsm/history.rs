//! Which version of a collection tells of a moment.

use super::manifest::{Manifest, NamedSnapshot};
use super::moments::{KnownMoments, Moments};
use super::{commit, gc};
use crate::core::error::{Error, Result, Subject};
use crate::core::settings::GcSettings;
use crate::core::time::{self, Timestamp};
use crate::storage::bucket::Bucket;

/// A moment of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// All writes at or before it.
    Timestamp(Timestamp),
    /// A version of the collection, at its flushed timestamp.
    Version(u64),
    /// A snapshot, by its name.
    Snapshot(String),
}

/// The snapshot of that name.
pub fn named<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a NamedSnapshot> {
    manifest.snapshots.iter().find(|s| s.name == name).ok_or_else(|| {
        Error::not_found(
            Subject::Snapshot,
            format!("snapshot not found[collection={}][snapshot={name}]", manifest.name),
        )
    })
}

/// The timestamp of a version by itself.
pub fn version_ts(manifest: &Manifest) -> Result<Timestamp> {
    if manifest.exact_from_ts == 0 {
        return Err(Error::precondition(
            Subject::Snapshot,
            format!("version {} is of an older program and not exact", manifest.version),
        ));
    }
    Ok(manifest.flushed_ts)
}

/// Finds versions of one collection. No garbage may be collected meanwhile.
pub struct History<'a> {
    /// Where the versions lie.
    pub bucket: &'a Bucket,
    /// The newest version.
    pub newest: &'a Manifest,
    /// How long versions are kept.
    pub settings: &'a GcSettings,
    /// Time of day.
    pub now_ms: u64,
    /// What is known of versions already.
    pub known: &'a KnownMoments,
}

impl History<'_> {
    /// The version that holds the rows of a moment: the last one that is exact from then on. `exact_from_ts`
    /// never goes back, so the heads of a few are read to find it.
    pub async fn at(&self, ts: Timestamp) -> Result<Manifest> {
        let gone = |reason: &str| {
            Err(Error::not_found(
                Subject::Snapshot,
                format!(
                    "collection {} cannot be read as of {} ms: {reason}",
                    self.newest.name,
                    time::to_millis(ts)
                ),
            ))
        };
        if ts < self.newest.created_ts {
            return gone("it was made later");
        }
        let kept = self.kept_by_time().await?;
        let (mut low, mut high, mut found) = (0, kept.len(), None);
        while low < high {
            let middle = low + (high - low) / 2;
            let moments = self.moments(kept[middle]).await?;
            if moments.exact_from_ts != 0 && moments.exact_from_ts <= ts {
                low = middle + 1;
                found = Some((kept[middle], moments.flushed_ts));
            } else if moments.exact_from_ts == 0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if let (Some((version, flushed_ts)), Some(next)) = (found, kept.get(low)) {
            let gap = match *next == version + 1 {
                true => self.moments(*next).await?.gap_from_ts,
                // What came between the two is not known any more.
                false => Some(flushed_ts),
            };
            if gap.is_some_and(|from| from < ts) {
                return gone(&format!(
                    "rows that were there then were replaced before they were flushed; \
                     the nearest moment before it is TIMESTAMP {flushed_ts}"
                ));
            }
        }
        match found {
            Some((version, _)) => self.read(version).await,
            None => gone("its version of then is not kept (setting gc.retention_ms)"),
        }
    }

    /// A version by its number, if its files are kept.
    pub async fn version(&self, version: u64) -> Result<Manifest> {
        let pinned = self.newest.snapshots.iter().any(|s| s.version == version);
        if !pinned && !self.kept_by_time().await?.contains(&version) {
            return Err(Error::not_found(
                Subject::Snapshot,
                format!(
                    "version {version} of collection {} is not kept: the newest is {} \
                     (setting gc.retention_ms)",
                    self.newest.name, self.newest.version
                ),
            ));
        }
        self.read(version).await
    }

    async fn kept_by_time(&self) -> Result<Vec<u64>> {
        let versions = commit::versions(self.bucket, self.newest.collection_id).await?;
        Ok(gc::protected(&versions, self.settings.kept_ms(), self.now_ms))
    }

    async fn moments(&self, version: u64) -> Result<Moments> {
        if version == self.newest.version {
            return Ok(Moments::of(self.newest));
        }
        self.known.get(self.bucket, self.newest.collection_id, version).await
    }

    async fn read(&self, version: u64) -> Result<Manifest> {
        if version == self.newest.version {
            return Ok(self.newest.clone());
        }
        commit::read(self.bucket, self.newest.collection_id, version).await
    }
}
