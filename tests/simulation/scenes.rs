//! What runs have found, each as a short scene of its own: seeds do not stay what they were when the engine changes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use elanus_engine::api::{AsOf, Collection, CompactMode, NewCollection, PartitionSet, Rows};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::Key;
use elanus_engine::core::runtime;
use elanus_engine::core::runtime::sim::{self, Machine};
use elanus_engine::core::settings::{Durability, Settings};
use elanus_engine::lsm::commit;
use elanus_engine::lsm::manifest::Manifest;

use crate::disk::Platter;
use crate::faults::{Faults, Rates};
use crate::life::Life;
use crate::rows::{Row, Test, schema, to_batch};
use crate::world::{Doom, World};

/// Plays a scene without faults, but those that it asks for.
fn scene<F>(seed: u64, change: impl FnOnce(&mut World), play: impl FnOnce(Rc<World>) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let mut world = World::new(seed, None, &mut |_| 0);
    world.settings = Settings::default();
    world.settings.compaction.enabled = false;
    world.settings.gc.interval_ms = 0;
    world.settings.gc.grace_ms = 0;
    world.settings.gc.keep_manifests = 0;
    change(&mut world);
    let world = Rc::new(world);
    let machine = Machine::new(seed, 1_700_000_000_000, world.clone());
    machine.run(play(world)).expect("the scene comes to its end");
}

fn always(rate: u64) -> Arc<Faults> {
    Arc::new(Faults::new(1, Rates { store: rate, ..Default::default() }))
}

async fn make(life: &Life, name: &str) -> Collection {
    let new = NewCollection::new(name, schema(false));
    life.engine().create_collection("default", new).await.expect("a collection")
}

fn rows(keys: std::ops::Range<i64>, n: i64) -> Rows {
    let row = Row { n, tag: None, v: [1.0; 4], extra: BTreeMap::new() };
    let rows: Vec<(Key, Row)> = keys.map(|key| (Key::Int(key), row.clone())).collect();
    Rows { columns: to_batch(&rows), partition: None }
}

async fn count(collection: &Collection) -> u64 {
    collection.snapshot().count(&Default::default()).await.expect("a count")
}

/// A scene without anything special.
fn plain<F>(play: impl FnOnce(Rc<World>) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    scene(1, |_| {}, play);
}

/// A process that the main task plays.
async fn begin(world: &Rc<World>, process: u64, platter: &Arc<Platter>) -> Rc<Life> {
    let life = Life::new(world, process, platter);
    life.open().await.expect("an open store");
    life
}

/// Ends a process that the main task played.
fn kill(life: &Life) {
    life.alive.store(false, std::sync::atomic::Ordering::SeqCst);
    sim::machine().expect("within a scene").end(life.process);
    life.engine.take();
}

async fn seconds(n: u64) {
    runtime::sleep(Duration::from_secs(n)).await;
}

/// Opens the store in a process of its own, which can be paused.
async fn open_apart(life: &Rc<Life>) {
    let (sender, done) = tokio::sync::oneshot::channel();
    let its = life.clone();
    let work = async move {
        its.open().await.expect("an open store");
        sender.send(()).ok();
    };
    sim::machine().expect("within a scene").start(life.process, Box::pin(work));
    done.await.expect("it opens");
}

#[test]
fn a_writer_that_was_replaced_does_not_renew_its_lease() {
    plain(|world| async move {
        let first = Life::new(&world, 1, &Arc::new(Platter::default()));
        open_apart(&first).await;
        let collection = make(&first, "c").await;
        sim::machine().expect("within a scene").pause(1, Duration::from_secs(40));
        seconds(16).await;
        let second = Life::new(&world, 2, &Arc::new(Platter::default()));
        open_apart(&second).await;
        // Its renewals remove the lease files that stood in the way of the first one.
        first.clock.jump(-60_000);
        seconds(35).await;
        let refused = collection.insert(rows(0..1, 0)).await.expect_err("it has been replaced");
        assert_eq!(refused.kind, ErrorKind::Fenced);
    });
}

#[test]
fn a_collection_that_a_replaced_writer_made_late_is_dropped() {
    plain(|world| async move {
        let platter = Arc::new(Platter::default());
        let life = begin(&world, 1, &platter).await;
        let made = make(&life, "c").await.id();
        let head = commit::head(&life.bucket(), made).await.expect("read").expect("a version");
        let late = Manifest { collection_id: 7, epoch: 0, writer: "gone".into(), ..head };
        commit::create(&life.bucket(), &late).await.expect("nothing keeps it away");
        kill(&life);
        for (process, platter) in [(2, platter), (3, Arc::default())] {
            seconds(20).await;
            let life = begin(&world, process, &platter).await;
            let engine = life.engine();
            let found: Vec<u64> = engine.all_collections().iter().map(Collection::id).collect();
            assert_eq!(found, [made]);
            kill(&life);
        }
    });
}

#[test]
fn a_creation_that_failed_does_not_come_back() {
    scene(
        5,
        |world| world.faults = always(1_000),
        |world| async move {
            let platter = Arc::new(Platter::default());
            let life = begin(&world, 1, &platter).await;
            let engine = life.engine();
            for n in 0..20 {
                world.faults.set_on(true);
                let new = NewCollection::new(format!("c{n}"), schema(false));
                engine.create_collection("default", new).await.expect_err("the store fails");
                world.faults.set_on(false);
                let collection = make(&life, &format!("c{n}")).await;
                collection.insert(rows(0..1, n)).await.expect("a write");
            }
            kill(&life);
            let life = begin(&world, 2, &platter).await;
            let engine = life.engine();
            assert_eq!(engine.all_collections().len(), 20);
            for collection in engine.all_collections() {
                assert_eq!(count(&collection).await, 1, "{}", collection.name());
            }
        },
    );
}

#[test]
fn who_holds_a_dropped_collection_never_reads_half_of_it() {
    plain(|world| async move {
        let life = begin(&world, 1, &Arc::default()).await;
        let engine = life.engine();
        let collection = make(&life, "c").await;
        collection.insert(rows(0..5, 0)).await.expect("a write");
        collection.flush().await.expect("a flush");
        collection.insert(rows(5..7, 0)).await.expect("a write");
        engine.drop_collection("default", "c").await.expect("a drop");
        assert_eq!(count(&collection).await, 7);
        let version = AsOf::Version(collection.stats().version);
        for when in [AsOf::Timestamp(collection.snapshot().timestamp()), version] {
            let refused = collection.as_of(&when).await.expect_err("it has no past any more");
            assert_eq!(refused.kind, ErrorKind::NotFound, "{when:?}");
        }
    });
}

#[test]
fn a_drop_that_the_local_disk_stopped_can_be_tried_again() {
    plain(|world| async move {
        let life = begin(&world, 1, &Arc::default()).await;
        let engine = life.engine();
        make(&life, "c").await;
        world.faults.set_on(true);
        world.faults.set_disk_full(true);
        engine.drop_collection("default", "c").await.expect_err("the catalog cannot be written");
        world.faults.set_on(false);
        engine.drop_collection("default", "c").await.expect("a drop");
        make(&life, "c").await;
        assert_eq!(engine.all_collections().len(), 1);
    });
}

#[test]
fn a_delete_by_filter_meets_writes_whose_callers_went_away() {
    for polls in 0..12 {
        scene(
            polls,
            |_| {},
            move |world| async move {
                let life = begin(&world, 1, &Arc::default()).await;
                let collection = make(&life, "c").await;
                let mut call = Box::pin(collection.insert(rows(0..3, 0)));
                for _ in 0..=polls {
                    if futures::poll!(call.as_mut()).is_ready() {
                        break;
                    }
                    sim::give_way().await;
                }
                drop(call);
                let all = Test::Modulo(1, 0).filter();
                let deleted =
                    collection.delete_where(all, &PartitionSet::All).await.expect("a delete");
                seconds(1).await;
                assert_eq!(count(&collection).await, 0, "{polls} polls, {} deleted", deleted.count);
            },
        );
    }
}

#[test]
fn a_merge_obeys_no_delete_that_only_the_log_holds() {
    let durability = |world: &mut World| world.settings.log.durability = Durability::Os;
    scene(1, durability, |world| async move {
        let platter = Arc::new(Platter::default());
        let life = begin(&world, 1, &platter).await;
        let collection = make(&life, "c").await;
        collection.insert(rows(0..8, 1)).await.expect("a write");
        collection.flush().await.expect("a flush");
        seconds(1).await;
        // Replaced, and the newer ones are lost with the power.
        collection.insert(rows(0..6, 2)).await.expect("a write");
        collection.compact(CompactMode::Planned).await.expect("a compaction");
        kill(&life);
        platter.power_failed(|_| 0);
        let life = begin(&world, 2, &platter).await;
        let engine = life.engine();
        assert_eq!(count(&engine.all_collections()[0]).await, 8);
    });
}

#[test]
fn garbage_collection_leaves_a_collection_alone_that_is_being_dropped() {
    for seed in 0..40 {
        scene(
            seed,
            |_| {},
            |world| async move {
                let machine = sim::machine().expect("within a scene");
                let platter = Arc::new(Platter::default());
                let life = Life::new(&world, 1, &platter);
                open_apart(&life).await;
                let collection = make(&life, "c").await;
                collection.insert(rows(0..3, 0)).await.expect("a write");
                collection.flush().await.expect("a flush");
                world.doom.replace(Doom::Gate(1, "drop.manifest", 1));
                let engine = life.engine();
                let drop_it = async move { engine.drop_collection("default", "c").await.map(drop) };
                let collect = async move { collection.collect_garbage().await.map(drop) };
                for work in [
                    Box::pin(drop_it) as std::pin::Pin<Box<dyn Future<Output = Result<(), _>>>>,
                    Box::pin(collect),
                ] {
                    machine.start(1, Box::pin(async move { work.await.unwrap_or_default() }));
                }
                seconds(5).await;
                assert!(life.died(), "it ends between the manifest and the catalog");
                kill(&life);
                let life = Life::new(&world, 2, &platter);
                let engine =
                    life.open().await.expect("the catalog names a collection that is there");
                assert!(engine.all_collections().is_empty());
            },
        );
    }
}

#[test]
fn a_late_version_does_not_bring_a_dropped_collection_back() {
    plain(|world| async move {
        let platter = Arc::new(Platter::default());
        let life = begin(&world, 1, &platter).await;
        let collection = make(&life, "c").await;
        collection.insert(rows(0..3, 0)).await.expect("a write");
        collection.flush().await.expect("a flush");
        let id = collection.id();
        let bucket = life.bucket();
        let head = commit::head(&bucket, id).await.expect("read").expect("a version");
        let late = Manifest { version: head.version + 1, ..head.clone() };
        kill(&life);
        seconds(20).await;
        let second = begin(&world, 2, &Arc::default()).await;
        let engine = second.engine();
        engine.drop_collection("default", "c").await.expect("a drop");
        seconds(1).await;
        engine.collect_dropped().await.expect("garbage");
        // A write that the first one had under way arrives.
        commit::publish(&second.bucket(), &head, &late).await.expect("nothing keeps it away");
        kill(&second);
        seconds(20).await;
        let third = begin(&world, 3, &Arc::default()).await;
        let engine = third.engine();
        assert!(engine.all_collections().is_empty());
    });
}

#[test]
fn a_moment_after_a_kept_version_is_not_read_from_it_when_its_successor_is_gone() {
    plain(|world| async move {
        let platter = Arc::new(Platter::default());
        let life = begin(&world, 1, &platter).await;
        let collection = make(&life, "c").await;
        collection.create_snapshot("s", "").await.expect("a kept version");
        let then = collection.insert(rows(0..3, 1)).await.expect("a write").timestamp;
        // The first ones are replaced before they are flushed.
        collection.insert(rows(0..5, 2)).await.expect("a write");
        collection.flush().await.expect("a flush");
        kill(&life);
        let life = begin(&world, 2, &platter).await;
        let engine = life.engine();
        let collection = &engine.all_collections()[0];
        seconds(1).await;
        collection.collect_garbage().await.expect("garbage");
        // As if versions were kept for longer from now on.
        life.clock.jump(-20_000);
        let moment = AsOf::Timestamp(then);
        let refused = collection.as_of(&moment).await.expect_err("its version is gone");
        assert_eq!(refused.kind, ErrorKind::NotFound);
        let kept = collection.as_of(&AsOf::Snapshot("s".into())).await.expect("it has a name");
        assert_eq!(kept.count(&Default::default()).await.expect("a count"), 0);
    });
}

#[test]
fn a_version_kept_by_name_stays_when_another_writer_takes_the_store() {
    plain(|world| async move {
        let first = Life::new(&world, 1, &Arc::new(Platter::default()));
        open_apart(&first).await;
        let collection = make(&first, "c").await;
        collection.insert(rows(0..4, 1)).await.expect("a write");
        let kept = collection.create_snapshot("s", "").await.expect("a kept version");
        sim::machine().expect("within a scene").pause(1, Duration::from_secs(40));
        seconds(16).await;
        let second = Life::new(&world, 2, &Arc::new(Platter::default()));
        open_apart(&second).await;
        let its = second.engine().all_collections()[0].clone();
        its.insert(rows(0..6, 2)).await.expect("a write");
        its.flush().await.expect("a flush");
        its.compact(CompactMode::All).await.expect("a compaction");
        seconds(1).await;
        its.collect_garbage().await.expect("garbage");
        // The first one goes on and finds out.
        seconds(30).await;
        let drop_it = collection.drop_snapshot("s").await.expect_err("it has been replaced");
        assert_eq!(drop_it.kind, ErrorKind::Fenced);
        collection.collect_garbage().await.expect_err("it has been replaced");
        kill(&second);
        seconds(20).await;
        let third = Life::new(&world, 3, &Arc::new(Platter::default()));
        let its = third.open().await.expect("an open store").all_collections()[0].clone();
        assert_eq!(its.snapshots(), [kept]);
        let then = its.as_of(&AsOf::Snapshot("s".into())).await.expect("it is kept");
        assert_eq!(then.count(&Default::default()).await.expect("a count"), 4);
    });
}

#[test]
fn closing_leaves_to_the_log_what_is_not_flushed_yet() {
    let slow = |world: &mut World| {
        world.settings.memtable.max_rows = 2;
        world.settings.memtable.stop_frozen = 100;
        world.settings.memtable.slowdown_frozen = 100;
        world.faults = Arc::new(Faults::new(1, Rates { slow: 1_000, ..Default::default() }));
    };
    scene(1, slow, |world| async move {
        let platter = Arc::new(Platter::default());
        let life = begin(&world, 1, &platter).await;
        let engine = life.engine();
        let collection = make(&life, "c").await;
        world.faults.set_on(true);
        for key in 0..40 {
            collection.insert(rows(key..key + 1, 0)).await.expect("a write");
        }
        let before = collection.stats().version;
        engine.close().await.expect("a close");
        // A version that is being published may come; the other memtables are not waited for.
        let head = commit::head(&life.bucket(), collection.id()).await.expect("read");
        let after = head.expect("a version").version;
        assert!(after <= before + 1, "{before} before, {after} after");
        world.faults.set_on(false);
        kill(&life);
        let life = begin(&world, 2, &platter).await;
        let engine = life.engine();
        assert_eq!(count(&engine.all_collections()[0]).await, 40);
    });
}
