//! Speed of all kernels on every level of this CPU, one thread, from cache and from memory, beside
//! the rate at which the machine reads memory at all.
//!
//! `cargo run --release -p elanus-kernels --example scan_speed [-- --json] [name]...`: names choose
//! kernels by their beginning; `--json` prints one object a line instead of the table.

use std::hint::black_box;
use std::time::Instant;

use elanus_kernels::{
    BLOCK_ROWS, Kernels, Level, MOST_ENTRY, NibbleRows, NibbleTables, PackedCentroids, f32_to_f16,
    level_report,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Best of many samples of a millisecond, in seconds per pass: short enough that some are left
/// alone by whatever else the machine does.
// A measurement reads the clock of the machine; nothing here is replayed.
#[allow(clippy::disallowed_methods)]
fn best_pass(mut pass: impl FnMut()) -> f64 {
    let mut sample = |passes: usize| {
        let start = Instant::now();
        (0..passes).for_each(|_| pass());
        start.elapsed().as_secs_f64()
    };
    let passes = (0.001 / sample(1).max(1e-9)).ceil() as usize;
    let samples = if passes > 1 { 150 } else { 9 };
    (0..samples).map(|_| sample(passes)).fold(f64::INFINITY, f64::min) / passes as f64
}

/// What to print and how.
struct Table {
    json: bool,
    names: Vec<String>,
}

/// What one pass works on.
struct Work {
    dim: usize,
    /// Rows, pairs or vectors.
    items: usize,
    /// Bytes read of what may lie in memory.
    bytes: usize,
}

impl Table {
    fn wants(&self, kernel: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|n| kernel.starts_with(n.as_str()))
    }

    /// Measures on all levels.
    fn levels(&self, kernel: &str, place: &str, work: Work, mut pass: impl FnMut(&Kernels)) {
        for k in Level::available().iter().filter_map(|l| Kernels::at(*l)) {
            self.line(kernel, place, k.level().name(), &work, || pass(&k));
        }
    }

    fn line(&self, kernel: &str, place: &str, level: &str, work: &Work, pass: impl FnMut()) {
        if !self.wants(kernel) {
            return;
        }
        let seconds = best_pass(pass);
        let (rate, gb) = (work.items as f64 / seconds / 1e6, work.bytes as f64 / seconds / 1e9);
        let (dim, ns) = (work.dim, seconds * 1e9);
        if self.json {
            println!(
                "{{\"kernel\":\"{kernel}\",\"place\":\"{place}\",\"dim\":{dim},\"level\":\"{level}\",\
                 \"million_per_second\":{rate:.3},\"gb_per_second\":{gb:.3},\"ns_per_pass\":{ns:.1}}}"
            );
        } else {
            println!(
                "{kernel:<18} {place:<7} {dim:>5} {level:<10} {rate:>12.2} {gb:>9.2} {ns:>14.0}"
            );
        }
    }
}

fn floats(rng: &mut StdRng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn bytes(rng: &mut StdRng, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    rng.fill(bytes.as_mut_slice());
    bytes
}

fn main() {
    let (flags, names): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let table = Table { json: flags.iter().any(|f| f == "--json"), names };
    if !table.json {
        println!("{}\n", level_report());
        println!(
            "{:<18} {:<7} {:>5} {:<10} {:>12} {:>9} {:>14}",
            "kernel", "data in", "dim", "level", "million/s", "GB/s", "ns/pass"
        );
    }
    let mut rng = StdRng::seed_from_u64(1);
    for (place, size) in [("L1", 16 << 10), ("L2", 256 << 10), ("memory", 128 << 20)] {
        read(&table, &mut rng, place, size);
        nibbles(&table, &mut rng, place, size);
        byte_rows(&table, &mut rng, place, size);
        float_rows(&table, &mut rng, place, size);
    }
    centroids(&table, &mut rng);
    query(&table, &mut rng);
}

/// The machine's limit: a copy, and the counting of bits, which at the widest level does next to
/// nothing but read.
fn read(table: &Table, rng: &mut StdRng, place: &str, size: usize) {
    let from = bytes(rng, size);
    let mut to = vec![0; size];
    let work = || Work { dim: 0, items: size / 64, bytes: size };
    table.line("copy", place, "-", &work(), || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    });
    table.levels("read (count_ones)", place, work(), |k| {
        black_box(k.count_ones(black_box(&from)));
    });
}

fn nibbles(table: &Table, rng: &mut StdRng, place: &str, size: usize) {
    for dim in [128usize, 768, 1536] {
        let nibbles = dim / 4;
        let blocks = size / (16 * nibbles);
        let codes = bytes(rng, blocks * nibbles * 16);
        let [add, mul, scale] = [(); 3].map(|()| floats(rng, blocks * BLOCK_ROWS));
        let mut tables = bytes(rng, nibbles * 16);
        tables.iter_mut().for_each(|entry| *entry %= MOST_ENTRY + 1);
        let rows = NibbleRows { nibbles, codes: &codes, add: &add, mul: &mul, scale: Some(&scale) };
        let tables = NibbleTables { tables: &tables, unit: 0.01, offset: -1.0 };
        let (mut masks, mut out) = (vec![0; blocks], vec![0.0; blocks * BLOCK_ROWS]);
        let work = Work { dim, items: blocks * BLOCK_ROWS, bytes: codes.len() };
        table.levels("scan_nibbles", place, work, |k| {
            masks.fill(u32::MAX);
            let rows = black_box(&rows);
            black_box(k.scan_nibbles(rows, &tables, 0.5, 0.1, &mut masks, &mut out));
        });
    }
}

fn byte_rows(table: &Table, rng: &mut StdRng, place: &str, size: usize) {
    for stride in [128usize, 768] {
        let n = size / stride;
        let rows = bytes(rng, n * stride);
        let query: Vec<i8> = bytes(rng, stride).iter().map(|b| *b as i8).collect();
        let mut out = vec![0; n.max(100)];
        let work = || Work { dim: stride, items: n, bytes: rows.len() };
        table.levels("int8_dot_rows", place, work(), |k| {
            k.int8_dot_rows(black_box(&query), &rows, black_box(&mut out[..n]));
        });
        // As a search does it: a few dozen rows anywhere, sorted by score and not by place.
        let picks: Vec<Vec<u32>> =
            (0..1000).map(|_| (0..100).map(|_| rng.random_range(0..n as u32)).collect()).collect();
        let mut turn = 0;
        let picked = Work { dim: stride, items: 100, bytes: 100 * stride };
        table.levels("int8_dot_picked", place, picked, |k| {
            turn = (turn + 1) % picks.len();
            k.int8_dot_picked(black_box(&query), &rows, &picks[turn], black_box(&mut out[..100]));
        });
        let mut counts = vec![0; size / (stride / 8)];
        let bits = Work { dim: stride, items: counts.len(), bytes: rows.len() };
        table.levels("hamming_rows", place, bits, |k| {
            k.hamming_rows(black_box(&rows[..stride / 8]), &rows, black_box(&mut counts));
        });
    }
}

fn float_rows(table: &Table, rng: &mut StdRng, place: &str, size: usize) {
    for dim in [100usize, 768] {
        let n = size / (4 * dim);
        let rows = floats(rng, n * dim);
        let halves: Vec<u16> = rows.iter().map(|x| f32_to_f16(*x)).collect();
        let (query, mut out) = (floats(rng, dim), vec![0.0; n]);
        let wide = || Work { dim, items: n, bytes: n * dim * 4 };
        let narrow = || Work { dim, items: n, bytes: n * dim * 2 };
        table.levels("dot_rows", place, wide(), |k| {
            k.dot_rows(black_box(&query), &rows, black_box(&mut out));
        });
        table.levels("l2_rows", place, wide(), |k| {
            k.l2_rows(black_box(&query), &rows, black_box(&mut out));
        });
        let each = |out: &mut [f32], score: &dyn Fn(&[u16]) -> f32| {
            let rows = black_box(&halves).chunks_exact(dim);
            rows.zip(out).for_each(|(row, out)| *out = score(row));
        };
        table.levels("dot_f16", place, narrow(), |k| each(&mut out, &|r| k.dot_f16(&query, r)));
        table.levels("l2_bf16", place, narrow(), |k| each(&mut out, &|r| k.l2_bf16(&query, r)));
    }
}

fn centroids(table: &Table, rng: &mut StdRng) {
    for (dim, len) in [(128usize, 256usize), (128, 1024), (768, 1024), (1536, 4096)] {
        let codes: Vec<i8> = bytes(rng, len * dim).iter().map(|b| *b as i8).collect();
        let set = PackedCentroids::new(&codes, dim, &floats(rng, len), &floats(rng, len));
        let place = format!("c{len}");
        for n in [1usize, 1000] {
            let (rows, scale) = (bytes(rng, n * dim), floats(rng, n));
            let (mut all, mut hits) = (vec![0.0; n * len], vec![(0, 0.0); n * 32]);
            let work = || Work { dim, items: n * len, bytes: n * set.bytes() };
            table.levels(&format!("nearest_x{n}"), &place, work(), |k| {
                k.nearest_centroid(&set, black_box(&rows), &scale, black_box(&mut hits[..n]));
            });
            table.levels(&format!("scores_x{n}"), &place, work(), |k| {
                k.centroid_scores(&set, black_box(&rows), &scale, black_box(&mut all));
            });
            table.levels(&format!("nearest_32_x{n}"), &place, work(), |k| {
                k.nearest_centroids(&set, black_box(&rows), &scale, 32, black_box(&mut hits));
            });
        }
    }
}

/// What is done once a query.
fn query(table: &Table, rng: &mut StdRng) {
    for dim in [128usize, 1024, 4096, 65_536] {
        let mut x = floats(rng, dim);
        let work = Work { dim, items: 1, bytes: 4 * dim };
        table.levels("hadamard", "L1", work, |k| k.hadamard(black_box(&mut x)));
    }
    for dim in [128usize, 768] {
        let (q, centers) = (floats(rng, dim), floats(rng, dim * 16));
        let (mut wide, mut narrow) = (vec![0.0; dim * 8], vec![0; dim * 4]);
        let work = || Work { dim, items: 1, bytes: dim * 16 };
        table.levels("sign_tables", "L1", work(), |k| {
            k.sign_tables(black_box(&q), black_box(&mut wide[..dim * 4]));
        });
        table.levels("pair_tables", "L1", work(), |k| {
            k.pair_tables(black_box(&q), &centers, black_box(&mut wide));
        });
        table.levels("quantize_tables", "L1", work(), |k| {
            black_box(k.quantize_tables(black_box(&wide[..dim * 4]), black_box(&mut narrow)));
        });
    }
}
