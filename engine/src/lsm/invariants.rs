//! What must hold between a manifest and the one that follows it; checked before each publish.

use std::collections::HashSet;

use super::manifest::{Manifest, VectorIndexMeta};
use crate::core::error::{Error, Result};

/// Refuses a successor that would break an invariant. A refusal is our mistake, and publishes nothing.
pub fn check_successor(old: &Manifest, new: &Manifest) -> Result<()> {
    type Check = (&'static str, fn(&Manifest, &Manifest) -> bool);
    let checks: [Check; 9] = [
        ("the version follows", |old, new| new.version == old.version + 1),
        ("the epoch does not go back", |old, new| new.epoch >= old.epoch),
        ("it is the same collection", |old, new| new.collection_id == old.collection_id),
        ("flushed time does not go back", |old, new| new.flushed_ts >= old.flushed_ts),
        ("exact time does not go back", |old, new| new.exact_from_ts >= old.exact_from_ts),
        ("versions are exact at their flushed time", |_, new| new.exact_from_ts <= new.flushed_ts),
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
    let mut codebooks = HashSet::new();
    if !manifest.codebooks.iter().all(|c| codebooks.insert((c.field.as_str(), c.version))) {
        return Err(violated(manifest, "a codebook is named once"));
    }
    let has_codebook =
        |i: &VectorIndexMeta| codebooks.contains(&(i.field.as_str(), i.codebook_version));
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
        } else if !segment.indexes.iter().all(has_codebook) {
            "every codebook that a segment names is there"
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
                && o.sums == s.sums
                && o.keys == s.keys
                && o.rows == s.rows
                && o.partition_id == s.partition_id
                && o.deleted_rows <= s.deleted_rows
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::schema::{CollectionSchema, DataType, FieldSchema};
    use crate::lsm::manifest::{CodebookMeta, FileMeta, PartitionInfo, SegmentMeta};

    fn file(name: &str) -> FileMeta {
        FileMeta { name: name.into(), size_bytes: 1, xxh3: 1, owner: None }
    }

    fn segment(indexes: &[(&str, u64)]) -> Arc<SegmentMeta> {
        let index = |(field, version): &(&str, u64)| VectorIndexMeta {
            field: (*field).into(),
            codebook_version: *version,
            file: file("v.vec.idx"),
        };
        Arc::new(SegmentMeta {
            id: 1,
            partition_id: 1,
            level: 0,
            rows: 1,
            min_ts: 1,
            max_ts: 1,
            data: file("data"),
            sums: None,
            keys: file("keys"),
            deletes: None,
            deleted_rows: 0,
            columns: Vec::new(),
            schema_ts: 1,
            key_range: None,
            indexes: indexes.iter().map(index).collect(),
        })
    }

    pub fn manifest(codebooks: &[(&str, u64)], indexes: &[(&str, u64)]) -> Manifest {
        let key = FieldSchema::new("id", DataType::Int64).primary();
        let codebook = |(field, version): &(&str, u64)| CodebookMeta {
            field: (*field).into(),
            version: *version,
            file: file("codebook"),
            rows: 1,
            mean_error: 1.0,
        };
        Manifest {
            version: 1,
            epoch: 1,
            writer: String::new(),
            collection_id: 7,
            database: "default".into(),
            name: "c".into(),
            aliases: Vec::new(),
            schema: Arc::new(CollectionSchema::new(vec![key])),
            properties: Default::default(),
            shards: 1,
            consistency_level: 0,
            requested_partitions: 0,
            partitions: vec![PartitionInfo { id: 1, name: "_default".into(), created_ts: 1 }],
            indexes: Vec::new(),
            segments: vec![segment(indexes)],
            next_segment_id: 2,
            next_object_id: 2,
            flushed_ts: 1,
            created_ts: 1,
            schema_ts: 1,
            loaded: false,
            loaded_partitions: Vec::new(),
            released: false,
            dropped: false,
            codebooks: codebooks.iter().map(codebook).collect(),
            exact_from_ts: 1,
            gap_from_ts: None,
            snapshots: Vec::new(),
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_segment_names_only_codebooks_that_are_there() {
        let why = |codebooks: &[(&str, u64)], indexes: &[(&str, u64)]| {
            check(&manifest(codebooks, indexes)).err().map(|e| e.message().to_string())
        };
        assert_eq!(why(&[], &[]), None);
        assert_eq!(why(&[("v", 1), ("v", 2), ("w", 1)], &[("v", 1), ("w", 1)]), None);
        for (codebooks, indexes) in [
            (&[][..], &[("v", 1)][..]),
            (&[("v", 2)], &[("v", 1)]),
            (&[("v", 1)], &[("v", 1), ("w", 1)]),
        ] {
            let why = why(codebooks, indexes).unwrap_or_default();
            assert!(why.contains("every codebook") && why.contains("(segment 1)"), "{why}");
        }
        let twice = why(&[("v", 1), ("v", 1)], &[]).unwrap_or_default();
        assert!(twice.contains("a codebook is named once"), "{twice}");
    }
}
