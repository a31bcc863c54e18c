//! SQL functions of Elanus: distances between vectors and access to JSON.
//!
//! | function | value | nearest first |
//! |---|---|---|
//! | `l2_distance(a, b)` | squared Euclidean distance, as Milvus's `L2` | `ORDER BY … ASC` |
//! | `inner_product(a, b)` | as Milvus's `IP` | `ORDER BY … DESC` |
//! | `cosine_similarity(a, b)` | as Milvus's `COSINE` | `ORDER BY … DESC` |
//! | `cosine_distance(a, b)` | `1 - cosine_similarity(a, b)` | `ORDER BY … ASC` |
//! | `hamming_distance(a, b)` | bits that differ, as Milvus's `HAMMING` | `ORDER BY … ASC` |
//! | `jaccard_distance(a, b)` | as Milvus's `JACCARD` | `ORDER BY … ASC` |
//! | `to_bfloat16([…])` | a list of numbers as the bytes that a BFloat16Vector takes | |
//! | `json_get(j, key, …)` | the value there as JSON text | |
//! | `json_get_int(j, key, …)`, `…_float`, `…_str`, `…_bool` | the value there, NULL if of another type | |
//!
//! A vector is a vector column, or a list of numbers as in `[0.1, 0.2]`; one of bits is a column of such,
//! bytes as in `X'ff00'`, or a text of hexadecimal digits. A list of numbers that is compared with a column
//! of 16-bit floats is rounded to them first, as searches over gRPC do. NULL in gives NULL out.

mod bfloat16;
mod json;
mod list;
mod vector;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub use bfloat16::ToBfloat16;
pub use json::{JsonGet, JsonKind};
pub(crate) use list::{bits_from_scalar, vector_from_scalar};
pub use vector::{VectorFunction, VectorMeasure};

/// All functions, to be registered with a session.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let vectors =
        VectorMeasure::ALL.into_iter().map(|m| ScalarUDF::new_from_impl(VectorFunction::new(m)));
    let json = JsonKind::ALL.into_iter().map(|k| ScalarUDF::new_from_impl(JsonGet::new(k)));
    let bytes = ScalarUDF::new_from_impl(ToBfloat16::default());
    vectors.chain(json).chain([bytes]).map(Arc::new).collect()
}

/// Names of all functions.
pub(crate) fn names() -> Vec<&'static str> {
    let vectors = VectorMeasure::ALL.into_iter().map(VectorMeasure::name);
    let json = JsonKind::ALL.into_iter().map(JsonKind::name);
    vectors.chain(json).chain([bfloat16::NAME]).collect()
}
