//! Compaction and garbage collection without a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Progress, open_store};
use crate::api::{CompactMode, CompactReport, GcReport, MaintenanceEngine};
use crate::core::error::{Error, Result, Subject};
use crate::core::runtime::{Clock, SystemClock};
use crate::core::settings::Settings;
use crate::lsm::{commit, gc};
use crate::shard::in_use::InUse;
use crate::storage::lease::WriterLease;

/// Rows between two lines of progress.
const PROGRESS_ROWS: u64 = 100_000;

/// Compacts collections: what is due, or (`all`) everything. `collection` is `name` or `database.name`;
/// none: all. Each merge is published by itself, so a call that is cut off loses at most one and the next
/// call goes on where it stopped.
///
/// # Errors
/// [`Fenced`](crate::core::error::ErrorKind::Fenced) while a server has the store.
pub async fn compact(
    location: &str,
    settings: &Settings,
    collection: Option<&str>,
    all: bool,
    progress: Progress<'_>,
) -> Result<CompactReport> {
    open_store(location).await?;
    let engine = MaintenanceEngine::open(location, settings.clone()).await?;
    let outcome = compact_open(&engine, collection, all, progress).await;
    engine.close().await?;
    outcome
}

async fn compact_open(
    engine: &MaintenanceEngine,
    collection: Option<&str>,
    all: bool,
    progress: Progress<'_>,
) -> Result<CompactReport> {
    let mode = if all { CompactMode::All } else { CompactMode::Planned };
    let mut total = CompactReport::default();
    let mut found = false;
    for shard in engine.shards() {
        let manifest = shard.tree().manifest.clone();
        let full_name = format!("{}.{}", manifest.database, manifest.name);
        if collection.is_some_and(|c| c != manifest.name && c != full_name) {
            continue;
        }
        found = true;
        let written = AtomicU64::new(0);
        let tell = |rows: u64| {
            let before = written.fetch_add(rows, Ordering::Relaxed);
            if (before + rows) / PROGRESS_ROWS > before / PROGRESS_ROWS {
                progress(&format!("{full_name}: {} rows written", before + rows));
            }
        };
        let report = shard.compact(mode, &tell).await?;
        progress(&format!(
            "{full_name}: {} merges, {} segments before, {} after",
            report.jobs, report.segments_before, report.segments_after
        ));
        total.jobs += report.jobs;
        total.segments_before += report.segments_before;
        total.segments_after += report.segments_after;
        total.rows_written += report.rows_written;
        total.bytes_written += report.bytes_written;
    }
    match collection {
        Some(name) if !found => Err(Error::not_found(
            Subject::Collection,
            format!("collection not found[collection={name}]"),
        )),
        _ => Ok(total),
    }
}

/// Removes files that no retained manifest names and that are older than the grace time, and the folders of
/// dropped collections.
///
/// # Errors
/// [`Fenced`](crate::core::error::ErrorKind::Fenced) while a server has the store.
pub async fn gc(location: &str, settings: &Settings, progress: Progress<'_>) -> Result<GcReport> {
    let (bucket, _) = open_store(location).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let lease = WriterLease::take(&bucket, "offline", clock.clone()).await?;
    let mut total = GcReport::default();
    let in_use = InUse::default();
    for head in commit::heads(&bucket).await? {
        in_use.note_clone(head.collection_id, &head.sources);
    }
    for id in commit::collections(&bucket).await? {
        let now = clock.now_ms();
        let named = in_use.named_by_clones(&bucket, id, &settings.gc, now).await?;
        let report =
            gc::collect(&bucket, id, &settings.gc, now, |path| named.contains(path)).await?;
        if report.removed_files > 0 {
            progress(&format!(
                "collection {id}: removed {} files, {} bytes",
                report.removed_files, report.removed_bytes
            ));
        }
        total.add(report);
    }
    lease.release().await?;
    Ok(total)
}
