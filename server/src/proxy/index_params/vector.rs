//! Indexes of vector fields.

use elanus_engine::core::schema::{DataType, FieldSchema};
use serde_json::Value;

use super::kinds::{self, IndexKind, Vectors};
use super::rules::{self, Read};
use super::scalar::SCALAR;
use super::value::Fault;
use super::{AUTO, Params, hints, invalid_params, milvus_name, sparse};
use crate::convert::vectors::default_metric;
use crate::status::Failure;

/// Metrics of vectors of numbers.
const DENSE_METRICS: [&str; 3] = ["L2", "IP", "COSINE"];
/// Metrics of vectors of bits.
const BINARY_METRICS: [&str; 5] =
    ["HAMMING", "JACCARD", "SUBSTRUCTURE", "SUPERSTRUCTURE", "MHJACCARD"];

/// What `refine_type` may be in lists, and in graphs.
const LIST_REFINES: [&str; 6] = ["sq6", "sq8", "fp16", "bf16", "fp32", "flat"];
const GRAPH_REFINES: [&str; 7] = ["sq4u", "sq6", "sq8", "fp16", "bf16", "fp32", "flat"];
/// What `sq_type` may be in lists, and in graphs.
const LIST_CODES: [&str; 3] = ["sq4", "sq6", "sq8"];
const GRAPH_CODES: [&str; 5] = ["sq4u", "sq6", "sq8", "fp16", "bf16"];
/// Parts of a vector's product codes where a graph's `m` is not given.
const DEFAULT_PQ_PARTS: i64 = 32;
const DEFAULT_PRQ_PARTS: i64 = 2;
/// Dimensions of a part where SCANN's `sub_dim` is not given.
const DEFAULT_SUB_DIM: i64 = 2;
/// Bits of a value where IVF_SQ_CC's `code_size` is not given.
const DEFAULT_CODE_SIZE: i64 = 8;

/// What Milvus's server sets itself for DISKANN, whatever is given: not even looked at.
const DISKANN_OWN: [&str; 4] =
    ["max_degree", "search_list_size", "pq_code_budget_gb_ratio", "search_cache_budget_gb_ratio"];

/// Checks the parameters of an index on a vector field, and fills in what is left open.
pub fn complete(field: &FieldSchema, kind: &str, params: &mut Params) -> Result<(), Failure> {
    let data_type = milvus_name(&field.data_type);
    if SCALAR.contains(&kind) {
        return Err(Failure::parameter(format!("{kind} are not supported on {data_type} field")));
    }
    let free = ["index_type", "metric_type"];
    let plain = |key: &String| free.contains(&key.as_str()) || hints::is_hint(key);
    if kind == AUTO && !params.keys().all(plain) {
        return Err(Failure::parameter("only metric type can be passed when use AutoIndex"));
    }
    let metric = complete_metric(field, kind, params)?;
    let fits = |k: &&IndexKind| match field.data_type {
        DataType::BinaryVector { .. } => k.takes.binary,
        DataType::Int8Vector { .. } => k.takes.int8,
        DataType::SparseFloatVector => k.takes.sparse,
        _ => k.takes.float,
    };
    let Some(index) = kinds::named(kind, Vectors::of(&field.data_type)).filter(fits) else {
        return Err(Failure::parameter(format!(
            "data type {data_type} can't build with this index {kind}"
        )));
    };
    check_not_built(kind, &metric)?;
    let texts: Vec<(&String, Value)> =
        params.iter().map(|(key, text)| (key, Value::String(text.clone()))).collect();
    let own = |name: &str| kind == "DISKANN" && DISKANN_OWN.contains(&name);
    let find = |name: &str| texts.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let given = |name: &str| find(name).filter(|_| !own(name));
    rules::read(index.rules, rules::BUILD, given)
        .and_then(|read| check_together(field, kind, &metric, &read))
        .map_err(|fault| Failure::parameter(fault.why))?;
    hints::check(kind, index.mmap, params)
}

/// The metric, filled in if AUTOINDEX leaves it open; any other index must name it.
fn complete_metric(
    field: &FieldSchema,
    kind: &str,
    params: &mut Params,
) -> Result<String, Failure> {
    let named = params.get("metric_type").filter(|m| !m.is_empty()).cloned();
    let metric = match named {
        Some(metric) => metric,
        None if kind == AUTO => default_metric(&field.data_type).name().to_string(),
        None => return Err(invalid_params("metric type not set for vector index")),
    };
    params.insert("metric_type".into(), metric.clone());
    let (known, vectors) = match field.data_type {
        DataType::BinaryVector { .. } => (&BINARY_METRICS[..], "binary"),
        DataType::Int8Vector { .. } => (&DENSE_METRICS[..], "int"),
        DataType::SparseFloatVector => (&sparse::METRICS[..], "sparse"),
        _ => (&DENSE_METRICS[..], "float"),
    };
    if !known.contains(&metric.as_str()) {
        let why = format!("{vectors} vector index does not support metric type: {metric}");
        return Err(invalid_params(&why));
    }
    Ok(metric)
}

/// Refuses what Milvus has and this server has not.
fn check_not_built(kind: &str, metric: &str) -> Result<(), Failure> {
    let what = match (kind, metric) {
        ("MINHASH_LSH", _) => "index type MINHASH_LSH",
        (_, "MHJACCARD") => "metric type MHJACCARD",
        _ => return Ok(()),
    };
    Err(Failure::unsupported(format!(
        "{what} is not supported by this server: index the bits themselves with BIN_FLAT or \
         BIN_IVF_FLAT and metric type HAMMING or JACCARD"
    )))
}

/// Values that must fit each other, the field and the metric.
fn check_together(field: &FieldSchema, kind: &str, metric: &str, read: &Read) -> Result<(), Fault> {
    if field.data_type.is_sparse_vector() {
        return sparse::check(metric, read);
    }
    let dim = i64::from(field.data_type.vector_dim().unwrap_or_default());
    match kind {
        "IVF_PQ" => check_parts(dim, rules::integer(read, "m").unwrap_or(1), "a vector")?,
        "HNSW_PQ" => {
            let parts = rules::integer(read, "m").unwrap_or(DEFAULT_PQ_PARTS);
            check_parts(dim, parts, "the vector")?;
        }
        "HNSW_PRQ" => {
            let parts = rules::integer(read, "m").unwrap_or(DEFAULT_PRQ_PARTS);
            check_parts(dim, parts, "a vector")?;
        }
        "SCANN" => check_sub_dim(dim, rules::integer(read, "sub_dim").unwrap_or(DEFAULT_SUB_DIM))?,
        "IVF_SQ_CC" => check_code_size(rules::integer(read, "code_size"))?,
        "HNSW" => check_unrefined(read)?,
        _ => {}
    }
    if field.data_type.is_binary_vector() && kind != "BIN_FLAT" {
        check_counted_metric(metric)?;
    }
    check_codes(kind, read)?;
    check_refining(kind, read)
}

fn check_parts(dim: i64, parts: i64, vector: &str) -> Result<(), Fault> {
    if dim % parts == 0 {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "The dimension of {vector} (dim) should be a multiple of the number of subquantizers (m). \
         Dimension: {dim}, m: {parts}"
    )))
}

fn check_sub_dim(dim: i64, sub_dim: i64) -> Result<(), Fault> {
    if dim % sub_dim == 0 {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "The dimension of a vector (dim) should be a multiple of sub_dim. Dimension:{dim}, \
         sub_dim:{sub_dim}"
    )))
}

fn check_code_size(bits: Option<i64>) -> Result<(), Fault> {
    if [4, 6, 8, 16].contains(&bits.unwrap_or(DEFAULT_CODE_SIZE)) {
        return Ok(());
    }
    let why = "compress a vector into (code_size * dim)/8 bytes, code size value should be in 4, \
               6, 8 and 16";
    Err(Fault::invalid(why.into()))
}

/// A graph over the vectors themselves has nothing to refine.
fn check_unrefined(read: &Read) -> Result<(), Fault> {
    if rules::truth(read, "refine") == Some(true) || rules::text(read, "refine_type").is_some() {
        return Err(Fault::invalid("refine is not supported for this index".into()));
    }
    Ok(())
}

/// SUBSTRUCTURE and SUPERSTRUCTURE are answered only by an index that looks at every row.
fn check_counted_metric(metric: &str) -> Result<(), Fault> {
    if ["HAMMING", "JACCARD"].contains(&metric) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "metric type {metric} not found or not supported, supported: [HAMMING JACCARD]"
    )))
}

fn check_codes(kind: &str, read: &Read) -> Result<(), Fault> {
    let Some(codes) = rules::text(read, "sq_type") else { return Ok(()) };
    let asked = codes.to_lowercase();
    match kind {
        "HNSW_SQ" if !GRAPH_CODES.contains(&asked.as_str()) => {
            Err(Fault::invalid("invalid scalar quantizer type".into()))
        }
        "IVF_SQ8" if !LIST_CODES.contains(&asked.as_str()) => Err(Fault::invalid(format!(
            "invalid sq_type : {codes}, optional types are [{}]",
            LIST_CODES.join(", ")
        ))),
        _ => Ok(()),
    }
}

fn check_refining(kind: &str, read: &Read) -> Result<(), Fault> {
    let Some(with) = rules::text(read, "refine_type") else { return Ok(()) };
    let asked = with.to_lowercase();
    if kind == "IVF_RABITQ_FASTSCAN" {
        let on = rules::truth(read, "refine") == Some(true);
        return match on && !["fp32", "flat"].contains(&asked.as_str()) {
            true => Err(Fault::invalid(format!(
                "IVF_RABITQ_FASTSCAN only supports refine_type=flat/fp32, got: {with}"
            ))),
            false => Ok(()),
        };
    }
    // HNSW_PRQ takes what the other graphs take and names what the lists take, as Milvus 3.0 does.
    let graph = kind.starts_with("HNSW");
    let allowed = if graph { &GRAPH_REFINES[..] } else { &LIST_REFINES[..] };
    let told = if kind == "HNSW_PRQ" { &LIST_REFINES[..] } else { allowed };
    if allowed.contains(&asked.as_str()) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "invalid refine type : {with}, optional types are [{}]",
        told.join(", ")
    )))
}
