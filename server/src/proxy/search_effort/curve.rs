//! The curves from a parameter to the share of true neighbours that a search misses.
//!
//! They are what users of Milvus's indexes get on data of middling difficulty: halving work about
//! doubles the misses, for graphs and lists alike.

use elanus_engine::api::Effort;

/// What a search without parameters misses.
pub const DEFAULT_MISS: f64 = 1.0 - Effort::DEFAULT.recall() as f64;

/// The least and the most effort of a search that is not exact.
const LEAST: f64 = 0.80;
const MOST: f64 = 0.9995;

/// A graph search that keeps `list` candidates for `k` results. A list of ten is short even for one
/// result; with more results, a list as long as they are is better.
pub fn of_candidates(list: i64, k: usize) -> f64 {
    let k = k.max(10) as f64;
    let as_long = 0.15 * (10.0 / k).powf(0.3);
    as_long * (list as f64 / k).powf(-1.135)
}

/// A search of `probes` of `lists` lists.
pub fn of_lists(probes: i64, lists: i64) -> f64 {
    let share = (probes as f64 / lists.max(1) as f64).min(1.0);
    0.000_825 * share.powf(-1.15)
}

/// The level of AUTOINDEX: 90 % at 1, 99 % at 6, and on.
pub fn of_level(level: i64) -> f64 {
    0.1 * 10f64.powf(-(level - 1) as f64 / 5.0)
}

/// What is still missed when `times` as many candidates are compared again.
pub fn refined(missed: f64, times: f64) -> f64 {
    missed * times.max(1.0).powf(-0.3)
}

/// The effort that misses no more.
pub fn effort(missed: f64) -> Effort {
    let recall = (1.0 - missed).clamp(LEAST, MOST);
    Effort::new(recall as f32).unwrap_or_default()
}
