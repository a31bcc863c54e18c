//! The parameters that vector indexes read, with their types and ranges: those of Milvus 3.0.

use std::collections::BTreeMap;

use serde_json::Value;

use super::value::{Fault, Kind, Typed, plain, typed};

/// Read when an index is made.
pub const BUILD: u8 = 1;
/// Read by a plain search.
pub const SEARCH: u8 = 2;
/// Read by a range search.
pub const RANGE: u8 = 4;
/// Read by a search that goes on from where another ended: iterators and groupings.
pub const PAGES: u8 = 8;

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub kind: Kind,
    /// When it is read: a sum of [`BUILD`], [`SEARCH`], [`RANGE`] and [`PAGES`].
    pub when: u8,
    /// Whether it must be given when it is read.
    pub required: bool,
}

const fn rule(name: &'static str, kind: Kind, when: u8) -> Rule {
    Rule { name, kind, when, required: false }
}

const ALL: u8 = SEARCH | RANGE | PAGES;
const MOST: i64 = i32::MAX as i64;
const POSITIVE: Kind = Kind::Integer(1, MOST);
/// The largest number below 1.
const BELOW_ONE: f32 = 1.0 - f32::EPSILON / 2.0;
const SHARE: Kind = Kind::Float(0.0, f32::MAX);

/// Of every index.
pub const BASE: &[Rule] = &[
    rule("retrieve_friendly", Kind::Truth, BUILD),
    rule("shuffle_build", Kind::Truth, BUILD),
    rule("num_build_thread", Kind::Integer(i32::MIN as i64, MOST), BUILD),
    rule("range_search_k", Kind::Integer(-1, MOST), RANGE),
    rule("range_search_level", Kind::Float(0.0, 0.5), RANGE),
    rule("iterator_refine_ratio", Kind::Float(f32::MIN, f32::MAX), PAGES | RANGE),
    rule("retain_iterator_order", Kind::Truth, PAGES | RANGE),
];

/// AUTOINDEX's own.
pub const LEVEL: &[Rule] = &[rule("level", Kind::Integer(1, 10), ALL)];

/// Searching what AUTOINDEX is on vectors of numbers.
pub const AUTO_DENSE_SEARCH: &[Rule] = &[
    rule("ef", POSITIVE, ALL),
    rule("seed_ef", POSITIVE, PAGES),
    rule("refine_k", Kind::Float(1.0, f32::MAX), SEARCH),
];

/// Lists around centres.
pub const IVF: &[Rule] = &[
    rule("nlist", Kind::Integer(1, 65_536), BUILD),
    rule("nprobe", Kind::Integer(1, 65_536), ALL),
    rule("use_elkan", Kind::Truth, BUILD),
    rule("ensure_topk_full", Kind::Truth, SEARCH),
    rule("max_empty_result_buckets", Kind::Integer(0, 65_536), RANGE),
];

/// Lists around centres of vectors of bits.
pub const BIN_IVF: &[Rule] = IVF;

/// Lists that are kept in cells.
pub const IVF_CELLS: &[Rule] = &[rule("ssize", Kind::Integer(32, 2_048), BUILD)];

/// Bits of a value in cells.
pub const IVF_SQ_CELLS: &[Rule] = &[rule("code_size", Kind::Integer(i32::MIN as i64, MOST), BUILD)];

/// Comparing the best again with better codes.
pub const REFINE: &[Rule] = &[
    rule("refine", Kind::Truth, BUILD),
    rule("refine_type", Kind::Text, BUILD),
    rule("refine_k", Kind::Float(1.0, f32::MAX), SEARCH),
];

/// Scalar codes.
pub const SQ: &[Rule] = &[rule("sq_type", Kind::Text, BUILD)];

const CODE_BITS: Rule = rule("nbits", Kind::Integer(1, 24), BUILD);
const PARTS: Rule = rule("m", Kind::Integer(1, 65_536), BUILD);

/// Product codes in a graph.
pub const PQ: &[Rule] = &[PARTS, CODE_BITS];

/// Product codes in lists, where the number of parts must be given.
pub const IVF_PQ: &[Rule] = &[Rule { required: true, ..PARTS }, CODE_BITS];

/// Product codes of residuals.
pub const PRQ: &[Rule] = &[PARTS, CODE_BITS, rule("nrq", Kind::Integer(1, 16), BUILD)];

/// One-bit codes.
pub const RABITQ: &[Rule] = &[
    rule("rbq_bits", Kind::Integer(1, 9), BUILD | RANGE),
    rule("rbq_bits_query", Kind::Integer(0, 8), SEARCH | RANGE),
];

/// One-bit codes, scanned by table.
pub const FAST_SCAN: &[Rule] = &[rule("rbq_bits_query", Kind::Integer(0, 8), SEARCH | RANGE)];

/// Four-bit product codes, scanned by table.
pub const SCANN: &[Rule] = &[
    rule("reorder_k", POSITIVE, SEARCH),
    rule("with_raw_data", Kind::Truth, BUILD),
    rule("sub_dim", Kind::Integer(1, 65_536), BUILD),
];

/// Graphs in memory.
pub const HNSW: &[Rule] = &[
    rule("M", Kind::Integer(2, 2_048), BUILD),
    rule("efConstruction", POSITIVE, BUILD),
    rule("ef", POSITIVE, ALL),
    rule("seed_ef", POSITIVE, PAGES),
    rule("disable_fallback_brute_force", Kind::Truth, SEARCH),
];

/// Graphs on disk.
pub const DISK: &[Rule] = &[
    rule("max_degree", Kind::Integer(1, 2_048), BUILD),
    rule("search_list_size", POSITIVE, BUILD | ALL),
    rule("pq_code_budget_gb_ratio", SHARE, BUILD),
    rule("pq_code_budget_gb", SHARE, BUILD),
    rule("build_dram_budget_gb", SHARE, BUILD),
    rule("disk_pq_dims", Kind::Integer(i32::MIN as i64, MOST), BUILD),
    rule("accelerate_build", Kind::Truth, BUILD),
    rule("search_cache_budget_gb_ratio", SHARE, BUILD),
    rule("search_cache_budget_gb", SHARE, BUILD),
    rule("beamwidth", Kind::Integer(1, 128), ALL),
    rule("min_k", POSITIVE, RANGE),
    rule("max_k", POSITIVE, RANGE),
    rule("filter_threshold", Kind::Float(-1.0, 1.0), SEARCH | PAGES),
];

/// Graphs on disk with their codes on disk too.
pub const AISAQ: &[Rule] = &[
    rule("beamwidth", Kind::Integer(1, 16), ALL),
    rule("vectors_beamwidth", Kind::Integer(1, 4), ALL),
    rule("inline_pq", Kind::Integer(-1, 2_048), BUILD),
    rule("pq_cache_size", Kind::Integer(0, 1 << 30), BUILD),
    rule("pq_read_page_cache_size", Kind::Integer(0, 33_554_432), BUILD | ALL),
    rule("rearrange", Kind::Truth, BUILD),
    rule("pq_read_io_engine", Kind::Text, BUILD),
    rule("num_entry_points", Kind::Integer(0, 1_000), BUILD),
];

/// Lists of rows by position of a sparse vector.
pub const SPARSE: &[Rule] = &[
    rule("drop_ratio_build", Kind::Float(0.0, BELOW_ONE), BUILD),
    rule("drop_ratio_search", Kind::Float(0.0, BELOW_ONE), ALL),
    rule("refine_factor", Kind::Integer(i32::MIN as i64, MOST), SEARCH),
    rule("dim_max_score_ratio", Kind::Float(0.5, 1.3), SEARCH),
    rule("bulk_query_nnz_threshold", Kind::Integer(0, MOST), SEARCH),
    rule("search_algo", Kind::Text, ALL),
    rule("inverted_index_algo", Kind::Text, BUILD),
    rule("inverted_index_codec", Kind::Text, BUILD),
    rule("block_max_block_size", POSITIVE, BUILD),
    rule("quant_type", Kind::Text, BUILD),
    rule("bm25_k1", Kind::Float(0.0, 3.0), BUILD),
    rule("bm25_b", Kind::Float(0.0, 1.0), BUILD),
    rule("sindi_window_size", Kind::Integer(1_024, 65_535), BUILD),
];

/// Parameters that were read, by name.
pub type Read = BTreeMap<&'static str, Typed>;

/// Reads what the rules know of the given parameters; others are left alone, as in Milvus. A text
/// that should be a number is refused even where the parameter is not read.
pub fn read<'v>(
    rules: &[&'static [Rule]],
    when: u8,
    given: impl Fn(&str) -> Option<&'v Value>,
) -> Result<Read, Fault> {
    let rules = || rules.iter().copied().flatten();
    let mut values = BTreeMap::new();
    for rule in rules() {
        if let Some(value) = given(rule.name) {
            values.insert(rule.name, plain(rule.kind, rule.name, value)?);
        }
    }
    let mut read = Read::new();
    for rule in rules().filter(|r| r.when & when != 0) {
        match values.get(rule.name) {
            Some(value) => {
                read.insert(rule.name, typed(rule.kind, rule.name, value)?);
            }
            None if rule.required => {
                let why = format!("param '{}' not exist in json", rule.name);
                return Err(Fault { status: "invalid param in json", why });
            }
            None => {}
        }
    }
    Ok(read)
}

/// The whole number of a name, if it was read.
pub fn integer(read: &Read, name: &str) -> Option<i64> {
    match read.get(name) {
        Some(Typed::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// The number of a name, if it was read.
pub fn float(read: &Read, name: &str) -> Option<f64> {
    match read.get(name) {
        Some(Typed::Float(number)) => Some(*number),
        _ => None,
    }
}

/// The text of a name, if it was read.
pub fn text<'r>(read: &'r Read, name: &str) -> Option<&'r str> {
    match read.get(name) {
        Some(Typed::Text(text)) => Some(text),
        _ => None,
    }
}

/// The truth value of a name, if it was read.
pub fn truth(read: &Read, name: &str) -> Option<bool> {
    match read.get(name) {
        Some(Typed::Truth(truth)) => Some(*truth),
        _ => None,
    }
}
