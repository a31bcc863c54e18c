//! Files that nothing needs: neither a version that is kept, nor a clone.

use crate::core::error::Result;
use crate::core::settings::GcSettings;
use crate::lsm::{commit, gc};
use crate::shard::in_use::InUse;
use crate::storage::bucket::{Bucket, FileEntry};

/// The data files below `collections/` that garbage collection would remove once their grace time is over.
/// A collection whose manifests cannot be read is left out.
pub(super) async fn find(bucket: &Bucket, now_ms: u64) -> Result<Vec<FileEntry>> {
    let kept = GcSettings::default();
    let at_once = GcSettings { grace_ms: 0, retention_ms: 0, ..kept.clone() };
    let in_use = InUse::default();
    for id in commit::collections(bucket).await? {
        if let Ok(Some(head)) = commit::head(bucket, id).await {
            in_use.note_clone(id, &head.sources);
        }
    }
    let mut orphans = Vec::new();
    for id in commit::collections(bucket).await? {
        let Ok(mut findings) = gc::find(bucket, id, &kept, now_ms).await else { continue };
        let Ok(named) = in_use.named_by_clones(bucket, id, &kept, now_ms).await else { continue };
        // The files of a dropped collection keep their grace time too.
        findings.dropped_ms = findings.dropped_ms.filter(|at| at + kept.grace_ms <= now_ms);
        let (files, _) = gc::garbage(&findings, &at_once, now_ms, |path| named.contains(path));
        orphans.extend(files.into_iter().filter(|f| !f.path.contains("/manifest/")));
    }
    Ok(orphans)
}
