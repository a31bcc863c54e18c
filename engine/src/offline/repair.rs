//! Makes anew what is derived from rows: key indexes, codes, codebooks, sums, bounds.
//!
//! Files are never changed, so a segment with a damaged one is merged alone into a fresh segment.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::verify::{Derived, VerifyReport, verify};
use super::{Progress, open_store};
use crate::api::MaintenanceEngine;
use crate::core::error::Result;
use crate::core::settings::Settings;
use crate::lsm::manifest::Manifest;
use crate::shard::open::Shard;

/// What was repaired, and what could not be.
#[derive(Debug, Default, Clone, Serialize)]
pub struct RepairReport {
    /// Segments that were written anew.
    pub segments: u64,
    /// Damaged codebooks that are gone; where there were rows enough, others were trained.
    pub codebooks: u64,
    /// What is wrong still, each naming the file.
    pub problems: Vec<String>,
}

/// Checks everything as [`verify`] does, makes damaged derived files anew, and checks again.
///
/// # Errors
/// [`Fenced`](crate::core::error::ErrorKind::Fenced) while a server has the store; a store that cannot be
/// opened for writing: a damaged manifest or delete set is not derived from anything.
pub async fn repair(
    location: &str,
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<RepairReport> {
    open_store(location).await?;
    let engine = MaintenanceEngine::open(location, settings.clone()).await?;
    let outcome = repair_open(&engine, location, progress).await;
    engine.close().await?;
    let mut report = outcome?;
    if report.segments + report.codebooks > 0 {
        report.problems = verify(location, progress).await?.problems;
    }
    Ok(report)
}

async fn repair_open(
    engine: &MaintenanceEngine,
    location: &str,
    progress: Progress<'_>,
) -> Result<RepairReport> {
    let found = verify(location, progress).await?;
    let mut report = RepairReport { problems: found.problems.clone(), ..Default::default() };
    for shard in engine.shards() {
        repair_shard(shard, &found, &mut report, progress).await?;
    }
    Ok(report)
}

async fn repair_shard(
    shard: &Arc<Shard>,
    found: &VerifyReport,
    report: &mut RepairReport,
    progress: Progress<'_>,
) -> Result<()> {
    let manifest = shard.tree().manifest.clone();
    let books = damaged_books(&manifest, found);
    for id in damaged_segments(&manifest, found, &books) {
        match shard.rewrite(id).await {
            Ok(()) => {
                report.segments += 1;
                progress(&format!(
                    "{}.{}: segment {id} written anew",
                    manifest.database, manifest.name
                ));
            }
            // Its rows are damaged too: the second check names them.
            Err(e) => progress(&format!("segment {id} could not be written anew: {e}")),
        }
    }
    if !books.is_empty() {
        report.codebooks += shard.forget_codebooks(&books).await?;
    }
    Ok(())
}

/// The damaged codebooks of a collection, by field and version.
fn damaged_books(manifest: &Manifest, found: &VerifyReport) -> Vec<(String, u64)> {
    let of_ours = |derived: &Derived| match derived {
        Derived::Codebook { collection, field, version }
            if *collection == manifest.collection_id =>
        {
            Some((field.clone(), *version))
        }
        _ => None,
    };
    found.repairable.iter().filter_map(of_ours).collect()
}

/// Segments with a damaged file, or with codes that a damaged codebook leaves useless.
fn damaged_segments(
    manifest: &Manifest,
    found: &VerifyReport,
    books: &[(String, u64)],
) -> BTreeSet<u64> {
    let of_ours = |derived: &Derived| match derived {
        Derived::Segment { collection, id } if *collection == manifest.collection_id => Some(*id),
        _ => None,
    };
    let lost = |segment: &&Arc<crate::lsm::manifest::SegmentMeta>| {
        let mut indexes = segment.indexes.iter();
        indexes.any(|i| books.iter().any(|b| (&b.0, b.1) == (&i.field, i.codebook_version)))
    };
    let coded = manifest.segments.iter().filter(lost).map(|s| s.id);
    found.repairable.iter().filter_map(of_ours).chain(coded).collect()
}
