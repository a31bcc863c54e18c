//! Small segments are searched as one.

use std::time::Duration;

use super::world::{Ask, Clusters, Faults, Row, World, calm_settings};
use super::{DENSE, modulo};
use elanus_engine::api::{Effort, Metric};

/// Asks until so many segments are searched as one: that is made ready in the background.
async fn wait(world: &World, queries: &[Vec<f32>], units: usize) {
    for _ in 0..1_000 {
        let (_, counts) = world.check(&Ask::new(Metric::L2), queries).await.expect("answers");
        if counts.joined_units == units {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{units} segments were never joined");
}

async fn ask(world: &World, clusters: &mut Clusters, faults: &mut Faults, what: &str) {
    let queries = clusters.many(10);
    for metric in DENSE {
        faults.check(world, &Ask::new(metric), &queries, 0.9, what).await;
        for divisor in [2, 20, 500] {
            faults.check(world, &modulo(metric, divisor, 1), &queries, 0.9, what).await;
        }
        let partition = Ask { partition: Some("one"), ..Ask::new(metric) };
        faults.check(world, &partition, &queries, 0.9, what).await;
        let exact = Ask { effort: Effort::EXACT, ..Ask::new(metric) };
        faults.check(world, &exact, &queries, 1.0, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_segments_are_searched_as_one() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(41, 16, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[("v", 16, true)]).await;
    world.c.create_partition("one").await.expect("a partition");
    let batch = |clusters: &mut Clusters, ids: std::ops::Range<i64>, partition| {
        ids.map(|id| {
            let vector = (id % 11 > 0).then(|| clusters.one());
            (id, Row { n: id, partition, vectors: vec![vector] })
        })
        .collect::<Vec<_>>()
    };
    // Several codebooks: the collection doubles and doubles again.
    for part in 0..6 {
        let partition = (part == 2).then_some("one");
        let rows = batch(&mut clusters, part * 2_500..part * 2_500 + 2_500, partition);
        world.upsert(rows).await;
        world.flush().await;
    }
    let queries = clusters.many(3);
    wait(&world, &queries, 6).await;
    ask(&world, &mut clusters, &mut faults, "joined").await;

    // Deletes and new rows reach what is joined; a new segment is searched beside it, then joined too.
    world.delete(&(100..900).step_by(3).collect::<Vec<_>>()).await;
    let rows = batch(&mut clusters, 1_000..1_200, None);
    world.upsert(rows).await;
    ask(&world, &mut clusters, &mut faults, "rows replaced").await;
    let rows = batch(&mut clusters, 20_000..21_000, None);
    world.upsert(rows).await;
    world.flush().await;
    ask(&world, &mut clusters, &mut faults, "a segment more").await;
    let rows = batch(&mut clusters, 30_000..36_000, None);
    world.upsert(rows).await;
    world.flush().await;
    wait(&world, &queries, 8).await;
    ask(&world, &mut clusters, &mut faults, "joined again").await;

    world.compact().await;
    ask(&world, &mut clusters, &mut faults, "compacted").await;
    let world = world.reopen(&calm_settings()).await;
    ask(&world, &mut clusters, &mut faults, "opened again").await;
    faults.end();
}
