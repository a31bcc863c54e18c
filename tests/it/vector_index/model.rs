//! Random programs of writes, flushes, compactions and reopenings, with searches between them.

use elanus_engine::api::{CompactMode, Effort, Metric};
use rand::Rng;

use super::world::{Ask, Clusters, Faults, Row, World, calm_settings};
use super::{DENSE, index};
use crate::harness::seeds;

#[tokio::test(flavor = "multi_thread")]
async fn random_programs_answer_like_brute_force() {
    let mut faults = Faults::default();
    for seed in seeds(100, 4) {
        program(seed, &mut faults).await;
    }
    faults.end();
}

async fn program(seed: u64, faults: &mut Faults) {
    let mut shape = Clusters::new(seed, 1, 1, 1.0).rng;
    let dims = [shape.random_range(1..40), [2, 24, 260][shape.random_range(0..3)]];
    let mut settings = calm_settings();
    if shape.random_bool(0.3) {
        settings.read.cache_bytes = 1 << 20;
    }
    let mut world = World::new(&settings, &[("v", dims[0], true), ("w", dims[1], true)]).await;
    let metric = DENSE[shape.random_range(0..3)];
    world.c.create_index("v", "", index("HNSW", metric)).await.expect("an index");
    let mut data = dims.map(|dim| Clusters::new(seed ^ dim as u64, dim, 25, 0.4));
    // Enough rows for codebooks at the start; then the collection grows and drifts.
    let mut size = 2_600;
    for step in 0..14 {
        let action = if step == 0 { 0 } else { shape.random_range(0..10) };
        match action {
            0..=3 => {
                let drift = step as f32 * 0.1;
                let from: i64 = shape.random_range(0..6_000);
                let mut row = |id: i64| {
                    let mut vector = |at: usize| {
                        let there = shape.random_bool(0.85);
                        let moved = |v: Vec<f32>| v.into_iter().map(|x| x + drift).collect();
                        there.then(|| moved(data[at].one()))
                    };
                    let vectors = vec![vector(0), vector(1)];
                    (id, Row { n: id * 7 + 1, partition: None, vectors })
                };
                let rows = (from..from + size).map(&mut row).collect();
                world.upsert(rows).await;
                size = shape.random_range(1..4_000);
            }
            4 => {
                let keys: Vec<i64> = world.rows.keys().copied().collect();
                let divisor = shape.random_range(2..9);
                let gone: Vec<i64> = keys.into_iter().filter(|k| k % divisor == 0).collect();
                world.delete(&gone).await;
            }
            5 | 6 => world.flush().await,
            7 => world.compact().await,
            8 => {
                world.c.compact(CompactMode::Planned).await.expect("a compaction");
                world.c.collect_garbage().await.expect("garbage");
            }
            _ => world = world.reopen(&settings).await,
        }
        let queries = [data[0].many(6), data[1].many(6)];
        look(&world, &queries, &mut shape, faults, &format!("seed {seed}, step {step}")).await;
    }
}

async fn look(
    world: &World,
    queries: &[Vec<Vec<f32>>; 2],
    shape: &mut rand::rngs::StdRng,
    faults: &mut Faults,
    at: &str,
) {
    for (field, queries) in queries.iter().enumerate() {
        let metric = DENSE[shape.random_range(0..3)];
        let dim = world.fields[field].1;
        let what = format!("{at}, {dim} dimensions, {} rows", world.rows.len());
        for modulo in [None, Some((3, 1)), Some((40, 1)), Some((900, 1))] {
            let k = [1, 10, 60, 700][shape.random_range(0..4)];
            let ask = Ask { field, k, modulo, ..Ask::new(metric) };
            let exact = Ask { effort: Effort::EXACT, ..ask.clone() };
            faults.check(world, &exact, &queries[..2], 1.0, &what).await;
            // One row of six queries is too little to tell a share by.
            faults.check(world, &ask, queries, if k == 1 { 0.5 } else { 0.9 }, &what).await;
        }
        let low = Effort::new(0.1).expect("an effort");
        let low = Ask { field, effort: low, ..Ask::new(Metric::L2) };
        faults.check(world, &low, queries, 0.0, &what).await;
    }
}
