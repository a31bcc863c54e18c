//! A full disk: reads go on, writes are refused in clear words, and all heals when there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::Float32Type;
use elanus_engine::api::{Collection, CompactMode, NewCollection, Rows, Selection};
use elanus_engine::core::error::{Error, ErrorKind, Subject};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::offline;

use crate::harness::{folder, open, small_settings};

const DIM: i32 = 256;
const ROWS: i64 = 500;

/// A small file system, gone when it is dropped; none where mounting is not allowed.
struct Small {
    place: PathBuf,
    _folder: tempfile::TempDir,
}

impl Small {
    fn mount(megabytes: u32) -> Option<Self> {
        let holder = folder();
        let place = holder.path().join("small");
        std::fs::create_dir(&place).expect("a folder");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&place)
            .output()
            .is_ok_and(|out| out.status.success());
        if !mounted {
            println!("SKIPPED: a file system cannot be mounted here (needs root)");
            return None;
        }
        Some(Self { place, _folder: holder })
    }

    fn ballast(&self, megabytes: usize) {
        std::fs::write(self.place.join("ballast"), vec![1; megabytes << 20]).expect("ballast");
    }

    fn drop_ballast(&self) {
        std::fs::remove_file(self.place.join("ballast")).expect("no ballast");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.place).status().ok();
    }
}

async fn insert(c: &Collection, from: i64) -> Result<(), Error> {
    let keys = from..from + ROWS;
    let vectors = keys
        .clone()
        .map(|k| Some((0..DIM).map(|d| Some((k * 31 + i64::from(d)) as f32)).collect::<Vec<_>>()));
    let columns = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(keys.clone())) as ArrayRef),
        ("v", Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, DIM))),
    ]);
    c.insert(Rows { columns: columns.expect("a batch"), partition: None }).await.map(|_| ())
}

/// Writes until it is refused; returns the rows that were acknowledged and why no more were.
async fn fill(c: &Collection, from: i64) -> (i64, Error) {
    let mut next = from;
    loop {
        match insert(c, next).await {
            Ok(()) => next += ROWS,
            Err(e) => return (next, e),
        }
        assert!(next < 1_000_000, "the disk is never full");
    }
}

async fn count(c: &Collection) -> i64 {
    c.snapshot().count(&Selection::default()).await.expect("a count") as i64
}

fn schema() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("v", DataType::FloatVector { dim: DIM as u32 }),
    ])
}

async fn clean(place: &Path) {
    let report = offline::verify(&place.to_string_lossy(), &|_| {}).await.expect("a report");
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_stop_before_the_disk_is_full_and_go_on_without_a_restart() {
    let Some(small) = Small::mount(192) else { return };
    small.ballast(128);
    let place = small.place.join("store");
    let mut settings = small_settings();
    settings.memtable.max_rows = 4_000;
    settings.log.min_free_bytes = 24 << 20;
    settings.compaction.enabled = true;
    settings.gc.interval_ms = 1_000;
    let engine = open(&place, &settings).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("c", schema())).await;
    let c = c.expect("a collection");
    let (written, refused) = fill(&c, 0).await;
    println!("{written} rows, then: {refused}");
    assert_eq!((refused.kind, refused.subject), (ErrorKind::LimitExceeded, Subject::Store));
    assert!(refused.message().contains("disk quota exceeded"), "{refused}");
    assert!(written > 0);
    assert_eq!(count(&c).await, written);
    assert!(insert(&c, written).await.is_err());

    small.drop_ballast();
    let mut more = Err(refused);
    for _ in 0..300 {
        more = insert(&c, written).await;
        if more.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    more.expect("writes go on when there is room again");
    assert_eq!(count(&c).await, written + ROWS);
    engine.close().await.expect("a close");
    drop((c, engine));
    clean(&place).await;
    let engine = open(&place, &settings).await.expect("the store");
    assert_eq!(count(&engine.collection("default", "c").expect("it")).await, written + ROWS);
    engine.close().await.expect("a close");
}

/// Somebody else fills the disk to its last byte: nothing acknowledged is lost, reads go on, and what failed
/// in the bucket is done later.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_to_the_last_byte() {
    let Some(small) = Small::mount(64) else { return };
    let place = small.place.join("store");
    let log = folder();
    let mut settings = small_settings();
    settings.memtable.max_rows = 100_000;
    settings.log.min_free_bytes = 0;
    settings.log.dir = log.path().to_string_lossy().into_owned();
    let engine = open(&place, &settings).await.expect("a store");
    let c = engine.create_collection("default", NewCollection::new("c", schema())).await;
    let c = c.expect("a collection");
    for at in 0..4 {
        insert(&c, at * ROWS).await.expect("rows");
    }
    c.flush().await.expect("a flush");
    for at in 4..20 {
        insert(&c, at * ROWS).await.expect("rows");
    }
    small.ballast(0);
    let mut ballast = std::fs::File::create(small.place.join("ballast")).expect("ballast");
    while std::io::Write::write(&mut ballast, &[1; 4096]).is_ok() {}
    drop(ballast);
    let failed = c.flush().await.expect_err("a flush without room");
    println!("{failed}");
    assert_eq!(failed.kind, ErrorKind::Storage, "{failed}");
    let failed = c.compact(CompactMode::All).await;
    println!("{failed:?}");
    assert_eq!(count(&c).await, 20 * ROWS);
    insert(&c, 20 * ROWS).await.expect("the log has room");
    small.drop_ballast();
    c.flush().await.expect("a flush with room again");
    c.compact(CompactMode::All).await.expect("a compaction");
    assert_eq!(count(&c).await, 21 * ROWS);
    c.collect_garbage().await.expect("garbage collected");
    engine.close().await.expect("a close");
    drop((c, engine));
    clean(&place).await;
    let report = offline::verify(&place.to_string_lossy(), &|_| {}).await.expect("a report");
    assert_eq!(report.orphan_files, 0, "what failed left files");
}
