//! The shard's tree as one immutable value: memtables, segments and the manifest they belong to.

use std::sync::Arc;

use super::memtable::Memtable;
use crate::lsm::manifest::Manifest;
use crate::segment::Segment;

/// What a reader sees; replaced as a whole.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Takes the writes.
    pub active: Arc<Memtable>,
    /// Waiting for their flush, oldest first.
    pub frozen: Vec<Arc<Memtable>>,
    /// Sealed segments, oldest rows first.
    pub segments: Vec<Arc<Segment>>,
    /// The published version.
    pub manifest: Arc<Manifest>,
}

impl Tree {
    /// The memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen.iter().rev())
    }

    /// A segment by number.
    pub fn segment(&self, id: u64) -> Option<&Arc<Segment>> {
        self.segments.iter().find(|s| s.identity.id == id)
    }
}
