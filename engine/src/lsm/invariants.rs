//! What must hold between a manifest and the one that follows it; checked before each publish.

use std::collections::HashSet;

use super::manifest::Manifest;
use crate::core::error::{Error, Result};

/// Refuses a successor that would break an invariant. A refusal is our mistake, and publishes nothing.
pub fn check_successor(old: &Manifest, new: &Manifest) -> Result<()> {
    type Check = (&'static str, fn(&Manifest, &Manifest) -> bool);
    let checks: [Check; 7] = [
        ("the version follows", |old, new| new.version == old.version + 1),
        ("the epoch does not go back", |old, new| new.epoch >= old.epoch),
        ("it is the same collection", |old, new| new.collection_id == old.collection_id),
        ("flushed time does not go back", |old, new| new.flushed_ts >= old.flushed_ts),
        ("segment numbers only grow", |old, new| new.next_segment_id >= old.next_segment_id),
        ("kept segments change only in their deletes", kept_segments),
        ("a dropped collection stays dropped", |old, new| !old.dropped || new.dropped),
    ];
    for (name, holds) in checks {
        if !holds(old, new) {
            return Err(violated(new, name));
        }
    }
    check(new)
}

/// What must hold in one manifest by itself.
pub fn check(manifest: &Manifest) -> Result<()> {
    let partitions: HashSet<u64> = manifest.partitions.iter().map(|p| p.id).collect();
    let mut seen = HashSet::new();
    for segment in &manifest.segments {
        let problem = if !seen.insert(segment.id) {
            "a segment is named once"
        } else if segment.id >= manifest.next_segment_id {
            "segment numbers are below the next"
        } else if !partitions.contains(&segment.partition_id) {
            "every segment's partition exists"
        } else if segment.min_ts > segment.max_ts || segment.max_ts > manifest.flushed_ts {
            "segments hold only flushed rows"
        } else if segment.deleted_rows > segment.rows {
            "no more rows are deleted than there are"
        } else if segment.deletes.is_none() && segment.deleted_rows > 0 {
            "deleted rows have a delete file"
        } else {
            continue;
        };
        return Err(violated(manifest, &format!("{problem} (segment {})", segment.id)));
    }
    Ok(())
}

fn violated(manifest: &Manifest, what: &str) -> Error {
    Error::internal(format!(
        "manifest {} of collection {} breaks an invariant: {what}",
        manifest.version, manifest.collection_id
    ))
}

fn kept_segments(old: &Manifest, new: &Manifest) -> bool {
    new.segments.iter().all(|s| {
        old.segments.iter().find(|o| o.id == s.id).is_none_or(|o| {
            o.data == s.data
                && o.keys == s.keys
                && o.rows == s.rows
                && o.partition_id == s.partition_id
                && o.deleted_rows <= s.deleted_rows
        })
    })
}
