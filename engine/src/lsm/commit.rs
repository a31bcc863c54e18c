//! Publishing and finding manifests: the one contended step of a store.

use std::sync::Arc;

use super::manifest::Manifest;
use super::{invariants, manifest_codec};
use crate::core::error::{Error, Result};
use crate::storage::bucket::Bucket;

/// The numbers of a collection's manifests, ascending, each with the time of its publishing.
pub async fn versions(bucket: &Bucket, collection_id: u64) -> Result<Vec<(u64, u64)>> {
    let folder = format!("{}/manifest", Manifest::folder(collection_id));
    let files = bucket.list(&folder).await?;
    let mut found: Vec<(u64, u64)> = files
        .iter()
        .filter_map(|f| Some((f.path.rsplit('/').next()?.parse().ok()?, f.modified_ms)))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Reads one version.
pub async fn read(bucket: &Bucket, collection_id: u64, version: u64) -> Result<Manifest> {
    let path = Manifest::path(collection_id, version);
    let manifest = manifest_codec::decode(&bucket.get(&path).await?, &path)?;
    if manifest.version != version || manifest.collection_id != collection_id {
        return Err(Error::corrupted(path, "it holds another manifest"));
    }
    Ok(manifest)
}

/// The newest version, if there is one.
pub async fn head(bucket: &Bucket, collection_id: u64) -> Result<Option<Manifest>> {
    match versions(bucket, collection_id).await?.last() {
        None => Ok(None),
        Some((version, _)) => read(bucket, collection_id, *version).await.map(Some),
    }
}

/// Publishes the first version of a collection.
pub async fn create(bucket: &Bucket, manifest: &Manifest) -> Result<()> {
    invariants::check(manifest)?;
    put(bucket, manifest).await
}

/// Drops a collection of which perhaps not even the first version is there, also if that one comes late.
pub async fn unmake(bucket: &Bucket, first: &Manifest) -> Result<()> {
    let stone = Manifest { dropped: true, ..first.clone() };
    let taken = !bucket.put_if_absent(&path_of(&stone), manifest_codec::encode(&stone)).await?;
    match head(bucket, first.collection_id).await? {
        Some(head) if taken && !head.dropped => publish(bucket, &head, &head.dropped()).await,
        _ => Ok(()),
    }
}

fn path_of(manifest: &Manifest) -> String {
    Manifest::path(manifest.collection_id, manifest.version)
}

/// Publishes `new` as the successor of `old`.
///
/// # Errors
/// [`Fenced`](crate::core::error::ErrorKind::Fenced) when another writer has published that number:
/// stop writing and open the store again.
pub async fn publish(bucket: &Bucket, old: &Manifest, new: &Manifest) -> Result<()> {
    invariants::check_successor(old, new)?;
    put(bucket, new).await
}

async fn put(bucket: &Bucket, manifest: &Manifest) -> Result<()> {
    let path = path_of(manifest);
    let bytes = manifest_codec::encode(manifest);
    let outcome = bucket.put_if_absent(&path, bytes.clone()).await;
    if matches!(outcome, Ok(true)) {
        return Ok(());
    }
    // Taken, or unclear: an earlier try of this very write may have taken effect.
    match bucket.get_if_present(&path).await {
        Ok(Some(found)) if found == bytes => Ok(()),
        Ok(Some(_)) => Err(Error::fenced(format!(
            "another writer has published manifest {} of collection {}: \
             this process must stop writing; restart it if it is the one that should run",
            manifest.version, manifest.collection_id
        ))),
        _ => outcome.and(Err(Error::internal(format!("{path} was taken and is gone")))),
    }
}

/// The ids of all collections that the bucket holds, dropped ones included.
pub async fn collections(bucket: &Bucket) -> Result<Vec<u64>> {
    let mut ids: Vec<u64> = bucket
        .list("collections")
        .await?
        .iter()
        .filter_map(|f| f.path.strip_prefix("collections/")?.split('/').next()?.parse().ok())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The newest versions of all collections that are not dropped.
pub async fn heads(bucket: &Bucket) -> Result<Vec<Arc<Manifest>>> {
    let mut found = Vec::new();
    for id in collections(bucket).await? {
        if let Some(manifest) = head(bucket, id).await?
            && !manifest.dropped
        {
            found.push(Arc::new(manifest));
        }
    }
    Ok(found)
}
