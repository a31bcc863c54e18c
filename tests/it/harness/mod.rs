//! What the engine's tests share: small settings, a schema with every type, rows, filters, folders.

pub mod filter;
pub mod rows;

use std::path::Path;

use elanus_engine::api::{Engine, OpenOptions};
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType, DefaultValue, FieldSchema};
use elanus_engine::core::settings::Settings;
use tempfile::TempDir;

/// Settings under which everything happens often.
pub fn small_settings() -> Settings {
    let mut settings = Settings::default();
    settings.memtable.max_rows = 50;
    settings.memtable.max_age_ms = 0;
    settings.compaction.enabled = false;
    settings.compaction.fan_in = 3;
    settings.compaction.min_tier_bytes = 16 << 10;
    settings.compaction.interval_ms = 3;
    settings.gc.interval_ms = 0;
    settings.gc.grace_ms = 0;
    settings.gc.keep_manifests = 0;
    settings.read.cache_bytes = 1 << 20;
    settings.read.search_threads = 1;
    settings
}

/// A fresh folder, removed when it is dropped: in memory where there is such a place, since tests that
/// make thousands of small writes would wait for nothing but the disk's syncs.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    tempfile::tempdir_in(place).expect("a fresh folder")
}

/// How to open a folder with these settings.
pub fn options(folder: &Path, settings: &Settings) -> OpenOptions {
    OpenOptions { settings: settings.clone(), ..OpenOptions::folder(folder) }
}

/// Opens a store after all handles of the one before were dropped; its tasks may take a moment to end.
pub async fn open(folder: &Path, settings: &Settings) -> Result<Engine, Error> {
    use elanus_engine::core::error::ErrorKind;
    for _ in 0..400 {
        match Engine::open(options(folder, settings)).await {
            Err(e) if e.kind == ErrorKind::Fenced => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            outcome => return outcome,
        }
    }
    Engine::open(options(folder, settings)).await
}

/// Copies a folder with all below it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder's list") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder's list") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `ELANUS_TEST_SEED`, or seeds counted from a fixed one; `ELANUS_TEST_PROGRAMS` says how many.
pub fn seeds(from: u64, count: u64) -> Vec<u64> {
    let asked = std::env::var("ELANUS_TEST_PROGRAMS").ok().and_then(|n| n.parse().ok());
    let count = asked.unwrap_or(count);
    match std::env::var("ELANUS_TEST_SEED") {
        Ok(text) => vec![text.parse().expect("ELANUS_TEST_SEED is a number")],
        Err(_) => (from..from + count).collect(),
    }
}

/// Dimensions of the vectors of [`schema`].
pub const DIM: usize = 3;

/// Fields of every kind; key `id` is Int64 or VarChar.
pub fn schema(text_keys: bool, partition_key: bool) -> CollectionSchema {
    let key = if text_keys { DataType::VarChar { max_length: 40 } } else { DataType::Int64 };
    let vector = DataType::FloatVector { dim: DIM as u32 };
    let list = DataType::Array { element: Box::new(DataType::Int32), max_capacity: 4 };
    let mut tag = FieldSchema::new("tag", DataType::VarChar { max_length: 20 });
    tag.is_partition_key = partition_key;
    CollectionSchema::new(vec![
        FieldSchema::new("id", key).primary(),
        FieldSchema::new("n", DataType::Int64).nullable(),
        tag,
        FieldSchema::new("flag", DataType::Bool).default_value(DefaultValue::Bool(true)),
        FieldSchema::new("v", vector.clone()),
        FieldSchema::new("w", vector).nullable(),
        FieldSchema::new("list", list).nullable(),
        FieldSchema::new("doc", DataType::Json).nullable(),
    ])
    .with_dynamic_field()
}
