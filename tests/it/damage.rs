//! Damaged files: a clear error that names the file, from opening, reading or verifying; never a panic,
//! never a wrong answer.

mod bits;
mod codes;

use std::path::{Path, PathBuf};

use elanus_engine::api::{Engine, NewCollection, RowOrder, Rows, Selection};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::settings::Settings;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::harness::rows::{Row, columns, from_batch, random_row, to_batch};
use crate::harness::{copy_folder, files, folder, open, options, schema, small_settings};

type Content = Vec<(Key, Row)>;

fn settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 10_000;
    settings.gc.keep_manifests = 100;
    settings.gc.grace_ms = 1_000_000;
    settings
}

/// A closed store with two segments, one of them with deletes, and rows in the log.
async fn make() -> (TempDir, Content) {
    let folder = folder();
    let mut rng = StdRng::seed_from_u64(7);
    let mut some = |from: i64, to: i64| -> Content {
        (from..to).map(|k| (Key::Int(k), random_row(&mut rng, "", 0))).collect()
    };
    let (first, second, third) = (some(0, 400), some(400, 500), some(490, 520));
    let engine = open(folder.path(), &settings()).await.expect("a store");
    let new = NewCollection::new("c", schema(false, false));
    let collection = engine.create_collection("default", new).await.expect("a collection");
    let write = async |rows: &Content| {
        let rows = Rows { columns: to_batch(rows), partition: None };
        collection.insert(rows).await.expect("a write");
    };
    write(&first).await;
    collection.flush().await.expect("a flush");
    let gone: Vec<Key> = (0..50).map(Key::Int).collect();
    let column = Keys::from_keys(&gone).expect("keys");
    collection.delete_keys(column, &Default::default()).await.expect("a delete");
    write(&second).await;
    collection.flush().await.expect("a flush");
    write(&third).await;
    engine.close().await.expect("a close");
    let mut content: Content = first.into_iter().skip(50).chain(second).collect();
    content.truncate(440);
    content.extend(third);
    (folder, content)
}

/// Opens, reads all, writes over old keys, closes: what was read, or the first error.
async fn use_store(path: &Path) -> Result<Content, Error> {
    let engine = Engine::open(options(path, &settings())).await?;
    let outcome = use_open(&engine).await;
    engine.close().await?;
    outcome
}

async fn use_open(engine: &Engine) -> Result<Content, Error> {
    let collection = engine.collection("default", "c")?;
    let snapshot = collection.snapshot();
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await?;
    let batch = snapshot.fetch(&rows, &columns(0)).await?;
    let content = from_batch(&batch, 0);
    let over = to_batch(&content[..content.len().min(5)]);
    collection.upsert(Rows { columns: over, partition: None }).await?;
    Ok(content)
}

async fn problems(path: &Path) -> Result<Vec<String>, Error> {
    let location = path.to_string_lossy();
    Ok(elanus_engine::offline::verify(&location, &|_| {}).await?.problems)
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Missing,
    Empty,
    Half,
    LastByte,
    Bit(f64),
}

impl Damage {
    fn apply(self, path: &Path) {
        let mut bytes = std::fs::read(path).expect("a file");
        match self {
            Self::Missing => return std::fs::remove_file(path).expect("a file removed"),
            Self::Empty => bytes.clear(),
            Self::Half => bytes.truncate(bytes.len() / 2),
            Self::LastByte => drop(bytes.pop()),
            Self::Bit(at) => {
                let at = ((bytes.len() - 1) as f64 * at) as usize;
                bytes[at] ^= 0x10;
            }
        }
        std::fs::write(path, bytes).expect("a file written");
    }
}

const DAMAGES: [Damage; 9] = [
    Damage::Missing,
    Damage::Empty,
    Damage::Half,
    Damage::LastByte,
    Damage::Bit(0.0),
    Damage::Bit(0.3),
    Damage::Bit(0.6),
    Damage::Bit(0.9),
    Damage::Bit(1.0),
];

/// The file of a kind that is damaged: the newest manifest, else the first.
fn victim(root: &Path, kind: &str) -> PathBuf {
    let all: Vec<PathBuf> = files(root)
        .into_iter()
        .filter(|f| f.to_string_lossy().contains(kind) && !f.starts_with(root.join("local")))
        .collect();
    let found = if kind == "/manifest/" { all.last() } else { all.first() };
    found.unwrap_or_else(|| panic!("no file of kind {kind}")).clone()
}

fn told_of(error: &Error, file: &Path) {
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(
        matches!(error.kind, ErrorKind::Corrupted | ErrorKind::NotFound),
        "kind {:?}: {error}",
        error.kind
    );
    assert!(error.message().contains(&name), "{name} is not named: {error}");
}

async fn damage_each(kind: &str) {
    let (made, content) = make().await;
    assert_eq!(use_copy(made.path()).await.expect("reads before"), content);
    for damage in DAMAGES {
        let copy = folder();
        copy_folder(made.path(), copy.path());
        let file = victim(copy.path(), kind);
        damage.apply(&file);
        println!("{kind} {damage:?}");
        match problems(copy.path()).await {
            Ok(problems) => {
                let name = file.file_name().expect("a name").to_string_lossy().into_owned();
                let told = problems.iter().any(|p| p.contains(&name));
                let lost_newest = kind == "/manifest/" && matches!(damage, Damage::Missing);
                assert!(told || lost_newest, "{kind} {damage:?}: {problems:?}");
            }
            Err(e) => told_of(&e, &file),
        }
        match use_store(copy.path()).await {
            Ok(read) => assert!(read == content, "a wrong answer: {kind} {damage:?}"),
            Err(e) => told_of(&e, &file),
        }
    }
}

fn keys_of(content: &Content) -> Vec<Key> {
    content.iter().map(|(key, _)| key.clone()).collect()
}

async fn use_copy(path: &Path) -> Result<Content, Error> {
    let copy = folder();
    copy_folder(path, copy.path());
    use_store(copy.path()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests() {
    damage_each("/manifest/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_files() {
    damage_each("data.lance").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_of_data_files() {
    damage_each("data.sums").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_indexes() {
    damage_each("pk.idx").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_sets() {
    damage_each("/deletes.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_file() {
    let (made, content) = make().await;
    for damage in [Damage::Missing, Damage::Empty, Damage::Half, Damage::Bit(0.0)] {
        let copy = folder();
        copy_folder(made.path(), copy.path());
        let file = copy.path().join("elanus.json");
        damage.apply(&file);
        told_of(&problems(copy.path()).await.expect_err("a damaged store file"), &file);
        told_of(&use_store(copy.path()).await.expect_err("a damaged store file"), &file);
        // Mended, it opens: the refusal has changed nothing.
        std::fs::copy(made.path().join("elanus.json"), &file).expect("a file mended");
        assert!(use_store(copy.path()).await.expect("the store") == content);
    }
}

/// Many random damages to segment files: no panic, and the whole-file checksums tell of each.
#[tokio::test(flavor = "multi_thread")]
async fn random_bits() {
    let (made, content) = make().await;
    let mut rng = StdRng::seed_from_u64(11);
    for round in 0..60 {
        let copy = folder();
        copy_folder(made.path(), copy.path());
        let all: Vec<PathBuf> = files(copy.path())
            .into_iter()
            .filter(|f| f.starts_with(copy.path().join("collections")))
            .collect();
        let file = &all[rng.random_range(0..all.len())];
        let damage = Damage::Bit(rng.random_range(0.0..1.0));
        damage.apply(file);
        let told = match problems(copy.path()).await {
            Ok(problems) => problems.join("; "),
            Err(e) => e.to_string(),
        };
        assert!(!told.is_empty(), "round {round}: {file:?} {damage:?}");
        if let Ok(read) = use_store(copy.path()).await {
            assert!(read == content, "round {round}: wrong: {file:?} {damage:?}");
        }
    }
}

/// The local log and catalog: what fjall refuses, and what is lost when they are.
#[tokio::test(flavor = "multi_thread")]
async fn the_local_log() {
    let (made, content) = make().await;
    // Without the folder, the catalog comes back from the bucket; rows that were only in the log are gone.
    let copy = folder();
    copy_folder(made.path(), copy.path());
    std::fs::remove_dir_all(copy.path().join("local")).expect("the log removed");
    let read = use_store(copy.path()).await.expect("the store");
    let flushed: Vec<Key> = (50..500).map(Key::Int).collect();
    assert_eq!(keys_of(&read), flushed);
    let all: Vec<PathBuf> = files(&made.path().join("local"));
    for file in all {
        let name = file.strip_prefix(made.path()).expect("a path").to_path_buf();
        if std::fs::metadata(&file).expect("a file").len() == 0 {
            continue;
        }
        for damage in [Damage::Missing, Damage::Half, Damage::Bit(0.3), Damage::Bit(0.9)] {
            let copy = folder();
            copy_folder(made.path(), copy.path());
            damage.apply(&copy.path().join(&name));
            println!("{name:?} {damage:?}");
            match use_store(copy.path()).await {
                // The log's end may be torn by a crash, so what is damaged there counts as never written.
                Ok(read) => assert!(
                    read == content || keys_of(&read) == flushed,
                    "a wrong answer: {name:?} {damage:?}"
                ),
                Err(e) => assert!(
                    matches!(
                        e.kind,
                        ErrorKind::Corrupted
                            | ErrorKind::NotFound
                            | ErrorKind::Storage
                            | ErrorKind::FailedPrecondition
                    ),
                    "{name:?} {damage:?}: {:?} {e}",
                    e.kind
                ),
            }
        }
    }
}
