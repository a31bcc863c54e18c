//! The end of a run, without faults: everything works again, and nothing is left over.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use elanus_engine::api::CompactMode;
use elanus_engine::core::runtime;
use elanus_engine::offline::verify::verify_bucket;

use crate::check;
use crate::life::Life;
use crate::world::World;

/// Opens the store once more, brings everything to rest, and verifies the bucket.
pub async fn last_life(world: &World, life: Rc<Life>, mut lossless: bool) {
    // A lease of a process that ended may still run.
    let mut engine = life.open().await;
    for _ in 0..400 {
        if engine.is_ok() {
            break;
        }
        runtime::sleep(Duration::from_millis(500)).await;
        if world.stale_log.take() {
            // As the error says: the rows that only this log has are left out.
            life.platter.replace(Arc::default());
            lossless = false;
        }
        engine = life.open().await;
    }
    let engine = engine.expect("the store opens when nothing goes wrong");
    life.recovered(lossless).await.expect("the last recovery");
    for collection in engine.all_collections() {
        collection.flush().await.expect("the last flush");
        collection.compact(CompactMode::All).await.expect("the last compaction");
        let snapshot = collection.snapshot();
        let expected = {
            let mut model = world.model.borrow_mut();
            model.get_mut(&collection.id()).expect("a known collection").expected(&snapshot)
        };
        check::check(world, &snapshot, &expected).await.expect("the last reads");
    }
    runtime::sleep(Duration::from_secs(2)).await;
    for collection in engine.all_collections() {
        collection.collect_garbage().await.expect("the last garbage");
    }
    // The background does it for collections that are gone.
    engine.collect_dropped().await.expect("the garbage of dropped collections");
    engine.close().await.expect("the last close");
    let bucket = life.bucket();
    let report = verify_bucket(&bucket, &|_| {}).await.expect("a verification");
    assert_eq!(report.problems, Vec::<String>::new(), "verify");
    if world.settings.gc.retention_ms < 2_000 {
        orphans(world, &life).await;
    }
}

/// Files below `collections` that no kept manifest names.
async fn orphans(world: &World, life: &Life) {
    use elanus_engine::lsm::commit;
    use elanus_engine::lsm::manifest::Manifest;
    let bucket = life.bucket();
    let mut named = BTreeSet::new();
    for id in commit::collections(&bucket).await.expect("collections") {
        let Some(manifest) = commit::head(&bucket, id).await.expect("a head") else { continue };
        if manifest.dropped {
            // It stays to keep late writers away.
            named.insert(Manifest::path(id, manifest.version));
            continue;
        }
        let keep = world.settings.gc.keep_manifests as u64;
        let from = manifest.version.saturating_sub(keep);
        named.extend((from..=manifest.version).map(|v| Manifest::path(id, v)));
        named.extend(manifest.files());
        for kept in &manifest.snapshots {
            let version = commit::read(&bucket, id, kept.version).await.expect("a kept version");
            named.insert(Manifest::path(id, kept.version));
            named.extend(version.files());
        }
    }
    let orphans: Vec<String> = world
        .objects
        .paths()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("collections/") && !named.contains(path))
        .collect();
    assert_eq!(orphans, Vec::<String>::new(), "files that nothing names are left");
}
