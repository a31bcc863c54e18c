//! Which files of a collection are garbage, and their removal. Does not depend on compaction.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::commit;
use super::manifest::Manifest;
use crate::core::error::Result;
use crate::core::runtime;
use crate::core::settings::GcSettings;
use crate::storage::bucket::{Bucket, FileEntry};

/// How long the last manifest of a dropped collection stays in a bucket: a writer that was replaced and goes on
/// later than this could publish its next version, and the collection would be back without its files.
const STONE_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a collection's folder holds, and what protects it.
#[derive(Debug, Default)]
pub struct Findings {
    /// All files.
    pub files: Vec<FileEntry>,
    /// Manifest numbers with the time of their publishing, ascending.
    pub versions: Vec<(u64, u64)>,
    /// Manifest numbers that are protected: by time, or by a name.
    pub protected: BTreeSet<u64>,
    /// Files that protected manifests name.
    pub named: HashSet<String>,
    /// Whether the collection is dropped, and since when.
    pub dropped_ms: Option<u64>,
    /// Whether only manifests keep other writers away.
    pub remote: bool,
}

/// What was removed.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub struct GcReport {
    /// Files removed.
    pub removed_files: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Useless files that are too young to go.
    pub kept_young: u64,
}

impl GcReport {
    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.removed_files += other.removed_files;
        self.removed_bytes += other.removed_bytes;
        self.kept_young += other.kept_young;
    }
}

/// Versions that protect their files: the newest, and each that was the newest within the grace time. One whose
/// successor is gone was replaced even before that one, and stays for its name only, also when the grace time has
/// become longer since or the clock was set back.
pub fn protected(versions: &[(u64, u64)], grace_ms: u64, now_ms: u64) -> Vec<u64> {
    let mut kept: Vec<u64> = versions
        .windows(2)
        .filter(|pair| pair[1].0 == pair[0].0 + 1)
        .filter(|pair| pair[1].1.saturating_add(grace_ms) > now_ms)
        .map(|pair| pair[0].0)
        .collect();
    kept.extend(versions.last().map(|(version, _)| *version));
    kept
}

/// Reads a collection's folder and its protected manifests. A snapshot's name protects its version for as
/// long as a version that is protected by time tells of it.
pub async fn find(
    bucket: &Bucket,
    collection_id: u64,
    settings: &GcSettings,
    now_ms: u64,
) -> Result<Findings> {
    let versions = commit::versions(bucket, collection_id).await?;
    let mut findings = Findings {
        files: bucket.list(&Manifest::folder(collection_id)).await?,
        versions,
        remote: bucket.is_remote(),
        ..Default::default()
    };
    let mut read = VecDeque::from(protected(&findings.versions, settings.kept_ms(), now_ms));
    let by_time = read.len();
    while let Some(version) = read.pop_front() {
        if !findings.protected.insert(version) {
            continue;
        }
        let manifest = commit::read(bucket, collection_id, version).await?;
        if findings.protected.len() <= by_time {
            read.extend(manifest.snapshots.iter().map(|s| s.version));
        }
        findings.named.extend(manifest.files());
        if manifest.dropped {
            findings.dropped_ms = findings.versions.last().map(|(_, at)| *at);
        }
    }
    Ok(findings)
}

/// The files to remove, data before manifests; and how many useless ones are too young.
///
/// `in_use` says of a path that a reader or a running job of this process needs it.
pub fn garbage(
    findings: &Findings,
    settings: &GcSettings,
    now_ms: u64,
    in_use: impl Fn(&str) -> bool,
) -> (Vec<FileEntry>, u64) {
    let mut remove = Vec::new();
    let mut manifests = BTreeMap::new();
    let mut young = 0;
    let old = |at: u64| at.saturating_add(settings.grace_ms) <= now_ms;
    let gone = findings.dropped_ms.is_some_and(old);
    let stone = findings.remote
        && findings.dropped_ms.is_some_and(|at| at.saturating_add(STONE_MS) > now_ms);
    for file in &findings.files {
        if let Some((_, number)) = file.path.split_once("/manifest/") {
            if gone || !number.parse().is_ok_and(|n| findings.protected.contains(&n)) {
                manifests.insert(file.path.clone(), file.clone());
            }
        } else if (gone || !findings.named.contains(&file.path)) && !in_use(&file.path) {
            if old(file.modified_ms) {
                remove.push(file.clone());
            } else {
                young += 1;
            }
        }
    }
    // Protected ones stay by themselves.
    let keep = match gone {
        true if young == 0 => usize::from(stone),
        true => settings.keep_manifests + 1,
        false => (settings.keep_manifests + 1).saturating_sub(findings.protected.len()),
    };
    let excess = manifests.len().saturating_sub(keep);
    remove.extend(manifests.into_values().take(excess).filter(|f| old(f.modified_ms)));
    (remove, young)
}

/// Removes the garbage of one collection.
pub async fn collect(
    bucket: &Bucket,
    collection_id: u64,
    settings: &GcSettings,
    now_ms: u64,
    in_use: impl Fn(&str) -> bool,
) -> Result<GcReport> {
    let findings = find(bucket, collection_id, settings, now_ms).await?;
    let (files, kept_young) = garbage(&findings, settings, now_ms, in_use);
    remove(bucket, files, kept_young).await
}

/// Removes files that [`garbage`] found, in its order.
pub async fn remove(bucket: &Bucket, files: Vec<FileEntry>, kept_young: u64) -> Result<GcReport> {
    let mut report = GcReport { kept_young, ..Default::default() };
    for file in files {
        runtime::gate("gc.remove").await;
        bucket.delete(&file.path).await?;
        report.removed_files += 1;
        report.removed_bytes += file.size_bytes;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, modified_ms: u64) -> FileEntry {
        FileEntry { path: path.into(), size_bytes: 1, modified_ms }
    }

    #[test]
    fn a_version_protects_its_files_for_the_grace_time_after_it_was_replaced() {
        let versions = [(1, 100), (2, 200), (3, 900)];
        assert_eq!(protected(&versions, 500, 1000), vec![2, 3]);
        assert_eq!(protected(&versions, 500, 2000), vec![3]);
        // Version 2 is there because it has a name; when it was replaced is not known any more.
        assert_eq!(protected(&[(2, 200), (4, 900)], 500, 1000), vec![4]);
    }

    #[test]
    fn only_old_unnamed_unused_files_go() {
        let settings =
            GcSettings { interval_ms: 1, grace_ms: 100, keep_manifests: 1, ..Default::default() };
        let mut findings = Findings {
            files: vec![
                file("c/segments/1/data", 0),
                file("c/segments/2/data", 0),
                file("c/segments/3/data", 950),
                file("c/segments/4/data", 0),
                file("c/manifest/1", 0),
                file("c/manifest/2", 0),
                file("c/manifest/3", 0),
            ],
            named: HashSet::from(["c/segments/1/data".to_string()]),
            ..Default::default()
        };
        let list = |f: &Findings| {
            let (remove, young) = garbage(f, &settings, 1000, |p| p.contains("/4/"));
            (remove.into_iter().map(|f| f.path).collect::<Vec<_>>(), young)
        };
        let expected = vec!["c/segments/2/data".to_string(), "c/manifest/1".to_string()];
        assert_eq!(list(&findings), (expected, 1));
        findings.dropped_ms = Some(0);
        findings.files.retain(|f| !f.path.contains("/3/") && !f.path.contains("/4/"));
        assert_eq!(list(&findings).0.len(), 5);
        // In a bucket its last manifest keeps late writers away.
        findings.remote = true;
        let left: Vec<_> = list(&findings).0;
        assert_eq!(left.len(), 4);
        assert!(!left.contains(&"c/manifest/3".to_string()));
    }
}
