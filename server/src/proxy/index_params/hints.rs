//! Parameters that say where an index lies, not what it is.

use super::Params;
use crate::status::Failure;

const MMAP: &str = "mmap.enabled";
const OFFSET_CACHE: &str = "indexoffsetcache.enabled";
const WARMUP: &str = "warmup";

/// Scalar indexes whose files Milvus maps into memory when asked, and AUTOINDEX.
const SCALAR_MMAP: [&str; 5] = ["INVERTED", "BITMAP", "TRIE", "Trie", "NGRAM"];

/// Whether a parameter is one; only these can change later.
pub fn is_hint(key: &str) -> bool {
    [MMAP, OFFSET_CACHE, WARMUP].contains(&key)
}

/// Checks the hints for an index; `mmap` says whether its files can be mapped into memory.
pub fn check(kind: &str, mmap: bool, params: &Params) -> Result<(), Failure> {
    if truth(params, MMAP, "mmap")? && !mmap {
        return Err(Failure::parameter(format!(
            "invalid mmap index params: index type {kind} does not support mmap"
        )));
    }
    if truth(params, OFFSET_CACHE, "offset cache")? && kind != "BITMAP" {
        return Err(Failure::parameter(format!(
            "invalid offset cache index params: only bitmap index support {OFFSET_CACHE} now"
        )));
    }
    match params.get(WARMUP) {
        Some(policy) if !["disable", "sync", "async"].contains(&policy.as_str()) => {
            Err(Failure::parameter(format!(
                "invalid warmup params: invalid warmup policy: {policy}, must be 'disable', 'sync' \
                 or 'async'"
            )))
        }
        _ => Ok(()),
    }
}

/// As [`check`], for an index on a field that is no vector.
pub fn check_scalar(kind: &str, params: &Params) -> Result<(), Failure> {
    check(kind, kind == super::AUTO || SCALAR_MMAP.contains(&kind), params)
}

/// A truth value in any of Go's spellings; false if it is not given.
fn truth(params: &Params, key: &str, what: &str) -> Result<bool, Failure> {
    match params.get(key).map(String::as_str) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(text) => Err(Failure::parameter(format!(
            "invalid {what} index params: invalid {key} value: {text}, expected: true, false"
        ))),
    }
}
