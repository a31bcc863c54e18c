//! The clustered index through the engine, against brute force: filters, metrics, nulls, odd values, several
//! segments and codebooks, damage; and a model test of random programs.

mod joined;
mod model;
mod odd;
mod world;

use std::collections::BTreeMap;

use elanus_engine::api::{Effort, Metric};

use world::{Ask, Clusters, Faults, Row, World, calm_settings};

const DENSE: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];

fn index(index_type: &str, metric: Metric) -> BTreeMap<String, String> {
    [("index_type", index_type), ("metric_type", metric.name())]
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .into()
}

fn modulo(metric: Metric, divisor: i64, rest: i64) -> Ask {
    Ask { modulo: Some((divisor, rest)), ..Ask::new(metric) }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_of_few_rows_over_several_segments() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(1, 16, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[("v", 16, false)]).await;
    for part in 0..3 {
        world.add(part * 4_000, clusters.many(4_000)).await;
        world.flush().await;
    }
    let queries = clusters.many(20);
    let (_, counts) = world.check(&Ask::new(Metric::L2), &queries).await.expect("answers");
    assert!(counts.codes_scanned > 0, "{counts:?}");
    for metric in DENSE {
        for divisor in [2, 20, 70, 97, 500, 5_000] {
            faults
                .check(&world, &modulo(metric, divisor, 1), &queries, 0.9, "three segments")
                .await;
        }
    }
    world.compact().await;
    for divisor in [2, 20, 70, 97, 500, 5_000] {
        faults.check(&world, &modulo(Metric::L2, divisor, 1), &queries, 0.9, "one segment").await;
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_dimensions() {
    let mut faults = Faults::default();
    for dim in [1, 2, 3, 7, 31, 33, 100, 255, 256, 257, 300] {
        let mut clusters = Clusters::new(dim as u64, dim, 20, 0.5);
        let mut world = World::new(&calm_settings(), &[("v", dim, false)]).await;
        world.add(0, clusters.many(2_200)).await;
        world.flush().await;
        world.add(10_000, clusters.many(900)).await;
        world.flush().await;
        let queries = clusters.many(10);
        for metric in DENSE {
            let what = format!("{dim} dimensions");
            faults.check(&world, &Ask::new(metric), &queries, 0.9, &what).await;
            faults.check(&world, &modulo(metric, 7, 3), &queries, 0.9, &what).await;
            faults.check(&world, &Ask { k: 400, ..Ask::new(metric) }, &queries, 0.9, &what).await;
            faults.check(&world, &Ask { k: 9_999, ..Ask::new(metric) }, &queries, 1.0, &what).await;
            faults
                .check(
                    &world,
                    &Ask { effort: Effort::EXACT, ..Ask::new(metric) },
                    &queries,
                    1.0,
                    &what,
                )
                .await;
        }
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codebook_outlives_its_rows() {
    let mut faults = Faults::default();
    // Half of the lists lose their rows; new ones come into a smaller segment.
    let mut world = World::new(&calm_settings(), &[("v", 16, false)]).await;
    let mut plain = Clusters::new(3, 16, 12, 0.3);
    let far = |mut v: Vec<f32>| {
        v[0] += 12.0;
        v
    };
    world.add(0, plain.many(5_000)).await;
    let first = plain.many(3_000).into_iter().map(far).collect();
    world.add(10_000, first).await;
    world.flush().await;
    world.delete(&(10_000..13_000).collect::<Vec<_>>()).await;
    world.compact().await;
    let again = plain.many(2_500).into_iter().map(far).collect();
    world.add(20_000, again).await;
    world.flush().await;
    let queries: Vec<Vec<f32>> = plain.many(20).into_iter().map(far).collect();
    for metric in DENSE {
        faults
            .check(&world, &Ask::new(metric), &queries, 0.9, "lists empty in the larger segment")
            .await;
        let near: Vec<Vec<f32>> = plain.many(20);
        faults
            .check(&world, &Ask::new(metric), &near, 0.9, "lists empty in the larger segment")
            .await;
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_becomes_flat_leaves_the_other_fields_in_order() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(4, 16, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[("v", 16, true), ("w", 16, true)]).await;
    let mut row = |id: i64| {
        let mut maybe = |share: i64| (id % share != 0).then(|| clusters.one());
        let vectors = vec![maybe(9), maybe(5)];
        (id, Row { n: id, partition: None, vectors })
    };
    let rows = (0..4_000).map(&mut row).collect();
    world.upsert(rows).await;
    world.flush().await;
    let queries = Clusters::new(4, 16, 30, 0.4).many(20);
    let ask = |field| Ask { field, ..Ask::new(Metric::L2) };
    faults.check(&world, &ask(0), &queries, 0.9, "before").await;
    faults.check(&world, &ask(1), &queries, 0.9, "before").await;
    world.c.create_index("v", "", index("FLAT", Metric::L2)).await.expect("an index");
    // Rewritten for its deletes, without a new codebook: codes are copied.
    world.delete(&(0..4_000).step_by(3).collect::<Vec<_>>()).await;
    world.compact().await;
    faults.check(&world, &ask(0), &queries, 0.9, "flat").await;
    faults.check(&world, &ask(1), &queries, 0.9, "the field that became the first").await;
    let none = Ask { modulo: Some((20, 0)), k: 30, ..ask(1) };
    faults.check(&world, &none, &queries, 1.0, "rows without a vector").await;
    faults.check(&world, &Ask { k: 500, ..ask(1) }, &queries, 0.9, "all rows with a vector").await;
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]

async fn vectors_that_are_all_null_after_a_codebook() {
    let mut faults = Faults::default();
    for later in [900, 9_000, 20_000] {
        let mut clusters = Clusters::new(5, 8, 30, 0.4);
        let mut world = World::new(&calm_settings(), &[("v", 8, true)]).await;
        world.add(0, clusters.many(2_500)).await;
        world.flush().await;
        let null = |id: i64| (id, Row { n: id, partition: None, vectors: vec![None] });
        world.upsert((10_000..10_000 + later).map(null).collect()).await;
        world.flush().await;
        let queries = clusters.many(10);
        faults.check(&world, &Ask::new(Metric::L2), &queries, 0.9, "nulls").await;
        faults.check(&world, &modulo(Metric::L2, 50, 3), &queries, 0.9, "nulls").await;
        world.compact().await;
        faults.check(&world, &Ask::new(Metric::L2), &queries, 0.9, "nulls").await;
        let ask = Ask { k: 5_000, ..Ask::new(Metric::L2) };
        faults.check(&world, &ask, &queries, 1.0, "all that have a vector").await;
    }
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]

async fn few_vectors_among_many_nulls() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(6, 8, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[("v", 8, true)]).await;
    for part in 0..3 {
        let mut row = |id: i64| {
            let vector = (id % 997 == 0 || part == 2).then(|| clusters.one());
            (id, Row { n: id, partition: None, vectors: vec![vector] })
        };
        world.upsert((part * 6_000..(part + 1) * 6_000).map(&mut row).collect()).await;
        world.flush().await;
        let queries = clusters.many(10);
        for metric in DENSE {
            faults.check(&world, &Ask::new(metric), &queries, 0.9, "few vectors").await;
            faults.check(&world, &modulo(metric, 3, 0), &queries, 0.9, "few vectors").await;
        }
    }
    world.compact().await;
    faults.check(&world, &Ask::new(Metric::L2), &clusters.many(10), 0.9, "few vectors").await;
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_name_of_a_field() {
    let mut faults = Faults::default();
    let name = "v".repeat(255);
    let mut clusters = Clusters::new(7, 8, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[(&name, 8, false)]).await;
    world.add(0, clusters.many(2_500)).await;
    world.flush().await;
    faults.check(&world, &Ask::new(Metric::L2), &clusters.many(10), 0.9, "a long name").await;
    faults.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_have_codes_of_their_own() {
    let mut faults = Faults::default();
    let mut clusters = Clusters::new(8, 12, 30, 0.4);
    let mut world = World::new(&calm_settings(), &[("v", 12, false)]).await;
    for name in ["a", "b"] {
        world.c.create_partition(name).await.expect("a partition");
    }
    for (name, from, to) in [("a", 0, 2_500), ("b", 3_000, 9_000)] {
        let mut row = |id: i64| {
            (id, Row { n: id, partition: Some(name), vectors: vec![Some(clusters.one())] })
        };
        world.upsert((from..to).map(&mut row).collect()).await;
    }
    world.flush().await;
    let queries = clusters.many(10);
    for partition in [None, Some("a"), Some("b")] {
        for divisor in [1, 40] {
            let ask = Ask { partition, modulo: Some((divisor, 0)), ..Ask::new(Metric::L2) };
            faults.check(&world, &ask, &queries, 0.9, "partitions").await;
        }
    }
    world.c.drop_partition("a").await.expect("dropped");
    world.rows.retain(|_, row| row.partition != Some("a"));
    faults.check(&world, &Ask::new(Metric::L2), &queries, 0.9, "a partition is gone").await;
    world.c.collect_garbage().await.expect("garbage");
    world.compact().await;
    faults.check(&world, &Ask::new(Metric::L2), &queries, 0.9, "a partition is gone").await;
    faults.end();
}
