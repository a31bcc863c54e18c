//! Lists of key and value: flattening them, and what search and query read from them.

mod order;
mod search;

use std::collections::BTreeMap;
use std::str::FromStr;

use elanus_engine::api::Metric;
use elanus_engine::core::schema::DataType;
use elanus_proto::common::KeyValuePair;
use serde_json::Value;

use super::{invalid, mismatch};
use crate::status::Failure;
pub use order::{Asker, OrderKey, order_keys, split as split_order};
pub use search::{Grouping, IteratorPage, SearchParams, Window, grouping, rank_window};

/// The pairs as a map; a later pair wins.
pub fn to_map(pairs: &[KeyValuePair]) -> BTreeMap<String, String> {
    pairs.iter().map(|p| (p.key.clone(), p.value.clone())).collect()
}

/// The map as pairs, by key.
pub fn to_pairs(map: &BTreeMap<String, String>) -> Vec<KeyValuePair> {
    map.iter().map(|(key, value)| KeyValuePair { key: key.clone(), value: value.clone() }).collect()
}

/// The pairs as a map, with the entries of a JSON object under `params` laid beside the others.
/// What is given at the top wins over what is nested.
///
/// # Errors
/// If `params` is given and is no JSON object.
pub fn flatten(pairs: &[KeyValuePair]) -> Result<BTreeMap<String, String>, Failure> {
    let mut flat = BTreeMap::new();
    for pair in pairs.iter().filter(|p| p.key == "params" && !p.value.trim().is_empty()) {
        let nested: BTreeMap<String, Value> = serde_json::from_str(&pair.value)
            .map_err(|e| invalid(format!("params [{}] is no JSON object: {e}", pair.value)))?;
        flat.extend(nested.into_iter().filter_map(|(k, v)| plain(v).map(|v| (k, v))));
    }
    for pair in pairs.iter().filter(|p| p.key != "params") {
        flat.insert(pair.key.clone(), pair.value.clone());
    }
    Ok(flat)
}

/// A JSON value as the text that a flat pair would have; null is "not given".
fn plain(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Flattened parameters with typed access.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads and flattens.
    pub fn new(pairs: &[KeyValuePair]) -> Result<Self, Failure> {
        Ok(Self(flatten(pairs)?))
    }

    /// The text of a parameter that is given and not empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|v| v.trim()).filter(|v| !v.is_empty() && *v != "None")
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Result<Option<i64>, Failure> {
        self.number(key)
    }

    /// A number.
    pub fn float(&self, key: &str) -> Result<Option<f64>, Failure> {
        self.number(key)
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, Failure> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(invalid(format!("{key} [{text}] is invalid"))),
            },
        }
    }

    /// A truth value in one of the spellings of Python, Go and JSON.
    pub fn truth(&self, key: &str) -> Result<bool, Failure> {
        match self.text(key) {
            None | Some("false" | "False" | "FALSE" | "0") => Ok(false),
            Some("true" | "True" | "TRUE" | "1") => Ok(true),
            Some(text) => Err(mismatch(
                format!("parse {} field failed", key.replace('_', " ")),
                "true or false",
                text,
            )),
        }
    }

    /// Refuses each of these parameters as not built.
    pub fn refuse(&self, keys: &[&str]) -> Result<(), Failure> {
        match keys.iter().find(|key| self.text(key).is_some()) {
            Some(key) => Err(Failure::unsupported(format!("parameter {key} is not supported"))),
            None => Ok(()),
        }
    }
}

/// Checks offset and limit of a query or hybrid search; gives them back in that order.
pub fn result_window(offset: i64, limit: i64, most: usize) -> Result<(usize, usize), Failure> {
    let wrong = |why: String| invalid(format!("invalid max query result window, {why}"));
    let from = usize::try_from(offset)
        .map_err(|_| wrong(format!("offset [{offset}] is invalid, should be gte than 0")))?;
    let count = usize::try_from(limit)
        .ok()
        .filter(|l| *l > 0)
        .ok_or_else(|| wrong(format!("limit [{limit}] is invalid, should be greater than 0")))?;
    match from.checked_add(count) {
        Some(depth) if depth <= most => Ok((from, count)),
        _ => Err(wrong(format!(
            "(offset+limit) should be in range [1, {most}], but got {}",
            offset.saturating_add(limit)
        ))),
    }
}

/// The metric of a name, for a field of vectors.
pub fn metric(name: &str, data_type: &DataType) -> Result<Metric, Failure> {
    let upper = name.to_ascii_uppercase();
    let fitting = Metric::ALL.iter().filter(|m| m.compares(data_type));
    let found = fitting.copied().find(|m| m.name() == upper);
    found.ok_or_else(|| {
        let kind = match data_type {
            DataType::SparseFloatVector => "sparse",
            DataType::BinaryVector { .. } => "binary",
            _ => "float",
        };
        invalid(format!("{kind} vector index does not support metric type: {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<KeyValuePair> {
        list.iter().map(|(k, v)| KeyValuePair { key: (*k).into(), value: (*v).into() }).collect()
    }

    #[test]
    fn nested_and_flat_parameters_are_one() {
        let given =
            pairs(&[("index_type", "HNSW"), ("params", "{\"M\": 16, \"x\": \"y\", \"n\": null}")]);
        let flat = flatten(&given).unwrap_or_default();
        let expected = [("M", "16"), ("index_type", "HNSW"), ("x", "y")];
        assert_eq!(to_pairs(&flat), pairs(&expected));
        assert!(flatten(&pairs(&[("params", "[1]")])).is_err());
    }

    #[test]
    fn result_windows_have_limits() {
        assert_eq!(result_window(0, 5, 10).ok(), Some((0, 5)));
        for (offset, limit, words) in [
            (-1, 5, "offset [-1] is invalid, should be gte than 0"),
            (0, 0, "limit [0] is invalid, should be greater than 0"),
            (6, 5, "(offset+limit) should be in range [1, 10], but got 11"),
        ] {
            let reason =
                result_window(offset, limit, 10).err().map(|f| f.reason).unwrap_or_default();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
