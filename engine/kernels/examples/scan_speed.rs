//! Rows and bytes per second of the batch kernels, one thread, from cache and from memory.
//!
//! `cargo run --release -p elanus-kernels --example scan_speed`

use std::hint::black_box;
use std::time::Instant;

use elanus_kernels::{Kernels, Level, level_report};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Best of several passes, in seconds per pass over `rows`.
// A measurement reads the clock of the machine; nothing here is replayed.
#[allow(clippy::disallowed_methods)]
fn best_pass(repeat: usize, mut pass: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..repeat {
            pass();
        }
        best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
    }
    best
}

fn main() {
    println!("{}", level_report());
    let mut rng = StdRng::seed_from_u64(1);
    for (place, bytes, repeat) in [("cache", 256 << 10, 200), ("memory", 256 << 20, 1)] {
        println!("\n{place}: {} KiB of rows", bytes >> 10);
        println!("{:>5} {:>8} {:>6} {:>14} {:>8}", "dim", "level", "kernel", "rows/s", "GB/s");
        for dim in [100usize, 384, 768] {
            let n = bytes / (4 * dim);
            let rows: Vec<f32> = (0..n * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
            let mut out = vec![0.0; n];
            for k in Level::available().iter().filter_map(|l| Kernels::at(*l)) {
                let query = &rows[..dim];
                let print = |kernel: &str, seconds: f64| {
                    let (rate, gb) = (n as f64 / seconds, (n * dim * 4) as f64 / seconds / 1e9);
                    println!("{dim:>5} {:>8} {kernel:>6} {rate:>14.0} {gb:>8.2}", k.level().name());
                };
                print(
                    "dot",
                    best_pass(repeat, || k.dot_rows(black_box(query), &rows, black_box(&mut out))),
                );
                print(
                    "l2",
                    best_pass(repeat, || k.l2_rows(black_box(query), &rows, black_box(&mut out))),
                );
            }
        }
    }
}
