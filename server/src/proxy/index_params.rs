//! Which index may be made on which field, and with what parameters.

use std::collections::BTreeMap;

use elanus_engine::core::schema::{DataType, FieldSchema};

use crate::status::Failure;

/// Leaves the choice of the index to the server.
pub const AUTO: &str = "AUTOINDEX";
/// The metric of a vector index that names none.
const DEFAULT_METRIC: &str = "COSINE";
const METRICS: [&str; 3] = ["L2", "IP", "COSINE"];

/// Indexes of float vectors. The last is milvus-lite's name for FLAT.
const VECTOR: [&str; 13] = [
    "FLAT",
    "IVF_FLAT",
    "IVF_SQ8",
    "IVF_PQ",
    "IVF_RABITQ",
    "HNSW",
    "HNSW_SQ",
    "HNSW_PQ",
    "HNSW_PRQ",
    "SCANN",
    "DISKANN",
    "AISAQ",
    "BRUTE_FORCE",
];
/// Indexes of vectors of other types.
const OTHER_VECTOR: [&str; 5] =
    ["BIN_FLAT", "BIN_IVF_FLAT", "MINHASH_LSH", "SPARSE_INVERTED_INDEX", "SPARSE_WAND"];
const SCALAR: [&str; 6] = ["INVERTED", "BITMAP", "STL_SORT", "TRIE", "NGRAM", "RTREE"];

const CAST_TYPES: [&str; 7] =
    ["BOOL", "DOUBLE", "VARCHAR", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR", "JSON"];

/// Numbers of vector indexes with their least and most.
const RANGES: [(&str, i64, i64); 6] = [
    ("M", 2, 2_048),
    ("efConstruction", 1, i32::MAX as i64),
    ("nlist", 1, 65_536),
    ("m", 1, 65_536),
    ("nbits", 1, 64),
    ("nrq", 1, 16),
];

/// Hints that change where an index lies, not what it is.
const HINTS: [&str; 3] = ["mmap.enabled", "indexoffsetcache.enabled", "warmup"];

/// A map of parameters.
pub type Params = BTreeMap<String, String>;

/// Checks the parameters of a new index and fills in what is left open.
pub fn complete(field: &FieldSchema, mut params: Params) -> Result<Params, Failure> {
    if params.get("index_type").is_some_and(String::is_empty) {
        params.remove("index_type");
    }
    let kind = params.entry("index_type".into()).or_insert_with(|| AUTO.into()).clone();
    let known = [AUTO].iter().chain(&VECTOR).chain(&OTHER_VECTOR).chain(&SCALAR);
    if !known.into_iter().any(|k| *k == kind) {
        let actual = format!("invalid index type: {kind}");
        return Err(Failure::expected("valid index", &actual, ""));
    }
    if field.data_type.is_vector() {
        complete_vector(field, &kind, &mut params)?;
    } else {
        complete_scalar(field, &kind, &mut params)?;
    }
    Ok(params)
}

fn complete_vector(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    let data_type = milvus_name(&field.data_type);
    if SCALAR.contains(&kind) {
        return Err(Failure::parameter(format!("{kind} are not supported on {data_type} field")));
    }
    if OTHER_VECTOR.contains(&kind) {
        return Err(Failure::parameter(format!(
            "data type {data_type} can't build with this index {kind}"
        )));
    }
    let free = ["index_type", "metric_type"];
    let plain = |key: &String| free.contains(&key.as_str()) || HINTS.contains(&key.as_str());
    if kind == AUTO && !params.keys().all(plain) {
        return Err(Failure::parameter("only metric type can be passed when use AutoIndex"));
    }
    let metric = params.entry("metric_type".into()).or_insert_with(|| DEFAULT_METRIC.into());
    if metric.is_empty() {
        *metric = DEFAULT_METRIC.into();
    }
    if !METRICS.contains(&metric.as_str()) {
        let why = format!("float vector index does not support metric type: {metric}");
        return Err(invalid_params(&why));
    }
    for (key, least, most) in RANGES {
        if let Some(text) = params.get(key) {
            check_range(key, text, least, most)?;
        }
    }
    match (&field.data_type, params.get("m").and_then(|m| m.parse::<u32>().ok())) {
        (DataType::FloatVector { dim }, Some(m)) if kind.ends_with("PQ") && dim % m != 0 => {
            Err(invalid_params(&format!(
                "The dimension of a vector (dim) should be a multiple of the number of \
                 subquantizers (m). Dimension: {dim}, m: {m}"
            )))
        }
        _ => Ok(()),
    }
}

fn check_range(key: &str, text: &str, least: i64, most: i64) -> Result<(), Failure> {
    match text.parse::<i64>() {
        Ok(value) if (least..=most).contains(&value) => Ok(()),
        Ok(value) => Err(invalid_params(&format!(
            "Out of range in json: param '{key}' ({value}) should be in range [{least}, {most}]"
        ))),
        Err(_) => Err(invalid_params(&format!(
            "param '{key}' ({text}) should be an integer in range [{least}, {most}]"
        ))),
    }
}

fn complete_scalar(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    if VECTOR.contains(&kind) || OTHER_VECTOR.contains(&kind) {
        return Err(Failure::parameter(format!("index {kind} only supports vector data type")));
    }
    check_scalar_type(field, kind)?;
    if field.data_type == DataType::Json {
        complete_json(field, kind, params)?;
    }
    if kind == "NGRAM" {
        check_grams(params)?;
    }
    Ok(())
}

fn check_scalar_type(field: &FieldSchema, kind: &str) -> Result<(), Failure> {
    let got = milvus_name(&field.data_type);
    let text = matches!(field.data_type, DataType::VarChar { .. });
    let json = field.data_type == DataType::Json;
    let number = field.data_type.is_integer()
        || matches!(field.data_type, DataType::Float | DataType::Double);
    let bits =
        |t: &DataType| t.is_integer() || matches!(t, DataType::Bool | DataType::VarChar { .. });
    let why = match kind {
        "BITMAP" if field.is_primary => "create bitmap index on primary key not supported".into(),
        "BITMAP" => match &field.data_type {
            DataType::Array { element, .. } if !bits(element) => {
                "bitmap index are only supported on bool, int, string for array field".into()
            }
            DataType::Array { .. } => return Ok(()),
            other if bits(other) => return Ok(()),
            _ => "bitmap index are only supported on bool, int, string and array field".into(),
        },
        "STL_SORT" if !number && !text => {
            format!(
                "STL_SORT are only supported on numeric, varchar or timestamptz field, got {got}"
            )
        }
        "TRIE" if !text => "TRIE are only supported on varchar field".into(),
        "NGRAM" if !text && !json => {
            "ngram index can only be created on VARCHAR or JSON field".into()
        }
        "RTREE" => format!("RTREE index can only be built on geometry field, got {got}"),
        _ => return Ok(()),
    };
    Err(invalid_params(&why))
}

fn complete_json(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    let Some(cast) = params.get_mut("json_cast_type") else {
        if kind == AUTO {
            return Ok(());
        }
        return Err(Failure::missing("json index must specify cast type"));
    };
    let upper = cast.trim().to_uppercase();
    if !CAST_TYPES.contains(&upper.as_str()) || kind == "NGRAM" && upper != "VARCHAR" {
        return Err(Failure::parameter(format!("json_cast_type {upper} is not supported")));
    }
    *cast = upper;
    params.entry("json_path".into()).or_insert_with(|| field.name.clone());
    Ok(())
}

fn check_grams(params: &Params) -> Result<(), Failure> {
    let (Some(min), Some(max)) = (params.get("min_gram"), params.get("max_gram")) else {
        return Err(Failure::missing("Ngram index must specify both min_gram and max_gram"));
    };
    let number = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| {
            Failure::parameter(format!("{name} for Ngram index must be an integer, got: {text}"))
        })
    };
    let (min, max) = (number("min_gram", min)?, number("max_gram", max)?);
    if min == 0 || min > max {
        return Err(Failure::parameter(format!(
            "invalid min_gram or max_gram value for Ngram index, min_gram: {min}, max_gram: {max}"
        )));
    }
    Ok(())
}

/// Refuses keys that an existing index does not let change.
pub fn check_alterable<'a>(keys: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    for key in keys {
        if !HINTS.contains(&key.as_str()) {
            return Err(Failure::parameter(format!("{key} is not a configable index property")));
        }
    }
    Ok(())
}

fn invalid_params(why: &str) -> Failure {
    Failure::expected("valid index params", "invalid index params", why)
}

fn milvus_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Bool => "Bool",
        DataType::Int8 => "Int8",
        DataType::Int16 => "Int16",
        DataType::Int32 => "Int32",
        DataType::Int64 => "Int64",
        DataType::Float => "Float",
        DataType::Double => "Double",
        DataType::VarChar { .. } => "VarChar",
        DataType::Json => "JSON",
        DataType::Array { .. } => "Array",
        DataType::FloatVector { .. } => "FloatVector",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    fn reason(data_type: DataType, pairs: &[(&str, &str)]) -> String {
        let field = FieldSchema::new("f", data_type);
        complete(&field, params(pairs)).err().map(|f| f.reason).unwrap_or_default()
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let vector = FieldSchema::new("v", DataType::FloatVector { dim: 8 });
        let full = complete(&vector, Params::new()).unwrap_or_default();
        assert_eq!(full, params(&[("index_type", "AUTOINDEX"), ("metric_type", "COSINE")]));
        let json = FieldSchema::new("j", DataType::Json);
        let asked = params(&[("index_type", "INVERTED"), ("json_cast_type", "double")]);
        let full = complete(&json, asked).unwrap_or_default();
        assert_eq!((full["json_cast_type"].as_str(), full["json_path"].as_str()), ("DOUBLE", "j"));
    }

    #[test]
    fn wrong_parameters_are_refused_in_milvus_words() {
        let vector = || DataType::FloatVector { dim: 8 };
        for (data_type, pairs, words) in [
            (vector(), &[("index_type", "NOPE")][..], "invalid index type: NOPE"),
            (vector(), &[("metric_type", "X")], "does not support metric type: X"),
            (vector(), &[("index_type", "INVERTED")], "INVERTED are not supported on FloatVector"),
            (vector(), &[("index_type", "BIN_FLAT")], "can't build with this index BIN_FLAT"),
            (vector(), &[("index_type", "HNSW"), ("M", "1")], "should be in range [2, 2048]"),
            (vector(), &[("nlist", "8")], "only metric type can be passed when use AutoIndex"),
            (vector(), &[("index_type", "IVF_PQ"), ("m", "3")], "Dimension: 8, m: 3"),
            (DataType::Int64, &[("index_type", "HNSW")], "only supports vector data type"),
            (DataType::Int64, &[("index_type", "TRIE")], "TRIE are only supported on varchar"),
            (DataType::Float, &[("index_type", "BITMAP")], "bitmap index are only supported on"),
            (DataType::Json, &[("index_type", "INVERTED")], "json index must specify cast type"),
        ] {
            let text = reason(data_type, pairs);
            assert!(text.contains(words), "{pairs:?}: {text}");
        }
    }
}
