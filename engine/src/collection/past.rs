//! The past of a collection: reading it, and keeping some of it by name.

use super::Collection;
use crate::core::error::{Error, Result, Subject};
use crate::lsm::history::AsOf;
use crate::lsm::manifest::NamedSnapshot;
use crate::shard::snapshot::Snapshot;

impl Collection {
    /// The rows of a moment of the past. Moments are kept for `gc.retention_ms`, at least `gc.grace_ms`, after
    /// the version that holds them was replaced; those of a named snapshot until it is dropped.
    ///
    /// Rows past their time to live may be missing that were not yet past it then.
    ///
    /// # Errors
    /// [`NotFound`](crate::core::error::ErrorKind::NotFound) if the moment is not kept, or came before the
    /// collection; [`InvalidRequest`](crate::core::error::ErrorKind::InvalidRequest) for one to come.
    pub async fn as_of(&self, when: &AsOf) -> Result<Snapshot> {
        self.shard.as_of(when).await
    }

    /// Keeps the rows of now under a name until [`Self::drop_snapshot`]; every write acknowledged before the
    /// call is in it. Costs a flush and a manifest, and the disk that its rows would have given back.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::core::error::ErrorKind::AlreadyExists) for a name that is taken.
    pub async fn create_snapshot(&self, name: &str, description: &str) -> Result<NamedSnapshot> {
        let most = self.shard.context.settings.limits.max_name_bytes;
        if name.is_empty() || name.len() > most {
            let why = format!("a snapshot's name has 1 to {most} bytes, this one {}", name.len());
            return Err(Error::invalid(Subject::Snapshot, why));
        }
        self.shard.create_snapshot(name, description).await
    }

    /// Lets a named snapshot go.
    pub async fn drop_snapshot(&self, name: &str) -> Result<()> {
        self.shard.drop_snapshot(name).await
    }

    /// The named snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<NamedSnapshot> {
        self.shard.tree().manifest.snapshots.clone()
    }
}
