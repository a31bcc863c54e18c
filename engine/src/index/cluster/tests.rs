//! The clustered index against brute force, on clustered data made here.

use std::sync::Arc;

use super::*;
use crate::core::effort::Effort;
use crate::core::rowset::RowSet;
use crate::index::Metric;
use arrow::buffer::BooleanBuffer;

/// A small generator with a seed that failures print.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 24) as f32) - 0.5
    }

    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.next()).sum::<f32>() * 1.4
    }
}

/// Rows around centres that lie around centres.
fn data(n: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let centers: Vec<f32> = (0..40 * dim).map(|_| random.normal()).collect();
    (0..n)
        .flat_map(|_| {
            let at = ((random.next() + 0.5) * 40.0) as usize % 40;
            let center = centers[at * dim..(at + 1) * dim].to_vec();
            let spread = 0.4 + 0.3 * random.next();
            center.into_iter().map(|c| c + spread * random.normal()).collect::<Vec<_>>()
        })
        .collect()
}

/// A codebook of data of its own.
pub fn book(dim: usize) -> Arc<Codebook> {
    let rows = data(3_000, dim, 1);
    let order = Order { version: 1, dim, space: Space::Raw, rows: 3_000 };
    Arc::new(train(order, rows).unwrap())
}

/// Rows coded in list order, with the order of the rows they came from.
fn coded(book: &Arc<Codebook>, rows: &[f32]) -> (CodedRows, Vec<u32>) {
    let lists = train::assign(book, rows);
    let mut order: Vec<u32> = (0..lists.len() as u32).collect();
    order.sort_by_key(|row| lists[*row as usize]);
    let sorted: Vec<f32> = order
        .iter()
        .flat_map(|row| rows[*row as usize * book.dim..][..book.dim].iter().copied())
        .collect();
    let sorted_lists: Vec<u32> = order.iter().map(|row| lists[*row as usize]).collect();
    let mut coder = RowCoder::new(book.clone(), false, 0);
    for (rows, lists) in sorted.chunks(1_024 * book.dim).zip(sorted_lists.chunks(1_024)) {
        coder.push(rows, lists);
    }
    (coder.finish(Some(order.clone())).unwrap().0, order)
}

fn truth(metric: Metric, rows: &[f32], query: &[f32], k: usize, allowed: &RowSet) -> Vec<u32> {
    let dim = query.len();
    let mut all: Vec<(f64, u32)> = allowed
        .iter()
        .map(|at| {
            let score =
                elanus_kernels::exact_score(kernel_metric(metric), query, &rows[at * dim..][..dim]);
            (if metric == Metric::L2 { score } else { -score }, at as u32)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().take(k).map(|(_, at)| at).collect()
}

fn kernel_metric(metric: Metric) -> elanus_kernels::Metric {
    match metric {
        Metric::Ip => elanus_kernels::Metric::Ip,
        Metric::Cosine => elanus_kernels::Metric::Cosine,
        _ => elanus_kernels::Metric::L2,
    }
}

#[test]
fn every_metric_in_every_space_finds_its_neighbours() {
    for (dim, n) in [(24, 6_000), (300, 4_000)] {
        let rows = data(n, dim, 9);
        let queries = data(60, dim, 9);
        for space in [Space::Raw, Space::Unit] {
            let order = Order { version: 3, dim, space, rows: n };
            let book = Arc::new(train(order, rows.clone()).unwrap());
            let (coded, _) = coded(&book, &rows);
            for metric in [Metric::L2, Metric::Cosine, Metric::Ip] {
                for share in [1, 3, 40] {
                    let allowed =
                        RowSet::from_bits(BooleanBuffer::collect_bool(n, |i| i % share == 0));
                    let target = Target::new(0, &book, &coded, &allowed, metric);
                    let search = ClusterSearch::new(
                        &book,
                        vec![target],
                        metric,
                        10,
                        Effort::new(0.98).unwrap(),
                    );
                    let (mut right, mut all) = (0, 0);
                    let mut scratch = Scratch::default();
                    for query in queries.chunks_exact(dim) {
                        let (found, _) = search.run(query, &mut scratch).unwrap();
                        let truth = truth(metric, &rows, query, 10, &allowed);
                        assert!(found.iter().all(|c| allowed.contains(c.row as usize)));
                        right +=
                            truth.iter().filter(|t| found.iter().any(|c| c.row == **t)).count();
                        all += truth.len();
                    }
                    let recall = right as f32 / all as f32;
                    assert!(recall > 0.93, "{dim} {space:?} {metric:?} 1/{share}: {recall}");
                }
            }
        }
    }
}

#[test]
fn a_codebook_and_codes_survive_their_bytes_and_refuse_damage() {
    for dim in [24, 300] {
        let book = book(dim);
        let back = Codebook::decode(&book.encode(), "c").unwrap();
        assert_eq!((back.encode(), back.lists()), (book.encode(), book.lists()));
        let rows = data(500, dim, 4);
        let (coded, _) = coded(&book, &rows);
        let bytes = Arc::new(coded).encode(book.version).concat();
        let again = Arc::new(CodedRows::decode(&bytes, &book, 500, "v").unwrap());
        assert_eq!(again.encode(book.version).concat(), bytes);
        for at in (0..bytes.len()).step_by(97) {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert!(CodedRows::decode(&bad, &book, 500, "v").is_err(), "byte {at}");
        }
        assert!(CodedRows::decode(&bytes[..bytes.len() - 1], &book, 500, "v").is_err());
        assert!(CodedRows::decode(&bytes, &book, 400, "v").is_err());
        assert!(Codebook::decode(&book.encode()[..100], "c").is_err());
    }
}

#[test]
fn copied_codes_are_the_codes_made_anew() {
    for dim in [24, 300] {
        let book = book(dim);
        let rows = data(1_000, dim, 5);
        let (coded, _) = coded(&book, &rows);
        let mut copier = RowCoder::new(book.clone(), false, 0);
        for (place, list) in coded.lists_of_places().into_iter().enumerate() {
            copier.copy(&coded, place, list);
        }
        let copy = copier.finish(coded.order.clone()).unwrap().0;
        assert_eq!((copy.nibbles, copy.bytes), (coded.nibbles, coded.bytes));
        assert_eq!(copy.starts, coded.starts);
        assert_eq!(copy.coarse.add, coded.coarse.add);
    }
}

#[test]
fn allowed_rows_alone_answer_like_all_under_a_mask() {
    for dim in [24, 300] {
        let rows = data(12_000, dim, 1);
        let order = Order { version: 1, dim, space: Space::Raw, rows: 12_000 };
        let book = Arc::new(train(order, rows[..6_000 * dim].to_vec()).unwrap());
        let (coded, _) = coded(&book, &rows);
        let bits = BooleanBuffer::collect_bool(12_000, |row| row % 9 == 2);
        let allowed = RowSet::from_bits(bits);
        for metric in [Metric::L2, Metric::Ip] {
            let target = Target::new(0, &book, &coded, &allowed, metric);
            assert!(target.narrowed(&book, 3).is_none());
            let narrowed = target.narrowed(&book, 50).unwrap();
            assert_eq!(narrowed.rows, allowed.count());
            let over = target.clone().over(&narrowed, &book, metric);
            let find = |target: Target<'_>, query: &[f32]| {
                let effort = Effort::DEFAULT;
                let search = ClusterSearch::new(&book, vec![target], metric, 10, effort);
                search.run(query, &mut Scratch::default()).unwrap()
            };
            let (mut right, mut all) = (0, 0);
            for query in data(40, dim, 1).chunks_exact(dim) {
                let (masked, (found, touched)) =
                    (find(target.clone(), query), find(over.clone(), query));
                assert_eq!(touched.lists, masked.1.lists);
                assert!(found.iter().all(|c| allowed.contains(c.row as usize)));
                let truth = truth(metric, &rows, query, 10, &allowed);
                right += truth.iter().filter(|t| found.iter().any(|c| c.row == **t)).count();
                all += truth.len();
            }
            assert!(right as f32 > 0.93 * all as f32, "{dim} {metric:?}: {right} of {all}");
        }
    }
}

#[test]
fn joined_units_answer_like_their_rows() {
    use joined::{Part, Source};
    for dim in [24, 300] {
        let book = book(dim);
        let rows = data(5_000, dim, 1);
        // Units of unlike sizes; the third has rows without vectors at its end.
        let ranges = [(0, 700), (700, 3_000), (3_000, 5_000)];
        let part = |unit: usize| {
            let (from, to) = ranges[unit];
            let codes = Arc::new(coded(&book, &rows[from * dim..to * dim]).0);
            let rows = to - from + if unit == 2 { 37 } else { 0 };
            Part { unit: unit as u64, rows, source: Source::Own(codes) }
        };
        let two = Arc::new(Joined::new(book.clone(), &[part(2), part(0)], None).unwrap());
        // Another order, and two of them joined before.
        let parts = [
            Part { source: Source::Joined(two.clone(), 1), ..part(0) },
            part(1),
            Part { source: Source::Joined(two.clone(), 0), ..part(2) },
        ];
        let joined = Joined::new(book.clone(), &parts, None).unwrap();
        assert_eq!((joined.rows().rows, joined.unit_rows(2)), (5_000, 2_037));
        for share in [1, 2, 30] {
            for left_out in [3, 0, 2] {
                let sets: Vec<(usize, RowSet)> = (0..3)
                    .filter(|unit| *unit != left_out)
                    .map(|unit| {
                        let bits = |row| (row + ranges[unit].0) % share == 0;
                        let rows = joined.unit_rows(unit);
                        (unit, RowSet::from_bits(BooleanBuffer::collect_bool(rows, bits)))
                    })
                    .collect();
                let allowed = RowSet::from_bits(BooleanBuffer::collect_bool(5_000, |row| {
                    let at = ranges.iter().position(|(from, to)| (*from..*to).contains(&row));
                    row % share == 0 && at != Some(left_out)
                }));
                let sets: Vec<(usize, &RowSet)> = sets.iter().map(|(u, s)| (*u, s)).collect();
                let (mut right, mut all) = (0, 0);
                for query in data(40, dim, 1).chunks_exact(dim) {
                    let target = Target::joined(9, &joined, &sets, Metric::L2);
                    let search =
                        ClusterSearch::new(&book, vec![target], Metric::L2, 10, Effort::DEFAULT);
                    let (found, _) = search.run(query, &mut Scratch::default()).unwrap();
                    let found: Vec<u32> = found
                        .iter()
                        .map(|c| {
                            let (unit, row) = joined.address(c.row);
                            ranges[unit].0 as u32 + row
                        })
                        .collect();
                    assert!(found.iter().all(|row| allowed.contains(*row as usize)));
                    let truth = truth(Metric::L2, &rows, query, 10, &allowed);
                    right += truth.iter().filter(|t| found.contains(t)).count();
                    all += truth.len();
                }
                let recall = right as f32 / all as f32;
                assert!(recall > 0.93, "{dim} 1/{share} without {left_out}: {recall}");
            }
        }
    }
}

#[test]
fn values_whose_squares_overflow_are_left_to_the_exact_search() {
    let mut rows = data(3_000, 16, 2);
    rows[5] = 3e20;
    let order = Order { version: 1, dim: 16, space: Space::Raw, rows: 3_000 };
    assert!(train(order, rows.clone()).is_none());
    let book = book(16);
    let mut coder = RowCoder::new(book.clone(), true, 0);
    coder.push(&rows, &[]);
    assert!(coder.finish(None).is_none());
    let good = data(100, 16, 2);
    let mut coder = RowCoder::new(book.clone(), true, 0);
    coder.push(&good, &[]);
    let (coded, _) = coder.finish(None).unwrap();
    let target = Target::new(0, &book, &coded, &RowSet::all(100), Metric::L2);
    let search = ClusterSearch::new(&book, vec![target], Metric::L2, 3, Effort::DEFAULT);
    assert!(search.run(&[1e25; 16], &mut Scratch::default()).is_none());
}
