//! A store with its model, and the lives of the store: opened, closed, crashed.

use std::collections::BTreeMap;
use std::path::Path;

use elanus_engine::api::{
    Collection, DEFAULT_PARTITION, Engine, NewCollection, PartitionSet, Snapshot,
};
use elanus_engine::core::key::Key;
use elanus_engine::core::settings::Settings;
use rand::Rng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Kind;
use super::check::check;
use crate::harness::filter::Test;
use crate::harness::rows::{Row, random_row};
use crate::harness::{folder, open, schema};

/// Live rows by key.
pub type Model = BTreeMap<Key, Row>;

/// One life of a store.
pub struct Life {
    pub engine: Engine,
    pub collection: Collection,
    pub runtime: Runtime,
}

impl Life {
    pub fn begin(path: &Path, settings: &Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let engine = runtime.block_on(open(path, settings)).expect("the store");
        let collection = engine.collection("default", "c").expect("the collection");
        Self { engine, collection, runtime }
    }
}

/// A store with its model.
pub struct World {
    pub rng: StdRng,
    pub kind: Kind,
    pub settings: Settings,
    pub folder: TempDir,
    life: Option<Life>,
    pub model: Model,
    pub partitions: Vec<String>,
    /// Defaults of the added fields.
    pub extra: Vec<Option<i64>>,
    /// Old snapshots with what they must show and the number of added fields then.
    pub held: Vec<(Snapshot, Model, usize)>,
}

impl World {
    pub fn new(rng: StdRng, settings: Settings, kind: Kind) -> Self {
        let folder = folder();
        let new = NewCollection::new("c", schema(kind.text_keys, kind.partition_key));
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let engine = open(folder.path(), &settings).await.expect("a fresh store");
            engine.create_collection("default", new).await.expect("a collection");
            engine.close().await.expect("a close");
        });
        drop(runtime);
        let life = Some(Life::begin(folder.path(), &settings));
        let partitions =
            if kind.partition_key { vec![] } else { vec![DEFAULT_PARTITION.to_string()] };
        let (model, extra, held) = (Model::new(), Vec::new(), Vec::new());
        Self { rng, kind, settings, folder, life, model, partitions, extra, held }
    }

    pub fn life(&self) -> &Life {
        self.life.as_ref().expect("a store")
    }

    /// Runs a call on the collection.
    pub fn with<T>(&self, call: impl AsyncFnOnce(&Collection) -> T) -> T {
        let life = self.life();
        life.runtime.block_on(call(&life.collection))
    }

    pub fn some_key(&mut self) -> Key {
        let number = self.rng.random_range(-60..60);
        if self.kind.text_keys { Key::Text(format!("k{number}").into()) } else { Key::Int(number) }
    }

    pub fn some_partitions(&mut self) -> PartitionSet {
        if self.partitions.is_empty() || self.rng.random_bool(0.6) {
            return PartitionSet::All;
        }
        let names = self.partitions.clone();
        PartitionSet::Names(names.into_iter().filter(|_| self.rng.random_bool(0.5)).collect())
    }

    pub fn some_test(&mut self) -> Test {
        let low = self.rng.random_range(-60..50);
        match self.rng.random_range(0..10) {
            0..4 => Test::Between(low, low + self.rng.random_range(0..40)),
            4..7 => Test::Modulo(self.rng.random_range(2..9), self.rng.random_range(0..3)),
            7..9 => Test::Tag("green".into()),
            _ => Test::Never,
        }
    }

    /// Rows to write, and where to; a key may come twice, then the last counts.
    pub fn some_rows(&mut self) -> (Vec<(Key, Row)>, Option<String>) {
        let partition = (!self.partitions.is_empty())
            .then(|| self.partitions[self.rng.random_range(0..self.partitions.len())].clone());
        let count = if self.rng.random_bool(0.3) { 1 } else { self.rng.random_range(1..30) };
        let name = partition.clone().unwrap_or_default();
        let rows = (0..count)
            .map(|_| (self.some_key(), random_row(&mut self.rng, &name, self.extra.len())))
            .collect();
        (rows, partition.filter(|p| p != DEFAULT_PARTITION || self.rng.random()))
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) -> String {
        self.held.clear();
        if let Some(life) = self.life.take() {
            life.runtime.block_on(life.engine.close()).expect("a close");
        }
        self.life = Some(Life::begin(self.folder.path(), &self.settings));
        "close and open".into()
    }

    /// Ends the life of the store without a word, at any await of any task; goes on with a copy of what
    /// lay on the disk then.
    pub fn crash(&mut self) -> String {
        self.held.clear();
        let Some(Life { engine, collection, runtime }) = self.life.take() else {
            return "no store".into();
        };
        // Waits only for file operations that have begun.
        runtime.shutdown_timeout(std::time::Duration::from_secs(60));
        let copy = folder();
        crate::harness::copy_folder(self.folder.path(), copy.path());
        drop((engine, collection));
        self.folder = copy;
        self.life = Some(Life::begin(self.folder.path(), &self.settings));
        "crash".into()
    }

    pub fn check_now(&mut self) {
        let snapshot = self.life().collection.snapshot();
        let model = self.model.clone();
        self.check_snapshot(&snapshot, &model, self.extra.len());
    }

    pub fn check_snapshot(&mut self, snapshot: &Snapshot, model: &Model, extra: usize) {
        let test = self.some_test();
        // Partitions may be gone or not yet there in another snapshot.
        let mut partitions = self.some_partitions();
        if let PartitionSet::Names(names) = &mut partitions {
            names.retain(|name| snapshot.info().partitions.iter().any(|p| p.name == *name));
        }
        let life = self.life.as_ref().expect("a store");
        let future = check(snapshot, model, extra, &test, &partitions, &mut self.rng);
        life.runtime.block_on(future);
    }

    /// The last look: everything, after everything has been compacted, and again after opening.
    pub fn finish(&mut self) {
        self.check_now();
        self.with(async |c| c.flush().await).expect("a flush");
        self.with(async |c| c.compact(elanus_engine::api::CompactMode::All).await)
            .expect("a compaction");
        self.check_now();
        self.crash();
        self.check_now();
        self.held.clear();
        if let Some(life) = self.life.take() {
            life.runtime.block_on(async {
                life.engine.close().await.expect("a close");
                drop((life.engine, life.collection));
                let path = self.folder.path().to_string_lossy();
                let report = elanus_engine::offline::verify(&path, &|_| {}).await;
                assert_eq!(report.expect("a verification").problems, Vec::<String>::new());
            });
        }
    }
}

/// Whether a row lies in one of the partitions.
pub fn inside(partitions: &PartitionSet, row: &Row) -> bool {
    match partitions {
        PartitionSet::All => true,
        PartitionSet::Names(names) => names.contains(&row.partition),
    }
}
