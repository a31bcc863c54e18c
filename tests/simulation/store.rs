//! An object store in memory: slow, full, failing before or after a request took effect, listing in any order.
//!
//! Requests that Lance makes come from threads of its own, at any time within one step of the run. Whether
//! one fails follows from the step and the path alone, so that their order changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use elanus_engine::core::runtime::sim::{self, Machine, SimClock};
use elanus_engine::core::runtime::{self, Clock};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use parking_lot::Mutex;

use crate::faults::{Fault, Faults};
use crate::hash;

/// A file of the store.
#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    modified_ms: u64,
}

/// What outlives every process.
#[derive(Debug, Default)]
pub struct Objects(Mutex<BTreeMap<String, Object>>);

impl Objects {
    /// Paths and sizes of all files.
    pub fn paths(&self) -> Vec<(String, usize)> {
        self.0.lock().iter().map(|(path, object)| (path.clone(), object.bytes.len())).collect()
    }

    /// A hash over all paths and sizes.
    pub fn fingerprint(&self) -> u64 {
        let paths = self.paths();
        paths.iter().fold(0, |sum, (path, size)| hash(&[sum, *size as u64], path.as_bytes()))
    }
}

/// A process's way to the store.
#[derive(Debug)]
pub struct SimStore {
    objects: Arc<Objects>,
    faults: Arc<Faults>,
    clock: Arc<SimClock>,
    alive: Arc<AtomicBool>,
    steps: Arc<AtomicU64>,
}

impl SimStore {
    /// For a process that is alive while `alive` says so.
    pub fn new(
        objects: Arc<Objects>,
        faults: Arc<Faults>,
        machine: &Machine,
        alive: Arc<AtomicBool>,
    ) -> Self {
        Self { objects, faults, clock: machine.clock(), alive, steps: machine.steps() }
    }

    fn in_step(&self) -> Option<u64> {
        let step = self.steps.load(Ordering::SeqCst);
        (step % 2 == 1).then_some(step)
    }

    /// The way of a request to the store: it takes its time, and may never arrive.
    async fn begin(&self, what: &'static str, path: &str, puts: bool) -> Result<Fault> {
        if let Some(step) = self.in_step() {
            self.alive()?;
            return self.judge(self.faults.of_step(step, path), path, puts);
        }
        sim::give_way().await;
        if let Some(ms) = self.faults.slowness() {
            runtime::sleep(Duration::from_millis(ms)).await;
        }
        self.alive()?;
        if let Some(machine) = sim::machine() {
            machine.tell(what, hash(&[], path.as_bytes()));
        }
        self.judge(self.faults.of_request(), path, puts)
    }

    fn judge(&self, fault: Fault, path: &str, puts: bool) -> Result<Fault> {
        if puts && self.faults.is_full() {
            self.faults.count("store full");
            return Err(failed(path, "no space"));
        }
        match fault {
            Fault::Before => {
                self.faults.count("store error before effect");
                Err(failed(path, "the connection broke"))
            }
            fault => Ok(fault),
        }
    }

    /// The way back: the answer may get lost.
    async fn end<T>(&self, fault: Fault, path: &str, value: T) -> Result<T> {
        if self.in_step().is_none() {
            sim::give_way().await;
        }
        match fault {
            Fault::After => {
                self.faults.count("store error after effect");
                Err(failed(path, "the answer was lost"))
            }
            _ => Ok(value),
        }
    }

    fn alive(&self) -> Result<()> {
        match self.alive.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(failed("", "the process has ended")),
        }
    }

    fn listed(&self, prefix: &str) -> Vec<ObjectMeta> {
        let objects = self.objects.0.lock();
        let folder = format!("{prefix}/");
        let inside = |path: &&String| prefix.is_empty() || path.starts_with(&folder);
        objects
            .iter()
            .filter(|(p, _)| inside(p))
            .map(|(p, o)| meta(&Path::from(p.as_str()), o))
            .collect()
    }
}

fn failed(path: &str, why: &str) -> Error {
    Error::Generic { store: "simulated", source: format!("{path}: {why}").into() }
}

fn meta(location: &Path, object: &Object) -> ObjectMeta {
    let modified = std::time::UNIX_EPOCH + Duration::from_millis(object.modified_ms);
    ObjectMeta {
        location: location.clone(),
        last_modified: modified.into(),
        size: object.bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated")
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let path = location.to_string();
        let fault = self.begin("put", &path, true).await?;
        let object = Object { bytes: payload.into(), modified_ms: self.clock.now_ms() };
        let taken = {
            let mut objects = self.objects.0.lock();
            let taken = objects.contains_key(&path) && opts.mode == PutMode::Create;
            if !taken {
                objects.insert(path.clone(), object);
            }
            taken
        };
        let done = self.end(fault, &path, ()).await;
        if taken && done.is_ok() {
            return Err(Error::AlreadyExists { path: path.clone(), source: "it is there".into() });
        }
        done.map(|()| PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(failed(location.as_ref(), "files of a simulation are small"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = location.to_string();
        let fault = self.begin("get", &path, false).await?;
        let found = self.objects.0.lock().get(&path).cloned();
        let object = self.end(fault, &path, found).await?;
        let Some(object) = object else {
            return Err(Error::NotFound { path, source: "it is not there".into() });
        };
        let size = object.bytes.len() as u64;
        let range = match &options.range {
            None => 0..size,
            Some(range) => range.as_range(size).map_err(|e| failed(&path, &e.to_string()))?,
        };
        let bytes = object.bytes.slice(range.start as usize..range.end as usize);
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::iter([Ok(bytes)]).boxed()),
            meta: meta(location, &object),
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.copy();
        let delete = move |location: Result<Path>| {
            let store = store.copy();
            async move {
                let location = location?;
                let path = location.to_string();
                let fault = store.begin("delete", &path, false).await?;
                store.objects.0.lock().remove(&path);
                store.end(fault, &path, location).await
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.copy();
        let prefix = prefix.map(Path::to_string).unwrap_or_default();
        let list = async move {
            let found = async {
                let fault = store.begin("list", &prefix, false).await?;
                let mut found = store.listed(&prefix);
                store.faults.disorder(&mut found);
                store.end(fault, &prefix, found).await
            };
            match found.await {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(e)],
            }
        };
        futures::stream::once(list).flat_map(futures::stream::iter).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.map(Path::to_string).unwrap_or_default();
        Err(failed(&prefix, "the engine lists no single folder"))
    }

    async fn copy_opts(&self, from: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failed(from.as_ref(), "the engine copies no file"))
    }
}

impl SimStore {
    fn copy(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            faults: self.faults.clone(),
            clock: self.clock.clone(),
            alive: self.alive.clone(),
            steps: self.steps.clone(),
        }
    }
}
