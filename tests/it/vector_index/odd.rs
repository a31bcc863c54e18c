//! Odd values, small caches, damaged files.

use elanus_engine::api::{Effort, Metric};
use rand::Rng;

use super::world::{Ask, Clusters, Faults, World, calm_settings, normal};
use super::{DENSE, index, modulo};

async fn filled(index_metric: Option<Metric>, vectors: Vec<Vec<f32>>) -> World {
    let mut world = World::new(&calm_settings(), &[("v", vectors[0].len(), false)]).await;
    if let Some(metric) = index_metric {
        world.c.create_index("v", "", index("AUTOINDEX", metric)).await.expect("an index");
    }
    world.add(0, vectors).await;
    world.flush().await;
    world
}

fn scaled(vectors: Vec<Vec<f32>>, mut by: impl FnMut() -> f32) -> Vec<Vec<f32>> {
    let scale = |v: Vec<f32>| {
        let by = by();
        v.into_iter().map(|x| x * by).collect()
    };
    vectors.into_iter().map(scale).collect()
}

const INDEXES: [Option<Metric>; 3] = [None, Some(Metric::Ip), Some(Metric::Cosine)];

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_a_query_does_not_matter_to_products() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(20, 24, 30, 0.4);
    for of in INDEXES {
        let world = filled(of, clusters.many(4_000)).await;
        for length in [1e-8, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e8] {
            let queries = scaled(clusters.many(20), || length);
            for metric in [Metric::Ip, Metric::Cosine] {
                let what = format!("index of {of:?}, queries {length} times as long");
                faults.check(&world, &Ask::new(metric), &queries, 0.9, &what).await;
            }
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_the_rows_does_not_matter() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(21, 24, 30, 0.4);
    for of in INDEXES {
        for length in [1e-6, 1e-2, 1e3, 1e6] {
            let world = filled(of, scaled(clusters.many(4_000), || length)).await;
            let queries = clusters.many(20);
            for metric in [Metric::Ip, Metric::Cosine] {
                let what = format!("index of {of:?}, rows {length} times as long");
                faults.check(&world, &Ask::new(metric), &queries, 0.9, &what).await;
            }
            let what = format!("index of {of:?}, all {length} times as long");
            let queries = scaled(queries, || length);
            faults.check(&world, &Ask::new(Metric::L2), &queries, 0.9, &what).await;
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_many_lengths() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(22, 24, 30, 0.4);
    let mut rng = Clusters::new(23, 1, 1, 1.0).rng;
    for of in INDEXES {
        let vectors = clusters.many(6_000);
        let vectors = scaled(vectors, || normal(&mut rng).exp());
        let world = filled(of, vectors).await;
        let queries = clusters.many(20);
        for metric in DENSE {
            let what = format!("index of {of:?}");
            faults.check(&world, &Ask::new(metric), &queries, 0.9, &what).await;
            faults.check(&world, &modulo(metric, 5, 2), &queries, 0.9, &what).await;
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_rows_near_zero() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(24, 24, 30, 0.4);
    let mut rng = Clusters::new(25, 1, 1, 1.0).rng;
    for of in INDEXES {
        for small in [0.0, 1e-12, 1e-6, 1e-3] {
            let vectors = clusters.many(4_000);
            let vectors = scaled(vectors, || if rng.random_bool(0.05) { small } else { 1.0 });
            let world = filled(of, vectors).await;
            for metric in DENSE {
                let what = format!("index of {of:?}, one row in twenty of length {small}");
                faults.check(&world, &Ask::new(metric), &clusters.many(20), 0.9, &what).await;
            }
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_values_lose_no_rows() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(26, 8, 30, 0.4);
    for of in INDEXES {
        for (rows, query) in
            [(1e14f32, 1e14), (1e17, 1e13), (1e18, 1e13), (1e18, 1e14), (1e25, 1.0), (1.0, 1e25)]
        {
            let world = filled(of, scaled(clusters.many(3_000), || rows)).await;
            let queries = scaled(clusters.many(5), || query);
            for metric in DENSE {
                let what = format!("index of {of:?}, rows of {rows}, queries of {query}");
                faults.check(&world, &Ask::new(metric), &queries, 0.0, &what).await;
                faults.check(&world, &modulo(metric, 2, 1), &queries, 0.0, &what).await;
            }
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_lattices() {
    let mut faults = Faults::default();
    let mut rng = Clusters::new(27, 1, 1, 1.0).rng;
    for values in [1, 2, 3, 50] {
        let row = |rng: &mut rand::rngs::StdRng| {
            (0..8).map(|_| rng.random_range(0..values) as f32 - 1.0).collect::<Vec<f32>>()
        };
        let vectors: Vec<Vec<f32>> = (0..3_000).map(|_| row(&mut rng)).collect();
        let world = filled(None, vectors).await;
        let queries: Vec<Vec<f32>> = (0..10).map(|_| row(&mut rng)).collect();
        for metric in DENSE {
            let what = format!("{values} values");
            faults.check(&world, &Ask::new(metric), &queries, 0.9, &what).await;
            faults.check(&world, &modulo(metric, 4, 1), &queries, 0.9, &what).await;
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_radius_cuts_what_codes_find() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(28, 16, 30, 0.4);
    let world = filled(None, clusters.many(5_000)).await;
    let queries = clusters.many(10);
    for radius in [0.0, 0.5, 3.0, 1e9] {
        let ask = Ask { radius: Some(radius), k: 50, ..Ask::new(Metric::L2) };
        // Only near rows of the radius may be missed: their number is not certain.
        let exact = Ask { effort: Effort::EXACT, ..ask.clone() };
        faults.check(&world, &exact, &queries, 1.0, "a radius").await;
        if radius > 1e6 {
            faults.check(&world, &ask, &queries, 0.9, "a radius").await;
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_too_small_for_the_vectors() {
    let mut faults = Faults::default();
    let mut settings = calm_settings();
    settings.read.cache_bytes = 1 << 20;
    let mut clusters = Clusters::new(29, 64, 30, 0.4);
    let mut world = World::new(&settings, &[("v", 64, false)]).await;
    for part in 0..2 {
        world.add(part * 4_000, clusters.many(4_000)).await;
        world.flush().await;
    }
    world = world.reopen(&settings).await;
    let queries = clusters.many(5);
    for metric in DENSE {
        faults.check(&world, &Ask::new(metric), &queries, 0.9, "a small cache").await;
        faults.check(&world, &modulo(metric, 60, 7), &queries, 0.9, "a small cache").await;
        let nearly_zero = vec![vec![1e-30; 64]];
        faults.check(&world, &Ask::new(metric), &nearly_zero, 0.9, "a small cache").await;
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_index_files_cost_time_only() {
    let mut faults = Faults::default();
    for wanted in ["codebooks/", ".vec.idx"] {
        let settings = calm_settings();
        let mut clusters = Clusters::new(30, 16, 30, 0.4);
        let mut world = World::new(&settings, &[("v", 16, false), ("w", 16, true)]).await;
        let mut row = |id: i64| {
            let vectors = vec![Some(clusters.one()), (id % 3 > 0).then(|| clusters.one())];
            (id, super::world::Row { n: id, partition: None, vectors })
        };
        let (first, second) =
            ((0..3_000).map(&mut row).collect(), (3_000..6_000).map(&mut row).collect());
        world.upsert(first).await;
        world.flush().await;
        world.upsert(second).await;
        world.flush().await;
        world.engine.close().await.expect("closed");
        for path in crate::harness::files(world.folder.path()) {
            let name = path.to_string_lossy().to_string();
            if name.contains(wanted) && name.contains("/v.") {
                let mut bytes = std::fs::read(&path).expect("a file");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x40;
                std::fs::write(&path, bytes).expect("a damaged file");
            }
        }
        world = world.reopen(&settings).await;
        let queries = clusters.many(10);
        for round in ["damaged", "compacted"] {
            let what = format!("{wanted} {round}");
            for field in [0, 1] {
                let ask = Ask { field, ..Ask::new(Metric::L2) };
                faults.check(&world, &ask, &queries, 0.9, &what).await;
                let ask = Ask { k: 200, modulo: Some((2, 1)), ..ask };
                faults.check(&world, &ask, &queries, 0.9, &what).await;
            }
            world.compact().await;
        }
    }
    faults.end();
}
