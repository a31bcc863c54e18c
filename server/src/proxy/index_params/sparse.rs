//! Indexes of sparse vectors: what their parameters may be together.

use super::rules::{self, Read};
use super::value::Fault;

/// Metrics of sparse vectors.
pub const METRICS: [&str; 2] = ["IP", "BM25"];

const ALGORITHMS: [&str; 6] =
    ["TAAT_NAIVE", "DAAT_WAND", "DAAT_MAXSCORE", "BLOCK_MAX_MAXSCORE", "BLOCK_MAX_WAND", "SINDI"];
const CODECS: [&str; 3] = ["block_streamvbyte", "block_maskedvbyte", "block_adaptive"];

/// Checks the values that are words.
pub fn check(metric: &str, read: &Read) -> Result<(), Fault> {
    one_of(read, "inverted_index_algo", "sparse inverted index algo", &ALGORITHMS)?;
    one_of(read, "inverted_index_codec", "inverted_index_codec", &CODECS)?;
    let fitting = if metric == "IP" { ["fp16", "fp32"] } else { ["u16", "u32"] };
    match rules::text(read, "quant_type") {
        Some(kind) if !kind.is_empty() && !fitting.contains(&kind) => Err(Fault::invalid(format!(
            "quant_type for {metric} metric must be '{}' or '{}', got '{kind}'",
            fitting[0], fitting[1]
        ))),
        _ => Ok(()),
    }
}

fn one_of(read: &Read, key: &str, name: &str, known: &[&str]) -> Result<(), Fault> {
    match rules::text(read, key) {
        Some(text) if !text.is_empty() && !known.contains(&text) => Err(Fault::invalid(format!(
            "{name} {text} not found or not supported, supported: [{}]",
            known.join(" ")
        ))),
        _ => Ok(()),
    }
}
