//! From Milvus's search parameters to the one number that a search here understands.
//!
//! | index | read | effort |
//! |---|---|---|
//! | FLAT, BRUTE_FORCE, BIN_FLAT | nothing | exact |
//! | AUTOINDEX | `level` 1…10 | .90 at 1, .975 at 4, .99 at 6, .998 at 10 |
//! | HNSW family; AUTOINDEX of numbers | `ef` against the results asked for | .91 at 16, .98 at 64, .995 at 200 of 10 |
//! | DISKANN, AISAQ | `search_list` (`search_list_size`), likewise | as `ef` |
//! | IVF family, SCANN; AUTOINDEX of bits | `nprobe` against `nlist` | .90 at 1.6 %, .98 at 6 %, .996 at 25 % of the lists |
//! | those with codes | `refine_k`, SCANN's `reorder_k` by the results asked for | more of the rest |
//!
//! A parameter that is not given leaves [`Effort::DEFAULT`]. More of a parameter never means less
//! effort. All but exact searches stay in [.80, .9995]; all lists of IVF_FLAT, IVF_FLAT_CC and
//! BIN_IVF_FLAT are an exact search, as they are in Milvus.

mod curve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use elanus_engine::api::Effort;
use serde_json::Value;

use super::index_params::kinds::{self, IndexKind, Knob, Vectors};
use super::index_params::rules::{self, Read};
use super::index_params::value::Fault;
use super::index_params::{AUTO, Params};
use crate::status::{Failure, code};

/// Search parameters as they came, by name.
pub type RawParams = BTreeMap<String, Value>;

/// Lists of an IVF index that does not say how many: of a named one, and of AUTOINDEX on bits.
const DEFAULT_LISTS: i64 = 128;
const AUTO_LISTS: i64 = 1_024;
/// Milvus makes no more lists than one for so many rows.
const ROWS_OF_A_LIST: u64 = 39;

/// How a search goes through the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The best `top_k`.
    Plain,
    /// Those within a radius.
    Range,
    /// On from where it was: iterators and groupings.
    Pages,
}

/// What the effort of a search depends on.
pub struct Asked<'a> {
    /// Parameters of the field's index; `None` without one.
    pub index: Option<&'a Params>,
    /// The field's vectors.
    pub vectors: Vectors,
    /// Parameters of the search.
    pub search: &'a RawParams,
    /// Results of each query, skipped ones included.
    pub top_k: usize,
    /// How it goes through the rows.
    pub mode: Mode,
    /// Rows of the collection; asked only where it matters.
    pub rows: &'a dyn Fn() -> u64,
}

/// The effort of a search.
///
/// # Errors
/// A parameter that the index reads is wrong: code 65535, with which Milvus reports what its index
/// library refuses, and that library's words.
pub fn effort(asked: &Asked<'_>) -> Result<Effort, Failure> {
    let Some(params) = asked.index else { return Ok(Effort::DEFAULT) };
    let name = params.get("index_type").map_or(AUTO, String::as_str);
    let Some(kind) = kinds::named(name, asked.vectors) else { return Ok(Effort::DEFAULT) };
    let read = check(kind, asked).map_err(|fault| {
        let what = if asked.mode == Mode::Range { "range search" } else { "search" };
        let reason = format!("failed to {what}: {}: {}", fault.status, fault.why);
        Failure::new(code::UNEXPECTED, reason)
    })?;
    Ok(weigh(kind, params, &read, asked))
}

/// Reads the parameters that matter to the index.
fn check(kind: &IndexKind, asked: &Asked<'_>) -> Result<Read, Fault> {
    let when = match asked.mode {
        Mode::Plain => rules::SEARCH,
        Mode::Range => rules::RANGE,
        Mode::Pages => rules::PAGES,
    };
    // The disk indexes know their list by two names, of which the shorter wins.
    let given = |key: &str| match key {
        "search_list_size" => asked.search.get("search_list").or_else(|| asked.search.get(key)),
        _ => asked.search.get(key),
    };
    let read = rules::read(kind.rules, when, given)?;
    if asked.mode == Mode::Plain && kind.checks_k {
        let long = |key: &str| at_least_k(&read, key, asked.top_k);
        match kind.knob {
            Knob::Candidates(key) => long(key)?,
            Knob::Lists { .. } => long("reorder_k")?,
            Knob::Exact => {}
        }
    }
    Ok(read)
}

fn at_least_k(read: &Read, key: &str, top_k: usize) -> Result<(), Fault> {
    match rules::integer(read, key) {
        Some(given) if !usize::try_from(given).is_ok_and(|g| g >= top_k) => {
            Err(Fault::out_of_range(format!("{key}({given}) should be larger than k({top_k})")))
        }
        _ => Ok(()),
    }
}

fn weigh(kind: &IndexKind, params: &Params, read: &Read, asked: &Asked<'_>) -> Effort {
    let by_knob = match kind.knob {
        Knob::Exact => return Effort::EXACT,
        Knob::Candidates(key) => {
            rules::integer(read, key).map(|list| curve::of_candidates(list, asked.top_k))
        }
        Knob::Lists { full } => match rules::integer(read, "nprobe") {
            None => None,
            Some(probes) => {
                let lists = lists(params, (asked.rows)());
                if full && probes >= lists {
                    return Effort::EXACT;
                }
                Some(curve::of_lists(probes, lists))
            }
        },
    };
    let by_level = rules::integer(read, "level").map(curve::of_level);
    let missed = match (by_knob, by_level) {
        (Some(a), Some(b)) => a.min(b),
        (one, other) => one.or(other).unwrap_or(curve::DEFAULT_MISS),
    };
    let reordered = rules::integer(read, "reorder_k").map(|r| r as f64 / asked.top_k.max(1) as f64);
    let times = rules::float(read, "refine_k").or(reordered).filter(|_| kind.refines);
    curve::effort(curve::refined(missed, times.unwrap_or(1.0)))
}

/// The lists that Milvus makes of so many rows.
fn lists(params: &Params, rows: u64) -> i64 {
    let auto = params.get("index_type").is_none_or(|t| t == AUTO);
    let default = if auto { AUTO_LISTS } else { DEFAULT_LISTS };
    let asked = params.get("nlist").and_then(|n| n.trim().parse().ok()).unwrap_or(default);
    let most = i64::try_from((rows / ROWS_OF_A_LIST).max(1)).unwrap_or(i64::MAX);
    asked.min(most)
}
