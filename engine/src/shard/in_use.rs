//! What keeps files that their own collection does not name: readers of this process, and clones.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::core::error::Result;
use crate::core::settings::GcSettings;
use crate::lsm::gc;
use crate::segment::Segment;
use crate::storage::bucket::Bucket;

/// Of one store. Whoever makes use of files notes it here while the collection that owns them cannot collect
/// its garbage: under its publish lock.
#[derive(Debug, Default)]
pub struct InUse {
    /// Segments that are in no tree but may have readers.
    readers: Mutex<Vec<Weak<Segment>>>,
    /// Clones, with the collections whose files they may name.
    clones: Mutex<BTreeMap<u64, Vec<u64>>>,
}

impl InUse {
    /// The segment's files stay for as long as somebody holds it.
    pub fn hold(&self, segment: &Arc<Segment>) {
        self.readers.lock().push(Arc::downgrade(segment));
    }

    /// Notes that versions of a collection may name files of others.
    pub fn note_clone(&self, collection_id: u64, sources: &[u64]) {
        if !sources.is_empty() {
            self.clones.lock().insert(collection_id, sources.to_vec());
        }
    }

    /// Folders of segments that have readers.
    pub fn folders(&self) -> HashSet<String> {
        let mut readers = self.readers.lock();
        readers.retain(|segment| segment.strong_count() > 0);
        readers.iter().filter_map(Weak::upgrade).flat_map(|s| s.folders()).collect()
    }

    /// Files of a collection that clones of it name.
    pub async fn named_by_clones(
        &self,
        bucket: &Bucket,
        collection_id: u64,
        settings: &GcSettings,
        now_ms: u64,
    ) -> Result<HashSet<String>> {
        let of_ours =
            |(id, sources): (&u64, &Vec<u64>)| sources.contains(&collection_id).then_some(*id);
        let clones: Vec<u64> = self.clones.lock().iter().filter_map(of_ours).collect();
        let mut named = HashSet::new();
        for clone in clones {
            named.extend(gc::find(bucket, clone, settings, now_ms).await?.named);
        }
        Ok(named)
    }
}
